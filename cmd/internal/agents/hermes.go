package agents

import (
	"context"
	"fmt"
	"path/filepath"
	"regexp"
)

// Hermes is one Hermes with a home of its own.
type Hermes struct {
	*Home
	at *Installed
}

// Hermes makes one in dir.
func (i *Installed) Hermes(dir string) (*Hermes, error) {
	h, err := NewHome(dir, filepath.Dir(i.HermesProgram))
	return &Hermes{h, i}, err
}

// Do runs one of its commands.
func (h *Hermes) Do(ctx context.Context, args ...string) (*Output, error) {
	return h.Run(ctx, patience, h.at.HermesProgram, args...)
}

var sessionLine = regexp.MustCompile(`(?m)^session_id: (\S+)$`)

// Say is one turn in a process of its own. session is "" for a new one, and what the turn before returned to go on.
func (h *Hermes) Say(ctx context.Context, session, text string) (string, *Output, error) {
	args := []string{"chat", "-Q"}
	if session != "" {
		args = append(args, "--resume", session)
	}
	out, err := h.Do(ctx, append(args, "-q", text)...)
	if err != nil {
		return session, out, err
	}
	m := sessionLine.FindStringSubmatch(out.Text + out.Errors)
	if m == nil {
		return session, out, fmt.Errorf("hermes names no session: %s%s", out.Text, out.Errors)
	}
	return m[1], out, nil
}
