package qwen35

import (
	"math/rand/v2"
	"testing"

	"reprise/mlx"
	"reprise/mlx/mlxtest"
	"reprise/mlx/mlxtest/shim"
)

// onGPU runs fn where custom kernels can be compiled: through the shim, with what stands before them on Metal and on
// CUDA, and on a GPU where there is one. It returns all comparisons of kernels.
func onGPU(t *testing.T, fn func(t *testing.T, s *mlx.Scope, real bool) error) (checks []mlx.KernelCheck) {
	run := func(t *testing.T, device mlx.Device, opts mlx.Options) {
		checks = append(checks, mlxtest.OnWorkerWith(t, device, opts, func(s *mlx.Scope) error { return fn(t, s, device == mlx.GPU) })...)
	}
	for _, flavour := range []shim.Flavour{shim.Metal, shim.CUDA} {
		t.Run(string(flavour), func(t *testing.T) { run(t, mlx.CPU, mlx.Options{Emulate: shim.New(t, flavour)}) })
	}
	t.Run("gpu", func(t *testing.T) {
		if !mlx.HasGPU() {
			t.Skip("no GPU")
		}
		run(t, mlx.GPU, mlx.Options{})
	})
	return checks
}

// shapes that make the recurrence's kernel take its paths: rows of fours and of ones, idle lanes, idle rows; the last is
// Qwen3.6-27B's.
var shapes = []sample{
	{keyHeads: 2, heads: 4, keyDim: 32, valueDim: 20},
	{keyHeads: 1, heads: 3, keyDim: 9, valueDim: 5},
	{keyHeads: 1, heads: 1, keyDim: 128, valueDim: 128},
	{keyHeads: 16, heads: 48, keyDim: 128, valueDim: 128},
}

// The kernel is the definition: through the shim for a few numbers of tokens, which it takes long for, on a GPU for all.
func TestFusedRecurrence(t *testing.T) {
	onGPU(t, func(t *testing.T, s *mlx.Scope, real bool) error {
		rng := rand.New(rand.NewPCG(3, 4))
		for n, shape := range shapes {
			lengths := [][]int{{1, 2, 3, 7, 17, 40}, {1, 2, 3, 7, 17, 40}, {1, 2, 3}, nil}[n]
			if real {
				lengths = []int{1, 2, 3, 64, 200}
				for T := 1; n == 0 && T <= 200; T++ {
					lengths = append(lengths, T)
				}
			}
			for i, T := range lengths {
				x := shape
				x.T = T
				x.fill(rng, (i+n)%kinds)
				if err := x.check(s, (*tokens).fused, offsets(rng, 3, T)); err != nil {
					t.Errorf("%d tokens, heads of %d×%d: %v", T, x.valueDim, x.keyDim, err)
				}
			}
		}
		return nil
	})
}

// someDeltaNet has random weights and no projections.
func someDeltaNet(s *mlx.Scope, rng *rand.Rand, keyHeads, valueHeads, keyDim, valueDim int) *deltaNet {
	d := &deltaNet{keyHeads: keyHeads, valueHeads: valueHeads, keyDim: keyDim, valueDim: valueDim, width: 4}
	random := func(scale, shift float64, shape ...int) mlx.Array {
		n := 1
		for _, d := range shape {
			n *= d
		}
		values := make([]float32, n)
		for i := range values {
			values[i] = float32(scale*rng.NormFloat64() + shift)
		}
		return mlx.New(s, values, shape...)
	}
	d.conv = random(1, 0, d.width, 2*keyHeads*keyDim+valueHeads*valueDim)
	d.decay, d.dtBias = s.Negative(s.Exp(random(1, 0, valueHeads))), random(3, 0, valueHeads)
	d.norm.W, d.norm.Eps = random(0.2, 1, valueDim), 1e-6
	return d
}

// Preparation and end are compared with plain ops as a model's load does it, for dtypes and shapes of all kinds.
func TestFusedEnds(t *testing.T) {
	checks := onGPU(t, func(t *testing.T, s *mlx.Scope, real bool) error {
		rng := rand.New(rand.NewPCG(5, 6))
		for n, shape := range shapes {
			if !real && n == 3 {
				break
			}
			for _, dtype := range []mlx.Dtype{mlx.Float32, mlx.BFloat16} {
				d := someDeltaNet(s, rng, shape.keyHeads, shape.heads, shape.keyDim, shape.valueDim)
				d.verify(s, dtype)
				if s.Err() == nil && d.use != (verified{prepare: true, recurrence: true, finish: true}) {
					t.Errorf("heads of %d×%d, %v: %v", shape.valueDim, shape.keyDim, dtype, d.use)
				}
			}
		}
		return nil
	})
	for _, c := range checks {
		t.Logf("%s: differs by %.2g, %.2g allowed", c.Kernel, c.Difference, c.Tolerance)
	}
}
