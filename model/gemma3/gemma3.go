package gemma3

import (
	"fmt"
	"math"
	"strings"

	"reprise/kvcache/state"
	"reprise/mlx"
	"reprise/model"
	"reprise/model/nn"
	"reprise/model/weights"
)

// Model is Gemma 3 with its weights.
type Model struct {
	cfg   Config
	info  model.Info
	owner *mlx.Scope // of the weights

	embed  nn.Embedding
	layers []layer
	norm   nn.RMSNorm
	head   nn.Matrix // the embedding itself when tied
}

type layer struct {
	sliding bool
	attn    attention
	mlp     mlp

	inputNorm, postAttnNorm, preMLPNorm, postMLPNorm nn.RMSNorm
}

type attention struct {
	q, k, v, o nn.Linear
	core       nn.Attention
}

type mlp struct{ gate, up, down nn.Linear }

// Build takes the model's tensors out of the store.
func Build(owner *mlx.Scope, st *weights.Store) (model.Model, error) {
	cfg, err := parseConfig(st.Config)
	if err != nil {
		return nil, err
	}
	st.Rename(func(name string) string { return strings.TrimPrefix(name, "language_model.") })
	kv, err := st.KV(cfg.HeadDim)
	if err != nil {
		return nil, err
	}
	m := &Model{cfg: cfg, owner: owner}
	m.embed = st.Embedding("model.embed_tokens", cfg.Vocab, cfg.Hidden)
	m.head = m.embed.Matrix
	if st.Has("lm_head.weight") {
		m.head = st.Matrix("lm_head", cfg.Vocab, cfg.Hidden)
	}
	m.embed.Scale = mlx.RoundToBFloat16(float32(math.Sqrt(float64(cfg.Hidden)))) // as mlx-lm does in any dtype
	for i := range cfg.Layers {
		m.layers = append(m.layers, buildLayer(st, &cfg, i))
	}
	m.norm = norm(st, "model.norm", cfg.Hidden, cfg.NormEps)
	if err := st.Close(); err != nil {
		return nil, err
	}
	nn.Prepare(owner, st.Dtype(), cfg.Hidden, mlx.GateGELU)
	for i := range m.layers {
		m.layers[i].attn.core.Prepare(owner, st.Dtype(), cfg.HeadDim)
		m.layers[i].mlp.gate.PrepareGate(owner, mlx.GateGELU)
	}
	m.info = model.Info{ModelType: st.Config.ModelType, Vocab: cfg.Vocab, Context: cfg.Context, Window: cfg.Window, Dtype: st.Dtype(), Bytes: st.Bytes(), ActiveBytes: st.Bytes(), KV: kv}
	if m.head.W != m.embed.W { // a table of its own, of which a step reads a row
		m.info.ActiveBytes -= m.embed.Bytes() - m.embed.Bytes()/int64(cfg.Vocab)
	}
	for i := range cfg.Layers {
		elements := int64(2 * cfg.KVHeads * cfg.HeadDim)
		if m.info.LayerKinds = append(m.info.LayerKinds, m.kind(i)); m.kind(i) == state.Growing {
			m.info.RowBytes += kv.ElementBytes(elements, st.Dtype().Size())
		} else {
			m.info.SnapshotBytes += elements * int64(st.Dtype().Size()*cfg.Window)
		}
	}
	return m, owner.Err()
}

func buildLayer(st *weights.Store, cfg *Config, i int) layer {
	path := fmt.Sprintf("model.layers.%d.", i)
	d, kv := cfg.HeadDim, cfg.KVHeads*cfg.HeadDim
	qNorm, kNorm := norm(st, path+"self_attn.q_norm", d, cfg.NormEps), norm(st, path+"self_attn.k_norm", d, cfg.NormEps)
	l := layer{
		sliding: cfg.sliding(i),
		attn: attention{
			q: st.Linear(path+"self_attn.q_proj", cfg.Hidden, cfg.Heads*d),
			k: st.Linear(path+"self_attn.k_proj", cfg.Hidden, kv),
			v: st.Linear(path+"self_attn.v_proj", cfg.Hidden, kv),
			o: st.Linear(path+"self_attn.o_proj", cfg.Heads*d, cfg.Hidden),

			core: nn.Attention{
				Heads: cfg.Heads, KVHeads: cfg.KVHeads, Scale: float32(math.Pow(cfg.QueryScalar, -0.5)),
				QNorm: &qNorm, KNorm: &kNorm,
				RoPE: nn.RoPE{Dims: d, Base: cfg.ThetaLocal, Scale: 1},
			},
		},
		mlp: mlp{
			gate: st.Linear(path+"mlp.gate_proj", cfg.Hidden, cfg.MLP),
			up:   st.Linear(path+"mlp.up_proj", cfg.Hidden, cfg.MLP),
			down: st.Linear(path+"mlp.down_proj", cfg.MLP, cfg.Hidden),
		},
		inputNorm:    norm(st, path+"input_layernorm", cfg.Hidden, cfg.NormEps),
		postAttnNorm: norm(st, path+"post_attention_layernorm", cfg.Hidden, cfg.NormEps),
		preMLPNorm:   norm(st, path+"pre_feedforward_layernorm", cfg.Hidden, cfg.NormEps),
		postMLPNorm:  norm(st, path+"post_feedforward_layernorm", cfg.Hidden, cfg.NormEps),
	}
	st.Pack(&l.attn.q, &l.attn.k, &l.attn.v)
	st.Pack(&l.mlp.gate, &l.mlp.up)
	if !l.sliding {
		l.attn.core.RoPE = nn.RoPE{Dims: d, Base: cfg.ThetaFull, Scale: cfg.positionScale()}
	}
	return l
}

