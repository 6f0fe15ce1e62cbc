package mlx

/*
#include "kernels/primitives.h"
*/
import "C"

// DeltaNet is a gated delta net between its projections: float32 weights, and what the tokens bring.
type DeltaNet struct {
	KeyHeads, ValueHeads, KeyDim, ValueDim, ConvWidth int

	Taps       Array // of the convolution, [ConvWidth, channels]
	Rate, Bias Array // [ValueHeads]: what is kept of a matrix is exp(Rate·softplus(a + Bias))
	Norm       Norm  // of each head's reads
}

// DeltaNet feeds T tokens: inputs of the convolution [1, ConvWidth−1+T, channels], a and b [1, T, ValueHeads], z [1, T,
// ValueHeads·ValueDim], to the matrix [1, ValueHeads, ValueDim, KeyDim]. It returns the reads, normed and gated, in z's
// shape and dtype, the matrix behind the last token and those behind captures (numbers of tokens, ascending). Neither
// captures nor the width of a call change a bit of a token's result. Only where Kernels.
func (s *Scope) DeltaNet(d DeltaNet, inputs, a, b, z, matrix Array, captures []int) (y, last Array, captured []Array) {
	if s.err != nil {
		return Array{}, Array{}, nil
	}
	shape := C.reprise_delta{key_heads: C.int(d.KeyHeads), value_heads: C.int(d.ValueHeads), key_dim: C.int(d.KeyDim), value_dim: C.int(d.ValueDim),
		conv_width: C.int(d.ConvWidth), eps: C.float(d.Norm.Eps)}
	in := [9]C.mlx_array{inputs.c(), a.c(), b.c(), z.c(), d.Taps.c(), d.Rate.c(), d.Bias.c(), d.Norm.W.c(), matrix.c()}
	results := make([]C.mlx_array, 2+len(captures))
	at := make([]C.int, 1+len(captures))
	for i, n := range captures {
		at[i] = C.int(n)
	}
	if C.reprise_delta_net(&results[0], &in[0], &shape, &at[0], C.int(len(captures)), s.worker.pool, s.stream) != 0 {
		s.fail("DeltaNet", inputs, a, b, z, matrix)
		return Array{}, Array{}, nil
	}
	y, last = s.own(results[0]), s.own(results[1])
	for _, r := range results[2:] {
		captured = append(captured, s.own(r))
	}
	return s.made("DeltaNet", y), last, captured
}
