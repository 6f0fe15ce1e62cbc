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
	kv       state.Quantization
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
	for i := range cfg.own() {
		if dim, _ := cfg.heads(i); cfg.full(i) {
			if m.kv, err = st.KV(dim); err != nil {
				return nil, err
			}
		}
	}
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
		l := &m.layers[i]
		l.attn.core.Prepare(m.owner, dtype, dim)
		l.gate.PrepareGate(m.owner, mlx.GateGELU)
		if l.inject != nil {
			l.inject.gate.PrepareGate(m.owner, mlx.GateGELU)
		}
	}
}

func norm(st *weights.Store, path string, width int, eps float32) nn.RMSNorm {
	return nn.RMSNorm{W: st.Tensor(path+".weight", width), Eps: eps}
}

// describe is the model's Info; layers without keys and values hold no state.
func (m *Model) describe(st *weights.Store) model.Info {
	cfg := &m.cfg
	info := model.Info{ModelType: st.Config.ModelType, Vocab: cfg.Vocab, Context: cfg.Context, Dtype: st.Dtype(), Bytes: st.Bytes(), KV: m.kv, Unused: st.Dropped()}
	info.ActiveBytes = m.active(info.Bytes)
	for i := range cfg.own() {
		dim, kv := cfg.heads(i)
		elements := int64(2 * kv * dim)
		if info.LayerKinds = append(info.LayerKinds, cfg.kind(i)); cfg.full(i) {
			info.RowBytes += m.kv.ElementBytes(elements, st.Dtype().Size())
		} else {
			info.Window = cfg.Window
			info.SnapshotBytes += elements * int64(st.Dtype().Size()*cfg.Window)
		}
	}
	return info
}

// active is what a decode step reads of n bytes of weights: rows of tables that are no head, and the experts that the token
// goes through.
func (m *Model) active(n int64) int64 {
	table := func(e *nn.Embedding, rows int) int64 { return e.Bytes() - e.Bytes()/int64(rows) }
	if !m.cfg.Tied {
		n -= table(&m.embed, m.cfg.Vocab)
	}
	if m.perLayer != nil {
		n -= table(&m.perLayer.table, m.cfg.PLEVocab)
	}
	for i := range m.layers {
		if x := m.layers[i].experts; x != nil {
			n -= x.mlps.Bytes() * int64(m.cfg.Experts-m.cfg.TopK) / int64(m.cfg.Experts)
		}
	}
	return n
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
			layers[i] = state.NewQuantized(m.kv)
		} else {
			layers[i] = state.NewSliding(m.cfg.Window)
		}
	}
	return state.New(m.owner, layers...)
}

// Forward feeds ids [1, T] and returns the hidden rows [1, T, hidden].
func (m *Model) Forward(s *mlx.Scope, ids mlx.Array, st *state.State) mlx.Array {
	return m.forward(s, ids, st, ids.Dim(1))
}

// ForwardLast is Forward of which the last row alone is wanted. Layers without keys and values compute no other: that is
// 18 of E4B's 42 layers in every call of a prefill.
func (m *Model) ForwardLast(s *mlx.Scope, ids mlx.Array, st *state.State) mlx.Array {
	return model.LastRow(s, m.forward(s, ids, st, 1))
}

// forward returns at least the last `wanted` rows.
func (m *Model) forward(s *mlx.Scope, ids mlx.Array, st *state.State, wanted int) mlx.Array {
	h := nn.Rows{X: m.embed.Forward(s, ids)}
	p := &pass{cfg: &m.cfg, st: st, tokens: ids.Dim(1), perLayer: m.perLayer, inputs: m.perLayer.inputs(s, ids, h.X)}
	p.own = p.perLayer.split(s, p.inputs, len(m.layers))
	p.mask(s)
	for i := range m.layers {
		if i == m.cfg.own() {
			h = p.share(s, h, wanted)
		}
		if s.Err() != nil {
			return mlx.Array{}
		}
		s.WithinAll(func(inner *mlx.Scope) []*mlx.Array {
			h = m.layers[i].forward(inner, h, p.own[i], p.memory(i), m.begins(i+1))
			return h.Arrays()
		})
	}
	if s.Err() == nil {
		if err := st.Advance(p.tokens); err != nil {
			s.Fail(err)
		}
	}
	return h.Normed(s, &m.norm)
}

// begins is the norm that layer i begins with, or the model's last.
func (m *Model) begins(i int) *nn.RMSNorm {
	if i == len(m.layers) {
		return &m.norm
	}
	return &m.layers[i].inputNorm
}

// pass is what the layers of one call have in common.
type pass struct {
	cfg    *Config
	st     *state.State
	tokens int

	perLayer *perLayer
	inputs   mlx.Array   // the tokens' embeddings for all layers, or none
	own      []mlx.Array // and for each

	masks  map[state.Kind]state.Mask
	shared map[state.Kind]nn.Shared // for layers without keys and values
}

// mask makes one mask for each kind of layer.
func (p *pass) mask(s *mlx.Scope) {
	p.masks = map[state.Kind]state.Mask{}
	for _, k := range []state.Kind{state.Growing, state.Sliding} {
		if first := p.st.First(k); first != nil {
			p.masks[k] = first.Mask(s, p.tokens)
		}
	}
}

// share gives the layers behind what the last layers with keys and values have appended, and is the rows of h that they
// go on with: all of them, or the last.
func (p *pass) share(s *mlx.Scope, h nn.Rows, wanted int) nn.Rows {
	rows := p.tokens
	if wanted == 1 && rows > 1 && s.Err() == nil {
		rows, h, p.masks = 1, nn.Rows{X: model.LastRow(s, h.X)}, nil // one query sees all that it is given
		if p.inputs.Valid() {
			p.own = p.perLayer.split(s, model.LastRow(s, p.inputs), p.cfg.Layers)
		}
	}
	p.shared = map[state.Kind]nn.Shared{}
	for i := p.cfg.own(); i < p.cfg.Layers; i++ {
		if _, there := p.shared[p.cfg.kind(i)]; !there {
			p.shared[p.cfg.kind(i)] = nn.Share(s, p.st.KV(p.cfg.source(i)), rows)
		}
	}
	return h
}

// memory is what layer i's attention works on.
func (p *pass) memory(i int) memory {
	on := memory{mask: p.masks[p.cfg.kind(i)]}
	if i < p.cfg.own() {
		on.kv = p.st.KV(i)
	} else {
		on.shared = p.shared[p.cfg.kind(i)]
	}
	return on
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
