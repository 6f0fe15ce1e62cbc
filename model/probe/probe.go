package probe

import (
	"fmt"

	"reprise/kvcache/state"
	"reprise/mlx"
	"reprise/model"
)

// Logits feeds ids in calls of at most chunk tokens (0: one call) and returns the logits of every position,
// float32 [T, vocab], row-major, and the state behind them, which the caller frees.
func Logits(s *mlx.Scope, m model.Model, ids []int32, chunk int) ([]float32, *state.State, error) {
	if len(ids) == 0 {
		return nil, nil, fmt.Errorf("no ids")
	}
	if chunk <= 0 {
		chunk = len(ids)
	}
	st := m.NewState()
	out := make([]float32, 0, len(ids)*m.Info().Vocab)
	for at := 0; at < len(ids); at += chunk {
		step := s.Child()
		part := ids[at:min(at+chunk, len(ids))]
		rows, err := step.Float32s(m.Logits(step, m.Forward(step, mlx.New(step, part, 1, len(part)), st)))
		step.Close()
		if err != nil {
			st.Free()
			return nil, nil, err
		}
		out = append(out, rows...)
	}
	return out, st, nil
}

// Choice is one greedy step.
type Choice struct {
	ID  int32
	Gap float32 // logit of ID less that of the runner-up: a tie when tiny
}

// Greedy continues ids by n tokens.
func Greedy(s *mlx.Scope, m model.Model, ids []int32, n, chunk int) ([]Choice, error) {
	rows, st, err := Logits(s, m, ids, chunk)
	if err != nil {
		return nil, err
	}
	defer st.Free()
	vocab := m.Info().Vocab
	out := make([]Choice, 0, n)
	last := rows[len(rows)-vocab:]
	for {
		c := best(last)
		if out = append(out, c); len(out) >= n {
			return out, nil
		}
		step := s.Child()
		last, err = step.Float32s(m.Logits(step, m.Forward(step, mlx.New(step, []int32{c.ID}, 1, 1), st)))
		step.Close()
		if err != nil {
			return nil, err
		}
	}
}

// best is the first largest logit, as argmax has it, and its lead.
func best(logits []float32) Choice {
	top, second := 0, -1
	for i, v := range logits {
		switch {
		case v > logits[top]:
			top, second = i, top
		case i != top && (second < 0 || v > logits[second]):
			second = i
		}
	}
	c := Choice{ID: int32(top)}
	if second >= 0 {
		c.Gap = logits[top] - logits[second]
	}
	return c
}
