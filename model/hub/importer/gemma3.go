package importer

import (
	"encoding/json"
	"fmt"
	"strconv"

	"reprise/model/hub/gguf"
)

// gemma3 is the text model of Gemma 3. Its norms multiply by 1 + w; llama.cpp
// stores the sum, Hugging Face w.
func gemma3() *architecture {
	vector := func(n func(sizes) int64) func(sizes) []int64 {
		return func(s sizes) []int64 { return []int64{n(s)} }
	}
	matrix := func(out, in func(sizes) int64) func(sizes) []int64 {
		return func(s sizes) []int64 { return []int64{out(s), in(s)} }
	}
	hidden := func(s sizes) int64 { return s.hidden }
	ffn := func(s sizes) int64 { return s.ffn }
	vocab := func(s sizes) int64 { return s.vocab }
	head := func(s sizes) int64 { return s.headDim }
	queries := func(s sizes) int64 { return s.heads * s.headDim }
	keys := func(s sizes) int64 { return s.kvHeads * s.headDim }
	norm := func(name string, n func(sizes) int64) target {
		return target{name: name, shape: vector(n), plusOne: true}
	}
	return &architecture{
		modelType:   "gemma3_text",
		layerPrefix: "model.layers.%d.",
		sizes:       gemma3Sizes,
		config:      gemma3Config,
		global: map[string]target{
			"token_embd.weight":  {name: "model.embed_tokens.weight", shape: matrix(vocab, hidden)},
			"output_norm.weight": norm("model.norm.weight", hidden),
			"output.weight":      {name: "lm_head.weight", shape: matrix(vocab, hidden), optional: true},
		},
		block: map[string]target{
			"attn_norm.weight":           norm("input_layernorm.weight", hidden),
			"attn_q.weight":              {name: "self_attn.q_proj.weight", shape: matrix(queries, hidden)},
			"attn_k.weight":              {name: "self_attn.k_proj.weight", shape: matrix(keys, hidden)},
			"attn_v.weight":              {name: "self_attn.v_proj.weight", shape: matrix(keys, hidden)},
			"attn_q_norm.weight":         norm("self_attn.q_norm.weight", head),
			"attn_k_norm.weight":         norm("self_attn.k_norm.weight", head),
			"attn_output.weight":         {name: "self_attn.o_proj.weight", shape: matrix(hidden, queries)},
			"post_attention_norm.weight": norm("post_attention_layernorm.weight", hidden),
			"ffn_norm.weight":            norm("pre_feedforward_layernorm.weight", hidden),
			"ffn_gate.weight":            {name: "mlp.gate_proj.weight", shape: matrix(ffn, hidden)},
			"ffn_up.weight":              {name: "mlp.up_proj.weight", shape: matrix(ffn, hidden)},
			"ffn_down.weight":            {name: "mlp.down_proj.weight", shape: matrix(hidden, ffn)},
			"post_ffw_norm.weight":       norm("post_feedforward_layernorm.weight", hidden),
		},
	}
}

func gemma3Sizes(f *gguf.File) (sizes, error) {
	var s sizes
	for _, field := range []struct {
		key string
		to  *int64
	}{
		{"block_count", &s.layers}, {"embedding_length", &s.hidden}, {"feed_forward_length", &s.ffn},
		{"attention.head_count", &s.heads}, {"attention.head_count_kv", &s.kvHeads}, {"attention.key_length", &s.headDim},
	} {
		n, err := f.Int("gemma3." + field.key)
		if err != nil {
			return s, err
		}
		if n < 1 || n > 1<<24 {
			return s, fmt.Errorf("%s: gemma3.%s of %d is not possible", f.Path, field.key, n)
		}
		*field.to = n
	}
	embedding, ok := f.Lookup("token_embd.weight")
	if !ok || len(embedding.Shape) != 2 {
		return s, fmt.Errorf("%s: tensor \"token_embd.weight\" is missing or not a matrix", f.Path)
	}
	s.vocab = embedding.Shape[0]
	return s, nil
}

// gemma3Config gives the keys of Hugging Face's Gemma3TextConfig. What a GGUF
// does not hold is the same in every Gemma 3: the local rotary base of 10,000
// and the pattern of five sliding layers and a full one.
func gemma3Config(f *gguf.File, s sizes) (map[string]any, error) {
	const pattern, localBase = 6, 10000.0
	context, err := f.Int("gemma3.context_length")
	if err != nil {
		return nil, err
	}
	window, err := f.Int("gemma3.attention.sliding_window")
	if err != nil {
		return nil, err
	}
	eps, err := number(f, "gemma3.attention.layer_norm_rms_epsilon")
	if err != nil {
		return nil, err
	}
	base, err := number(f, "gemma3.rope.freq_base")
	if err != nil {
		return nil, err
	}
	scaling, err := gemma3Scaling(f)
	if err != nil {
		return nil, err
	}
	full := map[string]any{"rope_type": "default", "rope_theta": base}
	for k, v := range scaling {
		full[k] = v
	}
	layers := make([]string, s.layers)
	for i := range layers {
		layers[i] = "sliding_attention"
		if (i+1)%pattern == 0 {
			layers[i] = "full_attention"
		}
	}
	// The 27B scales queries by hidden size over heads, the others by head size.
	queryScale := s.headDim
	if s.layers == 62 {
		queryScale = s.hidden / s.heads
	}
	_, untied := f.Lookup("output.weight")
	return map[string]any{
		"architectures": []string{"Gemma3ForCausalLM"}, "model_type": "gemma3_text",
		"num_hidden_layers": s.layers, "hidden_size": s.hidden, "intermediate_size": s.ffn,
		"num_attention_heads": s.heads, "num_key_value_heads": s.kvHeads, "head_dim": s.headDim,
		"query_pre_attn_scalar": queryScale, "rms_norm_eps": eps, "vocab_size": s.vocab,
		"max_position_embeddings": context, "sliding_window": window,
		"sliding_window_pattern": pattern, "_sliding_window_pattern": pattern, "layer_types": layers,
		"rope_theta": base, "rope_local_base_freq": localBase, "rope_scaling": scaling,
		"rope_parameters": map[string]any{
			"full_attention":    full,
			"sliding_attention": map[string]any{"rope_type": "default", "rope_theta": localBase},
		},
		"hidden_activation": "gelu_pytorch_tanh", "hidden_act": "gelu_pytorch_tanh",
		"attention_bias": false, "attention_dropout": 0.0,
		"attn_logit_softcapping": nil, "final_logit_softcapping": nil,
		"tie_word_embeddings": !untied, "use_cache": true,
	}, nil
}

// gemma3Scaling gives rope_scaling of the full layers, nil for none.
func gemma3Scaling(f *gguf.File) (map[string]any, error) {
	if !f.Has("gemma3.rope.scaling.type") {
		return nil, nil
	}
	kind, err := gguf.Value[string](f, "gemma3.rope.scaling.type")
	if err != nil || kind == "none" {
		return nil, err
	}
	if kind != "linear" {
		return nil, fmt.Errorf("%s: rope scaling %q is not supported (linear is)", f.Path, kind)
	}
	factor, err := number(f, "gemma3.rope.scaling.factor")
	if err != nil {
		return nil, err
	}
	return map[string]any{"rope_type": "linear", "factor": factor}, nil
}

// number gives a float of the metadata in the fewest digits that read back as
// the same float32, so that an epsilon of 1e-6 is written as one.
func number(f *gguf.File, key string) (json.Number, error) {
	v, err := f.Float(key)
	return json.Number(strconv.FormatFloat(v, 'g', -1, 32)), err
}
