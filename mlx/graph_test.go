package mlx

import (
	"context"
	"testing"
)

func TestNodesOfAGraph(t *testing.T) {
	w, err := Start(CPU)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	err = w.Do(context.Background(), func(s *Scope) error {
		x := New(s, []float32{1, 2, 3, 4, 5, 6}, 3, 2)
		y := s.Exp(x)
		if err := s.Eval(y); err != nil { // not counted, and no node of what follows
			return err
		}
		w.StartCount()
		defer w.StopCount()
		z := s.Add(s.Exp(y), s.Matmul(x, s.Exp(s.Slice(x, []int{0, 0}, []int{2, 2}, []int{1, 1}))))
		if err := s.Eval(z, s.Negative(z)); err != nil {
			return err
		}
		g := w.StopCount()
		nodes, launches := g.Total()
		if g.Evaluations != 1 || launches != 5 || nodes != 6 || g.Nodes["Exp"] != 2 {
			t.Errorf("%+v: %d nodes, %d launches", g, nodes, launches)
		}
		return s.Eval(s.Exp(z)) // the count has ended
	})
	if err != nil {
		t.Fatal(err)
	}
}
