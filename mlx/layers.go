package mlx

/*
#include "kernels/primitives.h"
*/
import "C"

import "fmt"

// Norm is an RMS norm: x·rsqrt(mean(x²)+Eps)·W, W none for all ones.
type Norm struct {
	W   Array
	Eps float32
}

// Gate makes one of two products.
type Gate int

// The gates: act(a)·b.
const (
	NoGate   Gate = C.REPRISE_NO_GATE
	GateGELU Gate = C.REPRISE_GELU // in its tanh form
	GateSiLU Gate = C.REPRISE_SILU
)

// Block is what stands around the products of one x, each part left out where it is zero. A post norm or a residual
// takes one result.
type Block struct {
	Norm     *Norm // of x, before
	Gate     Gate
	PostNorm *Norm // of the result
	Residual Array // added last
}

// maxMembers is the most matrices that a block takes.
const maxMembers = C.REPRISE_MEMBERS

// Products multiplies x [..., in] by each matrix, as b says, in one op: as many results as matrices, or one with a
// gate. Only where Kernels.
func (s *Scope) Products(x Array, b Block, matrices ...Packed) []Array {
	n := len(matrices)
	if b.Gate != NoGate {
		n = 1
	}
	out := make([]Array, n)
	if s.err != nil {
		return out
	}
	block := C.reprise_block{norm_eps: -1, post_eps: -1, gate: C.int(b.Gate), residual: b.Residual.c()}
	if b.Norm != nil {
		block.norm, block.norm_eps = b.Norm.W.c(), C.float(b.Norm.Eps)
	}
	if b.PostNorm != nil {
		block.post_norm, block.post_eps = b.PostNorm.W.c(), C.float(b.PostNorm.Eps)
	}
	var w [maxMembers]C.reprise_matrix
	for i, m := range matrices[:min(len(matrices), maxMembers)] {
		w[i] = m.c()
	}
	var r [maxMembers]C.mlx_array
	if C.reprise_products(&r[0], x.c(), &w[0], C.int(len(matrices)), &block, s.worker.activation(), s.worker.pool, s.stream) != 0 {
		inputs := []Array{x, b.Residual}
		for _, m := range matrices {
			inputs = append(inputs, m.W, m.Scales)
		}
		s.fail("Products", inputs...)
		return out
	}
	for i := range out {
		out[i] = s.own(r[i])
	}
	if s.worker.profile.Load() != nil {
		return s.madeAll(b.kind(len(matrices))+matrices[0].size(), out)
	}
	return out
}

// kind names a block in profiles.
func (b Block) kind(matrices int) string {
	parts := ""
	if b.Norm != nil {
		parts += "norm, "
	}
	parts += fmt.Sprintf("%d products", matrices)
	if b.Gate != NoGate {
		parts += ", gate"
	}
	if b.PostNorm != nil {
		parts += ", norm"
	}
	if b.Residual.Valid() {
		parts += ", add"
	}
	return parts + ": "
}

// Rotary says how positions enter a head: its first Dims columns turn, by Base or by Wavelengths [Dims/2].
type Rotary struct {
	Dims        int
	Base, Scale float32
	Wavelengths Array
}

// PlaceHeads is x [B, T, heads·dim] → [B, heads, T, dim], each head normed (norm may be nil) and rotated for the
// positions from offset on (rotary may be nil). Only where Kernels.
func (s *Scope) PlaceHeads(x Array, heads int, norm *Norm, rotary *Rotary, offset int) Array {
	if s.err != nil {
		return Array{}
	}
	n, r := Norm{Eps: -1}, Rotary{}
	if norm != nil {
		n = *norm
	}
	if rotary != nil {
		r = *rotary
	}
	var y C.mlx_array
	if C.reprise_place_heads(&y, x.c(), C.int(heads), n.W.c(), C.float(n.Eps), C.int(r.Dims), C.float(r.Base), C.float(r.Scale),
		r.Wavelengths.c(), C.int(offset), s.worker.pool, s.stream) != 0 {
		s.fail("PlaceHeads", x, n.W, r.Wavelengths)
		return Array{}
	}
	return s.made("PlaceHeads", s.own(y))
}

