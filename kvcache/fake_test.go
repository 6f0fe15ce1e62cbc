package kvcache

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"slices"
)

// row stands for what a layer keeps of one token: the atom, so that a test sees which tokens a state stands for, and its
// bits, which depend on everything that a real row's bits depend on: what came before, the id, and the forward call it was
// computed in, with all the ids of that call.
type row struct {
	id   int32
	bits uint64
}

func mix(values ...uint64) uint64 {
	h := fnv.New64a()
	var buf [8]byte
	for _, v := range values {
		binary.LittleEndian.PutUint64(buf[:], v)
		h.Write(buf[:])
	}
	return h.Sum64()
}

// compute is a forward call: the rows of the ids, behind a row with these bits. It is the fake's model, and the oracle's.
func compute(before uint64, ids []int32) []row {
	call := []uint64{uint64(len(ids))}
	for _, id := range ids {
		call = append(call, uint64(uint32(id)))
	}
	key := mix(call...)
	out := make([]row, len(ids))
	for i, id := range ids {
		before = mix(before, key, uint64(i), uint64(uint32(id)))
		out[i] = row{id, before}
	}
	return out
}

// shape is a mix of layers.
type shape struct {
	growing   bool
	window    int // rows that a sliding layer sees; 0: no such layer
	recurrent bool
}

func (s shape) String() string {
	return fmt.Sprintf("growing %t, window %d, recurrent %t", s.growing, s.window, s.recurrent)
}

// shapes are all mixes.
var shapes = []shape{
	{growing: true}, {window: 9}, {recurrent: true},
	{growing: true, window: 9}, {growing: true, recurrent: true}, {window: 9, recurrent: true},
	{growing: true, window: 9, recurrent: true},
}

const (
	rowBytes  = 10
	snapBytes = 40 // of a recurrent layer; a window's row is as big as another
	slack     = 3  // rows beyond the window that survive
)

func (s shape) model() Model {
	m := Model{Fingerprint: s.String(), Grid: 16}
	if s.growing {
		m.RowBytes = rowBytes
	}
	if s.window > 0 {
		m.Needs, m.SnapshotBytes = LimitSliding, int64(s.window-1)*rowBytes
	}
	if s.recurrent {
		m.Needs, m.SnapshotBytes = LimitRecurrent, m.SnapshotBytes+snapBytes
	}
	return m
}

// ledgerOf counts what fakes are alive, and what was freed twice.
type counter struct {
	alive map[any]bool
	twice []any
}

func (c *counter) born(x any) {
	if c.alive == nil {
		c.alive = map[any]bool{}
	}
	c.alive[x] = true
}

func (c *counter) free(x any) {
	if !c.alive[x] {
		c.twice = append(c.twice, x)
	}
	delete(c.alive, x)
}

// fake is a State whose layers hold rows.
type fake struct {
	shape
	counter *counter
	at      int
	rows    []row // growing
	win     []row // sliding: the last of them
	rec     uint64
	fail    error // of the next MoveTo or CopyRows
}

func newFake(s shape, c *counter) *fake {
	f := &fake{shape: s, counter: c}
	c.born(f)
	return f
}

func (f *fake) Offset() int { return f.at }
func (f *fake) Free()       { f.counter.free(f) }

// Bytes rounds up, as buffers do.
func (f *fake) Bytes() int64 {
	n := 0
	if f.growing {
		n += (len(f.rows) + 7) / 8 * 8 * rowBytes
	}
	if f.window > 0 {
		n += (f.window + slack) * rowBytes
	}
	if f.recurrent {
		n += snapBytes
	}
	return int64(n)
}

// last is the bits of the newest row, in which all layers must agree.
func (f *fake) last() uint64 {
	var seen []uint64
	if f.at == 0 {
		return 0
	}
	if f.growing {
		seen = append(seen, f.rows[f.at-1].bits)
	}
	if f.window > 0 {
		seen = append(seen, f.win[len(f.win)-1].bits)
	}
	if f.recurrent {
		seen = append(seen, f.rec)
	}
	if len(slices.Compact(slices.Clone(seen))) != 1 {
		panic(fmt.Sprintf("layers disagree at %d: %x", f.at, seen))
	}
	return seen[0]
}

// feed is a forward call with captures.
func (f *fake) feed(ids []int32, captures []int) []Snapshot {
	var snaps []Snapshot
	for _, r := range compute(f.last(), ids) {
		if f.growing {
			f.rows = append(f.rows, r)
		}
		if f.window > 0 {
			f.win = append(f.win, r)
		}
		f.rec = r.bits
		f.at++
		if slices.Contains(captures, f.at) {
			snaps = append(snaps, f.snapshot())
		}
	}
	if keep := f.window - 1 + slack; f.window > 0 && len(f.win) > keep {
		f.win = slices.Clone(f.win[len(f.win)-keep:])
	}
	return snaps
}

func (f *fake) snapshot() *fakeSnap {
	s := &fakeSnap{counter: f.counter, at: f.at}
	if f.window > 0 {
		s.win = slices.Clone(f.win[max(0, len(f.win)-(f.window-1)):])
	}
	if f.recurrent {
		s.rec = f.rec
	}
	s.shape = f.shape
	f.counter.born(s)
	return s
}

func (f *fake) Snapshot() (Snapshot, error) { return f.snapshot(), nil }

