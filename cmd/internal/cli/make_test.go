package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"reprise/model/hub"
)

const smallConfig = `{"model_type": "qwen3_5", "text_config": {"model_type": "qwen3_5_text", "hidden_size": 128, "intermediate_size": 256, "num_attention_heads": 4,
	"num_key_value_heads": 2, "head_dim": 32, "vocab_size": 640, "num_hidden_layers": 8, "full_attention_interval": 4, "linear_num_key_heads": 2,
	"linear_num_value_heads": 4, "linear_key_head_dim": 32, "linear_value_head_dim": 32, "linear_conv_kernel_dim": 4, "tie_word_embeddings": false,
	"rms_norm_eps": 1e-06, "hidden_act": "silu", "attn_output_gate": true, "max_position_embeddings": 512, "dtype": "bfloat16",
	"rope_parameters": {"rope_type": "default", "rope_theta": 10000000, "partial_rotary_factor": 0.25}}}`

// A made-up checkpoint is quantized, inspected and measured, and so is its config alone.
func TestMadeUpCheckpoints(t *testing.T) {
	parent := t.TempDir()
	config, floats, packed := filepath.Join(parent, "small.json"), filepath.Join(parent, "floats"), filepath.Join(parent, "packed")
	if err := os.WriteFile(config, []byte(smallConfig), 0o600); err != nil {
		t.Fatal(err)
	}
	done := func(want string, args ...string) string {
		t.Helper()
		r := command(t, args...)
		if r.code != 0 || !strings.Contains(r.stdout, want) {
			t.Fatalf("%v: exit code %d, %s\n%s", args, r.code, r.stderr, r.stdout)
		}
		return r.stdout
	}
	done("qwen3_5 of 4 layers", "models", "synth", "--config", config, "--out", floats, "--layers", "4", "--seed", "3")
	done("4.", "models", "quantize", floats, "--out", packed, "--bits", "4", "--override", "*.lm_head=8:64", "--device", "cpu")
	done("8 bit, group 64, affine for 1 modules (language_model.lm_head)", "models", "inspect", packed)
	command(t, "models", "quantize", packed, "--out", filepath.Join(parent, "again")).refused(t, exitError, "quantization block")
	command(t, "models", "quantize", floats, "--out", packed).refused(t, exitError, packed, "not empty")

	// The files' sizes are those that the config implies.
	var alone, whole hub.Inspection
	for out, args := range map[*hub.Inspection][]string{&alone: {"--config", filepath.Join(packed, "config.json")}, &whole: {packed}} {
		if err := json.Unmarshal([]byte(done("", append([]string{"models", "inspect", "--json"}, args...)...)), out); err != nil {
			t.Fatal(err)
		}
	}
	if alone.Bytes != whole.Bytes || len(alone.Components) != len(whole.Components) || alone.Bytes == 0 {
		t.Errorf("%+v from the config, %+v from the files", alone, whole)
	}

	var report struct {
		Model string           `json:"model"`
		Synth string           `json:"synth"`
		Parts map[string]int64 `json:"weights_by_component"`
		Graph struct {
			Launches float64 `json:"launches_per_step"`
		} `json:"decode_graph"`
		Points []struct {
			Prefill float64    `json:"prefill_tps"`
			Range   [2]float64 `json:"decode_tps_range"`
		} `json:"points"`
	}
	text := done("", "bench", "speed", "--synth", config, "--layers", "4", "--set", `quantization={"mode":"nvfp4"}`, "--prompt", "16", "--gen", "8", "--repeat", "1", "--device", "cpu", "--json")
	if err := json.Unmarshal([]byte(text), &report); err != nil {
		t.Fatal(err)
	}
	if report.Model != "small" || report.Synth != config || report.Parts["mlp"] == 0 || report.Graph.Launches < 20 || len(report.Points) != 1 ||
		report.Points[0].Prefill <= 0 || report.Points[0].Range[0] <= 0 {
		t.Errorf("%s", text)
	}
}
