package agents

import (
	"context"
	"path/filepath"
	"time"
)

// patience is the limit of one run of an agent: its start takes 15 s on two cores, a cold prompt of the real model another 25.
const patience = 4 * time.Minute

// OpenClaw is one OpenClaw with a home of its own.
type OpenClaw struct {
	*Home
	at *Installed
}

// OpenClaw makes one in dir.
func (i *Installed) OpenClaw(dir string) (*OpenClaw, error) {
	h, err := NewHome(dir, filepath.Dir(i.Node))
	return &OpenClaw{h, i}, err
}

// Do runs one of its commands.
func (o *OpenClaw) Do(ctx context.Context, args ...string) (*Output, error) {
	return o.Run(ctx, patience, o.at.Node, append([]string{o.at.OpenClawScript}, args...)...)
}

// Say is one turn of a session.
func (o *OpenClaw) Say(ctx context.Context, session, text string) (*Output, error) {
	return o.Do(ctx, "agent", "--local", "--session-id", session, "-m", text)
}
