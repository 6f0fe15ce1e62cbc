package cli

import (
	"github.com/spf13/cobra"

	"reprise/cmd/internal/load"
	"reprise/mlx"
	"reprise/model/hub"
)

// engineFlags are those of every command that loads a model.
type engineFlags struct {
	model    string
	device   string
	packed   bool
	threads  int
	context  int
	template string
}

// add defines all of them but --model, which serve reads differently.
func (f *engineFlags) add(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.StringVar(&f.device, "device", "auto", "`auto|cpu|gpu`: where to compute; auto is the GPU where there is one")
	fs.BoolVar(&f.packed, "keep-packed", false, "on the CPU device: keep quantized weights packed (less memory, slower)")
	fs.IntVar(&f.threads, "threads", 0, "threads of the CPU device; 0 is the library's choice")
	fs.IntVar(&f.context, "ctx", 0, "most tokens of prompt and answer together; 0 is what the model was trained for")
	marked(cmd, inLoad, "device", "keep-packed", "threads", "ctx")
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
func (f *engineFlags) options() (load.Options, error) {
	var o load.Options
	switch {
	case !f.knownDevice():
		return o, usagef("--device %s: must be auto, cpu or gpu", f.device)
	case f.context < 0:
		return o, usagef("--ctx %d: must not be negative", f.context)
	case f.threads < 0:
		return o, usagef("--threads %d: must not be negative", f.threads)
	}
	// A model that is not there is told before MLX starts.
	if _, err := hub.Resolve(f.model); err != nil {
		return o, err
	}
	var err error
	if o.Device, err = load.Device(f.device); err != nil {
		return o, err
	}
	if f.packed && o.Device != mlx.CPU {
		return o, usagef("--keep-packed is of the CPU device: on a GPU weights always stay packed")
	}
	if f.threads > 0 && o.Device != mlx.CPU {
		return o, usagef("--threads is of the CPU device: leave it out, or add --device cpu")
	}
	o.Model, o.KeepPacked, o.Threads, o.Context, o.ChatTemplate = f.model, f.packed, f.threads, f.context, f.template
	return o, nil
}

func (f *engineFlags) knownDevice() bool {
	for _, d := range load.Devices {
		if f.device == d {
			return true
		}
	}
	return false
}
