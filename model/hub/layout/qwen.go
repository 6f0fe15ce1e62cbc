package layout

import (
	"fmt"

	"reprise/model/hub"
)

func qwen35(b *builder) {
	b.prefix = "language_model." // mlx-lm nests a flat config's text model too
	b.need(map[string]int64{
		"hidden_size": b.Hidden, "num_attention_heads": b.Heads, "num_key_value_heads": b.KVHeads, "head_dim": b.HeadDim, "vocab_size": b.sizes.Vocab,
		"linear_num_key_heads": b.KeyHeads, "linear_num_value_heads": b.ValueHeads, "linear_key_head_dim": b.KeyDim,
		"linear_value_head_dim": b.ValueDim, "linear_conv_kernel_dim": b.ConvWidth,
	})
	if b.Experts > 0 {
		b.need(map[string]int64{
			"moe_intermediate_size": b.ExpertMLP, "num_experts_per_tok": b.TopK, "shared_expert_intermediate_size": b.SharedMLP,
		})
	} else {
		b.need(map[string]int64{"intermediate_size": b.MLP})
	}
	b.tied(false)
	b.linear("model.embed_tokens", Embedding, b.sizes.Vocab, b.Hidden)
	for i := range b.sizes.Layers {
		path := fmt.Sprintf("model.layers.%d.", i)
		if b.Types[i] == hub.FullAttention {
			b.gatedAttention(path + "self_attn.")
		} else {
			b.deltaNet(path + "linear_attn.")
		}
		b.norm(path+"input_layernorm", Norm, b.Hidden)
		b.norm(path+"post_attention_layernorm", Norm, b.Hidden)
		if b.Experts == 0 {
			b.gated(path+"mlp", b.MLP)
			continue
		}
		b.linear(path+"mlp.gate", Projection, b.Experts, b.Hidden)
		b.stacked(path+"mlp.switch_mlp.gate_proj", Projection, b.Experts, b.ExpertMLP, b.Hidden)
		b.stacked(path+"mlp.switch_mlp.up_proj", Projection, b.Experts, b.ExpertMLP, b.Hidden)
		b.stacked(path+"mlp.switch_mlp.down_proj", Output, b.Experts, b.Hidden, b.ExpertMLP)
		b.gated(path+"mlp.shared_expert", b.SharedMLP)
		b.linear(path+"mlp.shared_expert_gate", Projection, 1, b.Hidden)
	}
	b.norm("model.norm", Norm, b.Hidden)
	if !b.Layout.Tied {
		b.linear("lm_head", Projection, b.sizes.Vocab, b.Hidden)
	}
}

// gatedAttention: queries come with a gate for each head.
func (b *builder) gatedAttention(path string) {
	b.linear(path+"q_proj", Projection, 2*b.Heads*b.HeadDim, b.Hidden)
	b.linear(path+"k_proj", Projection, b.KVHeads*b.HeadDim, b.Hidden)
	b.linear(path+"v_proj", Projection, b.KVHeads*b.HeadDim, b.Hidden)
	b.linear(path+"o_proj", Output, b.Hidden, b.Heads*b.HeadDim)
	b.norm(path+"q_norm", Norm, b.HeadDim)
	b.norm(path+"k_norm", Norm, b.HeadDim)
}

func (b *builder) deltaNet(path string) {
	values := b.ValueHeads * b.ValueDim
	channels := 2*b.KeyHeads*b.KeyDim + values
	b.add(Tensor{Name: path + "conv1d.weight", Shape: []int64{channels, b.ConvWidth, 1}, Role: Convolution})
	b.linear(path+"in_proj_qkv", Projection, channels, b.Hidden)
	b.linear(path+"in_proj_z", Projection, values, b.Hidden)
	b.linear(path+"in_proj_b", Projection, b.ValueHeads, b.Hidden)
	b.linear(path+"in_proj_a", Projection, b.ValueHeads, b.Hidden)
	b.vector(path+"dt_bias", DecayBias, b.ValueHeads)
	b.add(Tensor{Name: path + "A_log", Shape: []int64{b.ValueHeads}, Role: LogDecay, Float32: true})
	b.norm(path+"norm", Norm, b.ValueDim)
	b.linear(path+"out_proj", Output, b.Hidden, values)
}
