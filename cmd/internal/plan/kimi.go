package plan

import "reprise/model/hub"

// kimi is Kimi K2.6 as arithmetic: this program does not run it. Its shape is the published one of the K2 family: 61 layers of
// width 7,168, latent attention (a latent of 512 and 64 rotated dimensions a token, for all 64 heads), in all but the first
// layer 384 experts of width 2,048, of which a token takes 8 and a shared one. Experts have 4 bits in groups of 32, the rest
// 16 bits.
func kimi() *Model {
	const (
		layers, dense               = 61, 1
		hidden, vocab               = 7168, 163840
		experts, topK, expert       = 384, 8, 2048
		mlp                         = 18432
		heads, nope, rope, value    = 64, 128, 64, 128
		queryLatent, latent         = 1536, 512
		packedBits, group, halfBits = 4, 32, 16
	)
	one := int64(3 * hidden * expert) // an expert's three matrices
	packed := func(weights int64) int64 { return weights*packedBits/8 + weights/group*2 }
	half := func(weights int64) int64 { return weights * halfBits / 8 }
	attention := int64(layers) * (hidden*queryLatent + queryLatent*heads*(nope+rope) + hidden*(latent+rope) + latent*heads*(nope+value) + heads*value*hidden)
	moe := int64(layers - dense)
	router := moe * hidden * experts
	table := int64(vocab * hidden)
	return &Model{
		Name: "Kimi K2.6", Quantization: "experts 4 bit, groups of 32; the rest bfloat16", Trained: 262144, Layers: layers, Vocab: vocab,
		Parts: []Part{
			{"experts", packed(moe * experts * one), packed(moe * topK * one)},
			{"shared_expert", half(moe * one), half(moe * one)},
			{"attention", half(attention), half(attention)},
			{"mlp", half(dense * 3 * hidden * mlp), half(dense * 3 * hidden * mlp)},
			{"router", half(router), half(router)},
			{"embedding", half(table), half(hidden)},
			{"head", half(table), half(table)},
		},
		// A layer's keys and values are one latent row.
		Kinds:   []hub.LayerKind{{Kind: "latent_attention", Layers: layers, Cached: layers, TokenElements: layers * (latent + rope)}},
		Through: attention + moe*(topK+1)*one + router + dense*3*hidden*mlp,
		widths:  widths{Hidden: hidden, MLP: 0, Heads: heads, HeadDim: nope + rope, ExpertMLP: expert, SharedMLP: expert, TopK: topK, Vocab: vocab},
		Notes:   []string{"from the published shape of the K2 family, not from files: arithmetic, which no run of this program can confirm"},
	}
}
