package nn

import (
	"math"

	"reprise/mlx"
)

// VerifyKernels compares the CPU device's kernels that layers are made of with MLX's ops, on small made-up inputs, before
// a model is loaded. Where one differs, all of them are switched off: layers are plain ops then. It does nothing where the
// scope has no such kernels.
func VerifyKernels(s *mlx.Scope) error {
	if !s.Kernels() {
		return s.Err()
	}
	work := s.Child()
	defer work.Close()
	on := verifyProducts(work)
	on = verifyHeads(work) && on
	on = verifyAttention(work) && on
	on = verifyRows(work) && on
	if work.Err() == nil && !on {
		s.SwitchOffKernels()
	}
	return work.Err()
}

// floatTolerance is of a result's largest value: 256 terms in another order are off by 3e-6, and could be by 1.5e-5. With
// activations of 8 bits products are off by 1e-2.
const floatTolerance, int8Tolerance = 5e-5, 3e-2

// one makes the two sides of a comparison of one result.
func one(make func(s *mlx.Scope) mlx.Array) func(*mlx.Scope) []mlx.Array {
	return func(s *mlx.Scope) []mlx.Array { return []mlx.Array{make(s)} }
}

// comparedForms are forms of weights: a packed one of each kind, and dense ones.
var comparedForms = []struct {
	name string
	mlx.Packed
	dtype mlx.Dtype
}{
	{"4 bit", mlx.Packed{GroupSize: 64, Bits: 4, Mode: "affine"}, mlx.Float32}, {"5 bit", mlx.Packed{GroupSize: 32, Bits: 5, Mode: "affine"}, mlx.Float32},
	{"8 bit", mlx.Packed{GroupSize: 64, Bits: 8, Mode: "affine"}, mlx.Float32}, {"mxfp4", mlx.Packed{GroupSize: 32, Bits: 4, Mode: "mxfp4"}, mlx.Float32},
	{"float32", mlx.Packed{}, mlx.Float32}, {"bfloat16", mlx.Packed{}, mlx.BFloat16},
}

// packedAs is w in that form, and its values in that form.
func packedAs(s *mlx.Scope, w mlx.Array, p mlx.Packed, dtype mlx.Dtype) (packed mlx.Packed, values mlx.Array) {
	if p.Bits == 0 {
		p.W = s.AsType(w, dtype)
		return p, s.AsType(p.W, mlx.Float32)
	}
	q := s.Quantize(w, p.GroupSize, p.Bits, p.Mode, mlx.Array{})
	if s.Err() != nil {
		return p, mlx.Array{}
	}
	p.W, p.Scales = q[0], q[1]
	if len(q) > 2 {
		p.Biases = q[2]
	}
	return p, s.Dequantize(p.W, p.Scales, p.Biases, p.GroupSize, p.Bits, p.Mode, mlx.Array{}, mlx.Float32)
}

// verifyProducts compares one row and several with each form of weights, and a block with all that it can have.
func verifyProducts(s *mlx.Scope) bool {
	tolerance := floatTolerance
	if s.Int8() {
		tolerance = int8Tolerance
	}
	on := true
	times := func(s *mlx.Scope, x, w mlx.Array) mlx.Array { return s.Matmul(x, s.Transpose(w, []int{1, 0})) }
	single, five := s.Wave(0.37, 1, 1, 256), s.Wave(0.53, 1, 5, 256)
	for _, f := range comparedForms {
		p, values := packedAs(s, s.Wave(0.71, 96, 256), f.Packed, f.dtype)
		on = s.Verify("product, weights of "+f.name, tolerance, func(s *mlx.Scope) []mlx.Array {
			return []mlx.Array{s.Product(single, p), s.Product(five, p)}
		}, func(s *mlx.Scope) []mlx.Array { return []mlx.Array{times(s, single, values), times(s, five, values)} }) && on
	}
	gate, gateValues := packedAs(s, s.Wave(0.41, 96, 256), comparedForms[0].Packed, mlx.Float32)
	up, upValues := packedAs(s, s.Wave(0.43, 96, 256), comparedForms[2].Packed, mlx.Float32)
	norm, residual := mlx.Norm{W: s.Wave(0.2, 256), Eps: 1e-6}, s.Wave(0.3, 1, 5, 96)
	post := mlx.Norm{W: s.Wave(0.7, 96), Eps: 1e-6}
	on = s.Verify("products with norms, gates and residual", tolerance, func(s *mlx.Scope) []mlx.Array {
		silu := s.Products(five, mlx.Block{Norm: &norm, Gate: mlx.GateSiLU}, gate, up)
		gelu := s.Products(five, mlx.Block{Norm: &norm, Gate: mlx.GateGELU}, gate, up)
		return append(append(silu, gelu...), s.Products(five, mlx.Block{PostNorm: &post, Residual: residual}, up)...)
	}, func(s *mlx.Scope) []mlx.Array {
		x := s.RMSNorm(five, norm.W, norm.Eps)
		g, u := times(s, x, gateValues), times(s, x, upValues)
		return []mlx.Array{s.Multiply(SiLU(s, g), u), s.Multiply(GELUTanh(s, g), u), s.Add(residual, s.RMSNorm(times(s, five, upValues), post.W, post.Eps))}
	}) && on
	experts, values := packedAs(s, s.Wave(0.23, 3, 96, 256), comparedForms[0].Packed, mlx.Float32)
	choice := mlx.New(s, []uint32{2, 0, 2}, 3)
	rows := s.Wave(0.61, 3, 1, 256)
	return s.Verify("gathered product", tolerance, one(func(s *mlx.Scope) mlx.Array { return s.GatheredProduct(rows, experts, choice) }),
		one(func(s *mlx.Scope) mlx.Array { return s.Matmul(rows, s.SwapAxes(s.Take(values, choice, 0), 1, 2)) })) && on
}

