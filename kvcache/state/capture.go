package state

import (
	"fmt"
	"slices"

	"reprise/mlx"
)

// captures are what a layer that cannot go back keeps of a forward call, at the offsets asked for.
type captures struct {
	wanted []int // absolute, ascending
	taken  [][]mlx.Array
}

// want sets the offsets of the coming call.
func (c *captures) want(offsets []int) {
	c.drop()
	c.wanted = offsets
}

// within are the wanted offsets in (from, to].
func (c *captures) within(from, to int) []int {
	lo, _ := slices.BinarySearch(c.wanted, from+1)
	hi, _ := slices.BinarySearch(c.wanted, to+1)
	return c.wanted[lo:max(lo, hi)]
}

// add keeps the copies made for the next offset.
func (c *captures) add(s *mlx.Scope, arrays ...mlx.Array) {
	if s.Err() != nil {
		return
	}
	for i, a := range arrays {
		arrays[i] = s.Keep(a)
	}
	c.taken = append(c.taken, arrays)
}

// take hands the copies over, one list an offset.
func (c *captures) take() [][]mlx.Array {
	taken := c.taken
	c.wanted, c.taken = nil, nil
	return taken
}

// count is the number of offsets that were captured.
func (c *captures) count() int { return len(c.taken) }

func (c *captures) drop() {
	for _, arrays := range c.take() {
		freeAll(arrays)
	}
}

// snapped is a layer whose state at an offset is had by copying only: it forgets.
type snapped interface {
	Layer
	want(offsets []int)
	count() int
	take() [][]mlx.Array
	// copyOut is a copy of the state as it is, in s.
	copyOut(s *mlx.Scope) []mlx.Array
	// check says why the arrays cannot be this layer's state at that offset.
	check(at int, arrays []mlx.Array) error
	// restore sets the state from copies of the arrays.
	restore(s *mlx.Scope, at int, arrays []mlx.Array)
}

// CaptureAt asks the coming forward call for snapshots at these offsets, each behind the state's own and at most at the
// call's end. The call's bits and its length stay what they are.
func (st *State) CaptureAt(offsets ...int) {
	st.dropCaptured()
	offsets = slices.Clone(offsets)
	slices.Sort(offsets)
	st.wanted = slices.Compact(offsets)
	for _, l := range st.layers {
		if l, ok := l.(snapped); ok {
			l.want(st.wanted)
		}
	}
}

// settle checks, after a call from offset `from` on, that every layer captured what was asked for.
func (st *State) settle(from int) error {
	wanted := st.wanted
	st.wanted = nil
	for _, at := range wanted {
		if at <= from || at > st.Offset() {
			return fmt.Errorf("state: a capture at %d was asked of a call from %d to %d", at, from, st.Offset())
		}
	}
	for i, l := range st.layers {
		if l, ok := l.(snapped); ok && l.count() != len(wanted) {
			return fmt.Errorf("state: layer %d (%s) captured %d of %d snapshots in a call from %d to %d", i, l.Kind(), l.count(), len(wanted), from, st.Offset())
		}
	}
	st.captured = wanted
	return nil
}

// Captured hands over the snapshots of the last forward call, in the order of their offsets. It belongs into the step of
// that call, also because it evaluates them: an unevaluated copy would make the next call copy whole buffers.
func (st *State) Captured() ([]Snapshot, error) {
	if len(st.captured) == 0 {
		return nil, nil
	}
	held := make([]*snapshot, len(st.captured))
	var all []mlx.Array
	for i, at := range st.captured {
		held[i] = &snapshot{holding: st.holding(), offset: at}
	}
	st.captured = nil
	for i, l := range st.layers {
		if l, ok := l.(snapped); ok {
			for k, arrays := range l.take() {
				held[k].parts[i].arrays = arrays
				all = append(all, arrays...)
			}
		}
	}
	s := st.home.Child()
	defer s.Close()
	if err := s.Eval(all...); err != nil {
		freeAll(all)
		return nil, err
	}
	out := make([]Snapshot, len(held))
	for i, h := range held {
		h.bytes = nbytes(h.arrays())
		out[i] = h
	}
	return out, nil
}

// Snapshot is a copy of what a restore at this offset needs beside the growing rows; the caller owns it.
func (st *State) Snapshot() (Snapshot, error) {
	s := st.home.Child()
	defer s.Close()
	snap := &snapshot{holding: st.holding(), offset: st.Offset()}
	for i, l := range st.layers {
		if l, ok := l.(snapped); ok {
			snap.parts[i].arrays = l.copyOut(s)
		}
	}
	if err := snap.keep(s); err != nil {
		return nil, err
	}
	return snap, nil
}

func (st *State) dropCaptured() {
	st.wanted, st.captured = nil, nil
	for _, l := range st.layers {
		if l, ok := l.(snapped); ok {
			l.want(nil)
		}
	}
}
