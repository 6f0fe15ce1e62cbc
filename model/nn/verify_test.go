package nn

import (
	"testing"

	"reprise/mlx"
	"reprise/mlx/mlxtest"
)

// Every kernel agrees with its plain ops, with activations of both kinds, and one that was found wrong switches all off.
func TestVerifyKernels(t *testing.T) {
	for _, opts := range []mlx.Options{{}, {Int8: true}} {
		checks := mlxtest.OnWorkerWith(t, mlx.CPU, opts, func(s *mlx.Scope) error {
			if err := VerifyKernels(s); err != nil {
				return err
			}
			if !s.Kernels() {
				t.Errorf("%+v: kernels are off", opts)
			}
			return VerifyKernels(s) // nothing is compared twice
		})
		if len(checks) != 2*len(comparedForms)+6 {
			t.Errorf("%d comparisons", len(checks))
		}
		for _, c := range checks {
			if t.Logf("%s: differs by %.2g, %.2g allowed", c.Kernel, c.Difference, c.Tolerance); !c.On {
				t.Errorf("%+v", c)
			}
		}
	}
	mlxtest.OnWorker(t, func(s *mlx.Scope) error {
		s.Verify("attention", 0, one(func(s *mlx.Scope) mlx.Array { return s.Wave(1, 3) }), one(func(s *mlx.Scope) mlx.Array { return s.Wave(2, 3) }))
		if err := VerifyKernels(s); err != nil {
			return err
		}
		if s.Kernels() {
			t.Error("kernels are on though attention was found wrong")
		}
		return nil
	})
	if checks := mlxtest.OnWorkerWith(t, mlx.CPU, mlx.Options{Plain: true}, VerifyKernels); len(checks) != 0 {
		t.Errorf("compared without kernels: %v", checks)
	}
}

func BenchmarkVerifyKernels(b *testing.B) {
	for b.Loop() {
		mlxtest.OnWorker(b, VerifyKernels)
	}
}
