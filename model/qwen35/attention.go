package qwen35

import (
	"math"

	"reprise/kvcache/state"
	"reprise/mlx"
	"reprise/model/nn"
	"reprise/model/weights"
)

// attention is full attention whose output is gated: q_proj makes a query and a gate for each head.
type attention struct {
	q, k, v, o nn.Linear
	core       nn.Attention
}

func buildAttention(st *weights.Store, cfg *Config, path string) *attention {
	d, kv := cfg.HeadDim, cfg.KVHeads*cfg.HeadDim
	qNorm, kNorm := norm(st, path+"q_norm", d, cfg.NormEps), norm(st, path+"k_norm", d, cfg.NormEps)
	a := &attention{
		q: st.Linear(path+"q_proj", cfg.Hidden, 2*cfg.Heads*d),
		k: st.Linear(path+"k_proj", cfg.Hidden, kv),
		v: st.Linear(path+"v_proj", cfg.Hidden, kv),
		o: st.Linear(path+"o_proj", cfg.Heads*d, cfg.Hidden),
		core: nn.Attention{
			Heads: cfg.Heads, KVHeads: cfg.KVHeads, Scale: float32(math.Pow(float64(d), -0.5)),
			QNorm: &qNorm, KNorm: &kNorm,
			RoPE: nn.RoPE{Dims: cfg.rotaryDims(), Base: float32(cfg.Rope.Theta), Scale: 1},
		},
	}
	st.Pack(&a.q, &a.k, &a.v)
	return a
}

// forward is x [1, T, hidden] with the attention over norm(x) added.
func (a *attention) forward(s *mlx.Scope, rows nn.Rows, norm, next *nn.RMSNorm, kv state.KV, mask state.Mask) nn.Rows {
	x, norm := rows.For(norm)
	qkv := nn.Project(s, x, norm, &a.q, &a.k, &a.v)
	if s.Err() != nil {
		return nn.Rows{}
	}
	// Each head's rows are its query, then its gate.
	pair := s.Split(nn.Heads(s, qkv[0], a.core.Heads), 2, -1)
	q, gate := s.Flatten(pair[0], 2, 3), s.Flatten(pair[1], 2, 3)
	y := a.core.Forward(s, q, qkv[1], qkv[2], kv, mask)
	return nn.ProjectOntoFor(s, rows.X, s.Multiply(y, s.Sigmoid(gate)), &a.o, nil, mlx.Array{}, next)
}
