package arch

import (
	"maps"
	"slices"

	"reprise/mlx"
	"reprise/model"
	"reprise/model/gemma3"
	"reprise/model/gemma4"
	"reprise/model/hub"
	"reprise/model/nn"
	"reprise/model/qwen35"
	"reprise/model/weights"
)

type builder func(owner *mlx.Scope, st *weights.Store) (model.Model, error)

var builders = map[string]builder{
	"gemma3_text":      gemma3.Build,
	"gemma4":           gemma4.Build,
	"gemma4_text":      gemma4.Build,
	"qwen3_5":          qwen35.Build,
	"qwen3_5_text":     qwen35.Build,
	"qwen3_5_moe":      qwen35.Build,
	"qwen3_5_moe_text": qwen35.Build,
}

// kernelChecks compare the kernels that an architecture would use with plain ops, without weights.
var kernelChecks = map[string]func(s *mlx.Scope, cfg *hub.Config, dtype mlx.Dtype) error{
	"qwen3_5": qwen35.CheckKernels, "qwen3_5_moe": qwen35.CheckKernels,
}

// CheckKernels compares the kernels that a checkpoint's model would use on the scope's device with plain ops, as loading
// it does; mlx.Worker.KernelChecks has what came of it.
func CheckKernels(s *mlx.Scope, cfg *hub.Config, dtype mlx.Dtype) error {
	if err := nn.VerifyKernels(s); err != nil {
		return err
	}
	if check := kernelChecks[cfg.ModelType]; check != nil {
		return check(s, cfg, dtype)
	}
	return nil
}

// Supported are the model types that can be loaded, sorted.
func Supported() []string { return slices.Sorted(maps.Keys(builders)) }

// Load builds the model of a checkpoint folder, on the worker. The model owns its weights until Free.
func Load(s *mlx.Scope, dir string, opts weights.Options) (model.Model, error) {
	cfg, err := hub.ReadConfig(dir)
	if err != nil {
		return nil, err
	}
	return Build(s, cfg, weights.Files(dir), opts)
}

// Build is Load with the tensors from elsewhere.
func Build(s *mlx.Scope, cfg *hub.Config, from weights.Source, opts weights.Options) (model.Model, error) {
	if err := cfg.Supported(Supported()); err != nil {
		return nil, err
	}
	if err := nn.VerifyKernels(s); err != nil {
		return nil, err
	}
	owner := s.Child()
	st, err := weights.OpenFrom(s, owner, from, cfg, opts)
	if err != nil {
		owner.Close()
		return nil, err
	}
	defer st.Discard()
	m, err := builders[cfg.ModelType](owner, st)
	if err != nil {
		owner.Close()
		return nil, err
	}
	return m, nil
}

// Options are the defaults for a device: float32 activations on the CPU device, over weights as the file has them;
// bfloat16 on a GPU.
func Options(d mlx.Device) weights.Options {
	if d == mlx.CPU {
		return weights.Options{Dtype: mlx.Float32, AsFiled: true}
	}
	return weights.Options{Dtype: mlx.BFloat16}
}
