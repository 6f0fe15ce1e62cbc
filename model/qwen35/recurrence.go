package qwen35

import (
	"slices"

	"reprise/mlx"
)

// tokens are what the recurrence takes of T tokens, float32: q and k [1, T, key heads, keyDim], v [1, T, heads,
// valueDim], decay (the logarithm of what is kept, ≤ 0) and correct [1, T, heads]. Each key head serves
// heads/(key heads) value heads in a row.
//
// A token replaces a head's matrix M [valueDim, keyDim] by M·exp(decay) + δ·kᵀ with δ = correct·(v − M·exp(decay)·k), and
// reads M·q. There are three forms of it, each with the arguments and results of plain: step by step here, chunked in
// chunked.go, and the kernels' in fused.go.
type tokens struct{ q, k, v, decay, correct mlx.Array }

// form is one way to feed tokens to the matrix [1, heads, valueDim, keyDim]. It returns what each token reads, [1, T,
// heads, valueDim], the matrix behind the last one, and the matrices behind so many of them as captures says, ascending.
// A capture is computed aside, or is a second handle to a value of the recurrence: it changes no bit of the rest.
type form func(x *tokens, s *mlx.Scope, matrix mlx.Array, captures []int) (y, last mlx.Array, captured []mlx.Array)

// chunkedFrom is the number of tokens from which the chunked form takes less time than one token after the other: some
// fifty ops against ten a token, measured on the CPU device.
const chunkedFrom = 4

// dims are the token count, the numbers of heads, and the shape of a head.
func (x *tokens) dims() (T, keyHeads, heads, keyDim, valueDim int) {
	return x.q.Dim(1), x.q.Dim(2), x.v.Dim(2), x.q.Dim(3), x.v.Dim(3)
}

// plain feeds the tokens one after the other: the definition, which every other form is compared with.
func (x *tokens) plain(s *mlx.Scope, matrix mlx.Array, captures []int) (y, last mlx.Array, captured []mlx.Array) {
	if s.Err() != nil {
		return
	}
	// A scope that is closed before anything is evaluated: the handles of the steps would keep each one's arrays alive.
	work := s.Child()
	defer work.Close()
	T, keyHeads, heads, keyDim, valueDim := x.dims()
	each := func(a mlx.Array, rows, columns int) []mlx.Array {
		return work.Split(work.Reshape(a, []int{T, heads, rows, columns}), T, 0)
	}
	repeated := func(a mlx.Array) mlx.Array { return work.Repeat(a, heads/keyHeads, 2) }
	q, k, v := each(repeated(x.q), 1, keyDim), each(repeated(x.k), 1, keyDim), each(x.v, valueDim, 1)
	keep, correct := each(work.Exp(x.decay), 1, 1), each(x.correct, 1, 1)
	reads := make([]mlx.Array, T)
	for t := range T {
		if work.Err() != nil {
			break
		}
		matrix = work.Multiply(matrix, keep[t])
		found := work.SumAxis(work.Multiply(matrix, k[t]), -1, true)
		delta := work.Multiply(work.Subtract(v[t], found), correct[t])
		matrix = work.Add(matrix, work.Multiply(delta, k[t]))
		reads[t] = work.SumAxis(work.Multiply(matrix, q[t]), -1, false)
		if slices.Contains(captures, t+1) || t+1 == T {
			s.Adopt(work.Keep(matrix))
		}
		if slices.Contains(captures, t+1) {
			captured = append(captured, matrix)
		}
	}
	y = work.Reshape(work.Concatenate(reads, 0), []int{1, T, heads, valueDim})
	if err := work.Err(); err != nil {
		s.Fail(err)
		return
	}
	return s.Adopt(work.Keep(y)), matrix, captured
}
