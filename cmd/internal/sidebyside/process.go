package sidebyside

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"reprise/cmd/internal/client"
	"reprise/cmd/internal/console"
	"reprise/cmd/internal/process"
)

const (
	ending    = 15 * time.Second     // from the request to end until a library's program is killed
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

// server is a server that runs.
type server struct {
	*process.Process
	at      client.Server
	started time.Time
	log     *os.File // what it prints: a file, so that printing costs the server the same whoever reads it
}

// start starts a server on a free port of this machine. It runs until it is stopped.
func (e *engine) start(ctx context.Context) (*server, error) {
	port, err := process.FreePort()
	if err != nil {
		return nil, err
	}
	log, err := os.CreateTemp("", "reprise-bench-*.log")
	if err != nil {
		return nil, err
	}
	cmd := e.server(port).prepare(context.WithoutCancel(ctx))
	cmd.Stdout, cmd.Stderr = log, log
	s := &server{at: client.Server{URL: fmt.Sprintf("http://127.0.0.1:%d", port), Fresh: true}, started: time.Now(), log: log}
	if s.Process, err = process.Start("the server", cmd, nil); err != nil {
		s.forget()
		return nil, fmt.Errorf("%s: %w", e.name, err)
	}
	return s, nil
}

// ready waits for the first healthy answer and returns the time since the start.
func (s *server) ready(ctx context.Context) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, loading)
	defer cancel()
	for {
		if healthy(ctx, s.at) {
			return time.Since(s.started), nil
		}
		select {
		case <-s.Ended():
			return 0, fmt.Errorf("before it was ready %w: %s", s.Death(), s.tail())
		case <-ctx.Done():
			return 0, fmt.Errorf("the server was not ready after %v (%w): %s", time.Since(s.started).Round(time.Second), ctx.Err(), s.tail())
		case <-time.After(lookEvery):
		}
	}
}

func healthy(ctx context.Context, at client.Server) bool {
	res, err := at.Send(ctx, http.MethodGet, "/health", nil, nil)
	if err != nil {
		return false
	}
	_ = res.Body.Close()
	return true
}

// stop ends the server and waits until it is gone.
func (s *server) stop() {
	_ = s.Stop() // its figures are taken
	s.forget()
}

func (s *server) forget() {
	_ = s.log.Close()
	os.Remove(s.log.Name())
}

// tail is the end of the server's log, on one line.
func (s *server) tail() string {
	b, err := os.ReadFile(s.log.Name())
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

// memory of a process, bytes.
type memory struct {
	peak      float64 // resident, with the file pages that are mapped
	anonymous float64 // resident now, without file pages
}

// memory reads /proc, which only Linux has; false elsewhere.
func (s *server) memory() (memory, bool) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.PID()))
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
