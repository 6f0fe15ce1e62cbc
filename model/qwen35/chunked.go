package qwen35

import (
	"reprise/mlx"
)

// chunkSize is how many tokens the chunked form takes at once, a power of two. The last chunk is filled up with tokens
// that keep everything and write nothing.
const chunkSize = 64

// chunked feeds the tokens in chunks, each a few products of matrices for all heads and chunks at once; what remains
// one after the other is one product a chunk. With G(t,i) the product of what tokens i+1…t of a chunk keep, and δ(t) a
// token's correction:
//
//	δ(t) = β(t)·(v(t) − G(t,0)·M·k(t) − Σ_{i<t} G(t,i)·(k(t)·k(i))·δ(i))
//
// is triangular in the chunk: δ = U − W·Mᵀ with (I + A)·U = β·v and (I + A)·W = β·G(·,0)·k. Then the chunk reads
// G(t,0)·M·q(t) + Σ_{i≤t} G(t,i)·(q(t)·k(i))·δ(i), and leaves M·(G(C,0)·I − Wᵀ·K) + Uᵀ·K with K = G(C,i)·k(i).
//
// Only sums of logarithms over the very tokens between i and t are exponentiated, never a difference of two long sums
// and never a quotient: a token that forgets all, and one that forgets nothing, cost no digit of the others.
func (x *tokens) chunked(s *mlx.Scope, matrix mlx.Array, captures []int) (y, last mlx.Array, captured []mlx.Array) {
	if s.Err() != nil {
		return
	}
	work := s.Child()
	defer work.Close()
	c := newChunks(work, x)
	starts := c.starts(work, work.Reshape(matrix, []int{c.keyHeads, c.group, c.valueDim, c.keyDim}))
	y = c.reads(work, starts[:c.n])
	if work.Err() != nil {
		s.Fail(work.Err())
		return
	}
	own := func(m mlx.Array) mlx.Array {
		return s.Adopt(work.Keep(work.Reshape(m, matrix.Shape())))
	}
	for _, at := range captures {
		captured = append(captured, own(c.behind(work, starts, at)))
	}
	y, last = s.Adopt(work.Keep(y)), own(starts[c.n])
	s.Fail(work.Err())
	return y, last, captured
}

// chunks are T tokens in n chunks of C. Arrays are [n, key heads, group, C, ·], where group is 1 for what belongs to a
// key head.
type chunks struct {
	T, C, n, keyHeads, group, keyDim, valueDim int

	k, q      mlx.Array // [n, key heads, 1, C, keyDim]
	u, w      mlx.Array // corrections: δ = u − w·Mᵀ
	from      mlx.Array // [n, key heads, group, C, 1]: G(t, 0)
	between   mlx.Array // [n, key heads, group, C, C]: G(t, i) for i ≤ t, 1 elsewhere
	atOrAbove mlx.Array // [C, C]: 1 where i ≤ t
}

func newChunks(s *mlx.Scope, x *tokens) *chunks {
	T, keyHeads, heads, keyDim, valueDim := x.dims()
	c := &chunks{T: T, C: chunkSize, keyHeads: keyHeads, group: heads / keyHeads, keyDim: keyDim, valueDim: valueDim}
	for c.C/2 >= T {
		c.C /= 2
	}
	c.n = (T + c.C - 1) / c.C
	c.k, c.q = c.cut(s, x.k, 1, keyDim), c.cut(s, x.q, 1, keyDim)
	v, decay, correct := c.cut(s, x.v, c.group, valueDim), c.cut(s, x.decay, c.group, 1), c.cut(s, x.correct, c.group, 1)

	c.atOrAbove = s.Tri(c.C, c.C, 0, mlx.Float32)
	above := s.Tri(c.C, c.C, -1, mlx.Float32)
	c.from = s.Exp(s.CumSumAxis(decay, 3, false, true, mlx.Float32))
	// decay(t) in every column i < t, summed down each column: a product with the mask would make NaN of −∞·0.
	c.between = s.Exp(s.CumSumAxis(s.Where(s.Greater(above, s.Scalar(0, mlx.Float32)), decay, s.Scalar(0, mlx.Float32)), 3, false, true, mlx.Float32))
	dots := s.Multiply(s.Matmul(c.k, transposed(s, c.k)), above)
	inverse := unitLowerInverse(s, s.Multiply(s.Multiply(c.between, dots), correct), c.C)
	c.u = s.Matmul(inverse, s.Multiply(v, correct))
	c.w = s.Matmul(inverse, s.Multiply(s.Multiply(c.from, correct), c.k))
	return c
}

// cut is a [1, T, key heads·group, width] or, for width 1, [1, T, key heads·group] → [n, key heads, group, C, width].
func (c *chunks) cut(s *mlx.Scope, a mlx.Array, group, width int) mlx.Array {
	a = s.Reshape(a, []int{c.T, c.keyHeads, group, width})
	if missing := c.n*c.C - c.T; missing > 0 {
		a = s.Pad(a, []int{0}, []int{0}, []int{missing}, s.Scalar(0, mlx.Float32), "constant")
	}
	return s.Transpose(s.Reshape(a, []int{c.n, c.C, c.keyHeads, group, width}), []int{0, 2, 3, 1, 4})
}

