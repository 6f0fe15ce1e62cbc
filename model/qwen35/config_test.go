package qwen35

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"reprise/model/hub"
)

// parse reads a config.json with changes made to its text_config; a nil change takes a field away.
func parse(t *testing.T, changes map[string]any) (Config, error) {
	t.Helper()
	raw, err := os.ReadFile("testdata/tiny-f32/config.json")
	if err != nil {
		t.Fatal(err)
	}
	var whole map[string]any
	if err := json.Unmarshal(raw, &whole); err != nil {
		t.Fatal(err)
	}
	text := whole["text_config"].(map[string]any)
	maps.Copy(text, changes)
	maps.DeleteFunc(text, func(_ string, v any) bool { return v == nil })
	delete(whole, "tie_word_embeddings")
	if raw, err = json.Marshal(whole); err != nil {
		t.Fatal(err)
	}
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

func TestConfigSaysWhatIsMissingOrNotImplemented(t *testing.T) {
	for _, c := range []struct {
		changes map[string]any
		want    string
	}{
		{map[string]any{"hidden_size": nil}, "hidden_size is missing"},
		{map[string]any{"linear_num_key_heads": 0}, "linear_num_key_heads is missing or not positive"},
		{map[string]any{"rope_parameters": nil, "partial_rotary_factor": nil}, "rope_parameters.rope_theta is missing"},
		{map[string]any{"rope_parameters": map[string]any{"rope_theta": 1e4, "rope_type": "yarn"}}, `of type "yarn"`},
		{map[string]any{"rope_parameters": map[string]any{"rope_theta": 1e4, "partial_rotary_factor": 0.2}}, "is not an even number of dims"},
		{map[string]any{"rope_scaling": map[string]any{"type": "linear", "factor": 2}}, `of type "linear"`},
		{map[string]any{"layer_types": []string{"full_attention"}}, "1 entries for 4 layers"},
		{map[string]any{"layer_types": []string{"full_attention", "full_attention", "sliding_attention", "full_attention"}}, `layer 2 is of type "sliding_attention"`},
		{map[string]any{"layer_types": nil, "full_attention_interval": nil}, "0 entries for 4 layers"},
		{map[string]any{"num_key_value_heads": 3}, "4 attention heads do not divide among 3"},
		{map[string]any{"linear_num_value_heads": 5}, "5 linear value heads do not divide among 2"},
		{map[string]any{"linear_conv_kernel_dim": 1}, "linear_conv_kernel_dim is 1"},
		{map[string]any{"hidden_act": "gelu"}, `hidden_act "gelu"`},
		{map[string]any{"attn_output_gate": false}, "attn_output_gate false"},
		{map[string]any{"output_gate_type": "sigmoid"}, `output_gate_type "sigmoid"`},
		{map[string]any{"intermediate_size": nil}, "intermediate_size is missing"},
		{map[string]any{"attention_bias": true}, "attention_bias true"},
		{map[string]any{"mamba_ssm_dtype": "bfloat16"}, `mamba_ssm_dtype "bfloat16"`},
		{map[string]any{"num_experts": -1}, "num_experts is missing or not positive"},
		{mixtureWith("num_experts_per_tok", nil), "num_experts_per_tok is missing"},
		{mixtureWith("num_experts_per_tok", 9), "num_experts_per_tok is 9 of 8 experts"},
		{mixtureWith("moe_intermediate_size", 0), "moe_intermediate_size is missing"},
		{mixtureWith("shared_expert_intermediate_size", nil), "shared_expert_intermediate_size is missing"},
		{mixtureWith("norm_topk_prob", false), "norm_topk_prob false"},
		{mixtureWith("decoder_sparse_step", 2), "decoder_sparse_step 2"},
		{mixtureWith("mlp_only_layers", []int{0}), "mlp_only_layers [0]"},
		{map[string]any{"tie_word_embeddings": nil}, "tie_word_embeddings is missing"},
	} {
		if _, err := parse(t, c.changes); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "config.json") {
			t.Errorf("%v: %v, want %q", c.changes, err, c.want)
		}
	}
}

// mixtureWith are a mixture's fields with one of them changed.
func mixtureWith(name string, value any) map[string]any {
	fields := map[string]any{"intermediate_size": nil, "num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 20, "shared_expert_intermediate_size": 24}
	fields[name] = value
	return fields
}

func TestAMixtureNeedsItsExperts(t *testing.T) {
	if _, err := parse(t, mixtureWith("norm_topk_prob", true)); err != nil {
		t.Error(err)
	}
	dir := t.TempDir()
	raw, err := os.ReadFile("testdata/tiny-f32/config.json")
	if err != nil {
		t.Fatal(err)
	}
	raw = []byte(strings.Replace(string(raw), `"model_type": "qwen3_5"`, `"model_type": "qwen3_5_moe"`, 1))
	if err := os.WriteFile(filepath.Join(dir, "config.json"), raw, 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := hub.ReadConfig(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parseConfig(c); err == nil || !strings.Contains(err.Error(), "num_experts is missing") {
		t.Errorf("a qwen3_5_moe without experts: %v", err)
	}
}

// realConfig reads one of the configs that ../shared has.
func realConfig(t *testing.T, name string) Config {
	t.Helper()
	raw, err := os.ReadFile("../../../shared/configs/" + name)
	if err != nil {
		t.Skip("../shared is not beside this checkout")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "config.json"), raw, 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := hub.ReadConfig(dir)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := parseConfig(c)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestConfigsOfTheRealModels(t *testing.T) {
	moe := realConfig(t, "qwen3.6-35b-a3b.json")
	if moe.Experts != 256 || moe.TopK != 8 || moe.ExpertWidth != 512 || moe.SharedWidth != 512 || moe.Layers != 40 {
		t.Errorf("35B-A3B: %+v", moe)
	}
	cfg := realConfig(t, "qwen3.6-27b.json")
	full := 0
	for i := range cfg.Layers {
		if cfg.full(i) {
			full++
		}
	}
	if cfg.Layers != 64 || full != 16 || cfg.rotaryDims() != 64 || cfg.Rope.Theta != 1e7 || cfg.convChannels() != 10240 || *cfg.Tied {
		t.Errorf("%d layers, %d full, %d dims turn by %g, %d channels, tied %v", cfg.Layers, full, cfg.rotaryDims(), cfg.Rope.Theta, cfg.convChannels(), *cfg.Tied)
	}
}
