package state

import (
	"errors"
	"testing"

	"reprise/mlx"
	"reprise/mlx/mlxtest"
)

// page is what an allocation may be rounded up by.
const page = 16 << 10

// A call with captures writes in place, and so does the call behind it: the copies are their own, and evaluated.
func TestCapturesCopyNoBuffer(t *testing.T) {
	const heads, dim, rows = 2, 64, 4096
	for name, lazy := range map[string]bool{"in the step": false, "left unevaluated, the control": true} {
		t.Run(name, func(t *testing.T) {
			mlxtest.OnWorker(t, func(s *mlx.Scope) error {
				layer := NewSliding(rows)
				st := New(s, layer)
				defer st.Free()
				if err := feed(s, layer, heads, 64, dim, mlx.Float32); err != nil {
					return err
				}
				if err := st.Advance(64); err != nil {
					return err
				}
				one := st.Bytes() / 2
				before, copied := mlx.ReadMemory().Active, int64(0)
				mlx.ResetPeak()
				for range 16 {
					st.CaptureAt(st.Offset() + 1)
					if err := feed(s, layer, heads, 1, dim, mlx.Float32); err != nil {
						return err
					}
					if err := st.Advance(1); err != nil {
						return err
					}
					if lazy {
						for _, arrays := range layer.take() {
							defer freeAll(arrays)
						}
						continue
					}
					snaps, err := st.Captured()
					if err != nil {
						return err
					}
					copied += snaps[0].Bytes()
					defer snaps[0].Free()
				}
				if extra := mlx.ReadMemory().Peak - before - copied; (extra >= one) != lazy {
					t.Errorf("16 steps with a capture each peaked %d bytes above the state and the copies; a buffer is %d", extra, one)
				}
				return nil
			})
		})
	}
}

// What Bytes says of copies is what MLX holds, also where they are nearly the whole buffer.
func TestBytesOfCopiesAreWhatMLXAllocates(t *testing.T) {
	const heads, dim = 1, 64
	mlxtest.OnWorker(t, func(s *mlx.Scope) error {
		st := New(s, NewGrowing(), NewSliding(512))
		defer st.Free()
		for i := range 2 {
			if err := feed(s, st.KV(i), heads, 511, dim, mlx.BFloat16); err != nil {
				return err
			}
		}
		if err := st.Advance(511); err != nil {
			return err
		}
		for _, c := range [][2]int{{0, 511}, {1, 511}, {100, 300}, {510, 511}, {7, 7}} {
			mlx.ClearCache()
			before := mlx.ReadMemory().Active
			r, err := st.CopyRows(c[0], c[1])
			if err != nil {
				return err
			}
			want := int64(2 * heads * dim * 2 * (c[1] - c[0]))
			if held := mlx.ReadMemory().Active - before; r.Bytes() != want || held < want || held > want+2*page {
				t.Errorf("rows %v: Bytes is %d, MLX holds %d, want %d", c, r.Bytes(), held, want)
			}
			if r.Free(); mlx.ReadMemory().Active != before {
				t.Errorf("rows %v leave %d bytes", c, mlx.ReadMemory().Active-before)
			}
		}
		before := mlx.ReadMemory().Active
		snap, err := st.Snapshot()
		if err != nil {
			return err
		}
		defer snap.Free()
		want := int64(2 * heads * dim * 2 * 511)
		if held := mlx.ReadMemory().Active - before; snap.Bytes() != want || held < want || held > want+2*page {
			t.Errorf("snapshot: Bytes is %d, MLX holds %d, want %d", snap.Bytes(), held, want)
		}
		return nil
	})
}

// A move within the buffers copies the rows that it adds and no buffer; what it leaves is the state's alone.
func TestMovesWriteInPlace(t *testing.T) {
	const heads, dim, rows = 2, 64, 4096
	mlxtest.OnWorker(t, func(s *mlx.Scope) error {
		st := New(s, NewGrowing())
		defer st.Free()
		if err := feed(s, st.KV(0), heads, rows, dim, mlx.Float32); err != nil {
			return err
		}
		if err := st.Advance(rows); err != nil {
			return err
		}
		piece, err := st.CopyRows(100, 200)
		if err != nil {
			return err
		}
		defer piece.Free()
		before := mlx.ReadMemory().Active
		mlx.ResetPeak()
		for range 4 {
			if err := st.MoveTo(150, 100, []Segment{{Rows: piece, From: 100, To: 150}}, nil); err != nil {
				return err
			}
		}
		if extra := mlx.ReadMemory().Peak - before; extra >= st.Bytes()/2 {
			t.Errorf("moves peaked %d bytes above the state; a buffer is %d", extra, st.Bytes()/2)
		}
		// Rows that fill a buffer exactly become a buffer of the state's own.
		whole, err := st.CopyRows(0, 150)
		if err != nil {
			return err
		}
		defer whole.Free()
		exact := New(s, NewGrowing())
		defer exact.Free()
		if err := feed(s, exact.KV(0), heads, growStep, dim, mlx.Float32); err != nil {
			return err
		}
		if err := exact.Advance(growStep); err != nil {
			return err
		}
		full, err := exact.CopyRows(0, growStep)
		if err != nil {
			return err
		}
		defer full.Free()
		mlx.ClearCache()
		before = mlx.ReadMemory().Active
		fresh := New(s, NewGrowing())
		defer fresh.Free()
		if err := fresh.MoveTo(growStep, 0, []Segment{{Rows: full, From: 0, To: growStep}}, nil); err != nil {
			return err
		}
		if held := mlx.ReadMemory().Active - before; held < fresh.Bytes() || held > fresh.Bytes()+2*page {
			t.Errorf("MLX holds %d bytes more, Bytes is %d", held, fresh.Bytes())
		}
		return nil
	})
}

// A recurrent layer holds its tail and its matrix, whatever the calls' lengths were.
func TestBytesOfARecurrence(t *testing.T) {
	mlxtest.OnWorker(t, func(s *mlx.Scope) error {
		const channels = 512
		r := NewRecurrent()
		st := New(s, r)
		defer st.Free()
		matrix := [4]int{1, 4, 64, 64}
		for _, T := range []int{1, 64, 1, 1, 7, 1} {
			mlx.ClearCache()
			c := s.Child()
			st.CaptureAt(st.Offset() + T) // at the call's end: the state's own values, which the snapshot may not share
			tail, m := r.Load(c, [3]int{1, 3, channels}, mlx.BFloat16, matrix)
			inputs := c.Concatenate([]mlx.Array{tail, c.Ones([]int{1, T, channels}, mlx.BFloat16)}, 1)
			next := c.Add(m, c.Scalar(1, mlx.Float32))
			r.Store(c, T, inputs, next, []mlx.Array{next})
			err := st.Advance(T)
			if err == nil {
				err = c.Eval(st.Arrays()...)
			}
			snaps, cerr := st.Captured()
			c.Close()
			if err := errors.Join(err, cerr); err != nil {
				return err
			}
			held := mlx.ReadMemory().Active
			if want := int64(3*channels*2 + 4*64*64*4); st.Bytes() != want || snaps[0].Bytes() != want || held < 2*want || held > 2*want+4*page {
				t.Errorf("after %d tokens: Bytes is %d, the snapshot's %d, MLX holds %d, want twice %d", T, st.Bytes(), snaps[0].Bytes(), held, want)
			}
			snaps[0].Free()
		}
		return nil
	})
}
