package hub

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// repeat makes layer_types out of a pattern.
func repeat(times int, pattern ...string) []string {
	var out []string
	for range times {
		out = append(out, pattern...)
	}
	return out
}

// State sizes of the target models, against the figures that were gathered
// from the reference implementations (shared/models.md).
func TestStateSizes(t *testing.T) {
	const s, f, l = SlidingAttention, FullAttention, LinearAttention
	tests := []struct {
		name   string
		config map[string]any
		kinds  string // layers/cached by kind
		want   StateSizes
	}{
		{"gemma 4 e4b", map[string]any{
			"num_hidden_layers": 42, "layer_types": repeat(7, s, s, s, s, s, f), "num_attention_heads": 8, "num_key_value_heads": 2,
			"head_dim": 256, "global_head_dim": 512, "sliding_window": 512, "num_kv_shared_layers": 18, "hidden_size": 2560,
			"num_global_key_value_heads": 7}, // only with attention_k_eq_v
			"sliding_attention 35/20, full_attention 7/4",
			StateSizes{TokenBF16: 16 << 10, TokenF32: 32 << 10, WindowBF16: 20 << 20, WindowF32: 40 << 20}},
		{"qwen 3.6 27b", map[string]any{
			"num_hidden_layers": 64, "layer_types": repeat(16, l, l, l, f), "num_attention_heads": 24, "num_key_value_heads": 4, "head_dim": 256,
			"linear_num_key_heads": 16, "linear_num_value_heads": 48, "linear_key_head_dim": 128, "linear_value_head_dim": 128, "linear_conv_kernel_dim": 4},
			"linear_attention 48/48, full_attention 16/16",
			StateSizes{TokenBF16: 64 << 10, TokenF32: 128 << 10, Recurrent: 150_994_944 + 2_949_120}},
		{"qwen 3.6 35b, kinds implied", map[string]any{
			"num_hidden_layers": 40, "full_attention_interval": 4, "num_attention_heads": 16, "num_key_value_heads": 2, "head_dim": 256,
			"linear_num_key_heads": 16, "linear_num_value_heads": 32, "linear_key_head_dim": 128, "linear_value_head_dim": 128, "linear_conv_kernel_dim": 4},
			"linear_attention 30/30, full_attention 10/10",
			StateSizes{TokenBF16: 20 << 10, TokenF32: 40 << 10, Recurrent: 62_914_560 + 1_474_560}},
		{"gemma 3 270m, kinds and head size implied", map[string]any{
			"num_hidden_layers": 18, "num_attention_heads": 4, "num_key_value_heads": 1, "hidden_size": 1024, "sliding_window": 512},
			"sliding_attention 15/15, full_attention 3/3",
			StateSizes{TokenBF16: 3 << 10, TokenF32: 6 << 10, WindowBF16: 15 << 19, WindowF32: 15 << 20}},
		{"keys that are values, on full layers", map[string]any{
			"num_hidden_layers": 6, "sliding_window_pattern": 3, "num_attention_heads": 8, "num_key_value_heads": 8, "head_dim": 64, "global_head_dim": 128,
			"num_global_key_value_heads": 2, "attention_k_eq_v": true, "sliding_window": 16},
			"sliding_attention 4/4, full_attention 2/2",
			StateSizes{TokenBF16: 2048, TokenF32: 4096, WindowBF16: 4 * 16 * 2048, WindowF32: 4 * 16 * 4096}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			shape, err := readShape([]byte(mustJSON(t, test.config)))
			if err != nil {
				t.Fatal(err)
			}
			kinds := shape.layerKinds()
			var text []string
			for _, k := range kinds {
				text = append(text, k.Kind+" "+mustJSON(t, k.Layers)+"/"+mustJSON(t, k.Cached))
			}
			if got := strings.Join(text, ", "); got != test.kinds {
				t.Errorf("layers %s, want %s", got, test.kinds)
			}
			if got := stateSizes(kinds); got != test.want {
				t.Errorf("%+v, want %+v", got, test.want)
			}
		})
	}
}

