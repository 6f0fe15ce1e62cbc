package state

import (
	"fmt"

	"reprise/mlx"
)

// CopyRows copies rows [from, to) of the growing layers out. The copies are there when it returns, and the state is what
// it was.
func (st *State) CopyRows(from, to int) (Rows, error) {
	if from < 0 || from > to || to > st.Offset() {
		return nil, fmt.Errorf("state: rows %d to %d of a state at %d", from, to, st.Offset())
	}
	s := st.home.Child()
	defer s.Close()
	r := &rowCopies{holding: st.holding(), from: from, to: to}
	for i, l := range st.layers {
		if g, ok := l.(*GrowingKV); ok && from < to {
			r.parts[i].arrays = g.copyRows(s, from, to)
		}
	}
	if err := r.keep(s); err != nil {
		return nil, err
	}
	return r, nil
}

// MoveTo brings the state to offset at: the growing layers keep their rows [0, keep), the rows of the segments follow
// up to at, and sliding and recurrent layers are set from snap. Segments and snap stay the caller's. Without a snap
// those layers must be able to go back by themselves, as Trim does; at 0 they begin anew.
//
// What does not fit is an error and changes nothing. After an error of MLX the state is empty.
func (st *State) MoveTo(at, keep int, segments []Segment, snap Snapshot) error {
	runs, err := st.checkRows(at, keep, segments)
	if err != nil {
		return fmt.Errorf("state: cannot move from %d to %d: %w", st.Offset(), at, err)
	}
	from, err := st.checkSnapshot(at, keep, snap)
	if err != nil {
		return fmt.Errorf("state: cannot move from %d to %d: %w", st.Offset(), at, err)
	}
	st.dropCaptured()
	s := st.home.Child()
	defer s.Close()
	for i, l := range st.layers {
		switch l := l.(type) {
		case *GrowingKV:
			l.refill(s, at, keep, i, runs)
		case snapped:
			if from != nil {
				l.restore(s, at, from.parts[i].arrays)
			} else if at == 0 {
				l.restore(s, 0, nil)
			} else {
				l.Trim(at)
			}
		}
	}
	if err := s.Eval(st.Arrays()...); err != nil {
		st.Free()
		return err
	}
	st.stand(at)
	return nil
}

// Shrink gives back what the growing layers' buffers have beyond their rows. It goes layer by layer, so that no more than one of
// them is there twice. After an error of MLX the state is empty.
func (st *State) Shrink() error {
	for _, l := range st.layers {
		if g, ok := l.(*GrowingKV); ok && GrowingRows(g.offset) < g.capacity {
			if err := g.shrink(st.home); err != nil {
				at := st.Offset()
				st.Free()
				return fmt.Errorf("state: giving back rows behind %d: %w", at, err)
			}
		}
	}
	st.stand(st.Offset())
	return nil
}

// shrink moves the rows to buffers that are no larger than they need be.
func (g *GrowingKV) shrink(home *mlx.Scope) error {
	s := home.Child()
	defer s.Close()
	g.reserved = 0
	g.move(s, specs(s, g.columns), GrowingRows(g.offset), 0, g.offset)
	return s.Eval(g.columns...)
}

// run is a segment whose rows were found to be this package's.
type run struct {
	*rowCopies
	from, to int // of the rows that are wanted
}

// checkRows checks that the rows follow each other from keep to at. A state without growing layers takes any.
func (st *State) checkRows(at, keep int, segments []Segment) ([]run, error) {
	if keep < 0 || keep > st.Offset() || keep > at {
		return nil, fmt.Errorf("%d rows are to be kept", keep)
	}
	runs, end := make([]run, len(segments)), keep
	for i, seg := range segments {
		r, ok := seg.Rows.(*rowCopies)
		switch {
		case !ok:
			return nil, fmt.Errorf("segment %d holds no rows of a state but %T", i, seg.Rows)
		case seg.From != end || seg.To < seg.From || seg.From < r.from || seg.To > r.to:
			return nil, fmt.Errorf("segment %d is %d to %d of rows %d to %d, and %d is the next", i, seg.From, seg.To, r.from, r.to, end)
		}
		if err := st.checkLayers(&r.holding); err != nil {
			return nil, fmt.Errorf("segment %d: %w", i, err)
		}
		for k, l := range st.layers {
			if g, ok := l.(*GrowingKV); ok && seg.From < seg.To {
				if err := g.checkRows(r.parts[k].arrays, r.to-r.from, g.quantization); err != nil {
					return nil, fmt.Errorf("segment %d, layer %d: %w", i, k, err)
				}
			}
		}
		runs[i], end = run{r, seg.From, seg.To}, seg.To
	}
	if end != at && st.First(Growing) != nil {
		return nil, fmt.Errorf("the rows end at %d", end)
	}
	return runs, nil
}

