package nn

import (
	"math"

	"reprise/kvcache/state"
	"reprise/mlx"
)

// RMSNorm is x·rsqrt(mean(x²)+eps)·W. Weights that a checkpoint stores as w of (1+w) are given with the 1 added.
type RMSNorm mlx.Norm

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
	if s.Kernels() && mask.Mode != "array" {
		return s.Attention(q, k, v, scale, mask.Window)
	}
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

// Project is norm(x)·Wᵀ for matrices that share x [1, T, in], as one op where the device has one; norm may be nil.
func Project(s *mlx.Scope, x mlx.Array, norm *RMSNorm, linears ...*Linear) []mlx.Array {
	if matrices, ok := fusable(s, linears); ok {
		return s.Products(x, mlx.Block{Norm: (*mlx.Norm)(norm)}, matrices...)
	}
	if norm != nil {
		x = norm.Forward(s, x)
	}
	if p := packed(linears); p != nil && s.Err() == nil && x.Size() == x.Dim(-1) {
		return p.one(s, x)
	}
	out := make([]mlx.Array, len(linears))
	for i, l := range linears {
		out[i] = l.Forward(s, x)
	}
	return out
}

// Gated is act(norm(x)·Gateᵀ)·(norm(x)·Upᵀ), the first half of a gated MLP.
func Gated(s *mlx.Scope, x mlx.Array, norm *RMSNorm, act mlx.Gate, gate, up *Linear) mlx.Array {
	linears := []*Linear{gate, up}
	if matrices, ok := fusable(s, linears); ok {
		return s.Products(x, mlx.Block{Norm: (*mlx.Norm)(norm), Gate: act}, matrices...)[0]
	}
	if p := packed(linears); p != nil && p.outs[0] == p.outs[1] && oneRow(x) && s.Err() == nil {
		if norm != nil {
			x, norm = norm.Forward(s, x), nil
		}
		if p.whole.streams(s, x) {
			return p.whole.matvec(s, x, epilogue{act: act, gated: true})
		}
		if s.Uses(gateKernel) {
			y := p.whole.Multiply(s, x)
			return gateOf(s, act, y, y, []int{1, 1, p.outs[0]}, p.outs[0])
		}
	}
	both := Project(s, x, norm, linears...)
	return Activate(s, act, both[0], both[1])
}

// GatedBy is act(x·Wᵀ)·by.
func GatedBy(s *mlx.Scope, x mlx.Array, act mlx.Gate, l *Linear, by mlx.Array) mlx.Array {
	if l.streams(s, x) && !l.Bias.Valid() && by.Dtype() == x.Dtype() {
		return l.matvec(s, x, epilogue{act: act, by: by})
	}
	return Activate(s, act, Project(s, x, nil, l)[0], by)
}

// Rows are activations [1, T, hidden] and, where the device made it along with them, the norm that their next products want.
type Rows struct{ X, normed mlx.Array }

// For are the rows that products by norm take, and what is left to norm.
func (r Rows) For(norm *RMSNorm) (mlx.Array, *RMSNorm) {
	if r.normed.Valid() {
		return r.normed, nil
	}
	return r.X, norm
}

// Normed is norm(X).
func (r Rows) Normed(s *mlx.Scope, norm *RMSNorm) mlx.Array {
	if r.normed.Valid() {
		return r.normed
	}
	return norm.Forward(s, r.X)
}

// Arrays are what a scope must keep of r.
func (r *Rows) Arrays() []*mlx.Array { return []*mlx.Array{&r.X, &r.normed} }

// ProjectOnto is residual + norm(x·Wᵀ), the end of a layer's half; norm may be nil.
func ProjectOnto(s *mlx.Scope, residual, x mlx.Array, l *Linear, norm *RMSNorm) mlx.Array {
	return ProjectOntoFor(s, residual, x, l, norm, mlx.Array{}, nil).X
}

// ProjectOntoFor is ProjectOnto, times a factor [1], which may be none, for products that take its rows by next, which may
// be nil: then, or where the device does not, the norm is not made.
func ProjectOntoFor(s *mlx.Scope, residual, x mlx.Array, l *Linear, norm *RMSNorm, factor mlx.Array, next *RMSNorm) Rows {
	if (norm != nil || next != nil) && s.Uses(normAddKernel) && fitsGroup(residual) {
		return normAdd(s, residual, l.Forward(s, x), norm, factor, next)
	}
	y := projectOnto(s, residual, x, l, norm)
	if factor.Valid() {
		y = s.Multiply(y, factor)
	}
	return Rows{X: y}
}

// AddFor is residual + y, for products that take its rows by next.
func AddFor(s *mlx.Scope, residual, y mlx.Array, next *RMSNorm) Rows {
	if next != nil && s.Uses(normAddKernel) && fitsGroup(residual) {
		return normAdd(s, residual, y, nil, mlx.Array{}, next)
	}
	return Rows{X: s.Add(residual, y)}
}

func projectOnto(s *mlx.Scope, residual, x mlx.Array, l *Linear, norm *RMSNorm) mlx.Array {
	if matrices, ok := fusable(s, []*Linear{l}); ok {
		return s.Products(x, mlx.Block{PostNorm: (*mlx.Norm)(norm), Residual: residual}, matrices...)[0]
	}
	y := l.Forward(s, x)
	if norm != nil {
		y = norm.Forward(s, y)
	}
	return s.Add(residual, y)
}

// fusable are the matrices of linears for one op of the CPU device's kernels, which know no bias.
func fusable(s *mlx.Scope, linears []*Linear) ([]mlx.Packed, bool) {
	if !s.Kernels() {
		return nil, false
	}
	matrices := make([]mlx.Packed, len(linears))
	for i, l := range linears {
		if l.Bias.Valid() {
			return nil, false
		}
		matrices[i] = l.packed()
	}
	return matrices, true
}

// PlaceHeads is x [1, T, heads·dim] → [1, heads, T, dim], each head normed and rotated for the positions from offset
// on; norm may be nil.
func PlaceHeads(s *mlx.Scope, x mlx.Array, heads int, norm *RMSNorm, rope *RoPE, offset int) mlx.Array {
	if s.Kernels() {
		return s.PlaceHeads(x, heads, (*mlx.Norm)(norm), &mlx.Rotary{Dims: rope.Dims, Base: rope.Base, Scale: rope.Scale, Wavelengths: rope.Freqs}, offset)
	}
	x = Heads(s, x, heads)
	if norm != nil {
		x = norm.Forward(s, x)
	}
	return rope.Forward(s, HeadsFirst(s, x), offset)
}

// GELUTanh is the tanh form of GELU, x/2·(1+tanh(√(2/π)(x+0.044715x³))), written with the identity
// (1+tanh z)/2 = sigmoid(2z), which saves four passes over x.
func GELUTanh(s *mlx.Scope, x mlx.Array) mlx.Array {
	c := 2 * math.Sqrt(2/math.Pi)
	inner := s.Add(s.Multiply(s.Square(x), s.Scalar(c*0.044715, x.Dtype())), s.Scalar(c, x.Dtype()))
	return s.Multiply(x, s.Sigmoid(s.Multiply(x, inner)))
}
