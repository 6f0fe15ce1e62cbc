package nn

import (
	"slices"

	"reprise/mlx"
)

// SiLU is x·sigmoid(x).
func SiLU(s *mlx.Scope, x mlx.Array) mlx.Array { return s.Multiply(x, s.Sigmoid(x)) }

// Softplus is log(1+exp(x)), written so that no exponential overflows.
func Softplus(s *mlx.Scope, x mlx.Array) mlx.Array {
	return s.Add(s.Maximum(x, s.Scalar(0, x.Dtype())), s.Log1p(s.Exp(s.Negative(s.Abs(x)))))
}

// Activate is act(a)·b.
func Activate(s *mlx.Scope, act mlx.Gate, a, b mlx.Array) mlx.Array {
	if s.Uses(gateKernel) && s.Err() == nil && slices.Equal(a.Shape(), b.Shape()) {
		return gateOf(s, act, a, b, a.Shape(), 0)
	}
	return activatePlain(s, act, a, b)
}

func activatePlain(s *mlx.Scope, act mlx.Gate, gate, up mlx.Array) mlx.Array {
	if act == mlx.GateSiLU {
		return s.Multiply(SiLU(s, gate), up)
	}
	return s.Multiply(GELUTanh(s, gate), up)
}
