package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"reprise/cmd/internal/console"
	"reprise/cmd/internal/loop"
	"reprise/cmd/internal/replay"
)

// replayFlags are those of `reprise bench replay`.
type replayFlags struct {
	engineFlags
	lowerTiers
	url, key, out, cacheMem string
	noReuse, check, asJSON  bool
}

func newBenchReplay() *cobra.Command {
	var f replayFlags
	cmd := &cobra.Command{
		Use:   "replay TRACE [flags]",
		Short: "A recording of `serve --record`, sent again: what each of its turns reuses now",
		Long: "Sends the recorded requests to a server on a free loopback port, or to --url, one at a time in the order in which they came, and writes the\n" +
			"files of `bench loop`. Each answer gets as many tokens as the recorded one. Whether prompts (id by id) and sessions are the recorded ones\n" +
			"is checked, and so are greedy answers: the first turn that differs is a problem of the summary. Requests that were refused are left out.",
		Example: "  reprise serve --record day.jsonl\n  reprise bench replay day.jsonl --no-reuse --out runs/replay/no-reuse\n" +
			"  reprise bench replay day.jsonl --cache-mem 200MB --cache-disk runs/kv --out runs/replay/disk",
		Args: exactly(1, "one recording"),
		RunE: func(c *cobra.Command, args []string) error { return f.run(c, args[0]) },
	}
	f.addModel(cmd)
	f.add(cmd)
	f.addTemplate(cmd)
	fs := cmd.Flags()
	fs.BoolVar(&f.noReuse, "no-reuse", false, "look up and count, but compute everything")
	fs.StringVar(&f.cacheMem, "cache-mem", "0", "keep at most this `SIZE` of state, for instance 2GB (decimal); 0 is by the memory that is free after the load")
	marked(cmd, inPlan, "no-reuse", "cache-mem")
	f.addTiers(cmd)
	fs.StringVar(&f.url, "url", "", "the running server at `URL` instead of an engine in this process; its cache should be empty")
	fs.StringVar(&f.key, "api-key", "", "the `KEY` for --url; $"+keyVariable+" when not given")
	marked(cmd, inServer, "url", "api-key")
	fs.StringVar(&f.out, "out", "", "the run's `DIR`; runs/replay/NAME of the recording when not given")
	fs.BoolVar(&f.check, "check", false, "fail when a turn differs from the recorded one, a row breaks an identity, or the oracle disagrees")
	fs.BoolVar(&f.asJSON, "json", false, "print the summary as an object")
	marked(cmd, inOutput, "out", "check", "json")
	return cmd
}

func (f *replayFlags) run(c *cobra.Command, path string) error {
	if f.out == "" {
		name := filepath.Base(path)
		f.out = filepath.Join("runs", "replay", strings.TrimSuffix(name, filepath.Ext(name)))
	}
	if err := f.lowerTiers.check(); err != nil {
		return err
	}
	recording, err := replay.Read(path)
	if err != nil {
		return err
	}
	for _, note := range recording.Notes {
		fmt.Fprintf(c.ErrOrStderr(), "%s: %s\n", path, note)
	}
	ctx, stop := interruptible(c.Context())
	defer stop()
	r := &replay.Run{Recording: recording, NoReuse: f.noReuse, Out: f.out}
	done, err := f.connect(ctx, c, r)
	if err != nil {
		return err
	}
	defer done()
	var shown func()
	r.Turned, r.Progress, shown = show(c, len(recording.Requests), f.asJSON)
	s, err := r.Do(ctx)
	shown()
	if s == nil {
		return err
	}
	return errors.Join(summed(c, s, f.out, f.asJSON, f.check), err)
}

// connect gives the run its server: the one at --url, or one in this process.
func (f *replayFlags) connect(ctx context.Context, c *cobra.Command, r *replay.Run) (done func(), err error) {
	own := ofTheEngine(c)
	for _, name := range []string{"cache-mem", "cache-disk", "l2"} {
		if c.Flags().Changed(name) {
			own = "--" + name
		}
	}
	switch {
	case f.url == "" && f.key != "":
		return nil, usagef("--api-key is for the server at --url: name it, or leave the key out")
	case f.url != "" && own != "":
		return nil, usagef("%s with --url: the server has its own; leave it out, or leave out --url", own)
	}
	if f.url != "" {
		if err := writable("--out", f.out); err != nil {
			return nil, err
		}
		if r.Server, err = loop.Reach(ctx, f.url, keyOr(f.key)); err != nil {
			return nil, err
		}
		r.Facts = loop.Facts{Model: r.Server.Model.ID, Runtime: "reprise's server at " + r.Server.String(), Machine: machineOf(f.url)}
		return func() {}, nil
	}
	memory, err := console.ParseBytes(f.cacheMem)
	if err != nil {
		return nil, usagef("--cache-mem: %w", err)
	}
	opts, err := f.options()
	if err != nil {
		return nil, err
	}
	if err := writable("--out", f.out); err != nil {
		return nil, err
	}
	if err := f.reachL2(ctx); err != nil {
		return nil, err
	}
	opts.CacheMem, opts.CacheDisk, opts.L2 = memory, f.disk, f.l2
	here, err := serveHere(ctx, c, opts)
	if err != nil {
		return nil, err
	}
	r.Server, r.Facts = here.client, here.facts
	return here.close, nil
}
