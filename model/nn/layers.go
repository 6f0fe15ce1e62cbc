package nn

import (
	"math"

	"reprise/kvcache/state"
	"reprise/mlx"
)

// RMSNorm is x·rsqrt(mean(x²)+eps)·W. Weights that a checkpoint stores as w of (1+w) are given with the 1 added.
type RMSNorm struct {
	W   mlx.Array // [width], or none
	Eps float32
}

// Forward normalises the last axis.
func (n *RMSNorm) Forward(s *mlx.Scope, x mlx.Array) mlx.Array { return s.RMSNorm(x, n.W, n.Eps) }

// RoPE rotates the first Dims of each head by the position.
type RoPE struct {
	Dims  int
	Base  float32
	Scale float32   // of positions: 1/factor with linear scaling
	Freqs mlx.Array // instead of Base, when given
}

// Forward rotates x, [1, heads, T, dim], whose first row is at position offset.
func (r *RoPE) Forward(s *mlx.Scope, x mlx.Array, offset int) mlx.Array {
	base := r.Base
	if r.Freqs.Valid() {
		base = 0
	}
	return s.RoPE(x, r.Dims, false, base, r.Scale, offset, r.Freqs)
}

// Attend is scaled dot-product attention of q [1, heads, T, dim] over k and v [1, kvHeads, rows, dim], back in
// the shape of the activations, [1, T, heads·dim].
func Attend(s *mlx.Scope, q, k, v mlx.Array, scale float32, mask state.Mask) mlx.Array {
	y := s.SDPA(q, k, v, scale, mask.Mode, mask.Array, mlx.Array{}, false)
	shape := q.Shape()
	return s.Reshape(s.Transpose(y, []int{0, 2, 1, 3}), []int{shape[0], shape[2], -1})
}

// Heads splits [1, T, heads·dim] into [1, T, heads, dim].
func Heads(s *mlx.Scope, x mlx.Array, heads int) mlx.Array {
	shape := x.Shape()
	if len(shape) != 3 {
		return x // the scope carries the error that made x none
	}
	return s.Reshape(x, []int{shape[0], shape[1], heads, shape[2] / heads})
}

// HeadsFirst is [1, T, heads, dim] → [1, heads, T, dim].
func HeadsFirst(s *mlx.Scope, x mlx.Array) mlx.Array { return s.Transpose(x, []int{0, 2, 1, 3}) }

// GELUTanh is the tanh form of GELU, x/2·(1+tanh(√(2/π)(x+0.044715x³))), written with the identity
// (1+tanh z)/2 = sigmoid(2z), which saves four passes over x.
func GELUTanh(s *mlx.Scope, x mlx.Array) mlx.Array {
	c := 2 * math.Sqrt(2/math.Pi)
	inner := s.Add(s.Multiply(s.Square(x), s.Scalar(c*0.044715, x.Dtype())), s.Scalar(c, x.Dtype()))
	return s.Multiply(x, s.Sigmoid(s.Multiply(x, inner)))
}
