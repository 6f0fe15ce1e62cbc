package doctor

import (
	"context"
	"os"
	"time"

	"reprise/cmd/internal/connect"
)

// asking is how long a server may take to say what it serves.
const asking = 2 * time.Second

// agents looks at the agents' own configuration: does it name this server, and the context that it really has?
func (r *Report) agents(ctx context.Context, o Options) {
	home, err := os.UserHomeDir()
	if err != nil {
		r.add("agents", Warning, "set HOME", "the agents' configuration was not looked at: %v", err)
		return
	}
	base := "http://" + o.Addr
	ctx, stop := context.WithTimeout(ctx, asking)
	defer stop()
	s, err := connect.Ask(ctx, base, o.Key)
	if err != nil {
		s = nil // no server, or one that does not say
	}
	for _, f := range connect.Check(home, base, s) {
		level := OK
		switch {
		case f.Fails:
			level = Problem
		case f.Mend != "":
			level = Warning
		}
		r.add(f.Agent, level, f.Mend, "%s", f.Says)
	}
}
