package qwen35

import (
	"fmt"

	"reprise/kvcache/state"
	"reprise/mlx"
	"reprise/model"
	"reprise/model/nn"
	"reprise/model/weights"
)

// Model is a Qwen 3.5 with its weights.
type Model struct {
	cfg   Config
	info  model.Info
	owner *mlx.Scope // of the weights

	embed  nn.Embedding
	layers []layer
	norm   nn.RMSNorm
	head   nn.Matrix // the embedding itself when tied
}

// layer has one of the two mixers.
type layer struct {
	full  *attention
	delta *deltaNet

	inputNorm, postAttnNorm nn.RMSNorm

	mlp     *mlp // or a mixture
	mixture *mixture
}

// Build takes the model's tensors out of the store.
func Build(owner *mlx.Scope, st *weights.Store) (model.Model, error) {
	cfg, err := parseConfig(st.Config)
	if err != nil {
		return nil, err
	}
	st.Rename(func(name string) string { return textName(name, *cfg.Tied) })
	settle(st, &cfg)
	kv, err := st.KV(cfg.HeadDim)
	if err != nil {
		return nil, err
	}
	m := &Model{cfg: cfg, owner: owner}
	m.embed = st.Embedding("model.embed_tokens", cfg.Vocab, cfg.Hidden)
	m.head = m.embed.Matrix
	if !*cfg.Tied {
		m.head = st.Matrix("lm_head", cfg.Vocab, cfg.Hidden)
	}
	for i := range cfg.Layers {
		m.layers = append(m.layers, buildLayer(st, &cfg, i))
	}
	m.norm = norm(st, "model.norm", cfg.Hidden, cfg.NormEps)
	if err := st.Close(); err != nil {
		return nil, err
	}
	nn.Prepare(owner, st.Dtype(), cfg.Hidden, mlx.GateSiLU)
	for i := range m.layers {
		if a := m.layers[i].full; a != nil {
			a.core.Prepare(owner, st.Dtype(), cfg.HeadDim)
		}
		dense := m.layers[i].mlp
		if dense == nil {
			dense = m.layers[i].mixture.shared
		}
		dense.gate.PrepareGate(owner, mlx.GateSiLU)
	}
	m.info = model.Info{ModelType: st.Config.ModelType, Vocab: cfg.Vocab, Context: cfg.Context, Dtype: st.Dtype(), Bytes: st.Bytes(), KV: kv}
	m.info.ActiveBytes = m.active()
	for i := range cfg.Layers {
		if m.info.LayerKinds = append(m.info.LayerKinds, m.kind(i)); m.kind(i) == state.Growing {
			m.info.RowBytes += kv.ElementBytes(int64(2*cfg.KVHeads*cfg.HeadDim), st.Dtype().Size())
			continue
		}
		channels := 2*cfg.KeyHeads*cfg.KeyDim + cfg.ValueHeads*cfg.ValueDim
		m.info.SnapshotBytes += int64((cfg.ConvWidth-1)*channels*st.Dtype().Size() + cfg.ValueHeads*cfg.KeyDim*cfg.ValueDim*4)
	}
	m.verifyKernels(st.Dtype())
	return m, owner.Err()
}

func buildLayer(st *weights.Store, cfg *Config, i int) layer {
	path := fmt.Sprintf("model.layers.%d.", i)
	l := layer{
		inputNorm:    norm(st, path+"input_layernorm", cfg.Hidden, cfg.NormEps),
		postAttnNorm: norm(st, path+"post_attention_layernorm", cfg.Hidden, cfg.NormEps),
	}
	if cfg.Experts > 0 {
		l.mixture = buildMixture(st, cfg, path+"mlp.")
	} else {
		l.mlp = buildMLP(st, path+"mlp.", cfg.Hidden, cfg.MLP)
	}
	if cfg.full(i) {
		l.full = buildAttention(st, cfg, path+"self_attn.")
	} else {
		l.delta = buildDeltaNet(st, cfg, path+"linear_attn.")
	}
	return l
}

// norm is a norm of the residual, of queries or of keys.
func norm(st *weights.Store, path string, width int, eps float32) nn.RMSNorm {
	return nn.RMSNorm{W: st.Tensor(path+".weight", width), Eps: eps}
}

// Info describes the model.
func (m *Model) Info() model.Info { return m.info }

// Free releases the weights.
func (m *Model) Free() { m.owner.Close() }

func (m *Model) kind(i int) state.Kind {
	if m.layers[i].full != nil {
		return state.Growing
	}
	return state.Recurrent
}

// active is what a decode step reads of the weights: of an embedding that is not the head too a row, of the experts those
// that the token goes through.
func (m *Model) active() int64 {
	n := m.info.Bytes
	if !*m.cfg.Tied {
		n -= m.embed.Bytes() - m.embed.Bytes()/int64(m.cfg.Vocab)
	}
	for i := range m.layers {
		if x := m.layers[i].mixture; x != nil {
			n -= x.experts.Bytes() * int64(m.cfg.Experts-m.cfg.TopK) / int64(m.cfg.Experts)
		}
	}
	return n
}

// NewState is a KV state for each full layer and a recurrent one for each other.
func (m *Model) NewState() *state.State {
	layers := make([]state.Layer, len(m.layers))
	for i := range m.layers {
		if m.layers[i].full != nil {
			layers[i] = state.NewQuantized(m.info.KV)
		} else {
			layers[i] = state.NewRecurrent()
		}
	}
	return state.New(m.owner, layers...)
}

// Forward feeds ids [1, T] and returns the hidden rows [1, T, hidden].
func (m *Model) Forward(s *mlx.Scope, ids mlx.Array, st *state.State) mlx.Array {
	T := ids.Dim(1)
	var mask state.Mask
	if first := st.First(state.Growing); first != nil {
		mask = first.Mask(s, T)
	}
	h := nn.Rows{X: m.embed.Forward(s, ids)}
	for i := range m.layers {
		next := &m.norm
		if i+1 < len(m.layers) {
			next = &m.layers[i+1].inputNorm
		}
		s.WithinAll(func(inner *mlx.Scope) []*mlx.Array {
			h = m.layers[i].forward(inner, h, next, st, i, mask)
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

// forward is layer i of the model on x, over its own part of the state; next is the norm that the layer behind begins with.
func (l *layer) forward(s *mlx.Scope, x nn.Rows, next *nn.RMSNorm, st *state.State, i int, mask state.Mask) nn.Rows {
	if l.full != nil {
		x = l.full.forward(s, x, &l.inputNorm, &l.postAttnNorm, st.KV(i), mask)
	} else {
		x = l.delta.forward(s, x, &l.inputNorm, &l.postAttnNorm, st.Recurrence(i))
	}
	if l.mixture != nil {
		return l.mixture.forward(s, x, &l.postAttnNorm, next)
	}
	return l.mlp.forward(s, x, &l.postAttnNorm, next)
}

// Logits multiplies hidden rows by the head.
func (m *Model) Logits(s *mlx.Scope, hidden mlx.Array) mlx.Array { return m.head.Multiply(s, hidden) }
