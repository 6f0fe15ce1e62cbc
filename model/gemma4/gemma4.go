package gemma4

import (
	"math"

	"reprise/kvcache/state"
	"reprise/mlx"
	"reprise/model"
	"reprise/model/nn"
	"reprise/model/weights"
)

// Model is Gemma 4 with its weights.
type Model struct {
	cfg   Config
	info  model.Info
	owner *mlx.Scope // of the weights

	embed    nn.Embedding
	perLayer *perLayer // nil without per-layer embeddings
	layers   []layer
	norm     nn.RMSNorm
	head     nn.Matrix // the embedding itself when tied
}

// Build takes the model's tensors out of the store.
func Build(owner *mlx.Scope, st *weights.Store) (model.Model, error) {
	cfg, err := parseConfig(st.Config)
	if err != nil {
		return nil, err
	}
	st.Rename(cfg.textName)
	if err := cfg.settleVocab(st); err != nil {
		return nil, err
	}
	m := &Model{cfg: cfg, owner: owner}
	m.embed = st.Embedding("model.embed_tokens", cfg.Vocab, cfg.Hidden)
	m.embed.Scale = float32(math.Sqrt(float64(cfg.Hidden)))
	m.head = m.embed.Matrix
	if !cfg.Tied {
		m.head = st.Matrix("lm_head", cfg.Vocab, cfg.Hidden)
	}
	if cfg.PLE > 0 {
		m.perLayer = buildPerLayer(st, &cfg)
	}
	ropes := cfg.ropes(owner)
	for i := range cfg.Layers {
		m.layers = append(m.layers, buildLayer(st, &cfg, i, ropes))
	}
	m.norm = norm(st, "model.norm", cfg.Hidden, cfg.NormEps)
	if err := st.Close(); err != nil {
		return nil, err
	}
	m.prepareKernels(st.Dtype())
	m.info = m.describe(st)
	return m, owner.Err()
}

func (m *Model) prepareKernels(dtype mlx.Dtype) {
	nn.Prepare(m.owner, dtype, m.cfg.Hidden, mlx.GateGELU)
	for i := range m.layers {
		dim, _ := m.cfg.heads(i)
		m.layers[i].attn.core.Prepare(m.owner, dtype, dim)
	}
}

func norm(st *weights.Store, path string, width int, eps float32) nn.RMSNorm {
	return nn.RMSNorm{W: st.Tensor(path+".weight", width), Eps: eps}
}

// describe is the model's Info; layers without keys and values hold no state.
func (m *Model) describe(st *weights.Store) model.Info {
	cfg := &m.cfg
	info := model.Info{ModelType: st.Config.ModelType, Vocab: cfg.Vocab, Context: cfg.Context, Dtype: st.Dtype(), Bytes: st.Bytes(), Unused: st.Dropped()}
	for i := range cfg.own() {
		dim, kv := cfg.heads(i)
		row := int64(2 * kv * dim * st.Dtype().Size())
		if info.LayerKinds = append(info.LayerKinds, cfg.kind(i)); cfg.full(i) {
			info.RowBytes += row
		} else {
			info.Window = cfg.Window
			info.SnapshotBytes += row * int64(cfg.Window)
		}
	}
	return info
}

// kind is how layer i, or the one whose keys and values it shares, remembers.
func (c *Config) kind(i int) state.Kind {
	if c.full(i) {
		return state.Growing
	}
	return state.Sliding
}

// Info describes the model.
func (m *Model) Info() model.Info { return m.info }

// Free releases the weights.
func (m *Model) Free() { m.owner.Close() }

// NewState is a KV state for each layer with keys and values of its own.
func (m *Model) NewState() *state.State {
	layers := make([]state.Layer, m.cfg.own())
	for i := range layers {
		if m.cfg.full(i) {
			layers[i] = state.NewGrowing()
		} else {
			layers[i] = state.NewSliding(m.cfg.Window)
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
	h := m.embed.Forward(s, ids)
	inputs := m.perLayer.inputs(s, ids, h)
	shared := map[state.Kind]nn.Shared{}
	for i := range m.layers {
		on := memory{mask: masks[m.cfg.kind(i)]}
		if i < m.cfg.own() {
			on.kv = st.KV(i)
		} else {
			on.shared = shared[m.cfg.kind(i)]
		}
		h = s.Within(func(inner *mlx.Scope) mlx.Array {
			return m.layers[i].forward(inner, h, m.perLayer.of(inner, inputs, i), on)
		})
		if m.cfg.shares(i) {
			shared[m.cfg.kind(i)] = nn.Share(s, st.KV(i), T)
		}
	}
	if s.Err() == nil {
		if err := st.Advance(T); err != nil {
			s.Fail(err)
		}
	}
	return m.norm.Forward(s, h)
}

// shares says whether other layers attend to layer i's keys and values.
func (c *Config) shares(i int) bool {
	return c.SharedKV > 0 && i < c.own() && c.lastOfKind(i)
}

// lastOfKind says whether no layer of i's kind behind it has keys and values of its own.
func (c *Config) lastOfKind(i int) bool {
	for j := i + 1; j < c.own(); j++ {
		if c.LayerTypes[j] == c.LayerTypes[i] {
			return false
		}
	}
	return true
}

// Logits multiplies hidden rows by the head and bends the result into ±SoftCap.
func (m *Model) Logits(s *mlx.Scope, hidden mlx.Array) mlx.Array {
	logits := m.head.Multiply(s, hidden)
	if m.cfg.SoftCap == 0 || !logits.Valid() {
		return logits
	}
	limit := s.Scalar(float64(m.cfg.SoftCap), logits.Dtype())
	return s.Multiply(s.Tanh(s.Divide(logits, limit)), limit)
}
