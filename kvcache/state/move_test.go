package state

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"reprise/mlx"
	"reprise/mlx/mlxtest"
)

// stored is what a cache would hold of one path: its rows in pieces, and the snapshot at its end.
type stored struct {
	path   []int
	pieces []Rows
	snap   Snapshot
}

func (x *stored) free() {
	x.snap.Free()
	for _, r := range x.pieces {
		r.Free()
	}
}

// segments are the rows [keep, len(path)) in pieces, cut at random.
func (x *stored) segments(rng *rand.Rand, keep int) []Segment {
	var out []Segment
	for _, r := range x.pieces {
		for from := max(keep, r.From()); from < r.To(); {
			to := from + 1 + rng.IntN(r.To()-from)
			out = append(out, Segment{Rows: r, From: from, To: to})
			from = to
		}
	}
	return out
}

// store copies what is needed to come back to where m stands, or to one of the snapshots taken on its way.
func (m *mixed) store(rng *rand.Rand, snap Snapshot) (*stored, error) {
	x := &stored{path: slices.Clone(m.path[:snap.Offset()]), snap: snap}
	for at := 0; at < snap.Offset(); {
		to := at + 1 + rng.IntN(snap.Offset()-at)
		r, err := m.st.CopyRows(at, to)
		if err != nil {
			return nil, err
		}
		x.pieces = append(x.pieces, r)
		at = to
	}
	return x, nil
}

func commonPrefix(a, b []int) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// A state that is moved between paths stands where the path says, in every layer: what it keeps of its own rows, what
// it takes from pieces and what it takes from a snapshot are put together from copies made long before.
func TestMovesBetweenPaths(t *testing.T) {
	for seed := range uint64(4) {
		mlxtest.OnWorker(t, func(s *mlx.Scope) error {
			rng := rand.New(rand.NewPCG(seed, 1))
			states, ids := []*mixed{newMixed(s), newMixed(s)}, &tokens{}
			var shelf []*stored
			defer func() {
				for _, x := range shelf {
					x.free()
				}
				for _, m := range states {
					m.st.Free()
				}
			}()
			for range 40 {
				m := states[rng.IntN(2)]
				if len(shelf) > 0 && rng.IntN(3) > 0 {
					x := shelf[rng.IntN(len(shelf))]
					keep := commonPrefix(m.path, x.path)
					if keep > 0 && rng.IntN(2) == 0 {
						keep = rng.IntN(keep + 1)
					}
					if rng.IntN(4) == 0 {
						m.st.Reserve(400)
					}
					if err := m.st.MoveTo(len(x.path), keep, x.segments(rng, keep), x.snap); err != nil {
						return err
					}
					m.path = slices.Clone(x.path)
				}
				T := 1 + rng.IntN(60)
				snaps, err := m.feed(s, ids.fresh(T), someCaptures(rng, len(m.path), T, 1)...)
				if err != nil {
					return fmt.Errorf("seed %d, at %d: %w", seed, len(m.path), err)
				}
				for _, snap := range snaps {
					x, err := m.store(rng, snap)
					if err != nil {
						return err
					}
					shelf = append(shelf, x)
				}
				if len(shelf) > 12 {
					i := rng.IntN(len(shelf))
					shelf[i].free()
					shelf = slices.Delete(shelf, i, i+1)
				}
			}
			for _, x := range shelf { // untouched by all that was fed since
				if err := checkSnapshot(s, x.snap, x.path); err != nil {
					return err
				}
			}
			return nil
		})
	}
}

// A move beyond the buffer's end takes the rows that it keeps along.
func TestMovesThatGrow(t *testing.T) {
	for name, keep := range map[string]int{"keep all": 250, "keep some": 100, "keep nothing": 0} {
		t.Run(name, func(t *testing.T) {
			mlxtest.OnWorker(t, func(s *mlx.Scope) error {
				a, b, ids := newMixed(s), newMixed(s), &tokens{}
				defer a.st.Free()
				defer b.st.Free()
				shared := ids.fresh(250)
				if _, err := a.feed(s, shared); err != nil {
					return err
				}
				snaps, err := b.feed(s, append(slices.Clone(shared), ids.fresh(100)...), 300)
				if err != nil {
					return err
				}
				x, err := b.store(rand.New(rand.NewPCG(1, 1)), snaps[0])
				if err != nil {
					return err
				}
				defer x.free()
				if err := a.st.MoveTo(300, keep, x.segments(rand.New(rand.NewPCG(2, 2)), keep), x.snap); err != nil {
					return err
				}
				a.path = x.path
				_, err = a.feed(s, ids.fresh(5))
				return err
			})
		})
	}
}

