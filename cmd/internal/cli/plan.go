package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"reprise/cmd/internal/console"
	"reprise/cmd/internal/plan"
	"reprise/kvcache/ledger/footprint"
	"reprise/kvcache/ledger/footprint/machine"
	"reprise/kvcache/state"
	"reprise/mlx"
	"reprise/model/hub"
)

// planFlags are those of `reprise plan`.
type planFlags struct {
	recipe, model, config, machine, profile, measured, reserve string
	bandwidth                                                  float64
	all, asJSON                                                bool
	kv                                                         state.Quantization
	plan.Options
}

func newPlan() *cobra.Command {
	var f planFlags
	cmd := &cobra.Command{
		Use:   "plan [flags]",
		Short: "What a model would cost on a machine, line by line, and whether the workload fits",
		Long: "Works out, before a download, bytes of weights by part, of state by kind of layer, of snapshots and of a prefill's work against what a machine\n" +
			"has; the decode ceiling from its bandwidth; the first token's time with and without reuse over a loop of turns. Bytes of weights and state are\n" +
			"computed from config and quantization; what is assumed says so. Without --recipe it is the model on this machine.",
		Example: "  reprise plan --recipe e4b-16gb\n  reprise plan --all\n  reprise plan --model gemma-3-270m --machine m5-16gb --ctx 8192 --turns 50",
		Args:    exactly(0, "no argument"),
		RunE:    func(c *cobra.Command, _ []string) error { return f.run(c) },
	}
	fs := cmd.Flags()
	var names []string
	for _, r := range plan.Recipes {
		names = append(names, r.Name)
	}
	fs.StringVar(&f.recipe, "recipe", "", "`"+strings.Join(names, "|")+"`: model, machine and workload of the article's table")
	fs.StringVarP(&f.model, "model", "m", "", "folder, name or hub id of the `MODEL`; with --recipe in the place of the recipe's. The small one when nothing is named")
	fs.StringVar(&f.config, "config", "", "a config.json, a `FILE`, in the place of a checkpoint")
	fs.StringVar(&f.machine, "machine", "", "`MACHINE` to plan for: "+strings.Join(plan.MachineNames(), ", ")+"; N is a size in GB. The recipe's, or this one, when not given")
	fs.Float64Var(&f.bandwidth, "bandwidth", 0, "memory bandwidth in `GB/s`; 0 is what the table of machines has")
	fs.StringVar(&f.reserve, "reserve", "", "`SIZE` that the system and other programs keep; by rule when not given")
	fs.IntVar(&f.Context, "ctx", 0, "tokens of prompt and answer that memory must hold; 0 is what the last turn needs")
	fs.BoolVar(&f.Vision, "vision", false, "count the image tower as loaded; this build leaves it in the files")
	marked(cmd, inLoad, "recipe", "model", "config", "machine", "bandwidth", "reserve", "ctx", "vision")
	fs.StringVar(&f.profile, "profile", "", "the loop's `PROFILE`; else prompts grow from a tenth of the context to it")
	fs.IntVar(&f.Turns, "turns", 0, "turns of the loop; 0 is 50")
	marked(cmd, inAssemble, "profile", "turns")
	addKV(fs, &f.kv)
	marked(cmd, inLoad, "kv-bits", "kv-group")
	fs.IntVar(&f.Answer, "max-tokens", 0, "tokens of an answer; 0 is the profile's, or 256")
	marked(cmd, inDecode, "max-tokens")
	fs.StringVar(&f.measured, "measured", "", "put a `RUN` beside the plan: a folder of `bench loop`, or a file of `bench speed --json`")
	fs.BoolVar(&f.all, "all", false, "the four recipes side by side")
	fs.BoolVar(&f.asJSON, "json", false, "print an object; bytes are exact")
	marked(cmd, inOutput, "measured", "all", "json")
	return cmd
}

func (f *planFlags) run(c *cobra.Command) error {
	if err := f.check(c); err != nil {
		return &usageError{err}
	}
	if f.all {
		return f.writeAll(c)
	}
	var run *plan.Run
	if f.measured != "" {
		var err error
		if run, err = plan.ReadRun(f.measured); err != nil {
			return err
		}
	}
	o, err := f.options(c.Context(), run)
	if err != nil {
		return err
	}
	p, err := plan.Make(*o)
	if err != nil {
		return &usageError{err}
	}
	if run != nil {
		p.Compare(run)
	}
	if f.asJSON {
		return console.WriteJSON(c.OutOrStdout(), p)
	}
	return p.WriteText(c.OutOrStdout())
}

// What is planned at most: beyond, sums over a loop would not be numbers any more.
const (
	mostTokens    = 1 << 32
	mostTurns     = 1_000_000
	mostBandwidth = 1e6 // GB/s
)

