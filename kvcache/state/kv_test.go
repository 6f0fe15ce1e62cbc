package state

import (
	"fmt"
	"slices"
	"testing"

	"reprise/mlx"
	"reprise/mlx/mlxtest"
)

// layersUnderTest are a layer of each kind and window, 0 being full attention.
var layersUnderTest = []int{0, 8, 16}

func newLayer(window int) KV {
	if window == 0 {
		return NewGrowing()
	}
	return NewSliding(window)
}

func TestAppendGivesTheRowsThatTheQueriesSee(t *testing.T) {
	for _, window := range layersUnderTest {
		for seed := range uint64(3) {
			t.Run(fmt.Sprintf("window=%d/seed=%d", window, seed), func(t *testing.T) {
				mlxtest.OnWorker(t, func(s *mlx.Scope) error {
					l, o := newLayer(window), newOracle(window, seed)
					defer l.Free()
					capacities := map[int64]bool{}
					for range 60 {
						if err := step(s, l, o, 1+o.rng.IntN(40)); err != nil {
							return err
						}
						capacities[l.Bytes()] = true
						if l.Offset() != len(o.tokens) {
							return fmt.Errorf("offset %d after %d tokens", l.Offset(), len(o.tokens))
						}
					}
					if w, ok := l.(*SlidingKV); ok && w.used == w.offset {
						t.Error("the window never moved: the test is too short")
					} else if !ok && len(capacities) < 3 {
						t.Errorf("the buffer had the sizes %v: it never grew", capacities)
					}
					return nil
				})
			})
		}
	}
}

func TestChunkingsOfOneSequenceAgree(t *testing.T) {
	// The edges of a window and of a buffer: one token less, exactly, one more.
	const window = 8
	full := window - 1 + slack + growStep // what the first buffer holds before rounding
	for _, chunks := range [][]int{
		{1, 1, 1, 1, 1, 1, 1, 1, 1, 1},
		{7, 1, 1}, {7, 2}, {8, 1, 9}, {9, 8, 7},
		{full, 1, 8}, {roundUp(full, 64), 1, 1}, {roundUp(full, 64) - 1, 1, 1, 40}, {roundUp(full, 64) + 1, 1},
		{1, 600, 1, 7}, {300, 300, 1},
	} {
		t.Run(fmt.Sprint(chunks), func(t *testing.T) {
			mlxtest.OnWorker(t, func(s *mlx.Scope) error {
				l, o := NewSliding(window), newOracle(window, 7)
				defer l.Free()
				for _, T := range chunks {
					if err := step(s, l, o, T); err != nil {
						return err
					}
				}
				return nil
			})
		})
	}
}

func TestMaskKinds(t *testing.T) {
	mlxtest.OnWorker(t, func(s *mlx.Scope) error {
		for _, c := range []struct {
			window, before, T int
			mode              string
		}{
			{0, 0, 1, ""}, {0, 0, 2, "causal"}, {0, 100, 5, "causal"}, {0, 100, 1, ""},
			{8, 0, 1, ""}, {8, 0, 8, "causal"}, {8, 0, 9, "array"}, {8, 3, 5, "causal"}, {8, 3, 6, "array"}, {8, 30, 2, "array"}, {8, 30, 1, ""},
		} {
			l, o := newLayer(c.window), newOracle(c.window, 1)
			if c.before > 0 {
				if err := step(s, l, o, c.before); err != nil {
					return err
				}
			}
			m := l.Mask(s, c.T)
			l.Free()
			want := Mask{Mode: c.mode}
			if c.mode == "array" && s.Kernels() { // the kernels take the window as a number
				want = Mask{Mode: "causal", Window: c.window}
			}
			if m.Mode != want.Mode || m.Window != want.Window || m.Array.Valid() != (want.Mode == "array") {
				t.Errorf("window %d, %d tokens behind %d: mask %+v, want %+v", c.window, c.T, c.before, m, want)
			}
			if c.mode != "array" {
				continue
			}
			n := min(c.before, c.window-1)
			if err := checkBand(s, bandMask(s, n, c.T, c.window), n, c.T, c.window); err != nil {
				t.Errorf("window %d, %d tokens behind %d: %v", c.window, c.T, c.before, err)
			}
		}
		return nil
	})
}

// checkBand compares a mask with what each pair of positions says: n rows stand before the T queries.
func checkBand(s *mlx.Scope, mask mlx.Array, n, T, window int) error {
	got, err := mlx.Read[bool](s, mask)
	if err != nil {
		return err
	}
	if !slices.Equal(mask.Shape(), []int{T, n + T}) {
		return fmt.Errorf("the mask is %v, want [%d %d]", mask, T, n+T)
	}
	for i := range T {
		for j := range n + T {
			if distance := n + i - j; got[i*(n+T)+j] != (distance >= 0 && distance < window) {
				return fmt.Errorf("query %d and row %d, %d apart: %v", i, j, distance, got[i*(n+T)+j])
			}
		}
	}
	return nil
}