func (f *fake) TrimLimit(to int) (int, string) {
	switch {
	case to >= f.at:
		return f.at, ""
	case f.recurrent:
		return 0, string(LimitRecurrent)
	case f.window > 0 && len(f.win)-(f.at-to) < min(to, f.window-1):
		return 0, string(LimitSliding)
	}
	return to, ""
}

func (f *fake) Trim(to int) error {
	if got, by := f.TrimLimit(to); got != to {
		return fmt.Errorf("cannot go back from %d to %d: %s", f.at, to, by)
	}
	if f.growing {
		f.rows = slices.Clip(f.rows[:to])
	}
	if f.window > 0 {
		f.win = f.win[:len(f.win)-(f.at-to)]
	}
	f.at = to
	return nil
}

func (f *fake) CopyRows(from, to int) (Rows, error) {
	if err := f.fail; err != nil {
		f.fail = nil
		return nil, err
	}
	if !f.growing || from < 0 || from >= to || to > f.at {
		return nil, fmt.Errorf("rows [%d, %d) of a state at %d", from, to, f.at)
	}
	r := &fakeRows{counter: f.counter, from: from, rows: slices.Clone(f.rows[from:to])}
	f.counter.born(r)
	return r, nil
}

// Shrink has nothing to give back: Bytes goes by the rows.
func (f *fake) Shrink() error { return nil }

func (f *fake) MoveTo(at, keep int, segments []Segment, snap Snapshot) error {
	if err := f.fail; err != nil {
		f.fail = nil
		return err
	}
	if keep > at || keep > f.at {
		return fmt.Errorf("keep %d of %d, to %d", keep, f.at, at)
	}
	if f.growing {
		f.rows = slices.Clone(f.rows[:keep])
		for _, s := range segments {
			r := s.Rows.(*fakeRows)
			if !f.counter.alive[r] || s.From != len(f.rows) || s.From < r.From() || s.To > r.To() {
				return fmt.Errorf("segment [%d, %d) of [%d, %d) behind %d rows", s.From, s.To, r.From(), r.To(), len(f.rows))
			}
			f.rows = append(f.rows, r.rows[s.From-r.from:s.To-r.from]...)
		}
		if len(f.rows) != at {
			return fmt.Errorf("%d rows at %d", len(f.rows), at)
		}
	} else if len(segments) > 0 {
		return fmt.Errorf("%d segments for no growing layer", len(segments))
	}
	if f.window > 0 || f.recurrent {
		s, ok := snap.(*fakeSnap)
		if !ok || s.at != at || s.shape != f.shape || !f.counter.alive[s] {
			return fmt.Errorf("%v is no snapshot at %d", snap, at)
		}
		f.win, f.rec = slices.Clone(s.win), s.rec
	}
	f.at = at
	return nil
}

// fakeSnap and fakeRows carry rows, too.
type fakeSnap struct {
	shape
	counter *counter
	at      int
	win     []row
	rec     uint64
}

func (s *fakeSnap) Offset() int { return s.at }
func (s *fakeSnap) Free()       { s.counter.free(s) }

func (s *fakeSnap) Bytes() int64 {
	n := len(s.win) * rowBytes
	if s.recurrent {
		n += snapBytes
	}
	return int64(n)
}

type fakeRows struct {
	counter *counter
	from    int
	rows    []row
}

func (r *fakeRows) From() int    { return r.from }
func (r *fakeRows) To() int      { return r.from + len(r.rows) }
func (r *fakeRows) Bytes() int64 { return int64(len(r.rows)) * rowBytes }
func (r *fakeRows) Free()        { r.counter.free(r) }

// verify compares a state with the replay of the calls that are said to have made it, over these ids.
func (f *fake) verify(calls []Call, ids []int32) error {
	var want []row
	for _, c := range calls {
		if c.Start != len(want) || c.Width <= len(c.Beyond.IDs) {
			return fmt.Errorf("a call of width %d, %d of them beyond, at %d follows %d tokens", c.Width, len(c.Beyond.IDs), c.Start, len(want))
		}
		before := uint64(0)
		if len(want) > 0 {
			before = want[len(want)-1].bits
		}
		own := c.Width - len(c.Beyond.IDs)
		if c.Start+own > len(ids) {
			return fmt.Errorf("calls for %d tokens of %d", c.Start+own, len(ids))
		}
		fed := slices.Concat(ids[c.Start:c.Start+own], c.Beyond.IDs)
		want = append(want, compute(before, fed)[:own]...)
	}
	if f.at != len(ids) || len(want) != len(ids) {
		return fmt.Errorf("a state at %d, calls for %d, of %d tokens", f.at, len(want), len(ids))
	}
	if f.growing && !slices.Equal(f.rows, want) {
		return fmt.Errorf("growing rows differ from the replay at %d of %d", common(f.rows, want), len(want))
	}
	if n := min(len(want), f.window-1); f.window > 0 && (len(f.win) < n || !slices.Equal(f.win[len(f.win)-n:], want[len(want)-n:])) {
		return fmt.Errorf("the window %v is not %v", f.win, want[len(want)-n:])
	}
	if f.recurrent && len(want) > 0 && f.rec != want[len(want)-1].bits {
		return fmt.Errorf("the recurrent layer holds %x, replayed %x", f.rec, want[len(want)-1].bits)
	}
	return nil
}
