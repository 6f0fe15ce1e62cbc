package process

import (
	"context"
	"fmt"
	"io"
	"net"
	"os/exec"
	"syscall"
	"time"
)

const (
	starting = 5 * time.Minute        // until a program that does not serve is given up
	ending   = 20 * time.Second       // from being asked to end until it is killed
	breaking = 500 * time.Millisecond // from a broken connection to its server's end
)

// Process is a program that runs.
type Process struct {
	name  string
	cmd   *exec.Cmd
	lines lines
	said  tail
	ended chan struct{}
	err   error // of its end; read behind ended
}

// Start starts a program. ready knows the line of its output with which it serves; nil: it says none. The last of its errors is
// kept, whether they go elsewhere, too, or not.
func Start(name string, cmd *exec.Cmd, ready func(line string) bool) (*Process, error) {
	p := &Process{name: name, cmd: cmd, lines: lines{is: ready, found: make(chan string, 1)}, ended: make(chan struct{})}
	if ready != nil {
		cmd.Stdout = &p.lines
	}
	switch {
	case cmd.Stderr == nil:
		cmd.Stderr = &p.said
	case cmd.Stderr != cmd.Stdout:
		cmd.Stderr = io.MultiWriter(cmd.Stderr, &p.said)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s could not be started: %w", name, err)
	}
	go func() {
		p.err = cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// Ready waits for the line with which the program serves, and returns it.
func (p *Process) Ready(ctx context.Context) (string, error) {
	limit := time.NewTimer(starting)
	defer limit.Stop()
	var err error
	select {
	case line := <-p.lines.found:
		return line, nil
	case <-p.ended:
		return "", p.Death()
	case <-ctx.Done():
		err = ctx.Err()
	case <-limit.C:
		err = fmt.Errorf("%s did not serve within %s", p.name, starting)
	}
	_ = p.Stop() // the reason is told
	return "", err
}

// PID is the process's number.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Ended is closed when the process is gone.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Broken is how a process ended whose connection broke; nil when it did not. It waits a moment: the one comes a little before
// the other.
func (p *Process) Broken() error {
	select {
	case <-p.ended:
		return p.Death()
	case <-time.After(breaking):
		return nil
	}
}

// Death says how a process ended that should not have, and the last thing that it said.
func (p *Process) Death() error {
	how, why := p.cmd.ProcessState.String(), p.said.last()
	if why == "" {
		return fmt.Errorf("%s ended (%s)", p.name, how)
	}
	return fmt.Errorf("%s ended (%s): %s", p.name, how, why)
}

// Stop asks the process to end, and makes it. It returns how that went, nil when well.
func (p *Process) Stop() error {
	if p == nil {
		return nil
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-p.ended:
		return p.err
	case <-time.After(ending):
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		<-p.ended
		return fmt.Errorf("%s did not end within %v and was killed: %w", p.name, ending, p.err)
	}
}

// FreePort is one of the loopback that nobody listens on now.
func FreePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	port := l.Addr().(*net.TCPAddr).Port
	return port, l.Close()
}
