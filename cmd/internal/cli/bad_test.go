package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"reprise/cmd/internal/tiny"
	"reprise/mlx/safetensors"
)

// Each line of acceptance 1.9 that a command line can bring about: one clear error that names the thing, exit 1.
func TestBadCheckpoints(t *testing.T) {
	for _, tt := range []struct {
		name  string
		spoil func(t *testing.T, dir string)
		want  []string
	}{
		{"truncated", func(t *testing.T, dir string) { tiny.Truncate(t, dir, 100) }, []string{"model.safetensors", "truncated"}},
		{"cut inside the header", func(t *testing.T, dir string) { tiny.Truncate(t, dir, 208336-64) }, []string{"model.safetensors", "truncated"}},
		{"not safetensors", func(t *testing.T, dir string) {
			if err := os.WriteFile(filepath.Join(dir, "model.safetensors"), []byte("<html>not found</html>"), 0o644); err != nil {
				t.Fatal(err)
			}
		}, []string{"model.safetensors", "not a safetensors file"}},
		{"no weights", func(t *testing.T, dir string) { os.Remove(filepath.Join(dir, "model.safetensors")) }, []string{"model.safetensors"}},
		{"a header that lies about a size", func(t *testing.T, dir string) { tiny.Lie(t, dir, "[96,40]", "[96,99]") },
			[]string{"model.embed_tokens.weight", "data_offsets"}},
		{"a header that lies about a place", func(t *testing.T, dir string) { tiny.Lie(t, dir, `"F32"`, `"F64"`) }, []string{"model.safetensors", "data_offsets"}},
		{"unknown model_type", func(t *testing.T, dir string) { tiny.Config(t, dir, map[string]any{"model_type": "mamba9"}) },
			[]string{`"mamba9"`, "gemma3_text"}},
		{"no model_type", func(t *testing.T, dir string) { tiny.Config(t, dir, map[string]any{"model_type": ""}) }, []string{"model_type"}},
		{"a config that is none", func(t *testing.T, dir string) {
			if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte("{"), 0o644); err != nil {
				t.Fatal(err)
			}
		}, []string{"config.json", "JSON"}},
		{"a size missing in the config", func(t *testing.T, dir string) { tiny.Config(t, dir, map[string]any{"head_dim": 0}) }, []string{"head_dim"}},
		{"a tensor missing", func(t *testing.T, dir string) {
			tiny.Rewrite(t, dir, func(s *safetensors.Spec) bool { return s.Name != "model.layers.3.self_attn.k_proj.weight" })
		}, []string{"model.layers.3.self_attn.k_proj.weight", "missing"}},
		{"a tensor of another shape", func(t *testing.T, dir string) {
			tiny.Rewrite(t, dir, func(s *safetensors.Spec) bool {
				if s.Name == "model.norm.weight" {
					s.Shape = []int64{20, 2}
				}
				return true
			})
		}, []string{"model.norm.weight", "[20 2]", "[40]"}},
		{"a tensor too many", func(t *testing.T, dir string) { tiny.Config(t, dir, map[string]any{"num_hidden_layers": 3}) },
			[]string{"model.layers.3"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := tiny.Copy(t, "tiny-f32")
			tt.spoil(t, dir)
			out := filepath.Join(t.TempDir(), "out.safetensors")
			command(t, "logits", "--model", dir, "--tokens", idsFile(t, "[1, 2]"), "--out", out).refused(t, exitError, append(tt.want, dir)...)
			if _, err := os.Stat(out); err == nil {
				t.Error("an output file was left behind")
			}
			command(t, "run", "--device", "cpu", "--model", dir, "hello").refused(t, exitError, tt.want...)
		})
	}
}

