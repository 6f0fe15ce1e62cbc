package cli

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"reprise/cmd/internal/console"
	"reprise/cmd/internal/load"
	"reprise/cmd/internal/speed"
	"reprise/server/engine"
)

func newBench() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "bench",
		Short:   "Measures: an agent's loop; speed at context frontiers, alone and beside other runners",
		Example: "  reprise bench loop --profile local --turns 12\n  reprise bench speed --prompt 512,2048 --gen 128",
	}
	group(cmd, map[string]int{"agents": 10, "compare": 10, "init": 10, "replay": 10})
	cmd.AddCommand(newBenchLoop(), newBenchSpeed(), newBenchPeers())
	return cmd
}

func newBenchSpeed() *cobra.Command {
	var f engineFlags
	var o speed.Options
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "speed [flags]",
		Short: "Prefill and decode speed at context frontiers",
		Long: "Measures whole turns through the engine with reuse off: prompts of natural text, greedy answers. Rounds alternate over the lengths, the\n" +
			"first is thrown away, medians are printed. Prefill is the prompt ÷ the time to the first token.",
		Example: "  reprise bench speed --prompt 512,2048 --gen 128 --json",
		Args:    exactly(0, "no argument"),
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.Check(f.context); err != nil {
				return &usageError{err}
			}
			opts, err := f.options()
			if err != nil {
				return err
			}
			report, err := benchSpeed(c, opts, o)
			if err != nil {
				return err
			}
			if asJSON {
				return console.WriteJSON(c.OutOrStdout(), report)
			}
			return report.WriteText(c.OutOrStdout())
		},
	}
	f.addModel(cmd)
	f.add(cmd)
	fs := cmd.Flags()
	fs.IntSliceVar(&o.Prompts, "prompt", []int{512, 2048}, "lengths of the prompts, in `TOKENS`")
	fs.IntVar(&o.Gen, "gen", 128, "tokens to decode behind each prompt")
	fs.IntVar(&o.Repeat, "repeat", 3, "measured rounds, behind one to warm up")
	fs.BoolVar(&o.Profile, "profile", false, "show where the longest prompt's time goes: host and device, and by kind of op")
	fs.BoolVar(&asJSON, "json", false, "print an object, with machine and versions")
	marked(cmd, inPrefill, "prompt")
	marked(cmd, inDecode, "gen")
	marked(cmd, inOutput, "json", "repeat", "profile")
	return cmd
}

func benchSpeed(c *cobra.Command, opts engine.Options, o speed.Options) (*speed.Report, error) {
	ctx, stop := interruptible(c.Context())
	defer stop()
	e, err := load.Open(ctx, opts, c.ErrOrStderr())
	if err != nil {
		return nil, err
	}
	defer e.Close()
	m := e.Model()
	info, err := e.Worker().Info(ctx)
	if err != nil {
		return nil, err
	}
	report, err := speed.NewReport(e, info)
	if err != nil {
		return nil, err
	}
	report.Repeat = o.Repeat
	bench := speed.Bench{
		Turner: e, Context: m.Context,
		Encode:   func(text string) ([]int32, error) { return m.Tokenizer.Encode(text, true) },
		Progress: func(did string) { fmt.Fprintln(c.ErrOrStderr(), did) },
	}
	if report.Points, err = bench.Measure(ctx, o); err != nil || !o.Profile {
		return report, err
	}
	report.Profile, err = bench.Profile(ctx, e.Worker(), slices.Max(o.Prompts), o.Gen)
	return report, err
}
