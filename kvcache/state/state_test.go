package state

import (
	"strings"
	"testing"

	"reprise/mlx"
	"reprise/mlx/mlxtest"
)

// advance feeds T tokens to every layer and then to the state, as a model's Forward does.
func advance(s *mlx.Scope, st *State, os []*oracle, T int) error {
	for i, o := range os {
		if err := step(s, st.KV(i), o, T); err != nil {
			return err
		}
	}
	return st.Advance(T)
}

func TestStateKeepsItsLayersTogether(t *testing.T) {
	mlxtest.OnWorker(t, func(s *mlx.Scope) error {
		st := New(s, NewSliding(8), NewGrowing(), NewSliding(8))
		defer st.Free()
		os := []*oracle{newOracle(8, 1), newOracle(0, 2), newOracle(8, 3)}
		for _, T := range []int{300, 300, 1, 30} {
			if err := advance(s, st, os, T); err != nil {
				return err
			}
		}
		if st.Offset() != 631 || st.Len() != 3 || len(st.Arrays()) != 6 {
			t.Errorf("offset %d, %d layers, %d arrays", st.Offset(), st.Len(), len(st.Arrays()))
		}
		if st.First(Growing) != st.KV(1) || st.First(Sliding) != st.KV(0) || st.First("recurrent") != nil {
			t.Error("First does not give the first layer of a kind")
		}
		if sum := st.KV(0).Bytes() + st.KV(1).Bytes() + st.KV(2).Bytes(); st.Bytes() != sum || sum == 0 {
			t.Errorf("Bytes is %d, the layers hold %d", st.Bytes(), sum)
		}
		for _, c := range []struct {
			to, limit int
			by        string
		}{{700, 631, ""}, {631, 631, ""}, {615, 615, ""}, {100, 0, "sliding"}, {0, 0, "sliding"}} {
			if limit, by := st.TrimLimit(c.to); limit != c.limit || by != c.by {
				t.Errorf("TrimLimit(%d) is %d by %q, want %d by %q", c.to, limit, by, c.limit, c.by)
			}
		}
		if err := st.Trim(100); err == nil || !strings.Contains(err.Error(), "631 to 100") || !strings.Contains(err.Error(), "sliding") {
			t.Errorf("a trim to where the window cannot go: %v", err)
		}
		if err := st.Trim(620); err != nil {
			return err
		}
		for _, o := range os {
			o.tokens = o.tokens[:620]
		}
		return advance(s, st, os, 9)
	})
}

func TestAdvanceNamesTheLayerThatStandsElsewhere(t *testing.T) {
	mlxtest.OnWorker(t, func(s *mlx.Scope) error {
		st := New(s, NewGrowing(), NewSliding(8))
		defer st.Free()
		if err := step(s, st.KV(0), newOracle(0, 1), 4); err != nil {
			return err
		}
		err := st.Advance(4)
		if err == nil || !strings.Contains(err.Error(), "layer 1 (sliding) stands at 0, the state at 4") {
			t.Errorf("layer 1 was not fed: %v", err)
		}
		return nil
	})
}

func TestFreeGivesEverythingBack(t *testing.T) {
	mlxtest.OnWorker(t, func(s *mlx.Scope) error {
		before := mlx.LiveArrays()
		st := New(s, NewGrowing(), NewSliding(8))
		if err := advance(s, st, []*oracle{newOracle(0, 1), newOracle(8, 2)}, 20); err != nil {
			return err
		}
		if n := mlx.LiveArrays() - before; n != 4 {
			t.Errorf("%d arrays live between steps, want 4: two buffers a layer", n)
		}
		st.Free()
		st.Free() // a second time does nothing
		if n := mlx.LiveArrays() - before; n != 0 || st.Offset() != 0 || st.Bytes() != 0 || len(st.Arrays()) != 0 {
			t.Errorf("after Free: %d arrays live, %v", n, st)
		}
		return nil
	})
}