// checkSnapshot is the snapshot to restore, nil where none is needed.
func (st *State) checkSnapshot(at, keep int, snap Snapshot) (*snapshot, error) {
	if snap == nil {
		for _, l := range st.layers {
			if _, ok := l.(snapped); ok && at > 0 && (keep != at || !l.CanTrim(at)) {
				return nil, fmt.Errorf("a %s layer needs a snapshot", l.Kind())
			}
		}
		return nil, nil
	}
	from, ok := snap.(*snapshot)
	if !ok {
		return nil, fmt.Errorf("the snapshot is not one of a state but %T", snap)
	}
	if from.offset != at {
		return nil, fmt.Errorf("the snapshot is one at %d", from.offset)
	}
	if err := st.checkLayers(&from.holding); err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	for i, l := range st.layers {
		if l, ok := l.(snapped); ok {
			if err := l.check(at, from.parts[i].arrays); err != nil {
				return nil, fmt.Errorf("snapshot, layer %d (%s): %w", i, l.Kind(), err)
			}
		}
	}
	return from, nil
}

// checkLayers compares the kinds of the layers, and how their rows are kept.
func (st *State) checkLayers(h *holding) error {
	if len(h.parts) != len(st.layers) {
		return fmt.Errorf("it is of %d layers, the state has %d", len(h.parts), len(st.layers))
	}
	for i, l := range st.layers {
		if h.parts[i].kind != l.Kind() {
			return fmt.Errorf("its layer %d is %s, the state's is %s", i, h.parts[i].kind, l.Kind())
		}
		if g, ok := l.(*GrowingKV); ok && h.parts[i].quantization != g.quantization {
			return fmt.Errorf("its layer %d is %s, the state's is %s", i, h.parts[i].quantization, g.quantization)
		}
	}
	return nil
}

// checkRows says why the arrays cannot be n rows of this layer's columns.
func (b *buffer) checkRows(arrays []mlx.Array, n int, q Quantization) error {
	if len(arrays) != q.count() {
		return fmt.Errorf("%v are not keys and values, %s", arrays, q)
	}
	for i, a := range arrays {
		shape := a.Shape()
		if len(shape) != 4 || shape[0] != 1 || shape[2] != n {
			return fmt.Errorf("%v is not %d rows", a, n)
		}
		if words := q.On() && i%3 == 0; words != (a.Dtype() == mlx.Uint32) {
			return fmt.Errorf("%v has not the type of keys and values, %s", a, q)
		}
		if len(b.columns) == 0 {
			continue
		}
		if held, h := b.columns[i], b.columns[i].Shape(); h[1] != shape[1] || h[3] != shape[3] || held.Dtype() != a.Dtype() {
			return fmt.Errorf("%v does not fit a layer that holds %v", a, held)
		}
	}
	return q.fits(arrays)
}

// fits says why quantized columns do not belong together.
func (q Quantization) fits(columns []mlx.Array) error {
	if !q.On() {
		return nil
	}
	for i, c := range columns {
		first, n := columns[0].Shape(), c.Shape()
		want := first[3]
		if i%3 != 0 {
			want = first[3] * 32 / q.Bits / q.Group
		}
		if n[1] != first[1] || n[3] != want {
			return fmt.Errorf("%v are not words, scales and biases, %s", columns, q)
		}
	}
	return nil
}

// refill keeps rows [0, keep) and appends those of the runs, for the layer that was number i.
func (g *GrowingKV) refill(s *mlx.Scope, at, keep, i int, runs []run) {
	g.offset = keep
	for _, r := range runs {
		if r.from == r.to {
			continue
		}
		all := r.parts[i].arrays
		if at > g.capacity { // once: for all of them
			g.move(s, specs(s, all), GrowingRows(max(at, g.reserved, g.capacity+g.capacity/8)), 0, keep)
		}
		wanted := make([]mlx.Array, len(all))
		for c, x := range all {
			wanted[c] = rows(s, x, r.from-r.rowCopies.from, r.to-r.rowCopies.from)
		}
		g.write(s, wanted, r.from)
	}
	g.offset = at
}