const tinyConfig = `{"model_type":"gemma3_text","architectures":["Gemma3ForCausalLM"],"torch_dtype":"float32","num_hidden_layers":2,"layer_types":["sliding_attention","full_attention"],
	"hidden_size":64,"num_attention_heads":2,"num_key_value_heads":1,"head_dim":32,"sliding_window":8,"max_position_embeddings":1024,"bos_token_id":2,"eos_token_id":[1,106],
	"quantization":{"group_size":32,"bits":4,"mode":"affine","model.layers.0.mlp.up_proj":{"group_size":32,"bits":8},"model.embed_tokens":false}}`

// tiny is a checkpoint whose every size can be worked out by hand: 64 inputs
// are 8 words of 4 bit or 16 of 8 bit, and 2 scales.
func tiny(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := folder(t, map[string]string{"config.json": tinyConfig})
	write(t, dir, files)
	quantized := func(path string, rows, words int64) []weight {
		return []weight{{path + ".weight", "U32", []int64{rows, words}, 0}, {path + ".scales", "F32", []int64{rows, 2}, 0}, {path + ".biases", "F32", []int64{rows, 2}, 0}}
	}
	weights := slices.Concat(
		quantized("model.layers.0.self_attn.q_proj", 64, 8),
		quantized("model.layers.1.self_attn.q_proj", 64, 8),
		quantized("model.layers.0.mlp.up_proj", 128, 16),
		[]weight{
			{"model.embed_tokens.weight", "BF16", []int64{100, 64}, 0},
			{"model.layers.0.self_attn.q_norm.weight", "F32", []int64{32}, 0},
			{"model.norm.weight", "F32", []int64{64}, 0},
			{"lm_head.biases", "F32", []int64{3}, 0}, // no scales beside it: a tensor of its own
		})
	writeWeights(t, filepath.Join(dir, "model.safetensors"), weights...)
	return dir
}

func TestInspect(t *testing.T) {
	dir := tiny(t, map[string]string{"chat_template.jinja": "x"})
	in, err := Inspect(dir, []string{"gemma3_text"})
	if err != nil {
		t.Fatal(err)
	}
	attention, mlp, embedding := int64(2*64*(8*4+2*2*4)), int64(128*(16*4+2*2*4)), int64(100*64*2)
	norms, head := int64(32*4+64*4), int64(12)
	if want := []Component{ // scales and biases, and the norms, are float32 in the file
		{"embedding", 1, embedding, embedding, embedding / 100}, {"mlp", 3, mlp, mlp - 128*2*2*2, mlp - 128*2*2*2},
		{"attention", 6, attention, attention - 2*64*2*2*2, attention - 2*64*2*2*2}, {"norms", 2, norms, norms / 2, norms / 2}, {"head", 1, head, head / 2, head / 2},
	}; !slices.Equal(in.Components, want) {
		t.Errorf("components %+v, want %+v", in.Components, want)
	}
	want := []FormatTotal{
		{"BF16", 0, 0, "", 1, embedding, 6400},
		{"8 bit, group 32, affine", 8, 32, "affine", 1, mlp, 128 * 64},
		{"4 bit, group 32, affine", 4, 32, "affine", 2, attention, 2 * 64 * 64},
		{"F32", 0, 0, "", 3, norms + head, 32 + 64 + 3},
	}
	if !slices.Equal(in.Formats, want) {
		t.Errorf("formats %+v, want %+v", in.Formats, want)
	}
	if in.Bytes != attention+mlp+embedding+norms+head || in.Tensors != 13 || in.Parameters != 6400+128*64+2*64*64+99 {
		t.Errorf("%d bytes, %d tensors, %d parameters", in.Bytes, in.Tensors, in.Parameters)
	}
	if in.Template != "chat_template.jinja" || in.Context != 1024 || in.Window != 8 || !slices.Equal(in.Special.EOS, []int32{1, 106}) || len(in.Notes) != 1 {
		t.Errorf("%+v", in)
	}

	var text strings.Builder
	if err := in.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"gemma3_text", "1024 tokens", "eos 1, 106", "chat_template.jinja", "2: 1 sliding attention, 1 full attention", "12.8 kB", "8 bit, group 32, affine", "note: quantization scales"} {
		if !strings.Contains(text.String(), part) {
			t.Errorf("the text lacks %q:\n%s", part, text.String())
		}
	}
	var back Inspection
	if err := json.Unmarshal([]byte(mustJSON(t, in)), &back); err != nil || back.Bytes != in.Bytes || back.State != in.State || len(back.Formats) != 4 {
		t.Errorf("as JSON: %+v, %v", back, err)
	}
}