func TestMovesWithoutASnapshot(t *testing.T) {
	mlxtest.OnWorker(t, func(s *mlx.Scope) error {
		m, ids := newMixed(s), &tokens{}
		defer m.st.Free()
		if _, err := m.feed(s, ids.fresh(40)); err != nil {
			return err
		}
		if err := m.st.MoveTo(40, 40, nil, nil); err != nil { // where it stands
			return err
		}
		if _, err := m.feed(s, ids.fresh(3)); err != nil {
			return err
		}
		if err := m.st.MoveTo(0, 0, nil, nil); err != nil {
			return err
		}
		if m.path = nil; m.st.Offset() != 0 {
			t.Errorf("offset %d after a move to 0", m.st.Offset())
		}
		if _, err := m.feed(s, ids.fresh(30)); err != nil {
			return err
		}
		// Without a recurrent layer a move is a trim where the windows still reach.
		st, os := New(s, NewSliding(8), NewGrowing()), []*oracle{newOracle(8, 1), newOracle(0, 2)}
		defer st.Free()
		if err := advance(s, st, os, 50); err != nil {
			return err
		}
		if err := st.MoveTo(44, 44, nil, nil); err != nil {
			return err
		}
		for _, o := range os {
			o.tokens = o.tokens[:44]
		}
		return advance(s, st, os, 9)
	})
}

// What does not fit is refused, and nothing has changed then.
func TestMovesThatAreRefused(t *testing.T) {
	mlxtest.OnWorker(t, func(s *mlx.Scope) error {
		m, ids := newMixed(s), &tokens{}
		defer m.st.Free()
		snaps, err := m.feed(s, ids.fresh(30), 20, 25)
		if err != nil {
			return err
		}
		defer snaps[0].Free()
		defer snaps[1].Free()
		rows, err := m.st.CopyRows(10, 20)
		if err != nil {
			return err
		}
		defer rows.Free()
		other := New(s, NewGrowing())
		defer other.Free()
		if err := advance(s, other, []*oracle{newOracle(0, 1)}, 20); err != nil {
			return err
		}
		foreign, err := other.CopyRows(0, 20)
		if err != nil {
			return err
		}
		defer foreign.Free()
		foreignSnap, err := other.Snapshot()
		if err != nil {
			return err
		}
		seg := func(r Rows, from, to int) []Segment { return []Segment{{Rows: r, From: from, To: to}} }
		for _, c := range []struct {
			name     string
			at, keep int
			segments []Segment
			snap     Snapshot
			want     string
		}{
			{"no snapshot", 20, 20, nil, nil, "a recurrent layer needs a snapshot"},
			{"no snapshot, rows of another path", 20, 10, seg(rows, 10, 20), nil, "a sliding layer needs a snapshot"},
			{"a snapshot of elsewhere", 20, 20, nil, snaps[1], "the snapshot is one at 25"},
			{"a snapshot of another model", 20, 20, nil, foreignSnap, "it is of 1 layers, the state has 5"},
			{"rows of another model", 20, 0, seg(foreign, 0, 20), snaps[0], "segment 0: it is of 1 layers"},
			{"a gap", 20, 9, seg(rows, 10, 20), snaps[0], "segment 0 is 10 to 20 of rows 10 to 20, and 9 is the next"},
			{"an overlap", 20, 11, seg(rows, 10, 20), snaps[0], "and 11 is the next"},
			{"beyond the rows", 21, 10, seg(rows, 10, 21), snaps[0], "segment 0 is 10 to 21 of rows 10 to 20"},
			{"too few rows", 20, 10, seg(rows, 10, 19), snaps[0], "the rows end at 19"},
			{"too many rows", 20, 21, nil, snaps[0], "21 rows are to be kept"},
			{"more rows than there are", 40, 31, nil, nil, "31 rows are to be kept"},
			{"a negative offset", -1, 0, nil, nil, "cannot move from 30 to -1"},
			{"something else", 20, 10, []Segment{{Rows: fakeRows{}, From: 10, To: 20}}, snaps[0], "no rows of a state but state.fakeRows"},
			{"another snapshot", 20, 20, nil, fakeRows{}, "not one of a state but state.fakeRows"},
		} {
			if err := m.st.MoveTo(c.at, c.keep, c.segments, c.snap); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v, want %q", c.name, err, c.want)
			}
		}
		for _, c := range [][2]int{{-1, 3}, {4, 3}, {0, 31}} {
			if _, err := m.st.CopyRows(c[0], c[1]); err == nil {
				t.Errorf("rows %v of 30 were copied", c)
			}
		}
		_, err = m.feed(s, ids.fresh(5))
		return err
	})
}

