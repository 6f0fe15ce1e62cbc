package nn_test

import (
	"fmt"
	"testing"

	"reprise/mlx"
	"reprise/mlx/mlxtest"
	"reprise/mlx/mlxtest/shim"
	"reprise/model/nn"
)

// shapes are those of heads in real and in tiny models.
var shapes = []struct {
	heads, kv, dim, turn int
	norm, values         bool
}{
	{4, 2, 64, 64, true, true}, {2, 1, 256, 64, true, false}, {3, 1, 96, 24, false, false}, {2, 2, 16, 16, true, true}, {4, 1, 512, 512, true, true},
}

// prepare compares every kernel of the package with its plain ops.
func prepare(s *mlx.Scope, dtype mlx.Dtype) error {
	for _, act := range []mlx.Gate{mlx.GateGELU, mlx.GateSiLU} {
		nn.Prepare(s, dtype, 200, act)
		q := s.Quantize(s.AsType(s.Wave(0.3, 16, 128), dtype), 64, 4, "affine", mlx.Array{})
		if s.Err() != nil {
			return s.Err()
		}
		l := nn.Linear{Matrix: nn.NewMatrix(s, nn.Matrix{W: q[0], Scales: q[1], Biases: q[2], GroupSize: 64, Bits: 4, Mode: "affine"})}
		l.PrepareGate(s, act)
	}
	for i, x := range shapes {
		a := nn.Attention{Heads: x.heads, KVHeads: x.kv, Scale: 0.37, RoPE: nn.RoPE{Dims: x.turn, Base: 1e4, Scale: 1}}
		if i == 0 {
			wavelengths := make([]float32, x.turn/2)
			for k := range wavelengths {
				wavelengths[k] = float32(1 + 3*k)
			}
			a.RoPE.Freqs = mlx.New(s, wavelengths, len(wavelengths))
		}
		if x.norm {
			weight := make([]float32, x.dim)
			for k := range weight {
				weight[k] = 1 + float32(k%7)/8
			}
			w := s.AsType(mlx.New(s, weight, x.dim), dtype)
			a.QNorm, a.KNorm = &nn.RMSNorm{W: w, Eps: 1e-6}, &nn.RMSNorm{W: w, Eps: 1e-5}
		}
		if x.values {
			a.VNorm = &nn.RMSNorm{Eps: 1e-6}
		}
		a.Prepare(s, dtype, x.dim)
	}
	return s.Err()
}

func TestKernelsAgreeWithPlainOps(t *testing.T) {
	for _, dtype := range []mlx.Dtype{mlx.Float32, mlx.BFloat16} {
		for _, flavour := range []shim.Flavour{shim.Metal, shim.CUDA} {
			t.Run(fmt.Sprintf("%v/%s", dtype, flavour), func(t *testing.T) {
				checked(t, mlx.CPU, mlx.Options{Plain: true, Emulate: shim.New(t, flavour)}, dtype)
			})
		}
	}
}

// The same on a GPU where there is one.
func TestKernelsOnGPU(t *testing.T) {
	if !mlx.HasGPU() {
		t.Skip("no GPU")
	}
	for _, dtype := range []mlx.Dtype{mlx.Float32, mlx.BFloat16} {
		checked(t, mlx.GPU, mlx.Options{}, dtype)
	}
}

func checked(t *testing.T, device mlx.Device, opts mlx.Options, dtype mlx.Dtype) {
	checks := mlxtest.OnWorkerWith(t, device, opts, func(s *mlx.Scope) error { return prepare(s, dtype) })
	for _, c := range checks {
		if t.Logf("%+v", c); !c.On {
			t.Errorf("%+v", c)
		}
	}
	if len(checks) < 15 {
		t.Errorf("only %d comparisons", len(checks))
	}
}