func TestComponents(t *testing.T) {
	for name, want := range map[string]string{
		"language_model.model.embed_tokens.weight":                        "embedding",
		"language_model.model.embed_tokens_per_layer.weight":              "per_layer_table",
		"language_model.model.layers.0.per_layer_input_gate.weight":       "per_layer_projections",
		"language_model.model.per_layer_projection_norm.weight":           "norms",
		"language_model.model.layers.0.router.proj.scales":                "router",
		"language_model.model.layers.0.mlp.gate.weight":                   "router",
		"language_model.model.layers.0.mlp.gate_proj.weight":              "mlp",
		"language_model.model.layers.0.experts.switch_glu.up_proj.scales": "experts",
		"model.language_model.layers.0.mlp.experts.gate_up_proj":          "experts",
		"language_model.model.layers.0.mlp.shared_expert_gate.weight":     "shared_expert",
		"language_model.lm_head.weight":                                   "head",
		"model.layers.3.linear_attn.in_proj_qkv.weight":                   "linear_attention",
		"model.layers.3.linear_attn.norm.weight":                          "norms",
		"model.layers.3.self_attn.k_proj.scales":                          "attention",
		"model.layers.3.mlp.switch_mlp.down_proj.weight":                  "experts",
		"model.layers.3.mlp.shared_expert.up_proj.weight":                 "shared_expert",
		"vision_tower.blocks.0.mlp.fc1.weight":                            "vision",
		"embed_vision.embedding_projection.weight":                        "vision",
		"audio_tower.x.norm.weight":                                       "audio",
		"language_model.mtp.layers.0.mlp.up_proj.weight":                  "mtp",
		"language_model.model.layers.0.layer_scalar":                      "other",
		"language_model.model.layers.0.pre_feedforward_layernorm.weight":  "norms",
	} {
		if got := ComponentOf(name); got != want {
			t.Errorf("%s is of %s, want %s", name, got, want)
		}
	}
}

func TestInspectTemplate(t *testing.T) {
	for _, test := range []struct {
		files map[string]string
		want  string
	}{
		{nil, ""},
		{map[string]string{"tokenizer_config.json": `{}`}, ""},
		{map[string]string{"tokenizer_config.json": `{"chat_template":null}`}, ""},
		{map[string]string{"tokenizer_config.json": `{"chat_template":"{{x}}"}`}, "tokenizer_config.json"},
		{map[string]string{"tokenizer_config.json": `{"chat_template":"{{x}}"}`, "chat_template.jinja": ""}, "chat_template.jinja"},
	} {
		if got, err := findTemplate(folder(t, test.files)); err != nil || got != test.want {
			t.Errorf("%v: %q, %v; want %q", test.files, got, err, test.want)
		}
	}
}

func TestInspectErrors(t *testing.T) {
	config := func(old, replaced string) map[string]string {
		if !strings.Contains(tinyConfig, old) {
			t.Fatalf("no %s", old)
		}
		return map[string]string{"config.json": strings.Replace(tinyConfig, old, replaced, 1)}
	}
	for _, test := range []struct {
		name  string
		files map[string]string
		parts []string
	}{
		{"unknown type", config("gemma3_text", "mamba9"), []string{`"mamba9"`, "supported are gemma3_text, gemma4"}},
		{"no layers", config(`"num_hidden_layers":2`, `"num_hidden_layers":0`), []string{"config.json", "num_hidden_layers is 0"}},
		{"a million layers", config(`"num_hidden_layers":2`, `"num_hidden_layers":1000000`), []string{"num_hidden_layers is 1000000"}},
		{"a layer too many", config(`"num_hidden_layers":2`, `"num_hidden_layers":3`), []string{"layer_types has 2 entries for 3 layers"}},
		{"more shared layers than layers", config(`"head_dim":32`, `"num_kv_shared_layers":9`), []string{"num_kv_shared_layers is 9"}},
		{"shapes of another mode", config(`"group_size":32,"bits":4,"mode":"affine"`, `"mode":"nvfp4"`), []string{"self_attn.q_proj", "nvfp4"}},
		{"a broken tokenizer_config", map[string]string{"tokenizer_config.json": "{"}, []string{"tokenizer_config.json"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Inspect(tiny(t, test.files), []string{"gemma4", "gemma3_text"})
			wantError(t, err, test.parts...)
		})
	}
}
