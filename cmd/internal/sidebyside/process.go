package sidebyside

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"reprise/cmd/internal/console"
)

const (
	ending    = 15 * time.Second     // from the request to end until a process is killed
	loading   = 5 * time.Minute      // until a server that is not ready is given up
	lookEvery = 2 * time.Millisecond // how often a server is asked whether it is ready
	tailBytes = 2000                 // of a program's log that an error shows
)

// prepare makes the process; its end is asked for when ctx ends.
func (c command) prepare(ctx context.Context) *exec.Cmd {
	cmd := exec.CommandContext(ctx, c.path, c.args...)
	cmd.Env = append(os.Environ(), c.env...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = ending
	return cmd
}

// output runs a program to its end and returns what it printed.
func (c command) output(ctx context.Context) ([]byte, error) {
	var out, log bytes.Buffer
	cmd := c.prepare(ctx)
	cmd.Stdout, cmd.Stderr = &out, &log
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("%s: %w: %s", filepath.Base(c.path), err, tail(log.Bytes()))
	}
	return out.Bytes(), nil
}

// process is a server that runs.
type process struct {
	url     string
	started time.Time
	pid     int
	end     context.CancelFunc
	ended   chan struct{} // closed when it is gone
	how     string        // after ended: how it went, "" when well
	log     *os.File      // what it prints
}

// start starts a server on a free port of this machine.
func (e *engine) start(ctx context.Context) (*process, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	log, err := os.CreateTemp("", "reprise-bench-*.log")
	if err != nil {
		return nil, err
	}
	ctx, end := context.WithCancel(ctx)
	cmd := e.server(port).prepare(ctx)
	cmd.Stdout, cmd.Stderr = log, log
	p := &process{url: fmt.Sprintf("http://127.0.0.1:%d", port), started: time.Now(), end: end, ended: make(chan struct{}), log: log}
	if err := cmd.Start(); err != nil {
		end()
		p.forget()
		return nil, fmt.Errorf("%s: %w", e.name, err)
	}
	p.pid = cmd.Process.Pid
	go func() {
		if err := cmd.Wait(); err != nil {
			p.how = err.Error()
		}
		close(p.ended)
	}()
	return p, nil
}

// ready waits for the first healthy answer and returns the time since the start.
func (p *process) ready(ctx context.Context) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, loading)
	defer cancel()
	for {
		if healthy(ctx, p.url) {
			return time.Since(p.started), nil
		}
		select {
		case <-p.ended:
			return 0, fmt.Errorf("the server ended before it was ready (%s): %s", p.how, p.tail())
		case <-ctx.Done():
			return 0, fmt.Errorf("the server was not ready after %v (%w): %s", time.Since(p.started).Round(time.Second), ctx.Err(), p.tail())
		case <-time.After(lookEvery):
		}
	}
}

func healthy(ctx context.Context, url string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/health", nil)
	if err != nil {
		return false
	}
	res, err := fresh.Do(req)
	if err != nil {
		return false
	}
	_ = res.Body.Close()
	return res.StatusCode == http.StatusOK
}

// stop ends the server and waits until it is gone.
func (p *process) stop() {
	p.end()
	<-p.ended
	p.forget()
}

func (p *process) forget() {
	_ = p.log.Close()
	os.Remove(p.log.Name())
}

// tail is the end of the server's log, on one line.
func (p *process) tail() string {
	b, err := os.ReadFile(p.log.Name())
	if err != nil {
		return err.Error()
	}
	return tail(b)
}

func tail(b []byte) string {
	if len(b) > tailBytes {
		b = b[len(b)-tailBytes:]
	}
	return console.OneLine(string(b))
}

// freePort is one that nobody listens on now.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer func() { _ = l.Close() }()
	a, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		return 0, errors.New("the system gave no port")
	}
	return a.Port, nil
}

// memory of a process, bytes.
type memory struct {
	peak      float64 // resident, with the file pages that are mapped
	anonymous float64 // resident now, without file pages
}

// memory reads /proc, which only Linux has; false elsewhere.
func (p *process) memory() (memory, bool) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid))
	if err != nil {
		return memory{}, false
	}
	return readStatus(string(b))
}

func readStatus(text string) (memory, bool) {
	var m memory
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(line, ":")
		kilobytes, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 64)
		if err != nil {
			continue
		}
		switch name {
		case "VmHWM":
			m.peak = kilobytes * 1024
		case "RssAnon":
			m.anonymous = kilobytes * 1024
		}
	}
	return m, m.peak > 0 && m.anonymous > 0
}
