package layout

import (
	"fmt"
	"strconv"

	"reprise/model/hub"
)

func gemma3(b *builder) {
	b.need(map[string]int64{
		"hidden_size": b.Hidden, "intermediate_size": b.MLP, "num_attention_heads": b.Heads, "num_key_value_heads": b.KVHeads,
		"head_dim": b.HeadDim, "vocab_size": b.sizes.Vocab,
	})
	b.tied(true)
	b.linear("model.embed_tokens", Embedding, b.sizes.Vocab, b.Hidden)
	for i := range b.sizes.Layers {
		path := fmt.Sprintf("model.layers.%d.", i)
		b.linear(path+"self_attn.q_proj", Projection, b.Heads*b.HeadDim, b.Hidden)
		b.linear(path+"self_attn.k_proj", Projection, b.KVHeads*b.HeadDim, b.Hidden)
		b.linear(path+"self_attn.v_proj", Projection, b.KVHeads*b.HeadDim, b.Hidden)
		b.linear(path+"self_attn.o_proj", Output, b.Hidden, b.Heads*b.HeadDim)
		b.norm(path+"self_attn.q_norm", NormLess1, b.HeadDim)
		b.norm(path+"self_attn.k_norm", NormLess1, b.HeadDim)
		b.gated(path+"mlp", b.MLP)
		for _, name := range gemmaNorms {
			b.norm(path+name, NormLess1, b.Hidden)
		}
	}
	b.norm("model.norm", NormLess1, b.Hidden)
	if !b.Layout.Tied {
		b.linear("lm_head", Projection, b.sizes.Vocab, b.Hidden)
	}
}

var gemmaNorms = []string{"input_layernorm", "post_attention_layernorm", "pre_feedforward_layernorm", "post_feedforward_layernorm"}

func gemma4(b *builder) {
	b.need(map[string]int64{
		"hidden_size": b.Hidden, "intermediate_size": b.MLP, "num_attention_heads": b.Heads, "num_key_value_heads": b.KVHeads,
		"head_dim": b.HeadDim, "vocab_size": b.sizes.Vocab,
	})
	if b.MoEBlock {
		b.need(map[string]int64{"num_experts": b.Experts, "moe_intermediate_size": b.ExpertMLP, "top_k_experts": b.GemmaTopK})
	}
	b.tied(true)
	b.linear("model.embed_tokens", Embedding, b.sizes.Vocab, b.Hidden)
	for i := range b.sizes.Layers {
		b.gemma4Layer(i)
	}
	b.norm("model.norm", Norm, b.Hidden)
	if b.PerLayer > 0 {
		vocab := b.PerLayerVocab
		if vocab == 0 {
			vocab = b.sizes.Vocab
		}
		width := int64(b.sizes.Layers) * b.PerLayer
		b.linear("model.embed_tokens_per_layer", Embedding, vocab, width)
		b.linear("model.per_layer_model_projection", Projection, width, b.Hidden)
		b.norm("model.per_layer_projection_norm", Norm, b.PerLayer)
	}
	if !b.Layout.Tied {
		b.linear("lm_head", Projection, b.sizes.Vocab, b.Hidden)
	}
}

func (b *builder) gemma4Layer(i int) {
	path := fmt.Sprintf("model.layers.%d.", i)
	shared := b.SharedKV > 0 && i >= b.sizes.Layers-b.SharedKV
	b.gemma4Attention(path+"self_attn.", i, shared)
	mlp := b.MLP
	if b.DoubleWide && shared {
		mlp *= 2
	}
	b.gated(path+"mlp", mlp)
	for _, name := range gemmaNorms {
		b.norm(path+name, Norm, b.Hidden)
	}
	if b.MoEBlock {
		b.linear(path+"router.proj", Projection, b.Experts, b.Hidden)
		b.vector(path+"router.scale", RouterScale, b.Hidden)
		b.vector(path+"router.per_expert_scale", Norm, b.Experts)
		b.stacked(path+"experts.switch_glu.gate_proj", Projection, b.Experts, b.ExpertMLP, b.Hidden)
		b.stacked(path+"experts.switch_glu.up_proj", Projection, b.Experts, b.ExpertMLP, b.Hidden)
		b.stacked(path+"experts.switch_glu.down_proj", Output, b.Experts, b.Hidden, b.ExpertMLP)
		for _, name := range []string{"post_feedforward_layernorm_1", "post_feedforward_layernorm_2", "pre_feedforward_layernorm_2"} {
			b.norm(path+name, Norm, b.Hidden)
		}
	}
	if b.PerLayer > 0 {
		b.linear(path+"per_layer_input_gate", Projection, b.PerLayer, b.Hidden)
		b.linear(path+"per_layer_projection", Output, b.Hidden, b.PerLayer)
		b.norm(path+"post_per_layer_input_norm", Norm, b.Hidden)
	}
	b.vector(path+"layer_scalar", Norm, 1)
}

// gemma4Attention: full layers have a head size, and where their values are their keys a number of KV heads, of their
// own; layers that reuse another one's keys and values have no projections for them.
func (b *builder) gemma4Attention(path string, layer int, shared bool) {
	full := b.Types[layer] == hub.FullAttention
	dim, kv := b.HeadDim, b.KVHeads
	if full {
		dim, kv = b.fullHeads(layer)
	}
	same := b.KEqualsV && full
	b.linear(path+"q_proj", Projection, b.Heads*dim, b.Hidden)
	if !shared {
		b.linear(path+"k_proj", Projection, kv*dim, b.Hidden)
	}
	if !shared && !same {
		b.linear(path+"v_proj", Projection, kv*dim, b.Hidden)
	}
	b.linear(path+"o_proj", Output, b.Hidden, b.Heads*dim)
	b.norm(path+"q_norm", QueryNorm, dim)
	if !shared {
		b.norm(path+"k_norm", Norm, dim)
	}
}

// fullHeads are the head size and the number of KV heads of a full layer.
func (b *builder) fullHeads(layer int) (dim, kv int64) {
	dim, kv = b.GlobalHeadDim, 0
	if b.KEqualsV {
		kv = b.GlobalKVHeads
	}
	if own, ok := b.Own[strconv.Itoa(layer)]; ok {
		dim, kv = own.HeadDim, own.KVHeads
	}
	if dim <= 0 {
		dim = b.HeadDim
	}
	if kv <= 0 {
		kv = b.KVHeads
	}
	return dim, kv
}
