package process

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

func sh(script string) *exec.Cmd { return exec.Command("/bin/sh", "-c", script) }

func serves(line string) bool { return strings.HasPrefix(line, "ready: ") }

// gone says whether no process of the group is left.
func gone(p *Process) bool { return errors.Is(syscall.Kill(-p.PID(), 0), syscall.ESRCH) }

func TestAProgramServesAndEnds(t *testing.T) {
	p, err := Start("x", sh(`trap 'exit 0' TERM; printf 'not yet\nrea'; printf 'dy: here\nmore\n'; while :; do sleep 0.01; done`), serves)
	if err != nil {
		t.Fatal(err)
	}
	if line, err := p.Ready(t.Context()); line != "ready: here" || err != nil {
		t.Errorf("%q, %v", line, err)
	}
	if err := p.Broken(); err != nil {
		t.Errorf("it runs: %v", err)
	}
	for range 2 {
		if err := p.Stop(); err != nil || !gone(p) {
			t.Errorf("stopped: %v, gone %v", err, gone(p))
		}
	}
	if err := (*Process)(nil).Stop(); err != nil {
		t.Error(err)
	}
}

func TestAProgramThatEndsIsQuoted(t *testing.T) {
	var log strings.Builder
	cmd := sh("echo first >&2; echo reprise: the port is cursed >&2; exit 3")
	cmd.Stderr = &log
	p, err := Start("x", cmd, serves)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = p.Ready(t.Context()); err == nil || err.Error() != "x ended (exit status 3): the port is cursed" {
		t.Errorf("%v", err)
	}
	if err := p.Broken(); err == nil || p.Stop() == nil {
		t.Errorf("it ended badly: %v, %v", err, p.Stop())
	}
	if log.String() != "first\nreprise: the port is cursed\n" {
		t.Errorf("its log is %q", &log)
	}
}

func TestNobodyWaitsForEver(t *testing.T) {
	p, err := Start("x", sh("exec sleep 600"), serves)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Ready(ctx); !errors.Is(err, context.Canceled) || !gone(p) {
		t.Errorf("%v, gone %v", err, gone(p))
	}
}

func TestWhatCannotBeStarted(t *testing.T) {
	if _, err := Start("the store", exec.Command("/nowhere/store"), nil); err == nil || !strings.Contains(err.Error(), "the store could not be started") {
		t.Errorf("%v", err)
	}
	if _, err := (Reprise{Name: "the server", Binary: "/bin/false"}).Serve(t.Context()); err == nil || err.Error() != "the server ended (exit status 1)" {
		t.Errorf("%v", err)
	}
}

func TestTheTailIsKept(t *testing.T) {
	var said tail
	for range 2000 {
		_, _ = said.Write([]byte("a line\n"))
	}
	_, _ = said.Write([]byte("  the last\n\n"))
	if said.last() != "the last" || len(said.text) != tailBytes {
		t.Errorf("%q of %d bytes", said.last(), len(said.text))
	}
}
