package cli

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"reprise/cmd/internal/console"
	"reprise/cmd/internal/load"
	"reprise/cmd/internal/models"
	"reprise/model/convert"
	"reprise/model/hub"
)

// quantizeFlags are the rules as the command line has them.
type quantizeFlags struct {
	mode, recipe, device string
	bits, group          int
	overrides            []string
}

func newModelsQuantize() *cobra.Command {
	var f quantizeFlags
	var o models.QuantizeOptions
	cmd := &cobra.Command{
		Use:   "quantize MODEL --out FOLDER [flags]",
		Short: "Quantizes a float checkpoint, byte for byte as mlx-lm's converter does",
		Long: "Quantizes a checkpoint of bfloat16, float16 or float32 weights, as published or as MLX has them. Routers stay at 8 bits; so does the table of\n" +
			"per-layer embeddings, which is sensitive, unless an override says otherwise. Towers for images and sound are left out, as in mlx-lm's conversions.",
		Example: "  reprise models quantize ./gemma-4-e4b-it --out ./e4b-4bit --bits 4 --group-size 64 --override '*.v_proj=6:64'",
		Args:    exactly(1, "one model"),
		RunE: func(c *cobra.Command, args []string) (err error) {
			if o.Rules, err = f.rules(); err != nil {
				return err
			}
			if o.Out == "" {
				return usagef("--out is missing: name the folder to write")
			}
			if !slices.Contains(load.Devices, f.device) {
				return usagef("--device %s: must be auto, cpu or gpu", f.device)
			}
			if o.Device, err = load.Device(f.device); err != nil {
				return err
			}
			ctx, stop := interruptible(c.Context())
			defer stop()
			o.Source = args[0]
			progress := console.NewProgress(c.ErrOrStderr(), "quantizing")
			o.Progress = progress.Update
			report, err := models.Quantize(ctx, o)
			progress.Close()
			if err != nil {
				return err
			}
			return models.WriteQuantized(c.OutOrStdout(), report)
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&o.Out, "out", "", "the `FOLDER` to write")
	fs.StringVar(&f.mode, "mode", "affine", "`affine|mxfp4|mxfp8|nvfp4`: what a quantized value is")
	fs.IntVar(&f.bits, "bits", 0, "bits of a weight; 0 is the mode's default, 4 or 8")
	fs.IntVar(&f.group, "group-size", 0, "weights that share a scale; 0 is the mode's default: 64 in affine")
	fs.StringArrayVar(&f.overrides, "override", nil, "`PATTERN=BITS:GROUP[:MODE]` or PATTERN=false for modules whose path matches, * for any characters; the last match counts")
	fs.StringVar(&f.recipe, "recipe", "", "`"+strings.Join(convert.RecipeNames(), "|")+"`: two widths mixed as mlx-lm does, in place of --bits")
	fs.StringVar(&f.device, "device", "auto", "`auto|cpu|gpu`: where to compute")
	fs.BoolVar(&o.Replace, "replace", false, "replace the folder when it is there")
	marked(cmd, inOutput, "out", "mode", "bits", "group-size", "override", "recipe", "device", "replace")
	return cmd
}

func (f *quantizeFlags) rules() (convert.Rules, error) {
	var r convert.Rules
	var err error
	if r.Spec, err = hub.NewSpec(f.mode, f.bits, f.group); err != nil {
		return r, usagef("--mode %s, --bits %d, --group-size %d: %w", f.mode, f.bits, f.group, err)
	}
	if r.Recipe = f.recipe; f.recipe != "" {
		if _, ok := convert.Recipes[f.recipe]; !ok {
			return r, usagef("--recipe %s: must be one of %s", f.recipe, strings.Join(convert.RecipeNames(), ", "))
		}
		if f.mode != "affine" || f.bits != 0 {
			return r, usagef("--recipe %s has affine widths of its own: leave --mode and --bits out", f.recipe)
		}
	}
	for _, text := range f.overrides {
		o, err := convert.ParseOverride(text)
		if err != nil {
			return r, usagef("--override: %w", err)
		}
		r.Overrides = append(r.Overrides, o)
	}
	return r, nil
}

func newModelsSynth() *cobra.Command {
	var o models.SynthOptions
	cmd := &cobra.Command{
		Use:   "synth --config FILE --out FOLDER [flags]",
		Short: "Makes up a checkpoint: random weights in a real config's key structure",
		Long: "Makes up a checkpoint: random weights with the names, shapes and quantization that a config.json has, smaller where asked. It costs what the\n" +
			"real model costs and says nothing sensible. The same config, flags and seed give the same bytes. A borrowed tokenizer gets the family's special\n" +
			"tokens on unused ids; the folder's README says so.",
		Example: "  reprise models synth --config qwen3.6-27b.json --out ./tiny --layers 8 --set hidden_size=512 --tokenizer gemma-3-270m",
		Args:    exactly(0, "no argument"),
		RunE: func(c *cobra.Command, _ []string) error {
			switch {
			case o.Config == "":
				return usagef("--config is missing: name a config.json")
			case o.Out == "":
				return usagef("--out is missing: name the folder to write")
			case o.Change.Layers < 0:
				return usagef("--layers %d: must be positive, or 0 for all", o.Change.Layers)
			}
			ctx, stop := interruptible(c.Context())
			defer stop()
			progress := console.NewProgress(c.ErrOrStderr(), "making up")
			o.Progress = progress.Update
			report, err := models.Synth(ctx, o)
			progress.Close()
			if err != nil {
				return err
			}
			return models.WriteMadeUp(c.OutOrStdout(), report)
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&o.Config, "config", "", "the config.json, a `FILE`")
	fs.StringVar(&o.Out, "out", "", "the `FOLDER` to write")
	fs.IntVar(&o.Change.Layers, "layers", 0, "keep the first so many layers; 0 is all")
	fs.StringArrayVar(&o.Change.Set, "set", nil, "`KEY=VALUE` for the config, of its text_config where it has one; quantization=… is the whole block. Repeatable")
	fs.Uint64Var(&o.Seed, "seed", 0, "another seed gives other weights")
	fs.StringVar(&o.Vocab, "tokenizer", "", "`MODEL` whose tokenizer is borrowed, with the family's chat template; none when not named")
	fs.BoolVar(&o.Replace, "replace", false, "replace the folder when it is there")
	marked(cmd, inAssemble, "tokenizer")
	marked(cmd, inOutput, "config", "out", "layers", "set", "seed", "replace")
	return cmd
}
