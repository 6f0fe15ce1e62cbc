package state

import "reprise/mlx"

// The types that the cache sees are aliases of unnamed types: kvcache, which must not import this package, declares the
// same ones, and *State satisfies its interface as it is.
type (
	// Snapshot is what sliding and recurrent layers hold at one offset, immutable. Of growing layers it holds nothing.
	Snapshot = interface {
		Offset() int
		Bytes() int64 // allocated
		Free()
	}
	// Rows are rows [From, To) of the growing layers, immutable.
	Rows = interface {
		From() int
		To() int
		Bytes() int64 // allocated
		Free()
	}
	// Segment is rows [From, To) of Rows, at absolute offsets.
	Segment = struct {
		Rows     Rows
		From, To int
	}
)

// holding is copies of layers' arrays.
type holding struct {
	parts []part // one for each layer of the state that it was taken of
	bytes int64
}

// part is what one layer gave, nothing where it has no part in this.
type part struct {
	kind         Kind
	quantization Quantization // of a growing layer
	arrays       []mlx.Array
}

type snapshot struct {
	holding
	offset int
}

type rowCopies struct {
	holding
	from, to int
}

// Offset is the number of tokens behind it.
func (s *snapshot) Offset() int { return s.offset }

// From is the offset of the first row.
func (r *rowCopies) From() int { return r.from }

// To is the offset behind the last row.
func (r *rowCopies) To() int { return r.to }

// Bytes is what the copies allocate.
func (h *holding) Bytes() int64 { return h.bytes }

// Free releases the copies.
func (h *holding) Free() {
	for i := range h.parts {
		freeAll(h.parts[i].arrays)
		h.parts[i].arrays = nil
	}
	h.bytes = 0
}

func (h *holding) arrays() []mlx.Array {
	var all []mlx.Array
	for _, p := range h.parts {
		all = append(all, p.arrays...)
	}
	return all
}

// keep evaluates what was built in s and takes it out of it; on an error nothing is held.
func (h *holding) keep(s *mlx.Scope) error {
	if err := s.Eval(h.arrays()...); err != nil {
		for i := range h.parts {
			h.parts[i].arrays = nil // s frees them
		}
		return err
	}
	for _, a := range h.arrays() {
		s.Keep(a)
	}
	h.bytes = nbytes(h.arrays())
	return nil
}

// holding is an empty one for this state's layers.
func (st *State) holding() holding {
	h := holding{parts: make([]part, len(st.layers))}
	for i, l := range st.layers {
		h.parts[i].kind = l.Kind()
		if g, ok := l.(*GrowingKV); ok {
			h.parts[i].quantization = g.quantization
		}
	}
	return h
}

// copyOf is x in a buffer of its own, bit for bit. Contiguous would share x's buffer where that is hardly larger than x,
// and a shared buffer is copied whole at the next update. As integers, because a device may flush small floats.
func copyOf(s *mlx.Scope, x mlx.Array) mlx.Array {
	if s.Err() != nil || !x.Valid() {
		return mlx.Array{}
	}
	as := mlx.Uint32
	if x.Dtype().Size() == 2 {
		as = mlx.Uint16
	}
	bits := s.View(x, as)
	return s.View(s.Maximum(bits, bits), x.Dtype())
}

func nbytes(arrays []mlx.Array) int64 {
	var n int64
	for _, a := range arrays {
		n += int64(a.Nbytes())
	}
	return n
}

func freeAll(arrays []mlx.Array) {
	for _, a := range arrays {
		a.Free()
	}
}