// A snapshot whose arrays have other shapes than the state's, as only bytes from elsewhere can, is refused too.
func TestSnapshotsOfAnotherShape(t *testing.T) {
	mlxtest.OnWorker(t, func(s *mlx.Scope) error {
		m, ids := newMixed(s), &tokens{}
		defer m.st.Free()
		snaps, err := m.feed(s, ids.fresh(30), 20)
		if err != nil {
			return err
		}
		snap := snaps[0].(*snapshot)
		defer snap.Free()
		kept, err := m.st.CopyRows(0, 20)
		if err != nil {
			return err
		}
		defer kept.Free()
		r := kept.(*rowCopies)
		odd := func(shape ...int) mlx.Array { return s.Zeros(shape, mlx.Float32) }
		for _, c := range []struct {
			name   string
			of     *holding
			layer  int
			arrays []mlx.Array
			want   string
		}{
			{"a window of too many rows", &snap.holding, 1, []mlx.Array{odd(1, 2, 8, 8), odd(1, 2, 8, 8)}, "is not 7 rows"},
			{"a window of other heads", &snap.holding, 1, []mlx.Array{odd(1, 3, 7, 8), odd(1, 3, 7, 8)}, "does not fit a layer"},
			{"a window of one array", &snap.holding, 1, []mlx.Array{odd(1, 2, 7, 8)}, "not keys and values"},
			{"a matrix of another rank", &snap.holding, 2, []mlx.Array{odd(1, 3, 5), odd(2, 3, 4)}, "not a convolution's tail"},
			{"a matrix of another dtype", &snap.holding, 2, []mlx.Array{odd(1, 3, 5), s.Zeros([]int{1, 2, 3, 4}, mlx.BFloat16)}, "not a convolution's tail"},
			{"a tail of other channels", &snap.holding, 2, []mlx.Array{odd(1, 3, 6), odd(1, 2, 3, 4)}, "do not fit a layer"},
			{"rows of another dim", &r.holding, 0, []mlx.Array{odd(1, 2, 20, 9), odd(1, 2, 20, 9)}, "does not fit a layer"},
			{"rows of another number", &r.holding, 3, []mlx.Array{odd(1, 2, 19, 8), odd(1, 2, 19, 8)}, "is not 20 rows"},
		} {
			was := c.of.parts[c.layer].arrays
			c.of.parts[c.layer].arrays = c.arrays
			err := m.st.MoveTo(20, 0, []Segment{{Rows: kept, From: 0, To: 20}}, snap)
			c.of.parts[c.layer].arrays = was
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v, want %q", c.name, err, c.want)
			}
		}
		_, err = m.feed(s, ids.fresh(5))
		return err
	})
}

// fakeRows are neither rows nor a snapshot of this package.
type fakeRows struct{}

func (fakeRows) From() int    { return 10 }
func (fakeRows) To() int      { return 20 }
func (fakeRows) Offset() int  { return 20 }
func (fakeRows) Bytes() int64 { return 0 }
func (fakeRows) Free()        {}

// A state that gives back what its buffers have beyond their rows holds the same rows in less, and goes on; and one that has nothing to
// give back keeps its buffers.
func TestShrink(t *testing.T) {
	mlxtest.OnWorker(t, func(s *mlx.Scope) error {
		m := newMixed(s)
		defer m.st.Free()
		m.st.Reserve(4 * growStep)
		var ids []int
		for i := range 40 {
			ids = append(ids, i)
		}
		snaps, err := m.feed(s, ids, 30)
		if err != nil {
			return err
		}
		defer snaps[0].Free()
		before := m.st.Bytes()
		if err := m.st.MoveTo(30, 30, nil, snaps[0]); err != nil {
			return err
		}
		m.path = m.path[:30]
		if err := m.st.Shrink(); err != nil {
			return err
		}
		var rows int64
		for i := range m.st.Len() {
			if g, ok := m.st.layers[i].(*GrowingKV); ok {
				if rows = int64(g.capacity); rows != growStep {
					return fmt.Errorf("layer %d has room for %d rows behind %d", i, rows, g.offset)
				}
			}
		}
		after := m.st.Bytes()
		if row, _ := m.st.Sizes(); after > before-3*growStep*row {
			return fmt.Errorf("%d bytes became %d, a row has %d", before, after, row)
		}
		if err := m.st.Shrink(); err != nil || m.st.Bytes() != after {
			return fmt.Errorf("once more: %w, %d bytes", err, m.st.Bytes())
		}
		_, err = m.feed(s, []int{7, 8, 9})
		return err
	})
}
