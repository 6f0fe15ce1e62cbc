package state

import (
	"fmt"
	"slices"

	"reprise/mlx"
)

// Recurrence is the state of a recurrent layer: the last inputs of its convolution and a float32 matrix. Each call
// replaces both; what was there before cannot be had again, so it goes back only to a snapshot.
type Recurrence struct {
	captures
	tail   mlx.Array // [1, width-1, channels], in the dtype of the activations
	matrix mlx.Array // float32, of a shape that the layer chooses
	offset int
}

// NewRecurrent is an empty recurrent state. Shapes and the tail's dtype follow from the first Load.
func NewRecurrent() *Recurrence { return &Recurrence{} }

// Kind is Recurrent.
func (r *Recurrence) Kind() Kind { return Recurrent }

// Offset is the number of tokens seen.
func (r *Recurrence) Offset() int { return r.offset }

// Load is what the tokens so far left: the convolution's last inputs and the matrix, zeros before the first token. Both
// stay the state's.
func (r *Recurrence) Load(s *mlx.Scope, tail [3]int, dtype mlx.Dtype, matrix [4]int) (mlx.Array, mlx.Array) {
	if !r.matrix.Valid() {
		return s.Zeros(tail[:], dtype), s.Zeros(matrix[:], mlx.Float32)
	}
	if !slices.Equal(r.tail.Shape(), tail[:]) || r.tail.Dtype() != dtype || !slices.Equal(r.matrix.Shape(), matrix[:]) {
		s.Fail(fmt.Errorf("state: a recurrent layer holds %v and %v, its model wants %v%v and %v", r.tail, r.matrix, dtype, tail, matrix))
	}
	return r.tail, r.matrix
}

// Captures says after how many of the T tokens of this call, ascending, the matrix is wanted too. The layer computes
// these beside its recurrence: they must not change a bit of it.
func (r *Recurrence) Captures(T int) []int {
	var after []int
	for _, at := range r.within(r.offset, r.offset+T) {
		after = append(after, at-r.offset)
	}
	return after
}

// Store replaces the state by what T tokens made of it. inputs are the rows that went into the convolution, [1,
// width-1+T, channels]: the tail, then T new ones. captured are the matrices that Captures asked for, in its order. All
// matrices must be arrays of their own: a view would keep what it is a view of.
func (r *Recurrence) Store(s *mlx.Scope, T int, inputs, matrix mlx.Array, captured []mlx.Array) {
	after := r.Captures(T)
	if s.Err() == nil && matrix.Dtype() != mlx.Float32 {
		s.Fail(fmt.Errorf("state: the matrix of a recurrent layer is %v, not float32", matrix))
	}
	if s.Err() == nil && len(captured) != len(after) {
		s.Fail(fmt.Errorf("state: a recurrent layer at %d was asked for its state after %v tokens and gave %d", r.offset, after, len(captured)))
	}
	if s.Err() != nil {
		return
	}
	for i, n := range after {
		m := captured[i]
		if n == T {
			m = copyOf(s, matrix) // the state's own is given up in the next call, and a snapshot's is not
		}
		r.add(s, tailAfter(s, inputs, T, n), m)
	}
	tail := tailAfter(s, inputs, T, T)
	if s.Err() != nil {
		return
	}
	r.tail.Free()
	r.matrix.Free()
	r.tail, r.matrix = s.Keep(tail), s.Keep(matrix)
	r.offset += T
}

// tailAfter is a copy of the rows that precede token n+1 of the T last ones.
func tailAfter(s *mlx.Scope, inputs mlx.Array, T, n int) mlx.Array {
	shape := inputs.Shape()
	return copyOf(s, s.Slice(inputs, []int{0, n, 0}, []int{shape[0], shape[1] - T + n, shape[2]}, []int{1, 1, 1}))
}

func (r *Recurrence) buffers() []mlx.Array {
	if !r.matrix.Valid() {
		return nil
	}
	return []mlx.Array{r.tail, r.matrix}
}

// Bytes is what both arrays allocate.
func (r *Recurrence) Bytes() int64 { return nbytes(r.buffers()) }

// CanTrim is true for this offset only.
func (r *Recurrence) CanTrim(to int) bool { return to == r.offset }

// Trim does nothing: there is nowhere to go.
func (r *Recurrence) Trim(int) {}

// Free releases the arrays.
func (r *Recurrence) Free() {
	r.drop()
	r.tail.Free()
	r.matrix.Free()
	*r = Recurrence{}
}

func (r *Recurrence) copyOut(s *mlx.Scope) []mlx.Array {
	if !r.matrix.Valid() {
		return nil
	}
	return []mlx.Array{copyOf(s, r.tail), copyOf(s, r.matrix)}
}

func (r *Recurrence) check(at int, arrays []mlx.Array) error {
	if at == 0 && len(arrays) == 0 {
		return nil
	}
	switch {
	case len(arrays) != 2 || arrays[0].Ndim() != 3 || arrays[1].Ndim() != 4 || arrays[1].Dtype() != mlx.Float32:
		return fmt.Errorf("%v are not a convolution's tail and a float32 matrix", arrays)
	case r.matrix.Valid() && (!alike(arrays[0], r.tail) || !alike(arrays[1], r.matrix)):
		return fmt.Errorf("%v do not fit a layer that holds %v and %v", arrays, r.tail, r.matrix)
	}
	return nil
}

func (r *Recurrence) restore(s *mlx.Scope, at int, arrays []mlx.Array) {
	var tail, matrix mlx.Array
	if len(arrays) == 2 {
		tail, matrix = copyOf(s, arrays[0]), copyOf(s, arrays[1])
	}
	if s.Err() != nil {
		return
	}
	r.Free()
	r.tail, r.matrix, r.offset = s.Keep(tail), s.Keep(matrix), at
}

func alike(a, b mlx.Array) bool { return a.Dtype() == b.Dtype() && slices.Equal(a.Shape(), b.Shape()) }
