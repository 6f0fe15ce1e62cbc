package engine

import (
	"context"
	"fmt"

	"reprise/mlx"
	"reprise/model"
	"reprise/model/hub"
)

const (
	// trialWidth is that of the call made at the start: a fraction of a second for the models that fit a laptop.
	trialWidth = 256
	// leastGrid is the narrowest grid: calls are not much slower a token from here on.
	leastGrid = 256
	// gridPart is the share of what a turn could have that one call of its prefill may take.
	gridPart = 4
)

// trial finds out behind the load what a call of the prefill takes, before a turn depends on it, and narrows the grid where calls
// would take too much of the memory there is. On the CPU device the grid is the narrowest anyway, and a guess does.
func (e *Engine) trial(ctx context.Context) error {
	if e.worker.Device() == mlx.CPU || e.model.Context < trialWidth {
		return nil
	}
	if err := e.tryCall(ctx); err != nil {
		return fmt.Errorf("the first call of %s: %w", e.model.Name, err)
	}
	before := e.model.grid
	e.model.grid = e.memory.narrow()
	if e.model.grid < before {
		e.opts.Logger.Info("prefill goes in narrower calls: memory is short", "tokens", e.model.grid, "instead_of", before, "call", hub.SizeText(e.memory.call(e.model.grid, e.model.grid)))
	}
	return nil
}

// tryCall makes a call and takes note of what it took.
func (e *Engine) tryCall(ctx context.Context) error {
	ids := make([]int32, trialWidth)
	for i := range ids { // many different ones: they go to different experts
		ids[i] = int32(i * 7919 % e.model.Info().Vocab)
	}
	return e.worker.Do(ctx, func(s *mlx.Scope) error {
		begun, active := e.beginPeak(), mlx.ReadMemory().Active
		st := e.model.net.NewState()
		defer st.Free()
		hidden := model.ForwardLast(s, e.model.net, mlx.New(s, ids, 1, len(ids)), st)
		if err := s.Eval(append(st.Arrays(), e.model.net.Logits(s, hidden))...); err != nil {
			return err
		}
		if peak, same := e.peakSince(begun); same {
			e.memory.calls.note(len(ids), len(ids), peak-active-st.Bytes())
		}
		return nil
	})
}

// narrow halves the grid until a call takes no more than its part.
func (m *memory) narrow() int {
	for m.grid > leastGrid && m.call(m.grid, m.grid) > m.most()/gridPart {
		m.grid /= 2
	}
	return m.grid
}
