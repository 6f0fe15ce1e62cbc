package fleet

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// starting is how long a process may take until it serves, ending how long it may take from being asked to.
	starting = 5 * time.Minute
	ending   = 20 * time.Second
)

// process is a program that serves.
type process struct {
	name  string
	ready string // the line that it said when it was
	cmd   *exec.Cmd
	said  *tail
	ended chan struct{}
	err   error // of its end; read behind ended
}

// run starts a program and waits until a line of its output says that it is ready.
func run(ctx context.Context, name string, cmd *exec.Cmd, ready func(line string) bool) (*process, error) {
	p := &process{name: name, cmd: cmd, said: &tail{}, ended: make(chan struct{})}
	out, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = in, p.said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is this program's to pass on
	err = cmd.Start()
	_ = in.Close() // the child has it
	if err != nil {
		return nil, fmt.Errorf("%s could not be started: %w", name, err)
	}
	go func() {
		p.err = cmd.Wait()
		close(p.ended)
	}()
	lines := make(chan string)
	go func() { // ends with the pipe, at the latest when out is closed
		defer close(lines)
		for r := bufio.NewScanner(out); r.Scan(); {
			if ready(r.Text()) {
				lines <- r.Text()
				return
			}
		}
	}()
	limit := time.NewTimer(starting)
	defer limit.Stop()
	select {
	case line, ok := <-lines:
		if ok {
			p.ready = line
			return p, nil
		}
		<-p.ended
		err = p.death()
	case <-ctx.Done():
		err = ctx.Err()
	case <-limit.C:
		err = fmt.Errorf("%s did not serve within %s", name, starting)
	}
	p.stop()
	for range lines { // so that its reader ends, too
	}
	return nil, err
}

// death says how a process ended that should not have.
func (p *process) death() error {
	why := p.said.last()
	if why == "" {
		why = "it said nothing"
		if p.err != nil {
			why = p.err.Error()
		}
	}
	return fmt.Errorf("%s ended: %s", p.name, why)
}

// dead says whether it has ended.
func (p *process) dead() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// soonDead waits a moment for the end of a process whose connection broke: the one comes a little before the other.
func (p *process) soonDead() bool {
	select {
	case <-p.ended:
		return true
	case <-time.After(500 * time.Millisecond):
		return false
	}
}

// stop asks the process to end, and makes it.
func (p *process) stop() {
	if p == nil || p.dead() {
		return
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended meanwhile
	select {
	case <-p.ended:
	case <-time.After(ending):
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
}

// tail keeps the end of what was written to it.
type tail struct {
	mu   sync.Mutex
	text []byte
}

const tailBytes = 8 << 10

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, b...)
	if n := len(t.text); n > tailBytes {
		t.text = append(t.text[:0], t.text[n-tailBytes:]...)
	}
	return len(b), nil
}

// last is its last line.
func (t *tail) last() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	lines := strings.Split(strings.TrimSpace(string(t.text)), "\n")
	return strings.TrimPrefix(strings.TrimSpace(lines[len(lines)-1]), "reprise: ")
}

var _ io.Writer = (*tail)(nil)

var errClosed = errors.New("the processes of the run are closed")
