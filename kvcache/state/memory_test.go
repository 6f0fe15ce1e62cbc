package state

import (
	"fmt"
	"testing"

	"reprise/mlx"
	"reprise/mlx/mlxtest"
)

// feed appends T rows of zeros [1, heads, T, dim] in a scope of its own and computes something from every row
// that comes back, as a layer does.
func feed(s *mlx.Scope, l KV, heads, T, dim int, dtype mlx.Dtype) error {
	c := s.Child()
	defer c.Close()
	x := c.Ones([]int{1, heads, T, dim}, dtype)
	keys, values := l.Append(c, x, x)
	return c.Eval(c.Add(c.SumAxis(keys, 2, true), c.SumAxis(values, 2, true)))
}

func TestBytesAreWhatMLXAllocates(t *testing.T) {
	const heads, dim = 2, 64
	for _, c := range []struct {
		name    string
		layer   KV
		dtype   mlx.Dtype
		reserve int
		chunks  []int
		rows    int // of the buffer in the end
	}{
		{"growing", NewGrowing(), mlx.Float32, 0, []int{3, 1, 252}, 256},
		{"growing by a step", NewGrowing(), mlx.Float32, 0, []int{256, 1}, 512},
		{"growing by an eighth", NewGrowing(), mlx.BFloat16, 0, []int{4096, 1}, 4608},
		{"reserved", NewGrowing(), mlx.BFloat16, 3000, []int{1, 2000, 1}, 3072},
		{"sliding", NewSliding(512), mlx.Float32, 100_000, []int{1, 1, 500}, 832},
		{"sliding, moved", NewSliding(512), mlx.BFloat16, 0, []int{600, 552, 1}, 832},
	} {
		t.Run(c.name, func(t *testing.T) {
			mlxtest.OnWorker(t, func(s *mlx.Scope) error {
				mlx.ClearCache()
				before := mlx.ReadMemory().Active
				st := New(s, c.layer)
				defer st.Free()
				st.Reserve(c.reserve)
				for _, T := range c.chunks {
					if err := feed(s, c.layer, heads, T, dim, c.dtype); err != nil {
						return err
					}
					if err := st.Advance(T); err != nil {
						return err
					}
				}
				if want := int64(2 * heads * dim * c.rows * c.dtype.Size()); st.Bytes() != want {
					t.Errorf("Bytes is %d, want %d: two buffers of %d rows", st.Bytes(), want, c.rows)
				}
				const page = 16 << 10
				if held := mlx.ReadMemory().Active - before; held < st.Bytes() || held > st.Bytes()+2*page {
					t.Errorf("MLX holds %d bytes, Bytes is %d", held, st.Bytes())
				}
				st.Free()
				if left := mlx.ReadMemory().Active - before; left != 0 {
					t.Errorf("%d bytes are left after Free", left)
				}
				return nil
			})
		})
	}
}

// A decode step writes in place: its peak stays far below one more buffer.
func TestDecodeStepsCopyNoBuffer(t *testing.T) {
	const heads, dim, rows = 2, 64, 4096
	for _, c := range []struct {
		name  string
		layer KV
		hold  bool // a second handle, the control: it must show as a copy
	}{
		{"growing", NewGrowing(), false},
		{"sliding", NewSliding(rows), false},
		{"growing, with a second handle", NewGrowing(), true},
		{"sliding, with a second handle", NewSliding(rows), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			mlxtest.OnWorker(t, func(s *mlx.Scope) error {
				st := New(s, c.layer)
				defer st.Free()
				st.Reserve(rows)
				if err := feed(s, c.layer, heads, rows/2, dim, mlx.Float32); err != nil {
					return err
				}
				held, one := c.layer.Bytes(), c.layer.Bytes()/2
				before := mlx.ReadMemory().Active
				mlx.ResetPeak()
				for range 32 {
					c2 := s.Child()
					if c.hold {
						c2.Copy(st.Arrays()[0])
					}
					err := feed(s, c.layer, heads, 1, dim, mlx.Float32)
					c2.Close()
					if err != nil {
						return err
					}
				}
				if c.layer.Bytes() != held {
					return fmt.Errorf("the buffers grew from %d to %d bytes: the test measures a growth", held, c.layer.Bytes())
				}
				if extra := mlx.ReadMemory().Peak - before; (extra >= one) != c.hold {
					t.Errorf("32 steps peaked %d bytes above the state; a buffer is %d", extra, one)
				}
				return nil
			})
		})
	}
}

// The engine sends a step out before it has read the token of the one before. A layer's buffer is then free to
// be written in place because MLX lets few tasks be under way: by the time the layer's turn comes, its last reader
// is done. That takes a model of some depth; a toy of one layer does copy.
func TestPipelinedStepsCopyNoBuffer(t *testing.T) {
	const layers, heads, dim, rows = 24, 2, 64, 2048
	mlxtest.OnWorker(t, func(s *mlx.Scope) error {
		var kinds []Layer
		for range layers / 2 {
			kinds = append(kinds, NewGrowing(), NewSliding(rows))
		}
		st := New(s, kinds...)
		defer st.Free()
		st.Reserve(rows)
		for i := range layers {
			if err := feed(s, st.KV(i), heads, rows/2, dim, mlx.Float32); err != nil {
				return err
			}
		}
		before := mlx.ReadMemory().Active
		mlx.ResetPeak()
		next := s.Ones([]int{1, heads, 1, dim}, mlx.Float32)
		for range 16 {
			c, token := s.Child(), next
			x := token
			for i := range layers {
				keys, values := st.KV(i).Append(c, x, x)
				x = c.SDPA(x, keys, values, 1, "", mlx.Array{}, mlx.Array{}, false)
			}
			if err := c.AsyncEval(x); err != nil {
				return err
			}
			next = s.Adopt(c.Keep(x))
			c.Close()
			if err := s.Eval(token); err != nil { // what reading the token waits for
				return err
			}
		}
		if err := s.Eval(next); err != nil {
			return err
		}
		if extra, one := mlx.ReadMemory().Peak-before, st.KV(0).Bytes()/2; extra >= one {
			t.Errorf("16 steps under way peaked %d bytes above the state; a buffer is %d", extra, one)
		}
		return nil
	})
}