// starts are the matrices before each chunk and behind the last, [key heads, group, valueDim, keyDim].
func (c *chunks) starts(s *mlx.Scope, matrix mlx.Array) []mlx.Array {
	C := c.C
	last := func(a mlx.Array) mlx.Array { // row C−1
		shape := a.Shape()
		return s.Slice(a, []int{0, 0, 0, C - 1, 0}, shape, []int{1, 1, 1, 1, 1})
	}
	if s.Err() != nil {
		return make([]mlx.Array, c.n+1)
	}
	keys := s.Multiply(c.k, transposed(s, last(c.between)))
	stay := s.Subtract(s.Multiply(s.Eye(c.keyDim, c.keyDim, 0, mlx.Float32), last(c.from)), s.Matmul(transposed(s, c.w), keys))
	add := s.Matmul(transposed(s, c.u), keys)
	out := []mlx.Array{matrix}
	for i := range c.n {
		matrix = s.AddMM(c.of(s, add, i), matrix, c.of(s, stay, i), 1, 1)
		out = append(out, matrix)
	}
	return out
}

// of is chunk i of an array.
func (c *chunks) of(s *mlx.Scope, a mlx.Array, i int) mlx.Array {
	if s.Err() != nil {
		return mlx.Array{}
	}
	shape := a.Shape()
	shape[0] = i + 1
	return s.SqueezeAxis(s.Slice(a, []int{i, 0, 0, 0, 0}, shape, []int{1, 1, 1, 1, 1}), 0)
}

// reads is what every token reads, [1, T, heads, valueDim].
func (c *chunks) reads(s *mlx.Scope, starts []mlx.Array) mlx.Array {
	inside := s.Multiply(c.between, s.Multiply(s.Matmul(c.q, transposed(s, c.k)), c.atOrAbove))
	before := s.Subtract(s.Multiply(c.from, c.q), s.Matmul(inside, c.w))
	y := s.AddMM(s.Matmul(inside, c.u), before, transposed(s, s.Stack(starts, 0)), 1, 1)
	y = s.Reshape(s.Transpose(y, []int{0, 3, 1, 2, 4}), []int{1, c.n * c.C, c.keyHeads * c.group, c.valueDim})
	if c.n*c.C == c.T {
		return y
	}
	return s.Slice(y, []int{0, 0, 0, 0}, []int{1, c.T, c.keyHeads * c.group, c.valueDim}, []int{1, 1, 1, 1})
}

// behind is the matrix behind `at` tokens, computed from the start of the chunk that it lies in.
func (c *chunks) behind(s *mlx.Scope, starts []mlx.Array, at int) mlx.Array {
	i, rows := at/c.C, at%c.C
	if rows == 0 {
		return s.Copy(starts[i])
	}
	cut := func(a mlx.Array, from, columns int) mlx.Array { // rows `from` to `rows` of chunk i
		a = c.of(s, a, i)
		if s.Err() != nil {
			return a
		}
		shape := a.Shape()
		return s.Slice(a, []int{0, 0, from, 0}, []int{shape[0], shape[1], rows, columns}, []int{1, 1, 1, 1})
	}
	delta := s.Subtract(cut(c.u, 0, c.valueDim), s.Matmul(cut(c.w, 0, c.keyDim), transposed(s, starts[i])))
	keys := s.Multiply(cut(c.k, 0, c.keyDim), transposed(s, cut(c.between, rows-1, rows)))
	return s.Add(s.Multiply(starts[i], cut(c.from, rows-1, 1)), s.Matmul(transposed(s, delta), keys))
}

// unitLowerInverse is (I + a)⁻¹ for a [..., C, C] that is zero on and above the diagonal: the inverses of the blocks on
// the diagonal make those of twice their size, [[P, 0], [B, Q]]⁻¹ = [[P⁻¹, 0], [−Q⁻¹·B·P⁻¹, Q⁻¹]]. That is forward
// substitution in blocks, and as stable; the series I − a + a² − … is not: powers of a grow like binomials where keys repeat.
func unitLowerInverse(s *mlx.Scope, a mlx.Array, C int) mlx.Array {
	inverse := s.Eye(C, C, 0, mlx.Float32)
	for block := 1; block < C; block *= 2 {
		below := s.Multiply(a, mlx.New(s, belowBlocks(C, block), C, C))
		if block == 1 {
			inverse = s.Subtract(inverse, below)
			continue
		}
		inverse = s.AddMM(inverse, inverse, s.Matmul(below, inverse), -1, 1)
	}
	return inverse
}

// belowBlocks is 1 in the lower left quarter of each block of 2·block rows on the diagonal, [C, C].
func belowBlocks(C, block int) []float32 {
	mask := make([]float32, C*C)
	for t := range C {
		for i := range C {
			if t/(2*block) == i/(2*block) && t/block%2 == 1 && i/block%2 == 0 {
				mask[t*C+i] = 1
			}
		}
	}
	return mask
}

// transposed swaps the last two axes.
func transposed(s *mlx.Scope, a mlx.Array) mlx.Array { return s.SwapAxes(a, -1, -2) }