// norm reads a weight w and keeps 1+w, which is what Gemma 3 multiplies by.
func norm(st *weights.Store, path string, width int, eps float32) nn.RMSNorm {
	w := st.Map(path+".weight", []int{width}, func(s *mlx.Scope, w mlx.Array) mlx.Array {
		return s.Add(w, s.Scalar(1, w.Dtype()))
	})
	return nn.RMSNorm{W: w, Eps: eps}
}

// Info describes the model.
func (m *Model) Info() model.Info { return m.info }

// Free releases the weights.
func (m *Model) Free() { m.owner.Close() }

func (m *Model) kind(i int) state.Kind {
	if m.layers[i].sliding {
		return state.Sliding
	}
	return state.Growing
}

// NewState is one KV state a layer.
func (m *Model) NewState() *state.State {
	layers := make([]state.Layer, len(m.layers))
	for i := range m.layers {
		if m.layers[i].sliding {
			layers[i] = state.NewSliding(m.cfg.Window)
		} else {
			layers[i] = state.NewQuantized(m.info.KV)
		}
	}
	return state.New(m.owner, layers...)
}

// Forward feeds ids [1, T] and returns the hidden rows [1, T, hidden].
func (m *Model) Forward(s *mlx.Scope, ids mlx.Array, st *state.State) mlx.Array {
	T := ids.Dim(1)
	masks := map[state.Kind]state.Mask{}
	for _, k := range []state.Kind{state.Growing, state.Sliding} {
		if first := st.First(k); first != nil {
			masks[k] = first.Mask(s, T)
		}
	}
	h := nn.Rows{X: m.embed.Forward(s, ids)}
	for i := range m.layers {
		next := &m.norm
		if i+1 < len(m.layers) {
			next = &m.layers[i+1].inputNorm
		}
		s.WithinAll(func(inner *mlx.Scope) []*mlx.Array {
			h = m.layers[i].forward(inner, h, next, st.KV(i), masks[m.kind(i)])
			return h.Arrays()
		})
	}
	if s.Err() == nil {
		if err := st.Advance(T); err != nil {
			s.Fail(err)
		}
	}
	return h.Normed(s, &m.norm)
}

// Logits multiplies hidden rows by the head.
func (m *Model) Logits(s *mlx.Scope, hidden mlx.Array) mlx.Array { return m.head.Multiply(s, hidden) }

// forward is the layer on x; next is the norm that the layer behind begins with.
func (l *layer) forward(s *mlx.Scope, x nn.Rows, next *nn.RMSNorm, kv state.KV, mask state.Mask) nn.Rows {
	h := nn.ProjectOntoFor(s, x.X, l.attn.forward(s, x, &l.inputNorm, kv, mask), &l.attn.o, &l.postAttnNorm, mlx.Array{}, &l.preMLPNorm)
	rows, norm := h.For(&l.preMLPNorm)
	inner := nn.Gated(s, rows, norm, mlx.GateGELU, &l.mlp.gate, &l.mlp.up)
	return nn.ProjectOntoFor(s, h.X, inner, &l.mlp.down, &l.postMLPNorm, mlx.Array{}, next)
}

// forward is everything up to the output's projection.
func (a *attention) forward(s *mlx.Scope, rows nn.Rows, norm *nn.RMSNorm, kv state.KV, mask state.Mask) mlx.Array {
	x, norm := rows.For(norm)
	return a.core.Project(s, x, norm, &a.q, &a.k, &a.v, kv, mask)
}