func TestTrimsAtRandomOffsets(t *testing.T) {
	for _, window := range layersUnderTest {
		t.Run(fmt.Sprintf("window=%d", window), func(t *testing.T) {
			mlxtest.OnWorker(t, func(s *mlx.Scope) error {
				l, o := newLayer(window), newOracle(window, 42)
				defer l.Free()
				trims, refused := 0, 0
				for range 200 {
					if err := step(s, l, o, 1+o.rng.IntN(40)); err != nil {
						return err
					}
					to, far := max(0, l.Offset()-o.rng.IntN(40)), o.rng.IntN(2) == 0
					if far { // asked for only: or the sequence would stay short
						to = o.rng.IntN(l.Offset() + 1)
					}
					can := l.CanTrim(to)
					if needed, held := o.first(to), firstHeld(l); can != (held <= needed) {
						return fmt.Errorf("CanTrim(%d) of %d tokens is %v; the query there needs rows from %d, rows from %d are held", to, l.Offset(), can, needed, held)
					}
					if !can {
						refused++
					}
					if !can || far {
						continue
					}
					// That the answer was true shows in the next step, which reads every row that it needs.
					trims++
					l.Trim(to)
					o.tokens = o.tokens[:to]
					if l.Offset() != to {
						return fmt.Errorf("offset %d after a trim to %d", l.Offset(), to)
					}
				}
				if trims < 50 || (window > 0) != (refused > 0) {
					t.Errorf("%d trims, %d refused: the test does not show what it should", trims, refused)
				}
				return nil
			})
		})
	}
}

// firstHeld is the first position whose row is in the buffer.
func firstHeld(l KV) int {
	if w, ok := l.(*SlidingKV); ok {
		return w.offset - w.used
	}
	return 0
}

func TestTrimOutsideTheSequence(t *testing.T) {
	mlxtest.OnWorker(t, func(s *mlx.Scope) error {
		for _, window := range layersUnderTest {
			l, o := newLayer(window), newOracle(window, 3)
			if err := step(s, l, o, 5); err != nil {
				return err
			}
			for to, want := range map[int]bool{-1: false, 0: true, 5: true, 6: false} {
				if l.CanTrim(to) != want {
					t.Errorf("window %d: CanTrim(%d) of 5 tokens is %v", window, to, !want)
				}
			}
			l.Free()
			if l.Offset() != 0 || l.Bytes() != 0 {
				t.Errorf("window %d: offset %d and %d bytes after Free", window, l.Offset(), l.Bytes())
			}
			o.tokens = nil
			if err := step(s, l, o, 3); err != nil { // a freed layer starts anew
				return err
			}
			l.Free()
		}
		return nil
	})
}

// A window keeps enough for a trim by `slack` tokens whatever the chunks were.
func TestShortTrimsOfAWindowAreAlwaysPossible(t *testing.T) {
	mlxtest.OnWorker(t, func(s *mlx.Scope) error {
		l, o := NewSliding(8), newOracle(8, 5)
		defer l.Free()
		for range 400 {
			if err := step(s, l, o, 1+o.rng.IntN(3)); err != nil {
				return err
			}
			for back := range slack + 1 {
				if to := l.Offset() - back; to >= 0 && !l.CanTrim(to) {
					return fmt.Errorf("at %d, with %d rows held, a trim by %d is refused", l.Offset(), l.used, back)
				}
			}
		}
		return nil
	})
}

// The bits of an attention do not depend on how often the window moved.
func TestMovedWindowHasTheBitsOfAFreshOne(t *testing.T) {
	const window, total = 16, 1500
	mlxtest.OnWorker(t, func(s *mlx.Scope) error {
		o := newOracle(window, 9)
		tokens, q := o.extend(total), o.queries(1)
		attend := func(l *SlidingKV, chunks func() int) (mlx.Array, error) {
			defer l.Free()
			var out mlx.Array
			for at := 0; at < total; {
				T := min(chunks(), total-1-at)
				if at == total-1 {
					T = 1
				}
				k, v := arrays(s, tokens[at:at+T])
				keys, values := l.Append(s, k, v)
				if at += T; at == total {
					out = s.SDPA(mlx.New(s, q, 1, testQueries, 1, testDim), keys, values, attnScale, "", mlx.Array{}, mlx.Array{}, false)
				}
				if err := s.Eval(append(l.buffers(), keys, values)...); err != nil {
					return out, err
				}
			}
			return out, s.Eval(out)
		}
		fresh, err := attend(NewSliding(window), func() int { return total })
		if err != nil {
			return err
		}
		for name, chunks := range map[string]func() int{"ones": func() int { return 1 }, "random": func() int { return 1 + o.rng.IntN(40) }} {
			moved, err := attend(NewSliding(window), chunks)
			if err != nil {
				return err
			}
			if err := equalBits(s, moved, fresh); err != nil {
				t.Errorf("fed in %s: %v", name, err)
			}
		}
		return nil
	})
}
