package cli

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"reprise/cmd/internal/console"
	"reprise/cmd/internal/load"
	"reprise/cmd/internal/speed"
	"reprise/mlx"
	"reprise/model/hub"
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
	var config string
	cmd := &cobra.Command{
		Use:   "speed [flags]",
		Short: "Prefill and decode speed at context frontiers",
		Long: "Measures whole turns through the engine with reuse off: prompts of natural text, greedy answers. Rounds alternate over the lengths, the\n" +
			"first is thrown away, medians are printed. Prefill is the prompt ÷ the time to the first token. With --synth the model's weights are made\n" +
			"up in device memory, quantized as the config says: a model that is not here has its real shapes and cost.",
		Example: "  reprise bench speed --prompt 512,2048 --gen 128 --json\n  reprise bench speed --synth qwen3.6-27b.json --prompt 2048 --gen 64",
		Args:    exactly(0, "no argument"),
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.Check(f.context); err != nil {
				return &usageError{err}
			}
			report, err := benchSpeed(c, &f, config, o)
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
	fs.StringVar(&config, "synth", "", "measure made-up weights of the shapes in this `CONFIG`, a config.json; nothing is read or written but that file")
	marked(cmd, inLoad, "synth")
	marked(cmd, inPrefill, "prompt")
	marked(cmd, inDecode, "gen")
	marked(cmd, inOutput, "json", "repeat", "profile")
	return cmd
}

func benchSpeed(c *cobra.Command, f *engineFlags, config string, o speed.Options) (*speed.Report, error) {
	var made *speed.Synthetic
	var opts engine.Options
	var err error
	if config == "" {
		opts, err = f.options()
	} else {
		if f.model != "" {
			return nil, usagef("--synth and --model name two models: leave one out")
		}
		if made, err = speed.Synthesize(config); err != nil {
			return nil, err
		}
		defer made.Close()
		if opts, err = f.optionsFor(made.Use); err != nil {
			return nil, err
		}
	}
	if err != nil {
		return nil, err
	}
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
	active := mlx.ReadMemory().Active // before any state
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
	if made != nil {
		bench.Encode, report.Model, report.Synth = made.Encode, made.Name(), config
	}
	if e.Worker().Device() == mlx.GPU {
		inspect := func() (*hub.Inspection, error) { return hub.Inspect(m.Checkpoint.Dir, nil) }
		if made != nil {
			inspect = made.Inspect
		}
		in, err := inspect()
		if err != nil {
			return nil, err
		}
		report.Sizes = speed.CompareSizes(in, m.Parts, active)
	}
	if report.Points, err = bench.Measure(ctx, o); err != nil {
		return nil, err
	}
	if report.Graph, err = bench.Graph(ctx, e.Worker(), slices.Min(o.Prompts)); err != nil || !o.Profile {
		return report, err
	}
	report.Profile, err = bench.Profile(ctx, e.Worker(), slices.Max(o.Prompts), o.Gen)
	return report, err
}
