package mlx

/*
#include "kernels/primitives.h"
*/
import "C"

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
		w[i] = C.reprise_matrix{w: m.W.c(), scales: m.Scales.c(), biases: m.Biases.c(), group: C.int(m.GroupSize), bits: C.int(m.Bits), mode: constant(m.Mode)}
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
	return out
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
	return s.own(y)
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
	return s.own(y)
}
