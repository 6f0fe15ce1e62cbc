package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"reprise/cmd/internal/fleet"
	"reprise/cmd/internal/load"
	"reprise/cmd/internal/loop"
	"reprise/cmd/internal/version"
	"reprise/kvcache/ledger/footprint/machine"
	"reprise/kvcache/state"
	"reprise/model/hub"
	"reprise/model/tokenizer"
)

// processes says whether the session needs servers of its own.
func (f *loopFlags) processes() bool {
	return slices.Contains([]string{loop.Restart, loop.Remote, loop.PD}, f.Session)
}

// fleet starts the servers that the session is about.
func (f *loopFlags) fleet(ctx context.Context, c *cobra.Command, r *loop.Run) (done func(), err error) {
	if err := writable("--out", f.out); err != nil {
		return nil, err
	}
	opts, err := f.options()
	if err != nil { // before seconds are spent on starting
		return nil, err
	}
	ckpt, err := load.Find(f.model)
	if err != nil {
		return nil, err
	}
	f.model = ckpt.Dir // whatever folder the servers run in
	told := func(text string) { fmt.Fprintln(c.ErrOrStderr(), text) }
	s, err := fleet.Open(ctx, fleet.Options{Session: f.Session, Flags: f.serveFlags(c), L2: f.l2, Told: told})
	if err != nil {
		return nil, fmt.Errorf("--session %s: %w", f.Session, err)
	}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	if err := f.fits(s.Model().Context); err != nil {
		return nil, err
	}
	r.Server = s
	r.Facts, err = fleetFacts(ckpt, s, opts.KV)
	return s.Close, err
}

// serveFlags are the flags of `serve` that make its engine the one that was asked for here.
func (f *loopFlags) serveFlags(c *cobra.Command) []string {
	out := []string{"--model=" + f.model}
	c.Flags().Visit(func(flag *pflag.Flag) {
		if p := flag.Annotations[phaseKey]; flag.Name != "model" && len(p) == 1 && p[0] == string(inLoad) || flag.Name == "chat-template" {
			out = append(out, "--"+flag.Name+"="+strings.TrimSpace(flag.Value.String()))
		}
	})
	return out
}

// fleetFacts are what the checkpoint and the processes say of what computes.
func fleetFacts(ckpt hub.Checkpoint, s *fleet.Fleet, kv state.Quantization) (loop.Facts, error) {
	computer, err := machine.Read()
	if err != nil {
		return loop.Facts{}, err
	}
	config, err := hub.ReadConfig(ckpt.Dir)
	if err != nil {
		return loop.Facts{}, err
	}
	tokens, err := tokenizer.Load(ckpt.Dir) // of this process's own, for the markup
	if err != nil {
		return loop.Facts{}, err
	}
	return loop.Facts{
		Model: ckpt.Name, Quantization: quantization(config) + kvText(kv), Machine: &computer, Runtime: fmt.Sprintf("%s, %s", version.Read(), s),
		Decode: func(ids []int32) string { return tokens.Decode(ids, false) },
	}, nil
}
