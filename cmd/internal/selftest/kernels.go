package selftest

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"reprise/cmd/internal/doctor"
	"reprise/cmd/internal/plan"
)

// kernels compares every kernel, at the shapes of the recipes' models, with plain ops on made-up values.
func (r *Report) kernels(ctx context.Context, o Options) {
	configs, err := plan.Configs()
	if err != nil {
		r.check("kernels", "configs", err, nil, "")
		return
	}
	for _, name := range slices.Sorted(maps.Keys(configs)) {
		checks, err := doctor.CompareKernels(ctx, configs[name], o.Device)
		worst, off := 0.0, 0
		for _, c := range checks {
			worst = max(worst, c.Difference)
			if !c.On {
				off++
				if err == nil {
					err = fmt.Errorf("%s is switched off: %s", c.Kernel, c.Reason)
				}
			}
		}
		if err == nil && len(checks) == 0 {
			err = skipped("this device has no kernels of its own here: plain ops compute")
		}
		r.check("kernels", "at the shapes of "+name, err, map[string]any{"compared": len(checks), "off": off, "largest_difference": worst},
			"%d compared with plain ops, at most %.1e of the largest value apart", len(checks), worst)
	}
}