// check looks at the flags alone.
func (f *planFlags) check(c *cobra.Command) error {
	f.Reserve = -1
	if f.reserve != "" {
		n, err := console.ParseBytes(f.reserve)
		if err != nil {
			return fmt.Errorf("--reserve: %w", err)
		}
		f.Reserve = n
	}
	var err error
	if f.KV, err = quantized(f.kv); err != nil {
		return err
	}
	switch {
	case f.model != "" && f.config != "":
		return errors.New("--model and --config name two models: leave one out")
	case f.Context < 0:
		return fmt.Errorf("--ctx %d: must not be negative", f.Context)
	case f.Turns < 0:
		return fmt.Errorf("--turns %d: must not be negative", f.Turns)
	case f.Answer < 0:
		return fmt.Errorf("--max-tokens %d: must not be negative", f.Answer)
	case f.bandwidth < 0:
		return fmt.Errorf("--bandwidth %v: must not be negative", f.bandwidth)
	case !(f.bandwidth <= mostBandwidth): // NaN too
		return fmt.Errorf("--bandwidth %v: must be in GB/s, at most %v", f.bandwidth, float64(mostBandwidth))
	case max(f.Context, f.Answer) > mostTokens:
		return fmt.Errorf("--ctx %d, --max-tokens %d: must be at most %d", f.Context, f.Answer, mostTokens)
	case f.Turns > mostTurns:
		return fmt.Errorf("--turns %d: must be at most %d", f.Turns, mostTurns)
	}
	if f.all {
		for _, name := range []string{"recipe", "model", "config", "machine", "ctx", "profile", "turns", "max-tokens", "measured", "bandwidth"} {
			if c.Flags().Changed(name) {
				return fmt.Errorf("--all is the four recipes as they are: leave out --%s", name)
			}
		}
	}
	return nil
}

func (f *planFlags) writeAll(c *cobra.Command) error {
	var plans []*plan.Plan
	for i := range plan.Recipes {
		r := &plan.Recipes[i]
		h, err := plan.FindHardware(r.Machine)
		if err != nil {
			return err
		}
		p, err := plan.Make(plan.Options{Recipe: r, Hardware: h, KV: f.KV, Vision: f.Vision, Reserve: f.Reserve})
		if err != nil {
			return fmt.Errorf("recipe %s: %w", r.Name, err)
		}
		plans = append(plans, p)
	}
	if f.asJSON {
		return console.WriteJSON(c.OutOrStdout(), map[string]any{"recipes": plans})
	}
	return plan.WriteTable(c.OutOrStdout(), plans)
}

// options finds the machine, then the model in the form that it has there.
func (f *planFlags) options(ctx context.Context, run *plan.Run) (*plan.Options, error) {
	o := f.Options
	o.Profile = f.profile
	var err error
	if f.recipe != "" {
		if o.Recipe, err = plan.FindRecipe(f.recipe); err != nil {
			return nil, &usageError{err}
		}
	}
	if run != nil {
		run.Suggest(&o)
	}
	name := f.machine
	switch {
	case name == "" && o.Recipe != nil:
		name = o.Recipe.Machine
	case name == "":
		name = plan.This
	}
	if name == plan.This {
		o.Hardware, err = detect(ctx)
	} else if o.Hardware, err = plan.FindHardware(name); err != nil {
		err = &usageError{err}
	}
	if err != nil {
		return nil, err
	}
	if f.bandwidth > 0 {
		o.Hardware.Bandwidth = &f.bandwidth
	}
	return &o, f.takeModel(&o)
}

// takeModel is the named one, where the recipe's own is not meant.
func (f *planFlags) takeModel(o *plan.Options) (err error) {
	switch {
	case f.config != "":
		o.Model, err = plan.FromConfig(f.config, o.Hardware.Backend)
	case f.model != "" || o.Recipe == nil:
		var ckpt hub.Checkpoint
		if ckpt, err = hub.Resolve(f.model); err == nil {
			o.Model, err = plan.FromFolder(ckpt.Dir, ckpt.Name, o.Hardware.Backend)
		}
	}
	return err
}

// detect looks at this machine: its memory, and the device that MLX would use.
func detect(ctx context.Context) (*plan.Hardware, error) {
	m, err := machine.Read()
	if err != nil {
		return nil, err
	}
	seen := plan.Seen{Machine: m}
	if host, err := footprint.ReadHost(); err == nil {
		seen.Limit = host.Limit.Bytes
	}
	if !mlx.HasGPU() {
		return plan.Detect(seen), nil
	}
	w, err := mlx.Start(mlx.GPU)
	if err != nil {
		return nil, err
	}
	defer w.Close()
	info, err := w.Info(ctx)
	if err != nil {
		return nil, err
	}
	seen.GPU, seen.GPUSize, seen.HasMetal = info.Name, info.MemorySize, strings.HasPrefix(m.OS, "macOS")
	if info.RecommendedWorkingSet > 0 {
		seen.Limit = info.RecommendedWorkingSet
	}
	return plan.Detect(seen), nil
}

// writableFile finds out before the work whether a file could be written there.
func writableFile(flag, path string) error {
	dir := filepath.Dir(path)
	probe, err := os.CreateTemp(dir, ".probe-*")
	if err == nil {
		err = errors.Join(probe.Close(), os.Remove(probe.Name()))
	}
	if err == nil {
		if info, statErr := os.Stat(path); statErr == nil && info.IsDir() {
			err = errors.New("it is a folder")
		}
	}
	if err != nil {
		return fmt.Errorf("%s %s cannot be written: %w", flag, path, err)
	}
	return nil
}
