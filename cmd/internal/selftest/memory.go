package selftest

import (
	"context"
	"fmt"
	"runtime"

	"reprise/cmd/internal/console"
	"reprise/kvcache/ledger/footprint"
	"reprise/mlx"
)

// block is what is allocated to see both counters move.
const block = 256 << 20

// memory allocates a known block on the device and looks at both counters: MLX's active bytes must rise by it exactly, the
// process's footprint by about as much, and neither peak may lie below what was active.
func (r *Report) memory(ctx context.Context, o Options) {
	w, err := mlx.Start(o.Device)
	if err != nil {
		r.check("memory", "counters", err, nil, "%s", o.Device)
		return
	}
	defer w.Close()
	var c counters
	err = w.Do(ctx, func(s *mlx.Scope) error { return c.measure(s) })
	if err == nil {
		err = c.check(o.Device)
	}
	r.check("memory", "both counters", err, map[string]any{"allocated_bytes": block, "mlx_active_rise_bytes": c.active, "mlx_peak_bytes": c.peak, "footprint_rise_bytes": c.footprint, "lifetime_peak_bytes": c.lifetime},
		"%s allocated: MLX's active bytes rose by %s, the footprint by %s", console.Bytes(block), console.Bytes(c.active), console.Bytes(c.footprint))
}

// counters are what moved.
type counters struct{ active, peak, footprint, lifetime, now int64 }

func (c *counters) measure(s *mlx.Scope) error {
	mlx.ClearCache()
	mlx.ResetPeak()
	before := mlx.ReadMemory()
	was, err := footprint.Read()
	if err != nil {
		return err
	}
	child := s.Child()
	defer child.Close()
	numbers := child.Arange(0, block/4, 1, mlx.Float32) // every page of it is written
	if err := child.Eval(numbers); err != nil {
		return err
	}
	after := mlx.ReadMemory()
	is, err := footprint.Read()
	if err != nil {
		return err
	}
	c.active, c.peak = after.Active-before.Active, after.Peak
	c.footprint, c.lifetime, c.now = is.Bytes-was.Bytes, is.LifetimePeakBytes, is.Bytes
	return nil
}

// check says what is wrong with the counts. An NVIDIA GPU's memory is not the process's.
func (c *counters) check(d mlx.Device) error {
	unified := d == mlx.CPU || runtime.GOOS == "darwin"
	switch {
	case c.active < block || c.active > block+block/16:
		return fmt.Errorf("MLX's active bytes rose by %d for %d", c.active, block)
	case c.peak < block:
		return fmt.Errorf("MLX's peak is %d behind an allocation of %d", c.peak, block)
	case unified && (c.footprint < block*9/10 || c.footprint > block*2):
		return fmt.Errorf("the footprint rose by %d for %d", c.footprint, block)
	case c.lifetime < c.now*9/10:
		return fmt.Errorf("the footprint's lifetime peak is %d and it holds %d now", c.lifetime, c.now)
	}
	return nil
}
