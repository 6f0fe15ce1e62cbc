package gemma4

import (
	"fmt"
	"math"

	"reprise/kvcache/state"
	"reprise/mlx"
	"reprise/model/nn"
	"reprise/model/weights"
)

type layer struct {
	attn           attention
	gate, up, down nn.Linear
	experts        *experts   // beside the MLP, or nil
	inject         *injection // of the layer's own embedding, or nil
	scalar         mlx.Array  // [1]: what the layer's result is multiplied by

	inputNorm, postAttnNorm, preMLPNorm, postMLPNorm nn.RMSNorm
}

// attention has keys and values of its own or, where k is none, only queries.
type attention struct {
	q, k, v, o nn.Linear // v none: values are made of k's product
	core       nn.Attention
}

// memory is what a layer's attention works on.
type memory struct {
	kv     state.KV // nil: shared
	shared nn.Shared
	mask   state.Mask
}

func buildLayer(st *weights.Store, cfg *Config, i int, ropes map[string]nn.RoPE) layer {
	path := fmt.Sprintf("model.layers.%d.", i)
	width := cfg.mlp(i)
	l := layer{
		attn:         buildAttention(st, cfg, i, path+"self_attn.", ropes[cfg.LayerTypes[i]]),
		gate:         st.Linear(path+"mlp.gate_proj", cfg.Hidden, width),
		up:           st.Linear(path+"mlp.up_proj", cfg.Hidden, width),
		down:         st.Linear(path+"mlp.down_proj", width, cfg.Hidden),
		inputNorm:    norm(st, path+"input_layernorm", cfg.Hidden, cfg.NormEps),
		postAttnNorm: norm(st, path+"post_attention_layernorm", cfg.Hidden, cfg.NormEps),
		preMLPNorm:   norm(st, path+"pre_feedforward_layernorm", cfg.Hidden, cfg.NormEps),
		postMLPNorm:  norm(st, path+"post_feedforward_layernorm", cfg.Hidden, cfg.NormEps),
		scalar:       st.Tensor(path+"layer_scalar", 1),
	}
	st.Pack(&l.gate, &l.up)
	if cfg.MoE {
		l.experts = buildExperts(st, cfg, path)
	}
	if cfg.PLE > 0 {
		l.inject = buildInjection(st, cfg, path)
	}
	return l
}

func buildAttention(st *weights.Store, cfg *Config, i int, path string, rope nn.RoPE) attention {
	dim, kv := cfg.heads(i)
	qNorm := norm(st, path+"q_norm", dim, cfg.NormEps)
	a := attention{
		q:    st.Linear(path+"q_proj", cfg.Hidden, cfg.Heads*dim),
		o:    st.Linear(path+"o_proj", cfg.Heads*dim, cfg.Hidden),
		core: nn.Attention{Heads: cfg.Heads, KVHeads: kv, Scale: 1, QNorm: &qNorm, RoPE: rope},
	}
	if i >= cfg.own() {
		return a
	}
	kNorm := norm(st, path+"k_norm", dim, cfg.NormEps)
	a.core.KNorm, a.core.VNorm = &kNorm, &nn.RMSNorm{Eps: cfg.NormEps}
	a.k = st.Linear(path+"k_proj", cfg.Hidden, kv*dim)
	if !cfg.valuesAreKeys(i) {
		a.v = st.Linear(path+"v_proj", cfg.Hidden, kv*dim)
		st.Pack(&a.q, &a.k, &a.v)
	} else {
		st.Pack(&a.q, &a.k)
	}
	return a
}

// ropes are the rotary positions of each kind of layer.
func (c *Config) ropes(owner *mlx.Scope) map[string]nn.RoPE {
	out := map[string]nn.RoPE{}
	for i, kind := range c.LayerTypes {
		if _, made := out[kind]; made {
			continue
		}
		dim, _ := c.heads(i)
		r := c.Rope[kind]
		made := nn.RoPE{Dims: dim, Base: float32(r.Theta), Scale: 1}
		if r.Type == "proportional" {
			made.Freqs = mlx.New(owner, r.wavelengths(dim), dim/2)
		}
		out[kind] = made
	}
	return out
}

// wavelengths [dim/2] are what positions are divided by. The frequencies are spread over the whole head, but those behind
// the rotated dims are infinite: no rotation. Column i turns with column i + dim/2, so this is not a rotation of the first
// dims.
func (r *rope) wavelengths(dim int) []float32 {
	out := make([]float32, dim/2)
	for i := range out {
		out[i] = float32(math.Inf(1))
		if i < r.rotated(dim)/2 {
			out[i] = float32(r.factor() * math.Pow(r.Theta, 2*float64(i)/float64(dim)))
		}
	}
	return out
}

// forward is the layer on x [1, T, hidden] and its own embedding of the tokens, [1, T, width] or none; next is the norm that
// the next layer begins with.
func (l *layer) forward(s *mlx.Scope, x nn.Rows, own mlx.Array, on memory, next *nn.RMSNorm) nn.Rows {
	h := nn.ProjectOntoFor(s, x.X, l.attn.forward(s, x, &l.inputNorm, on), &l.attn.o, &l.postAttnNorm, mlx.Array{}, &l.preMLPNorm)
	switch {
	case l.inject != nil:
		return l.inject.forward(s, l.feedForward(s, h), own, l.scalar, next)
	case l.experts == nil:
		return nn.ProjectOntoFor(s, h.X, l.mlp(s, h), &l.down, &l.postMLPNorm, l.scalar, next)
	}
	return nn.Rows{X: s.Multiply(l.feedForward(s, h), l.scalar)}
}

// mlp is the MLP up to its last projection.
func (l *layer) mlp(s *mlx.Scope, h nn.Rows) mlx.Array {
	x, norm := h.For(&l.preMLPNorm)
	return nn.Gated(s, x, norm, mlx.GateGELU, &l.gate, &l.up)
}

// feedForward is h with the MLP added, and the experts' part.
func (l *layer) feedForward(s *mlx.Scope, h nn.Rows) mlx.Array {
	inner := l.mlp(s, h)
	if l.experts == nil {
		return nn.ProjectOnto(s, h.X, inner, &l.down, &l.postMLPNorm)
	}
	both := nn.ProjectOnto(s, l.experts.forward(s, h.X), inner, &l.down, &l.experts.denseNorm)
	return s.Add(h.X, l.postMLPNorm.Forward(s, both))
}

// forward is everything up to the output's projection.
func (a *attention) forward(s *mlx.Scope, rows nn.Rows, norm *nn.RMSNorm, on memory) mlx.Array {
	x, norm := rows.For(norm)
	if on.kv == nil {
		return a.core.ForwardShared(s, nn.Project(s, x, norm, &a.q)[0], on.shared, on.mask)
	}
	v := &a.v
	if !v.W.Valid() {
		v = nil
	}
	return a.core.Project(s, x, norm, &a.q, &a.k, v, on.kv, on.mask)
}

// settleVocab takes the vocabulary's size that the embedding has: the config may name one at each level.
func (c *Config) settleVocab(st *weights.Store) error {
	if shape := st.Shape("model.embed_tokens.weight"); len(shape) == 2 && shape[0] == c.topVocab {
		c.Vocab = c.topVocab
	}
	if c.PLE > 0 && c.PLEVocab < c.Vocab {
		return fmt.Errorf("%s: vocab_size_per_layer_input is %d for a vocabulary of %d", st.Config.Path, c.PLEVocab, c.Vocab)
	}
	return nil
}