func TestBadModelsAndFiles(t *testing.T) {
	t.Setenv("REPRISE_HOME", t.TempDir())
	t.Setenv("HF_HUB_CACHE", t.TempDir())
	dir, empty := tiny.Copy(t, "tiny-f32"), t.TempDir()
	ids, out := idsFile(t, "[1, 2]"), filepath.Join(t.TempDir(), "out.safetensors")
	alone := filepath.Join(empty, "alone.json") // a config that no checkpoint stands around
	if err := os.WriteFile(alone, []byte(`{"model_type": "qwen3_5", "text_config": {"model_type": "qwen3_5_text", "num_hidden_layers": 2, "hidden_size": 64, "num_attention_heads": 1}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	long := "[1" + strings.Repeat(", 1", 2048) + "]" // one more than the tiny checkpoint's context
	for _, tt := range []struct {
		name string
		args []string
		want []string
	}{
		{"a missing model", []string{"run", "--model", "nosuch", "x"}, []string{`"nosuch"`, "models ls"}},
		{"a missing model to serve", []string{"serve", "--model", "nosuch"}, []string{`"nosuch"`}},
		{"a missing model to measure", []string{"bench", "speed", "--model", "nosuch"}, []string{`"nosuch"`}},
		{"a hub id that is not here", []string{"run", "--model", "org/nosuch", "x"}, []string{"org/nosuch", "hf download"}},
		{"a missing folder", []string{"models", "inspect", "./nosuch"}, []string{"./nosuch"}},
		{"a folder without a checkpoint", []string{"run", "--model", empty, "x"}, []string{empty, "config.json"}},
		{"a tokenizer that is not there", []string{"run", "--device", "cpu", "--model", dir, "x"}, []string{dir, "tokenizer.json"}},
		{"a template that is not there", []string{"run", "--device", "cpu", "--model", dir, "--chat-template", "nosuch.jinja", "x"}, []string{"nosuch.jinja", "gemma4"}},
		{"a GGUF that is not there", []string{"models", "import", "nosuch.gguf"}, []string{"nosuch.gguf"}},
		{"a config that is not there", []string{"models", "inspect", "--config", "nosuch.json"}, []string{"--config", "nosuch.json"}},
		{"a config without sizes", []string{"models", "inspect", "--config", alone}, []string{alone, "linear_num_key_heads"}},
		{"a config to make up that is not there", []string{"models", "synth", "--config", "nosuch.json", "--out", out}, []string{"--config", "nosuch.json"}},
		{"a config to make up without sizes", []string{"models", "synth", "--config", alone, "--out", out}, []string{alone, "linear_num_key_heads"}},
		{"a config of ids to make up", []string{"models", "synth", "--config", ids, "--out", out}, []string{ids}},
		{"a key that no config has", []string{"models", "synth", "--config", alone, "--out", out, "--set", "hiden_size=8"}, []string{"hiden_size"}},
		{"more layers than there are", []string{"models", "synth", "--config", alone, "--out", out, "--layers", "9"}, []string{"9 layers of 2"}},
		{"a tokenizer to borrow that is not there", []string{"models", "synth", "--config", alone, "--out", out, "--tokenizer", "nosuch"}, []string{"--tokenizer", "nosuch"}},
		{"a checkpoint without a tokenizer to borrow", []string{"models", "synth", "--config", alone, "--out", out, "--tokenizer", dir}, []string{dir, "tokenizer.json"}},
		{"a config to measure that is not there", []string{"bench", "speed", "--synth", "nosuch.json"}, []string{"--synth", "nosuch.json"}},
		{"a config to measure without sizes", []string{"bench", "speed", "--synth", alone}, []string{"--synth", "linear_num_key_heads"}},
		{"more layers to measure than there are", []string{"bench", "speed", "--synth", alone, "--layers", "9"}, []string{"--synth", alone, "9 layers of 2"}},
		{"a missing model to quantize", []string{"models", "quantize", "nosuch", "--out", out}, []string{`"nosuch"`}},
		{"a quantized model to quantize", []string{"models", "quantize", tiny.Copy(t, "tiny-q4"), "--out", out}, []string{"quantization block"}},
		{"a folder that is full", []string{"models", "quantize", dir, "--out", dir}, []string{dir, "not empty"}},
		{"an override for nothing", []string{"models", "quantize", dir, "--out", out, "--group-size", "32", "--override", "*.upproj=8:32"}, []string{"*.upproj"}},
		{"a file that is no GGUF", []string{"models", "import", ids}, []string{ids}},
		{"ids that are not there", []string{"logits", "--model", dir, "--tokens", "nosuch.json", "--out", out}, []string{"--tokens", "nosuch.json"}},
		{"ids that are no JSON", []string{"logits", "--model", dir, "--tokens", idsFile(t, "[1, 2"), "--out", out}, []string{"JSON", "[2, 818, 5279]"}},
		{"ids that are no array", []string{"logits", "--model", dir, "--tokens", idsFile(t, `{"ids": [1]}`), "--out", out}, []string{"array"}},
		{"ids outside the vocabulary", []string{"logits", "--model", dir, "--tokens", idsFile(t, "[1, 96]"), "--out", out}, []string{"96", "0 to 95"}},
		{"ids beyond the context", []string{"logits", "--model", dir, "--tokens", idsFile(t, long), "--out", out}, []string{"2049 ids", "context of 2048"}},
		{"an output that cannot be written", []string{"logits", "--model", dir, "--tokens", ids, "--out", filepath.Join(empty, "no", "out")}, []string{filepath.Join(empty, "no")}},
		{"an address that is none", []string{"serve", "--model", dir, "--device", "cpu", "--addr", "nowhere"}, []string{"nowhere", "--addr"}},
	} {
		t.Run(tt.name, func(t *testing.T) { command(t, tt.args...).refused(t, exitError, tt.want...) })
	}
}

func TestLogitsCommand(t *testing.T) {
	dir, out := tiny.Copy(t, "tiny-f32"), filepath.Join(t.TempDir(), "out.safetensors")
	r := command(t, "logits", "--model", dir, "--tokens", idsFile(t, "[2, 88, 41]"), "--out", out, "--chunk", "2", "--decode", "5")
	if want := fmt.Sprintf("%s: logits [3, 96], greedy [5]", out); r.code != 0 || r.stderr != "" || !strings.HasPrefix(r.stdout, want) {
		t.Fatalf("exit code %d, stderr %q, stdout %q", r.code, r.stderr, r.stdout)
	}
	header, err := safetensors.ReadHeader(out)
	if err != nil || len(header.Tensors) != 2 {
		t.Fatalf("%+v, %v", header, err)
	}
}