// verifyHeads compares heads that are normed and rotated.
func verifyHeads(s *mlx.Scope) bool {
	x, norm := s.Wave(0.31, 1, 3, 4*64), RMSNorm{W: s.Wave(0.2, 64), Eps: 1e-6}
	rope := RoPE{Dims: 32, Base: 1e4, Scale: 1}
	return s.Verify("heads, normed and rotated", floatTolerance, one(func(s *mlx.Scope) mlx.Array {
		return s.PlaceHeads(x, 4, (*mlx.Norm)(&norm), &mlx.Rotary{Dims: rope.Dims, Base: rope.Base, Scale: rope.Scale}, 9)
	}), one(func(s *mlx.Scope) mlx.Array {
		return rope.Forward(s, HeadsFirst(s, norm.Forward(s, Heads(s, x, 4))), 9)
	}))
}

// verifyAttention compares one query and several, without a window and with one, and a layer's that writes its rows into
// buffers first.
func verifyAttention(s *mlx.Scope) bool {
	const heads, kvHeads, dim, rows, window = 4, 2, 64, 11, 3
	scale := float32(1 / math.Sqrt(dim))
	k, v := s.Wave(0.17, 1, kvHeads, rows, dim), s.Wave(0.19, 1, kvHeads, rows, dim)
	queries := []mlx.Array{s.Wave(0.13, 1, heads, 1, dim), s.Wave(0.11, 1, heads, 5, dim)}
	plain := func(s *mlx.Scope, q mlx.Array, window int) mlx.Array {
		T := q.Dim(2)
		sees := make([]bool, T*rows)
		for i := range sees {
			at, row := rows-T+i/rows, i%rows
			sees[i] = row <= at && (window == 0 || row > at-window)
		}
		y := s.SDPA(q, k, v, scale, "array", mlx.New(s, sees, T, rows), mlx.Array{}, false)
		return s.Reshape(s.Transpose(y, []int{0, 2, 1, 3}), []int{1, T, heads * dim})
	}
	all := func(attend func(s *mlx.Scope, q mlx.Array, window int) mlx.Array) func(*mlx.Scope) []mlx.Array {
		return func(s *mlx.Scope) (out []mlx.Array) {
			for _, q := range queries {
				out = append(out, attend(s, q, 0), attend(s, q, window))
			}
			return out
		}
	}
	on := s.Verify("attention", floatTolerance, all(func(s *mlx.Scope, q mlx.Array, window int) mlx.Array { return s.Attention(q, k, v, scale, window) }), all(plain))
	// The same rows, the last five of them new: as a layer's products make them.
	flat := func(s *mlx.Scope, a mlx.Array, n int) mlx.Array {
		return s.Reshape(s.Transpose(a, []int{0, 2, 1, 3}), []int{1, 5, n * dim})
	}
	last := func(s *mlx.Scope, a mlx.Array) mlx.Array {
		return s.Slice(a, []int{0, 0, rows - 5, 0}, []int{1, kvHeads, rows, dim}, []int{1, 1, 1, 1})
	}
	return s.Verify("a layer's attention", floatTolerance, func(s *mlx.Scope) []mlx.Array {
		buffer := func(a mlx.Array) mlx.Array { // a copy of a, wiped where the new rows go
			mask := s.Less(s.Reshape(s.Arange(0, rows, 1, mlx.Float32), []int{1, 1, rows, 1}), s.Scalar(rows-5, mlx.Float32))
			return s.Where(mask, a, s.Scalar(0, mlx.Float32))
		}
		y, keys, values := s.LayerAttention(mlx.LayerAttention{Heads: heads, KVHeads: kvHeads, At: rows - 5, Scale: scale},
			flat(s, queries[1], heads), flat(s, last(s, k), kvHeads), flat(s, last(s, v), kvHeads), buffer(k), buffer(v))
		return []mlx.Array{y, keys, values}
	}, func(s *mlx.Scope) []mlx.Array { return []mlx.Array{plain(s, queries[1], 0), k, v} }) && on
}

// verifyRows compares an embedding's rows and the first largest value.
func verifyRows(s *mlx.Scope) bool {
	on := true
	ids := mlx.New(s, []int32{7, 0, 31}, 1, 3)
	for _, f := range comparedForms {
		p, values := packedAs(s, s.Wave(0.71, 32, 256), f.Packed, f.dtype)
		on = s.Verify("embedding, rows of "+f.name, floatTolerance, one(func(s *mlx.Scope) mlx.Array { return s.Rows(ids, p, 1.5) }),
			one(func(s *mlx.Scope) mlx.Array { return s.Multiply(s.Take(values, ids, 0), s.Scalar(1.5, mlx.Float32)) })) && on
	}
	x := s.Wave(0.9, 3, 40000)
	return s.Verify("the largest value's place", 0, one(func(s *mlx.Scope) mlx.Array { return s.Largest(x) }),
		one(func(s *mlx.Scope) mlx.Array { return s.ArgMaxAxis(x, -1, false) })) && on
}
