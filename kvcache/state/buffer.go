package state

import "reprise/mlx"

// buffer is columns [1, heads, capacity, ·] that are written in place: keys and values or, of quantized rows, the words,
// scales and biases of each.
type buffer struct {
	columns  []mlx.Array
	capacity int // rows
}

func (b *buffer) buffers() []mlx.Array { return b.columns }

// slot is where rows from `at` on lie, for an attention that reads and writes them as they are.
func (b *buffer) slot(at, from int) Slot {
	if len(b.columns) != 2 {
		return Slot{At: at, From: from}
	}
	return Slot{Keys: b.columns[0], Values: b.columns[1], At: at, From: from}
}

// Bytes is what the columns allocate.
func (b *buffer) Bytes() int64 { return nbytes(b.columns) }

func (b *buffer) free() {
	freeAll(b.columns)
	*b = buffer{}
}

// move makes buffers of `capacity` rows for columns like those of fresh, whose first rows are rows [from, from+n) of the
// old ones.
func (b *buffer) move(s *mlx.Scope, fresh []spec, capacity, from, n int) {
	if s.Err() != nil {
		return
	}
	if len(b.columns) == 0 {
		b.columns = make([]mlx.Array, len(fresh))
	}
	for i, f := range fresh {
		f.shape[2] = capacity
		b.columns[i] = moveOne(s, b.columns[i], f.shape, f.dtype, from, n)
	}
	b.capacity = capacity
}

func moveOne(s *mlx.Scope, old mlx.Array, shape [4]int, dtype mlx.Dtype, from, n int) mlx.Array {
	fresh := s.Zeros(shape[:], dtype)
	if n > 0 {
		fresh = s.SliceUpdate(fresh, rows(s, old, from, from+n), []int{0, 0, 0, 0}, []int{shape[0], shape[1], n, shape[3]}, ones[:])
	}
	if s.Err() != nil {
		return old
	}
	old.Free()
	return s.Keep(fresh)
}

// put replaces keys and values by updated ones.
func (b *buffer) put(s *mlx.Scope, k, v mlx.Array) {
	if s.Err() != nil {
		return
	}
	freeAll(b.columns)
	b.columns = []mlx.Array{s.Keep(k), s.Keep(v)}
}

// spec is what a column is made like; its shape's number of rows is free.
type spec struct {
	shape [4]int
	dtype mlx.Dtype
}

// pair is the specs of keys and values that are alike.
func pair(shape [4]int, dtype mlx.Dtype) []spec { return []spec{{shape, dtype}, {shape, dtype}} }

// specs are those of columns like these.
func specs(s *mlx.Scope, columns []mlx.Array) []spec {
	if s.Err() != nil {
		return nil
	}
	out := make([]spec, len(columns))
	for i, c := range columns {
		out[i] = spec{like(c), c.Dtype()}
	}
	return out
}

// like is the shape that rows of k have.
func like(k mlx.Array) [4]int { return [4]int(k.Shape()) }

// write puts the columns' rows into rows [at, at+T). The old handles are given up at once, so that MLX sees the update as
// the buffer's only user and writes in place.
func (b *buffer) write(s *mlx.Scope, columns []mlx.Array, at int) {
	if s.Err() != nil {
		return
	}
	for i, x := range columns {
		b.columns[i] = writeOne(s, b.columns[i], x, at)
	}
}

func writeOne(s *mlx.Scope, buf, x mlx.Array, at int) mlx.Array {
	shape := x.Shape()
	if buf.Valid() && shape[2] == buf.Dim(2) {
		// MLX answers the update of everything with x itself, which may be a view of what others hold.
		x = copyOf(s, x)
	}
	next := s.SliceUpdate(buf, x, []int{0, 0, at, 0}, []int{shape[0], shape[1], at + shape[2], shape[3]}, ones[:])
	if s.Err() != nil {
		return buf
	}
	buf.Free()
	return s.Keep(next)
}

var ones = [4]int{1, 1, 1, 1}

// view is the view of rows [from, to) of every column.
func (b *buffer) view(s *mlx.Scope, from, to int) []mlx.Array {
	out := make([]mlx.Array, len(b.columns))
	for i, c := range b.columns {
		out[i] = rows(s, c, from, to)
	}
	return out
}

// copyRows copies rows [from, to) of every column.
func (b *buffer) copyRows(s *mlx.Scope, from, to int) []mlx.Array {
	out := b.view(s, from, to)
	for i, x := range out {
		out[i] = copyOf(s, x)
	}
	return out
}

// rows is the view of rows [from, to).
func rows(s *mlx.Scope, a mlx.Array, from, to int) mlx.Array {
	shape := a.Shape()
	return s.Slice(a, []int{0, 0, from, 0}, []int{shape[0], shape[1], to, shape[3]}, ones[:])
}

func roundUp(n, step int) int { return (n + step - 1) / step * step }
