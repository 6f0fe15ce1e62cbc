package gemma4

import (
	"encoding/json"
	"maps"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"reprise/model/hub"
)

func read(t *testing.T, raw []byte) (Config, error) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "config.json"), raw, 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := hub.ReadConfig(dir)
	if err != nil {
		t.Fatal(err)
	}
	return parseConfig(c)
}

// parse reads a tiny checkpoint's config.json with changes made to its text_config; a nil change takes a field away, null
// sets it to null.
func parse(t *testing.T, checkpoint string, changes map[string]any) (Config, error) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", checkpoint, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	var whole map[string]any
	if err := json.Unmarshal(raw, &whole); err != nil {
		t.Fatal(err)
	}
	text := whole["text_config"].(map[string]any)
	for k, v := range changes {
		if text[k] = v; v == nil {
			delete(text, k)
		}
	}
	if raw, err = json.Marshal(whole); err != nil {
		t.Fatal(err)
	}
	return read(t, raw)
}

func TestConfigSaysWhatIsMissingOrNotImplemented(t *testing.T) {
	const s, f = "sliding_attention", "full_attention"
	sliding := map[string]any{"rope_type": "default", "rope_theta": 1e4}
	rope := func(full map[string]any) map[string]any {
		return map[string]any{"rope_parameters": map[string]any{s: sliding, f: full}}
	}
	for _, c := range []struct {
		changes map[string]any
		want    string
	}{
		{map[string]any{"hidden_size": nil}, "hidden_size is missing"},
		{map[string]any{"head_dim": 0}, "head_dim is missing or not positive"},
		{map[string]any{"layer_types": nil}, "layer_types is missing"},
		{map[string]any{"num_kv_shared_layers": nil}, "num_kv_shared_layers is missing"},
		{map[string]any{"num_kv_shared_layers": 9}, "num_kv_shared_layers is 9 of 9 layers"},
		{map[string]any{"num_kv_shared_layers": 7}, `layer 2 shares keys and values, but none of the first 2 layers is of its type "full_attention"`},
		{map[string]any{"hidden_size_per_layer_input": nil}, "hidden_size_per_layer_input is missing"},
		{map[string]any{"vocab_size_per_layer_input": nil}, "vocab_size_per_layer_input is missing"},
		{map[string]any{"final_logit_softcapping": nil}, "final_logit_softcapping is missing"},
		{map[string]any{"final_logit_softcapping": -3}, "final_logit_softcapping -3"},
		{map[string]any{"use_double_wide_mlp": nil}, "use_double_wide_mlp is missing"},
		{map[string]any{"sliding_window": nil}, "sliding_window is missing"},
		{map[string]any{"global_head_dim": nil}, "global_head_dim is missing"},
		{map[string]any{"layer_types": []string{f}}, "1 entries for 9 layers"},
		{map[string]any{"layer_types": []string{s, s, f, s, s, "linear_attention", s, s, f}}, `layer 5 is of type "linear_attention"`},
		{map[string]any{"layer_types": []string{s, s, f, s, s, f, s, s, s}}, "the last layer must be"},
		{map[string]any{"num_key_value_heads": 3}, "layer 0: 4 attention heads do not divide among 3"},
		{map[string]any{"attention_k_eq_v": true, "num_global_key_value_heads": 3}, "layer 2: 4 attention heads do not divide among 3"},
		{map[string]any{"per_layer_config": map[string]any{"0": map[string]any{"head_dim": 4}}}, `per_layer_config names layer "0"`},
		{map[string]any{"per_layer_config": map[string]any{"5": map[string]any{"head_dim": 4}}}, "layer 8 shares layer 5's keys and values, but has heads of 16"},
		{map[string]any{"rope_parameters": nil}, "rope_parameters is missing"},
		{map[string]any{"rope_parameters": map[string]any{f: sliding}}, "rope_parameters.sliding_attention.rope_theta is missing"},
		{rope(map[string]any{"rope_type": "yarn", "rope_theta": 1e6}), `rope_type "yarn" is not implemented`},
		{rope(map[string]any{"rope_type": "default", "rope_theta": 1e6, "partial_rotary_factor": 0.5}), `have no meaning with rope_type "default"`},
		{rope(map[string]any{"rope_type": "proportional", "rope_theta": 1e6, "partial_rotary_factor": 0.2}), "is not an even number of dims"},
		{rope(map[string]any{"rope_type": "proportional", "rope_theta": 1e6, "factor": 0}), "factor is 0"},
		{map[string]any{"rope_traditional": true}, "rope_traditional true"},
		{map[string]any{"head_dim": 7}, "layer 0: an odd head size of 7"},
		{map[string]any{"enable_moe_block": true}, "num_experts is missing"},
		{map[string]any{"enable_moe_block": true, "num_experts": 4, "top_k_experts": 5, "moe_intermediate_size": 8}, "top_k_experts is 5 of 4 experts"},
		{map[string]any{"hidden_activation": "silu"}, `hidden_activation "silu"`},
		{map[string]any{"attention_bias": true}, "attention_bias true"},
		{map[string]any{"use_bidirectional_attention": "all"}, `use_bidirectional_attention "all"`},
	} {
		if _, err := parse(t, "tiny-e4b-f32", c.changes); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "config.json") {
			t.Errorf("%v: %v, want %q", c.changes, err, c.want)
		}
	}
}

