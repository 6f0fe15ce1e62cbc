package state

import "reprise/mlx"

// buffer is a pair of arrays [1, heads, capacity, dim] that is written in place.
type buffer struct {
	k, v     mlx.Array
	capacity int // rows
}

func (b *buffer) buffers() []mlx.Array {
	if !b.k.Valid() {
		return nil
	}
	return []mlx.Array{b.k, b.v}
}

// Bytes is what both arrays allocate.
func (b *buffer) Bytes() int64 {
	if !b.k.Valid() {
		return 0
	}
	return int64(b.k.Nbytes() + b.v.Nbytes())
}

func (b *buffer) free() {
	b.k.Free()
	b.v.Free()
	*b = buffer{}
}

// move makes buffers of `capacity` rows, otherwise of the given shape, whose first rows are rows [from, from+n) of the
// old ones.
func (b *buffer) move(s *mlx.Scope, shape [4]int, dtype mlx.Dtype, capacity, from, n int) {
	shape[2] = capacity
	b.k = moveOne(s, b.k, shape, dtype, from, n)
	b.v = moveOne(s, b.v, shape, dtype, from, n)
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

// put replaces both buffers by updated ones.
func (b *buffer) put(s *mlx.Scope, k, v mlx.Array) {
	if s.Err() != nil {
		return
	}
	b.k.Free()
	b.v.Free()
	b.k, b.v = s.Keep(k), s.Keep(v)
}

// like is the shape that rows of k have.
func like(k mlx.Array) [4]int { return [4]int(k.Shape()) }

// write puts k and v into rows [at, at+T). The old handles are given up at once, so that MLX sees the update as
// the buffer's only user and writes in place.
func (b *buffer) write(s *mlx.Scope, k, v mlx.Array, at int) {
	b.k = writeOne(s, b.k, k, at)
	b.v = writeOne(s, b.v, v, at)
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

// rows is the view of rows [from, to).
func rows(s *mlx.Scope, a mlx.Array, from, to int) mlx.Array {
	shape := a.Shape()
	return s.Slice(a, []int{0, 0, from, 0}, []int{shape[0], shape[1], to, shape[3]}, ones[:])
}

func roundUp(n, step int) int { return (n + step - 1) / step * step }
