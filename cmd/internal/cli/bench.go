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
	"reprise/model/synth"
	"reprise/server/engine"
)

func newBench() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "bench",
		Short:   "Measures: an agent's loop, recorded requests, two runs side by side; speed at context frontiers, alone and beside other runners",
		Example: "  reprise bench loop --profile local --turns 12\n  reprise bench compare runs/local/stable-resumed runs/local/moving-resumed\n  reprise bench speed --prompt 512,2048 --gen 128",
	}
	group(cmd)
	cmd.AddCommand(newBenchLoop(), newBenchAgents(), newBenchSpeed(), newBenchPeers(), newBenchInit(), newBenchReplay(), newBenchCompare())
	return cmd
}

func newBenchSpeed() *cobra.Command {
	var f engineFlags
	var o speed.Options
	var asJSON bool
	var made madeUp
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
			report, err := benchSpeed(c, &f, made, o)
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
	fs.StringVar(&made.config, "synth", "", "measure made-up weights of the shapes in this `CONFIG`, a config.json; no checkpoint is read")
	fs.IntVar(&made.change.Layers, "layers", 0, "with --synth: keep the first so many layers; 0 is all")
	fs.StringArrayVar(&made.change.Set, "set", nil, "with --synth: `KEY=VALUE` for the config, as `models synth` has it")
	marked(cmd, inLoad, "synth", "layers", "set")
	marked(cmd, inPrefill, "prompt")
	marked(cmd, inDecode, "gen")
	marked(cmd, inOutput, "json", "repeat", "profile")
	return cmd
}

// madeUp is the model that --synth measures; no config: a real one is.
type madeUp struct {
	config string
	change synth.Change
}

// open checks the flags and makes the engine's options of them.
func (m madeUp) open(f *engineFlags) (*speed.Synthetic, engine.Options, error) {
	switch {
	case m.config == "" && (m.change.Layers != 0 || len(m.change.Set) > 0):
		return nil, engine.Options{}, usagef("--layers and --set change the config of --synth: name one")
	case m.config == "":
		opts, err := f.options()
		return nil, opts, err
	case f.model != "":
		return nil, engine.Options{}, usagef("--synth and --model name two models: leave one out")
	}
	made, err := speed.Synthesize(m.config, m.change)
	if err != nil {
		return nil, engine.Options{}, err
	}
	opts, err := f.optionsFor(made.Use)
	if err != nil {
		made.Close()
		return nil, opts, err
	}
	return made, opts, nil
}

func benchSpeed(c *cobra.Command, f *engineFlags, m madeUp, o speed.Options) (*speed.Report, error) {
	made, opts, err := m.open(f)
	if err != nil {
		return nil, err
	}
	if made != nil {
		defer made.Close()
	}
	ctx, stop := interruptible(c.Context())
	defer stop()
	e, err := load.Open(ctx, opts, c.ErrOrStderr())
	if err != nil {
		return nil, err
	}
	defer e.Close()
	loaded := e.Model()
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
		Turner: e, Context: loaded.Context,
		Encode:   func(text string) ([]int32, error) { return loaded.Tokenizer.Encode(text, true) },
		Progress: func(did string) { fmt.Fprintln(c.ErrOrStderr(), did) },
	}
	if made != nil {
		bench.Encode, report.Model, report.Synth = made.Encode, made.Name(), m.config
	}
	if report.Sizes, err = sizes(e, made, active); err != nil {
		return nil, err
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

// sizes compares what inspect says with what is held, on a GPU, of which inspect speaks: nil elsewhere.
func sizes(e *engine.Engine, made *speed.Synthetic, active int64) (*speed.Sizes, error) {
	if e.Worker().Device() != mlx.GPU {
		return nil, nil
	}
	var in *hub.Inspection
	var err error
	if made != nil {
		in, err = made.Inspect()
	} else {
		in, err = hub.Inspect(e.Model().Checkpoint.Dir, nil)
	}
	if err != nil {
		return nil, err
	}
	return speed.CompareSizes(in, e.Model().Parts, active), nil
}