// Layers that had sizes of their own in per_layer_config and in the global fields are the same layers.
func TestPerLayerConfigIsTheGlobalSizes(t *testing.T) {
	global, err := parse(t, "tiny-31b-untied", nil)
	if err != nil {
		t.Fatal(err)
	}
	each, err := parse(t, "tiny-31b-untied", map[string]any{"global_head_dim": nil, "num_global_key_value_heads": nil,
		"per_layer_config": map[string]any{"3": map[string]any{"head_dim": 16, "num_key_value_heads": 1}}})
	if err != nil {
		t.Fatal(err)
	}
	for i := range global.Layers {
		d, kv := global.heads(i)
		if d2, kv2 := each.heads(i); d != d2 || kv != kv2 {
			t.Errorf("layer %d: heads of %d on %d, or of %d on %d", i, d, kv, d2, kv2)
		}
	}
}

func TestConfigOfTheRealModel(t *testing.T) {
	raw, err := os.ReadFile("../../../shared/configs/gemma-4-e4b-it-4bit.json")
	if err != nil {
		t.Skip("../shared is not beside this checkout")
	}
	cfg, err := read(t, raw)
	if err != nil {
		t.Fatal(err)
	}
	full := 0
	for i := range cfg.own() {
		if cfg.full(i) {
			full++
		}
	}
	if cfg.Layers != 42 || cfg.own() != 24 || full != 4 || cfg.source(24) != 22 || cfg.source(29) != 23 || cfg.source(41) != 23 || cfg.source(7) != 7 {
		t.Errorf("%d layers, %d with keys and values, %d of them full; 24 uses %d, 29 uses %d, 41 uses %d", cfg.Layers, cfg.own(), full, cfg.source(24), cfg.source(29), cfg.source(41))
	}
	if d, kv := cfg.heads(0); d != 256 || kv != 2 {
		t.Errorf("sliding layers have heads of %d on %d", d, kv)
	}
	if d, kv := cfg.heads(5); d != 512 || kv != 2 {
		t.Errorf("full layers have heads of %d on %d", d, kv)
	}
	if !cfg.Tied || cfg.SoftCap != 30 || cfg.mlp(41) != 10240 || cfg.PLE != 256 || cfg.Window != 512 {
		t.Errorf("%+v", cfg)
	}
	r := cfg.Rope[hub.FullAttention]
	waves := r.wavelengths(512)
	for _, c := range []struct {
		i    int
		want float64
	}{{0, 1}, {1, math.Pow(1e6, 2./512)}, {63, math.Pow(1e6, 126./512)}, {64, math.Inf(1)}, {255, math.Inf(1)}} {
		if got := float64(waves[c.i]); got != c.want && math.Abs(got-c.want) > 1e-6*c.want {
			t.Errorf("wavelength %d is %g, want %g", c.i, got, c.want)
		}
	}
}

// Either size of the vocabulary may be the right one; the embedding decides when the model is built.
func TestVocabularyAtEitherLevel(t *testing.T) {
	for name, changes := range map[string]map[string]any{"nested": {"vocab_size": 77}, "top": {"vocab_size": nil}} {
		cfg, err := parse(t, "tiny-e4b-f32", changes)
		if err != nil {
			t.Fatal(err)
		}
		if want := map[string]int{"nested": 77, "top": 96}[name]; cfg.Vocab != want || cfg.topVocab != 96 {
			t.Errorf("%s: %d, at the top %d", name, cfg.Vocab, cfg.topVocab)
		}
	}
}

func TestNames(t *testing.T) {
	cfg, err := parse(t, "tiny-e4b-f32", nil)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]string{
		"language_model.model.layers.0.self_attn.q_proj.scales": "model.layers.0.self_attn.q_proj.scales",
		"model.language_model.layers.0.layer_scalar":            "model.layers.0.layer_scalar",
		"model.embed_tokens.weight":                             "model.embed_tokens.weight",
		"model.language_model.embed_tokens_per_layer.weight":    "model.embed_tokens_per_layer.weight",
		"lm_head.weight":                                                       "",
		"language_model.lm_head.weight":                                        "",
		"model.layers.0.self_attn.rotary_emb.inv_freq":                         "",
		"language_model.model.layers.6.self_attn.k_proj.biases":                "",
		"model.language_model.layers.8.self_attn.v_proj.weight":                "",
		"model.layers.7.self_attn.k_norm.weight":                               "",
		"model.layers.7.self_attn.q_norm.weight":                               "model.layers.7.self_attn.q_norm.weight",
		"model.layers.5.self_attn.k_norm.weight":                               "model.layers.5.self_attn.k_norm.weight",
		"model.language_model.layers.1.experts.gate_up_proj":                   "model.layers.1.experts.switch_glu.gate_up_proj.weight",
		"model.language_model.layers.1.experts.down_proj":                      "model.layers.1.experts.switch_glu.down_proj.weight",
		"model.language_model.layers.1.experts.3.up_proj.weight":               "model.layers.1.experts.switch_glu.3.up_proj.weight",
		"language_model.model.layers.1.experts.switch_glu.up_proj.weight":      "model.layers.1.experts.switch_glu.up_proj.weight",
		"language_model.model.layers.1.experts.switch_glu.gate_up_proj.scales": "model.layers.1.experts.switch_glu.gate_up_proj.scales",
	}
	for _, tower := range []string{"vision_tower.encoder.x", "vision_embedder.x", "audio_tower.x", "embed_vision.x", "embed_audio.x", "multi_modal_projector.x"} {
		maps.Copy(names, map[string]string{tower: "", "model." + tower: ""})
	}
	for name, want := range names {
		if got := cfg.textName(name); got != want {
			t.Errorf("%s becomes %q, want %q", name, got, want)
		}
	}
	cfg.Tied = false
	if got := cfg.textName("language_model.lm_head.weight"); got != "lm_head.weight" {
		t.Errorf("an untied head becomes %q", got)
	}
}
