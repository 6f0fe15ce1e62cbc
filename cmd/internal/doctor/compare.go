package doctor

import (
	"context"
	"log/slog"

	"reprise/mlx"
	"reprise/model/arch"
	"reprise/model/hub"
)

// CompareKernels compares the kernels that a model of this config would use on a device with plain ops, on made-up weights.
func CompareKernels(ctx context.Context, cfg *hub.Config, d mlx.Device) ([]mlx.KernelCheck, error) {
	w, err := mlx.StartWith(d, mlx.Options{Log: slog.New(slog.DiscardHandler)}) // the findings are the warning
	if err != nil {
		return nil, err
	}
	defer w.Close()
	err = w.Do(ctx, func(s *mlx.Scope) error {
		if d == mlx.GPU {
			return loadCut(s, cfg, d)
		}
		return arch.CheckKernels(s, cfg, arch.Options(d).Dtype)
	})
	return w.KernelChecks(), err
}
