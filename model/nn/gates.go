package nn

import "reprise/mlx"

// SiLU is x·sigmoid(x).
func SiLU(s *mlx.Scope, x mlx.Array) mlx.Array { return s.Multiply(x, s.Sigmoid(x)) }

// Softplus is log(1+exp(x)), written so that no exponential overflows.
func Softplus(s *mlx.Scope, x mlx.Array) mlx.Array {
	return s.Add(s.Maximum(x, s.Scalar(0, x.Dtype())), s.Log1p(s.Exp(s.Negative(s.Abs(x)))))
}

// activate is act(gate)·up.
func activate(s *mlx.Scope, act mlx.Gate, gate, up mlx.Array) mlx.Array {
	if act == mlx.GateSiLU {
		return s.Multiply(SiLU(s, gate), up)
	}
	return s.Multiply(GELUTanh(s, gate), up)
}
