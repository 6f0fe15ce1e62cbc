package state

import (
	"fmt"

	"reprise/mlx"
)

// slack is the number of rows beyond the window that survive a move to the buffer's front, so that a short trim
// (an undelivered token, a dropped end of turn) is always possible.
const slack = 16

// SlidingRows is the capacity of a window's buffers whose widest call had so many tokens.
func SlidingRows(window, width int) int { return roundUp(window-1+slack+max(width, growStep), 64) }

// SlidingKV keeps the rows that a window can still reach: the state of a sliding-attention layer. The query at
// position p sees positions p-window+1 … p.
//
// Rows are appended; when the buffer is full, the last window-1+slack rows move to the front of a new one.
// Nothing rotates, so views are contiguous and in order of position.
type SlidingKV struct {
	buffer
	captures
	window int
	offset int // tokens seen
	used   int // rows held: positions offset-used … offset-1
}

// NewSliding is an empty sliding state.
func NewSliding(window int) *SlidingKV { return &SlidingKV{window: window} }

// Kind is Sliding.
func (w *SlidingKV) Kind() Kind { return Sliding }

// Offset is the number of tokens seen.
func (w *SlidingKV) Offset() int { return w.offset }

// Reserve does nothing: the buffer's size depends on the window and the chunk only.
func (w *SlidingKV) Reserve(int) {}

// reach is the number of earlier rows that the next query sees.
func (w *SlidingKV) reach() int { return min(w.used, w.window-1) }

// room is the row that the first of T new ones gets: where the buffer is too short, its last rows move to the front.
func (w *SlidingKV) room(T int) int {
	if w.used+T > w.capacity {
		return min(w.used, w.window-1+slack)
	}
	return w.used
}

// seenFrom is the first row that the query at row `at` sees.
func (w *SlidingKV) seenFrom(at int) int { return max(0, at-(w.window-1)) }

// Mask is nothing for one query, causal while no query's window is full, and otherwise the window, as a number where
// the device's attention takes one and as an array elsewhere.
func (w *SlidingKV) Mask(s *mlx.Scope, T int) Mask {
	at := w.room(T)
	m := Mask{Place: place(s, w.offset, w.seenFrom(at), at+T)}
	switch n := w.reach(); {
	case T == 1:
	case n+T <= w.window:
		m.Mode = "causal"
	case s.Kernels():
		m.Mode, m.Window = "causal", w.window
	default:
		m.Mode, m.Array = "array", bandMask(s, n, T, w.window)
	}
	return m
}

// bandMask is [T, n+T]: query i, at row n+i, sees rows n+i-window+1 … n+i.
func bandMask(s *mlx.Scope, n, T, window int) mlx.Array {
	q := s.ExpandDims(s.Arange(float64(n), float64(n+T), 1, mlx.Int32), 1)
	k := s.ExpandDims(s.Arange(0, float64(n+T), 1, mlx.Int32), 0)
	causal := s.GreaterEqual(q, k)
	near := s.Less(q, s.Add(k, s.Scalar(float64(window), mlx.Int32)))
	return s.LogicalAnd(causal, near)
}

// Append writes T rows and returns views of the rows that the T queries can see.
func (w *SlidingKV) Append(s *mlx.Scope, k, v mlx.Array) (keys, values mlx.Array) {
	slot := w.Open(s, like(k), k.Dtype())
	w.write(s, []mlx.Array{k, v}, slot.At)
	w.advance(s, k.Dim(2))
	return rows(s, w.columns[0], slot.From, w.used), rows(s, w.columns[1], slot.From, w.used)
}

// Open makes room for shape[2] rows.
func (w *SlidingKV) Open(s *mlx.Scope, shape [4]int, dtype mlx.Dtype) Slot {
	if T := shape[2]; w.used+T > w.capacity {
		keep := w.room(T)
		w.move(s, pair(shape, dtype), SlidingRows(w.window, T), w.used-keep, keep)
		w.used = keep
	}
	return w.slot(w.used, w.seenFrom(w.used))
}

// Written is the slot of the last T rows.
func (w *SlidingKV) Written(T int) Slot {
	at := w.used - T
	return w.slot(at, w.seenFrom(at))
}

// Put takes the updated buffers.
func (w *SlidingKV) Put(s *mlx.Scope, keys, values mlx.Array, T int) {
	w.put(s, keys, values)
	w.advance(s, T)
}

func (w *SlidingKV) advance(s *mlx.Scope, T int) {
	w.used += T
	w.offset += T
	w.capture(s, T)
}

// CanTrim says whether the rows that a query at `to` sees are still here.
func (w *SlidingKV) CanTrim(to int) bool {
	first := w.offset - w.used
	return to >= 0 && to <= w.offset && first <= max(0, to-(w.window-1))
}

// Trim forgets the rows from `to` on.
func (w *SlidingKV) Trim(to int) {
	drop := max(0, w.offset-to)
	w.used -= drop
	w.offset -= drop
}

// Free releases the buffers and what was captured.
func (w *SlidingKV) Free() { w.drop(); w.free(); w.offset, w.used = 0, 0 }

// capture copies the windows that are wanted of the call that wrote the last T rows. They are all in the buffer, also
// after a move to its front: a query of this call can still look back a window from each of them.
func (w *SlidingKV) capture(s *mlx.Scope, T int) {
	for _, at := range w.within(w.offset-T, w.offset) {
		w.add(s, w.windowAt(s, at)...)
	}
}

// windowAt copies what a query at `at` sees of the rows before it.
func (w *SlidingKV) windowAt(s *mlx.Scope, at int) []mlx.Array {
	n, end := w.windowRows(at), w.used-(w.offset-at)
	if s.Err() != nil || n == 0 {
		return nil
	}
	return w.copyRows(s, end-n, end)
}

// windowRows is the number of earlier rows that the query at `at` sees: a snapshot's.
func (w *SlidingKV) windowRows(at int) int { return min(at, w.window-1) }

func (w *SlidingKV) copyOut(s *mlx.Scope) []mlx.Array { return w.windowAt(s, w.offset) }

func (w *SlidingKV) check(at int, arrays []mlx.Array) error {
	if n := w.windowRows(at); n > 0 {
		return w.checkRows(arrays, n, Quantization{})
	}
	if len(arrays) > 0 {
		return fmt.Errorf("%v are more than no rows", arrays)
	}
	return nil
}

// restore puts the snapshot's rows to the front of the buffer.
func (w *SlidingKV) restore(s *mlx.Scope, at int, arrays []mlx.Array) {
	n := w.windowRows(at)
	if n > w.capacity {
		w.move(s, specs(s, arrays), SlidingRows(w.window, 0), 0, 0)
	}
	if n > 0 {
		w.write(s, arrays, 0)
	}
	w.used, w.offset = n, at
}
