package qwen35

import (
	"reprise/mlx"
	"reprise/model/nn"
	"reprise/model/weights"
)

// mlp is a gated MLP.
type mlp struct{ gate, up, down nn.Linear }

func buildMLP(st *weights.Store, path string, hidden, width int) *mlp {
	m := &mlp{
		gate: st.Linear(path+"gate_proj", hidden, width),
		up:   st.Linear(path+"up_proj", hidden, width),
		down: st.Linear(path+"down_proj", width, hidden),
	}
	st.Pack(&m.gate, &m.up)
	return m
}

// forward is rows [1, T, hidden] with the MLP of their norm added, for a layer that begins with next.
func (m *mlp) forward(s *mlx.Scope, rows nn.Rows, norm, next *nn.RMSNorm) nn.Rows {
	x, norm := rows.For(norm)
	return nn.ProjectOntoFor(s, rows.X, nn.Gated(s, x, norm, mlx.GateSiLU, &m.gate, &m.up), &m.down, nil, mlx.Array{}, next)
}

// mixture is a router, its experts, and one more whose answer every token gets, by a gate of its own.
type mixture struct {
	router     nn.Linear
	experts    nn.Experts
	shared     *mlp
	sharedGate nn.Linear // to one number
	topK       int
}

func buildMixture(st *weights.Store, cfg *Config, path string) *mixture {
	stacked := func(name string, out, in int) nn.Stacked {
		return st.Stacked(path+"switch_mlp."+name, cfg.Experts, out, in)
	}
	return &mixture{
		router: st.Linear(path+"gate", cfg.Hidden, cfg.Experts),
		experts: nn.Experts{
			Gate: stacked("gate_proj", cfg.ExpertWidth, cfg.Hidden),
			Up:   stacked("up_proj", cfg.ExpertWidth, cfg.Hidden),
			Down: stacked("down_proj", cfg.Hidden, cfg.ExpertWidth),
			Act:  mlx.GateSiLU,
		},
		shared:     buildMLP(st, path+"shared_expert.", cfg.Hidden, cfg.SharedWidth),
		sharedGate: st.Linear(path+"shared_expert_gate", cfg.Hidden, 1),
		topK:       cfg.TopK,
	}
}

// forward is rows [1, T, hidden] with the mixture's answer to their norm added, for a layer that begins with next.
func (m *mixture) forward(s *mlx.Scope, rows nn.Rows, norm, next *nn.RMSNorm) nn.Rows {
	h := rows.Normed(s, norm)
	gates := nn.Project(s, h, nil, &m.router, &m.sharedGate)
	chosen, weights := m.route(s, gates[0])
	y := m.experts.Forward(s, h, chosen, weights)
	// The shared expert's gate enters where its rows are narrow.
	shared := s.Multiply(nn.Gated(s, h, nil, mlx.GateSiLU, &m.shared.gate, &m.shared.up), s.Sigmoid(gates[1]))
	return nn.AddFor(s, rows.X, nn.ProjectOnto(s, y, shared, &m.shared.down, nil), next)
}

// route is which experts a token goes through, uint32 [1, T, k], and what each counts, from the router's logits [1, T,
// experts], in their dtype: the softmax over all of them in float32, of its k largest, made to sum to 1. That is the
// softmax over those k: what they share with the others cancels.
func (m *mixture) route(s *mlx.Scope, logits mlx.Array) (chosen, weights mlx.Array) {
	if s.Err() != nil {
		return
	}
	shape := logits.Shape()
	experts := shape[2]
	ascending := s.ArgPartitionAxis(logits, experts-m.topK, -1)
	chosen = s.Slice(ascending, []int{0, 0, experts - m.topK}, shape, []int{1, 1, 1})
	top := s.AsType(s.TakeAlongAxis(logits, chosen, -1), mlx.Float32)
	return chosen, s.AsType(s.SoftmaxAxis(top, -1, true), logits.Dtype())
}
