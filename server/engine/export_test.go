package engine

import (
	"sync"

	"reprise/mlx"
	"reprise/model"
)

// Real is the engine on the small real model.
func Real() *Engine { return real }

// Say makes the engine's next answer be ids, whatever its weights say: they are computed as ever, only the logits are
// replaced. It ends with the script.
func Say(e *Engine, ids []int32) {
	s, ok := e.model.net.(*scripted)
	if !ok {
		s = &scripted{Model: e.model.net}
		e.model.net = s
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ids = ids
}

// scripted is a model that says what it is told.
type scripted struct {
	model.Model
	mu  sync.Mutex
	ids []int32
}

// Logits are those of the script's next id.
func (m *scripted) Logits(s *mlx.Scope, hidden mlx.Array) mlx.Array {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.ids) == 0 {
		return m.Model.Logits(s, hidden)
	}
	row := make([]float32, m.Info().Vocab)
	row[m.ids[0]] = 1
	m.ids = m.ids[1:]
	return mlx.New(s, row, 1, 1, len(row))
}