// LayerAttention is a layer's attention from its products on.
type LayerAttention struct {
	Heads, KVHeads      int
	QNorm, KNorm, VNorm *Norm // nil: none
	Rotary              Rotary
	Offset              int // position of the first new row
	At, From            int // the buffers' row of the first new row, and the first row that a query may see
	Scale               float32
	Window              int
}

// LayerAttention makes heads of q, k and v [1, T, heads·dim], puts the rows of k and v into the buffers
// [1, KVHeads, capacity, dim], and attends: y [1, T, Heads·dim] and the buffers, written in place. An older handle to
// them still reads its rows below At, and must not be read beyond. Without k and v another layer wrote their rows: the
// queries attend to those, and y is all that comes back. Only where Kernels.
func (s *Scope) LayerAttention(l LayerAttention, q, k, v, keys, values Array) (y, newKeys, newValues Array) {
	if s.err != nil {
		return Array{}, Array{}, Array{}
	}
	c := C.reprise_layer{heads: C.int(l.Heads), kv_heads: C.int(l.KVHeads), q_eps: -1, k_eps: -1, v_eps: -1, dims: C.int(l.Rotary.Dims), base: C.float(l.Rotary.Base),
		position_scale: C.float(l.Rotary.Scale), wavelengths: l.Rotary.Wavelengths.c(), offset: C.int(l.Offset), at: C.int(l.At), from: C.int(l.From),
		scale: C.float(l.Scale), window: C.int(l.Window)}
	if l.QNorm != nil {
		c.q_norm, c.q_eps = l.QNorm.W.c(), C.float(l.QNorm.Eps)
	}
	if l.KNorm != nil {
		c.k_norm, c.k_eps = l.KNorm.W.c(), C.float(l.KNorm.Eps)
	}
	if l.VNorm != nil {
		c.v_norm, c.v_eps = l.VNorm.W.c(), C.float(l.VNorm.Eps)
	}
	qkv := [3]C.mlx_array{q.c(), k.c(), v.c()}
	buffers := [2]C.mlx_array{keys.c(), values.c()}
	var r [3]C.mlx_array
	if C.reprise_layer_attention(&r[0], &qkv[0], &buffers[0], &c, s.worker.pool, s.stream) != 0 {
		s.fail("LayerAttention", q, k, v, keys, values)
		return Array{}, Array{}, Array{}
	}
	y = s.made("LayerAttention", s.own(r[0]))
	if !k.Valid() {
		return y, Array{}, Array{}
	}
	return y, s.own(r[1]), s.own(r[2])
}

// Rows are the rows of w that ids [...] name, dequantized, times scale: float32 [..., in]. Only where Kernels.
func (s *Scope) Rows(ids Array, w Packed, scale float32) Array {
	if s.err != nil {
		return Array{}
	}
	m := w.c()
	var y C.mlx_array
	if C.reprise_take_rows(&y, ids.c(), &m, C.float(scale), s.worker.pool, s.stream) != 0 {
		s.fail("Rows", ids, w.W, w.Scales)
		return Array{}
	}
	return s.made("Rows", s.own(y))
}

// Largest is the first index of the largest value of each row: x [..., N] → uint32 [...]. Only where Kernels.
func (s *Scope) Largest(x Array) Array {
	if s.err != nil {
		return Array{}
	}
	var y C.mlx_array
	if C.reprise_largest(&y, x.c(), s.worker.pool, s.stream) != 0 {
		s.fail("Largest", x)
		return Array{}
	}
	return s.made("Largest", s.own(y))
}

func (p Packed) c() C.reprise_matrix {
	return C.reprise_matrix{w: p.W.c(), scales: p.Scales.c(), biases: p.Biases.c(), group: C.int(p.GroupSize), bits: C.int(p.Bits), mode: constant(p.Mode)}
}

// Attention is causal attention of q [B, heads, T, dim], the last T of the rows of k and v [B, kvHeads, rows, dim], as
// [B, T, heads·dim]. A query sees the rows up to its own, the last `window` of them where that is positive. Only where
// Kernels.
func (s *Scope) Attention(q, k, v Array, scale float32, window int) Array {
	if s.err != nil {
		return Array{}
	}
	var y C.mlx_array
	if C.reprise_attention(&y, q.c(), k.c(), v.c(), C.float(scale), C.int(window), s.worker.pool, s.stream) != 0 {
		s.fail("Attention", q, k, v)
		return Array{}
	}
	return s.made("Attention", s.own(y))
}
