package qwen35

import (
	"slices"

	"reprise/mlx"
)

// tokens are what the recurrence takes of T tokens, float32: q and k [1, T, heads, keyDim], v [1, T, heads, valueDim],
// keep and correct [1, T, heads].
type tokens struct{ q, k, v, keep, correct mlx.Array }

// run feeds the tokens one after the other to the matrix [1, heads, valueDim, keyDim]. It returns what each of them reads,
// [1, T, heads, valueDim], the matrix behind the last one, and the matrices behind so many of them as captures says. A
// capture is a second handle to a value of the recurrence: no step is another for it.
func (x *tokens) run(s *mlx.Scope, matrix mlx.Array, captures []int) (y, last mlx.Array, captured []mlx.Array) {
	if s.Err() != nil {
		return
	}
	// A scope that is closed before anything is evaluated: the handles of the steps would keep each one's arrays alive.
	work := s.Child()
	defer work.Close()
	T, heads, keyDim, valueDim := x.q.Dim(1), x.q.Dim(2), x.q.Dim(3), x.v.Dim(3)
	each := func(a mlx.Array, rows, columns int) []mlx.Array {
		return work.Split(work.Reshape(a, []int{T, heads, rows, columns}), T, 0)
	}
	q, k, v := each(x.q, 1, keyDim), each(x.k, 1, keyDim), each(x.v, valueDim, 1)
	keep, correct := each(x.keep, 1, 1), each(x.correct, 1, 1)
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
