package nn

import (
	"math"
	"testing"

	"reprise/mlx"
	"reprise/mlx/mlxtest"
)

func TestGatesByDefinition(t *testing.T) {
	x := []float32{-200, -30, -5, -1, -1e-3, 0, 1e-3, 0.5, 2, 20, 30, 200}
	mlxtest.OnWorker(t, func(s *mlx.Scope) error {
		for name, c := range map[string]struct {
			op func(*mlx.Scope, mlx.Array) mlx.Array
			of func(float64) float64
		}{
			"SiLU":     {SiLU, func(v float64) float64 { return v / (1 + math.Exp(-v)) }},
			"Softplus": {Softplus, func(v float64) float64 { return max(v, 0) + math.Log1p(math.Exp(-math.Abs(v))) }},
		} {
			want := make([]float64, len(x))
			for i, v := range x {
				want[i] = c.of(float64(v))
			}
			if err := near(s, c.op(s, mlx.New(s, x, len(x))), []int{len(x)}, want, 1e-5); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		return nil
	})
}
