package cli

import (
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"reprise/cmd/internal/load"
	"reprise/kvcache/state"
	"reprise/mlx"
	"reprise/model/hub"
	"reprise/server/engine"
)

// engineFlags are those of every command that loads a model.
type engineFlags struct {
	model    string
	device   string
	act      string
	threads  int
	context  int
	kv       state.Quantization
	template string
}

// add defines all of them but --model, which serve reads differently.
func (f *engineFlags) add(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.StringVar(&f.device, "device", "auto", "`auto|cpu|gpu`: where to compute; auto is the GPU where there is one")
	fs.StringVar(&f.act, "activations", "float", "`float|int8`: on the CPU device, int8 rounds what enters a product with quantized weights, per 32 columns; faster, less exact")
	fs.IntVar(&f.threads, "threads", 0, "threads of the CPU device; 0 is one for each physical core")
	fs.IntVar(&f.context, "ctx", 0, "most tokens of prompt and answer together; 0 is what the model was trained for")
	addKV(fs, &f.kv)
	marked(cmd, inLoad, "device", "activations", "threads", "ctx", "kv-bits", "kv-group")
}

func (f *engineFlags) addModel(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&f.model, "model", "m", "", "folder, name or hub id of the `MODEL`; when none is named, the small one that the set-up imported")
	marked(cmd, inLoad, "model")
}

func (f *engineFlags) addTemplate(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.template, "chat-template", "", "`FILE` or name of a built-in (gemma4, qwen3.6) instead of the model's own")
	marked(cmd, inAssemble, "chat-template")
}

// options checks the flags and makes the engine's options of them.
func (f *engineFlags) options() (engine.Options, error) {
	return f.optionsFor(func(o *engine.Options) { o.Model = f.model })
}

// optionsFor is options with a model that use names.
func (f *engineFlags) optionsFor(use func(*engine.Options)) (engine.Options, error) {
	var o engine.Options
	use(&o)
	switch {
	case !f.knownDevice():
		return o, usagef("--device %s: must be auto, cpu or gpu", f.device)
	case f.context < 0:
		return o, usagef("--ctx %d: must not be negative", f.context)
	case f.act != "float" && f.act != "int8":
		return o, usagef("--activations %s: must be float or int8", f.act)
	case f.threads < 0:
		return o, usagef("--threads %d: must not be negative", f.threads)
	}
	kv, err := quantized(f.kv)
	if err != nil {
		return o, err
	}
	// A model that is not there is told before MLX starts.
	if _, err := hub.Resolve(o.Model); err != nil {
		return o, err
	}
	if o.Device, err = load.Device(f.device); err != nil {
		return o, err
	}
	if f.act != "float" && o.Device != mlx.CPU {
		return o, usagef("--activations is of the CPU device: leave it out, or add --device cpu")
	}
	if f.threads > 0 && o.Device != mlx.CPU {
		return o, usagef("--threads is of the CPU device: leave it out, or add --device cpu")
	}
	o.Context, o.ChatTemplate, o.KV = f.context, f.template, kv
	o.CPU = mlx.Options{Threads: f.threads, Int8: f.act == "int8"}
	return o, nil
}

// quantized is the form that --kv-bits and --kv-group ask for, the zero value where they ask for none.
func quantized(kv state.Quantization) (state.Quantization, error) {
	switch {
	case kv.Bits == 16 && kv.Group != 0:
		return kv, usagef("--kv-group is of --kv-bits 8 or 4: leave it out, or add one of them")
	case kv.Bits == 16:
		return state.Quantization{}, nil
	case kv.Bits != 4 && kv.Bits != 8:
		return kv, usagef("--kv-bits %d: must be 16, 8 or 4", kv.Bits)
	case kv.Group == 0:
		kv.Group = state.DefaultGroup
	}
	if kv.Check(kv.Group) != nil {
		return kv, usagef("--kv-group %d: must be 32, 64 or 128", kv.Group)
	}
	return kv, nil
}

// addKV adds the flags that quantized reads.
func addKV(fs *pflag.FlagSet, kv *state.Quantization) {
	fs.IntVar(&kv.Bits, "kv-bits", 16, "`16|8|4`: keys and values of full-attention layers as they come (16), or quantized to so many bits: less memory, other logits, a key of its own in the cache; windows and recurrent state stay")
	fs.IntVar(&kv.Group, "kv-group", 0, "`32|64|128`: values of a head that share a scale and a bias, with --kv-bits 8 or 4; 0 is 64")
}

func (f *engineFlags) knownDevice() bool {
	for _, d := range load.Devices {
		if f.device == d {
			return true
		}
	}
	return false
}
