package state

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"reprise/mlx"
	"reprise/mlx/mlxtest"
)

// Snapshots taken inside a call are those of their offsets, whatever the chunks, and also where the window moves to the
// front of its buffer in that very call; so are those taken between calls.
func TestCapturesAreTheStateAtTheirOffsets(t *testing.T) {
	for seed := range uint64(3) {
		mlxtest.OnWorker(t, func(s *mlx.Scope) error {
			rng := rand.New(rand.NewPCG(seed, 0))
			m, ids := newMixed(s), &tokens{}
			defer m.st.Free()
			checked, moved := 0, 0
			for len(m.path) < 900 {
				T := 1 + rng.IntN([]int{4, 40, 200}[rng.IntN(3)])
				wanted := someCaptures(rng, len(m.path), T, 3)
				windows := m.st.KV(1).(*SlidingKV)
				room := windows.capacity - windows.used
				snaps, err := m.feed(s, ids.fresh(T), wanted...)
				if err != nil {
					return fmt.Errorf("seed %d: %w", seed, err)
				}
				if T > room && len(wanted) > 0 {
					moved++
				}
				now, err := m.st.Snapshot()
				if err != nil {
					return err
				}
				last := 0
				for _, snap := range append(snaps, now) {
					if snap.Offset() < last {
						return fmt.Errorf("the snapshots come at %d behind %d", snap.Offset(), last)
					}
					last = snap.Offset()
					if err := checkSnapshot(s, snap, m.path[:last]); err != nil {
						return err
					}
					snap.Free()
					checked++
				}
			}
			if checked < 20 || moved < 2 {
				t.Errorf("%d snapshots, %d of calls that moved the window: the test shows too little", checked, moved)
			}
			return nil
		})
	}
}

func TestCapturesOutsideTheCall(t *testing.T) {
	for _, c := range []struct {
		at   int
		want string
	}{{10, "a capture at 10 was asked of a call from 10 to 15"}, {16, "a capture at 16 was asked of a call from 10 to 15"}} {
		mlxtest.OnWorker(t, func(s *mlx.Scope) error {
			m, ids := newMixed(s), &tokens{}
			defer m.st.Free()
			if _, err := m.feed(s, ids.fresh(10)); err != nil {
				return err
			}
			if _, err := m.feed(s, ids.fresh(5), 12, c.at); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
			return nil
		})
	}
}

// A layer that leaves a capture out is found by the call's end.
func TestALayerThatForgetsACapture(t *testing.T) {
	mlxtest.OnWorker(t, func(s *mlx.Scope) error {
		r := NewRecurrent()
		st := New(s, r)
		defer st.Free()
		store := func(captured ...mlx.Array) error {
			c := s.Child()
			defer c.Close()
			x := c.Zeros([]int{1, testTail + 4, testChannels}, mlx.Float32)
			for i := range captured {
				captured[i] = c.Zeros([]int{1, 1, 2, 2}, mlx.Float32)
			}
			r.Store(c, 4, x, c.Zeros([]int{1, 1, 2, 2}, mlx.Float32), captured)
			return c.Err()
		}
		st.CaptureAt(2, 4)
		if err := store(mlx.Array{}); err == nil || !strings.Contains(err.Error(), "asked for its state after [2 4] tokens and gave 1") {
			t.Errorf("one of two: %v", err)
		}
		st.CaptureAt(2, 4)
		r.offset = 4 // as if it had not looked at Captures at all
		if err := st.Advance(4); err == nil || !strings.Contains(err.Error(), "layer 0 (recurrent) captured 0 of 2") {
			t.Errorf("none of two: %v", err)
		}
		return nil
	})
}

// Of growing layers a snapshot holds nothing.
func TestSnapshotsOfGrowingLayersAreEmpty(t *testing.T) {
	mlxtest.OnWorker(t, func(s *mlx.Scope) error {
		st := New(s, NewGrowing(), NewGrowing())
		defer st.Free()
		st.CaptureAt(3, 5)
		for i := range 2 {
			if err := step(s, st.KV(i), newOracle(0, 1), 5); err != nil {
				return err
			}
		}
		if err := st.Advance(5); err != nil {
			return err
		}
		before := mlx.LiveArrays()
		snaps, err := st.Captured()
		if err != nil || len(snaps) != 2 || snaps[0].Offset() != 3 || snaps[1].Offset() != 5 || snaps[0].Bytes() != 0 {
			t.Errorf("%v, %v", snaps, err)
		}
		if snap, err := st.Snapshot(); err != nil || snap.Bytes() != 0 || snap.Offset() != 5 {
			t.Errorf("%v, %v", snap, err)
		}
		if again, err := st.Captured(); err != nil || len(again) != 0 {
			t.Errorf("handed over twice: %v, %v", again, err)
		}
		if n := mlx.LiveArrays() - before; n != 0 {
			t.Errorf("%d arrays for empty snapshots", n)
		}
		return nil
	})
}

// What was captured and not handed over goes with the state, or with the next call.
func TestCapturesThatNobodyTakes(t *testing.T) {
	mlxtest.OnWorker(t, func(s *mlx.Scope) error {
		before := mlx.LiveArrays()
		m, ids := newMixed(s), &tokens{}
		feed := func(captures ...int) error { // without Captured
			from := len(m.path)
			m.st.CaptureAt(captures...)
			m.path = append(m.path, ids.fresh(6)...)
			for i, window := range mixedWindows {
				if window < 0 {
					if err := m.feedRecurrent(s, m.st.Recurrence(i), m.path[:from]); err != nil {
						return err
					}
					continue
				}
				o := newOracle(window, uint64(i))
				o.tokens = kvOf(i, m.path)
				if err := stepWith(s, m.st.KV(i), o, 6); err != nil {
					return err
				}
			}
			return m.st.Advance(6)
		}
		if err := feed(2, 5); err != nil {
			return err
		}
		if n, want := mlx.LiveArrays()-before, 2*len(mixedWindows)+2*6; n < want {
			t.Errorf("%d arrays live with two snapshots, want at least %d", n, want)
		}
		if err := feed(); err != nil {
			return err
		}
		if snaps, err := m.st.Captured(); err != nil || len(snaps) != 0 {
			t.Errorf("a call without captures gave %v, %v", snaps, err)
		}
		if err := feed(14); err != nil {
			return err
		}
		m.st.Free()
		return nil // OnWorker counts
	})
}
