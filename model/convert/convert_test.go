package convert

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"reprise/mlx"
	"reprise/mlx/safetensors"
	"reprise/model/hub"
	"reprise/model/synth"
)

// sourceCase is a made-up checkpoint and how it is quantized. The same ones are dumped for mlx-lm.
type sourceCase struct {
	name, config string
	published    bool // in Hugging Face's names and layouts
	rules        Rules
}

const gemmaCommon = `"hidden_size": 128, "intermediate_size": 192, "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 32, "global_head_dim": 64,
	"vocab_size": 200, "vocab_size_per_layer_input": 200, "num_hidden_layers": 4, "sliding_window": 16, "tie_word_embeddings": true, "dtype": "bfloat16",
	"layer_types": ["sliding_attention", "full_attention", "sliding_attention", "full_attention"], "use_double_wide_mlp": false`

const qwenCommon = `"hidden_size": 128, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 64, "vocab_size": 200, "num_hidden_layers": 4, "full_attention_interval": 4,
	"linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 32, "linear_value_head_dim": 32, "linear_conv_kernel_dim": 4,
	"tie_word_embeddings": false, "dtype": "bfloat16"`

func rule(mode string, bits, group int) Rules {
	spec, err := hub.NewSpec(mode, bits, group)
	if err != nil {
		panic(err)
	}
	return Rules{Spec: spec}
}

var cases = []sourceCase{
	{"gemma4-e", `{"model_type": "gemma4", "vocab_size": 200, "text_config": {"model_type": "gemma4_text", ` + gemmaCommon + `, "num_kv_shared_layers": 2,
		"hidden_size_per_layer_input": 64, "attention_k_eq_v": false, "enable_moe_block": false}}`, false, rule("affine", 4, 64)},
	{"gemma4-experts", `{"model_type": "gemma4", "vocab_size": 200, "text_config": {"model_type": "gemma4_text", ` + gemmaCommon + `, "num_kv_shared_layers": 0,
		"hidden_size_per_layer_input": 0, "attention_k_eq_v": true, "num_global_key_value_heads": 1, "enable_moe_block": true, "num_experts": 4, "top_k_experts": 2,
		"moe_intermediate_size": 64}}`, true, rule("affine", 5, 32)},
	{"qwen", `{"model_type": "qwen3_5", "text_config": {"model_type": "qwen3_5_text", "intermediate_size": 192, ` + qwenCommon + `}}`, true, rule("nvfp4", 0, 0)},
	{"qwen-experts", `{"model_type": "qwen3_5_moe", "text_config": {"model_type": "qwen3_5_moe_text", "num_experts": 4, "num_experts_per_tok": 2,
		"moe_intermediate_size": 64, "shared_expert_intermediate_size": 64, ` + qwenCommon + `}}`, true, rule("mxfp4", 0, 0)},
	{"gemma3-mixed", `{"model_type": "gemma3_text", "torch_dtype": "float32", "hidden_size": 128, "intermediate_size": 192, "num_attention_heads": 2,
		"num_key_value_heads": 1, "head_dim": 64, "vocab_size": 200, "num_hidden_layers": 16, "sliding_window": 16, "sliding_window_pattern": 6,
		"tie_word_embeddings": true}`, false, Rules{Spec: rule("affine", 0, 32).Spec, Recipe: "mixed_3_6"}},
}

// source writes the case's checkpoint.
func (c sourceCase) source(t *testing.T) string {
	t.Helper()
	parent := t.TempDir()
	config := filepath.Join(parent, "config.json")
	dir := filepath.Join(parent, c.name)
	if err := os.WriteFile(config, []byte(c.config), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := synth.Write(context.Background(), dir, synth.Options{Config: config, Seed: 5}); err != nil {
		t.Fatal(err)
	}
	if c.published {
		publish(t, dir)
	}
	return dir
}

// tensors reads all of a folder's tensors.
func tensors(t *testing.T, dir string) (specs map[string]safetensors.Spec, data map[string][]byte) {
	t.Helper()
	w, err := hub.ReadWeights(dir)
	if err != nil {
		t.Fatal(err)
	}
	specs, data = map[string]safetensors.Spec{}, map[string][]byte{}
	files := map[string][]byte{}
	for _, x := range w.Tensors {
		if files[x.File] == nil {
			if files[x.File], err = os.ReadFile(x.File); err != nil {
				t.Fatal(err)
			}
		}
		specs[x.Name] = safetensors.Spec{Name: x.Name, DType: x.DType, Shape: x.Shape}
		data[x.Name] = files[x.File][x.Offset : x.Offset+x.Bytes]
	}
	return specs, data
}

// publish gives a checkpoint Hugging Face's names, its convolutions' shape, and experts whose gate and up are one tensor.
func publish(t *testing.T, dir string) {
	t.Helper()
	specs, data := tensors(t, dir)
	out, outData := map[string]safetensors.Spec{}, map[string][]byte{}
	put := func(name string, spec safetensors.Spec, raw []byte) {
		spec.Name = name
		out[name], outData[name] = spec, raw
	}
	for name, spec := range specs {
		to := strings.Replace(strings.Replace(name, "language_model.model.", "model.language_model.", 1), "language_model.lm_head", "lm_head", 1)
		stack := strings.Contains(name, ".switch_mlp.") || strings.Contains(name, ".switch_glu.")
		to = strings.NewReplacer(".mlp.switch_mlp.", ".mlp.experts.", ".experts.switch_glu.", ".experts.").Replace(to)
		switch {
		case strings.HasSuffix(name, "conv1d.weight"):
			spec.Shape = []int64{spec.Shape[0], 1, spec.Shape[1]}
			put(to, spec, data[name])
		case stack && strings.Contains(name, ".up_proj."): // goes with the gate
		case stack && strings.Contains(name, ".gate_proj."):
			gate, up := data[name], data[strings.Replace(name, ".gate_proj.", ".up_proj.", 1)]
			each := len(gate) / int(spec.Shape[0])
			var both []byte
			for i := 0; i < len(gate); i += each {
				both = append(append(both, gate[i:i+each]...), up[i:i+each]...)
			}
			spec.Shape = []int64{spec.Shape[0], 2 * spec.Shape[1], spec.Shape[2]}
			put(strings.Replace(to, ".gate_proj.weight", ".gate_up_proj", 1), spec, both)
		case stack:
			put(strings.TrimSuffix(to, ".weight"), spec, data[name])
		default:
			put(to, spec, data[name])
		}
	}
	w, err := safetensors.Create(filepath.Join(dir, "model.safetensors"), slices.Collect(maps.Values(out)), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	for name, raw := range outData {
		tw, err := w.Tensor(name)
		if err == nil {
			_, err = tw.Write(raw)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
}

func worker(t *testing.T) *mlx.Worker {
	t.Helper()
	w, err := mlx.Start(mlx.CPU)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

func quantize(t *testing.T, src string, rules Rules) (string, *Report) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "out")
	report, err := Quantize(context.Background(), worker(t), src, out, Options{Rules: rules})
	if err != nil {
		t.Fatal(err)
	}
	return out, report
}

// vector is what mlx-lm made of a case: a digest of each tensor, and the config's block.
type vector struct {
	Source       string            `json:"source"` // digest of the source's tensors
	Tensors      map[string]string `json:"tensors"`
	Quantization map[string]any    `json:"quantization"`
}

func digest(parts ...[]byte) string {
	h := sha256.New()
	for _, p := range parts {
		h.Write(p)
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}

// digests are of each tensor's type, shape and bytes, as make_vectors.py makes them.
func digests(specs map[string]safetensors.Spec, data map[string][]byte) map[string]string {
	out := map[string]string{}
	for name, spec := range specs {
		out[name] = digest([]byte(fmt.Sprintf("%s %s ", spec.DType, strings.ReplaceAll(fmt.Sprint(spec.Shape), " ", ", "))), data[name])
	}
	return out
}

func together(m map[string]string) string {
	var b bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(m)) {
		fmt.Fprintf(&b, "%s %s\n", name, m[name])
	}
	return digest(b.Bytes())
}

func TestTheBytesAreMlxLms(t *testing.T) {
	if dump := os.Getenv("REPRISE_CONVERT_DUMP"); dump != "" {
		dumpSources(t, dump)
		return
	}
	var want map[string]vector
	raw, err := os.ReadFile("testdata/mlx_lm.json")
	if err == nil {
		err = json.Unmarshal(raw, &want)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			src := c.source(t)
			if got := together(digests(tensors(t, src))); got != want[c.name].Source {
				t.Fatalf("the source's tensors are %s, those that mlx-lm was given %s: make the vectors again", got, want[c.name].Source)
			}
			out, report := quantize(t, src, c.rules)
			got := digests(tensors(t, out))
			for name, sum := range want[c.name].Tensors {
				if got[name] != sum {
					t.Errorf("%s: %s, mlx-lm's is %s", name, got[name], sum)
				}
				delete(got, name)
			}
			for name := range got {
				t.Errorf("mlx-lm has no %s", name)
			}
			compareBlocks(t, out, want[c.name].Quantization)
			if report.Modules == 0 || report.Left == 0 || report.BitsPerWeight < 3 || report.BitsPerWeight > 9 {
				t.Errorf("%+v", report)
			}
			if in, err := hub.Inspect(out, nil); err != nil || in.Bytes != report.Bytes {
				t.Errorf("inspect reads %+v, %v", in, err)
			}
		})
	}
}

// compareBlocks compares what the two blocks say of each module. mlx-lm's recipes list every module.
func compareBlocks(t *testing.T, out string, want map[string]any) {
	t.Helper()
	c, err := hub.ReadConfig(out)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(map[string]any{"model_type": "x", "quantization": want})
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := hub.ParseConfig(raw)
	if err != nil {
		t.Fatal(err)
	}
	w, err := hub.ReadWeights(out)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range w.Tensors {
		if path, ok := strings.CutSuffix(x.Name, ".scales"); ok {
			a, _ := c.Quantization.For(path)
			if b, _ := theirs.Quantization.For(path); a != b {
				t.Errorf("%s: %v, mlx-lm has %v", path, a, b)
			}
		}
	}
	var both struct {
		One   map[string]any `json:"quantization"`
		Other map[string]any `json:"quantization_config"`
	}
	if err := json.Unmarshal(c.Raw, &both); err != nil || len(both.One) == 0 || len(both.One) != len(both.Other) {
		t.Errorf("the config has %d and %d entries, %v", len(both.One), len(both.Other), err)
	}
}

// dumpSources writes what make_vectors.py reads.
func dumpSources(t *testing.T, dump string) {
	for _, c := range cases {
		src := c.source(t)
		to := filepath.Join(dump, c.name)
		spec := c.rules.Spec
		options, err := json.Marshal(map[string]any{
			"bits": spec.Bits, "group_size": spec.GroupSize, "mode": spec.Mode, "recipe": c.rules.Recipe, "source": together(digests(tensors(t, src))),
		})
		if err == nil {
			err = errors.Join(os.CopyFS(to, os.DirFS(src)), os.WriteFile(filepath.Join(to, "options.json"), options, 0o600))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestRules(t *testing.T) {
	c := cases[0]
	src := c.source(t)
	if err := os.WriteFile(filepath.Join(src, "tokenizer.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	rules := c.rules
	for _, text := range []string{"*.mlp.*=8:32", "*.layers.1.mlp.up_proj=false", "*embed_tokens_per_layer=4:64", "*.q_proj=4:32:mxfp4"} {
		o, err := ParseOverride(text)
		if err != nil {
			t.Fatal(err)
		}
		rules.Overrides = append(rules.Overrides, o)
	}
	out, _ := quantize(t, src, rules)
	in, err := hub.Inspect(out, nil) // reads every module as the config has it
	if err != nil {
		t.Fatal(err)
	}
	q, err := hub.ReadConfig(out)
	if err != nil {
		t.Fatal(err)
	}
	w, err := hub.ReadWeights(out)
	if err != nil {
		t.Fatal(err)
	}
	const layer = "language_model.model.layers.1."
	for path, want := range map[string]string{
		layer + "mlp.down_proj": "8 bit, group 32, affine", layer + "self_attn.q_proj": "4 bit, group 32, mxfp4", layer + "self_attn.k_proj": "4 bit, group 64, affine",
		"language_model.model.embed_tokens_per_layer": "4 bit, group 64, affine",
	} {
		if spec, ok := q.Quantization.For(path); !ok || spec.String() != want {
			t.Errorf("%s: %v, want %s", path, spec, want)
		}
	}
	if _, packed := w.Lookup(layer + "mlp.up_proj.scales"); packed {
		t.Error("up_proj of layer 1 is quantized")
	}
	if _, ok := q.Quantization.For(layer + "mlp.up_proj"); ok {
		t.Error("the config says that up_proj of layer 1 is quantized")
	}
	if _, err := os.Stat(filepath.Join(out, "tokenizer.json")); err != nil || len(in.Formats) != 4 {
		t.Errorf("%v; formats %+v", err, in.Formats)
	}
}

func TestBadOverrides(t *testing.T) {
	for _, text := range []string{"", "x", "=4:64", "x=", "x=four", "x=4:sixty", "x=7:64", "x=4:48", "x=4:32:fp4", "[=4:64", "x=true"} {
		if o, err := ParseOverride(text); err == nil {
			t.Errorf("%q gives %+v", text, o)
		}
	}
}

func TestWhatCannotBeQuantized(t *testing.T) {
	good := cases[2]
	for _, tt := range []struct {
		name  string
		spoil func(t *testing.T, dir string)
		rules Rules
		want  string
	}{
		{"a quantized checkpoint", func(t *testing.T, dir string) {
			edit(t, dir, `"model_type": "qwen3_5"`, `"quantization": {"bits": 4}, "model_type": "qwen3_5"`)
		}, good.rules, "quantization block"},
		{"another width", func(t *testing.T, dir string) { edit(t, dir, `"vocab_size": 200`, `"vocab_size": 201`) }, good.rules, "embed_tokens.weight"},
		{"a layer too many", func(t *testing.T, dir string) { edit(t, dir, `"num_hidden_layers": 4`, `"num_hidden_layers": 5`) }, good.rules, "layers.4."},
		{"a layer too few", func(t *testing.T, dir string) { edit(t, dir, `"num_hidden_layers": 4`, `"num_hidden_layers": 3`) }, good.rules, "layers.3."},
		{"an unknown type", func(t *testing.T, dir string) { edit(t, dir, `"model_type": "qwen3_5"`, `"model_type": "mamba9"`) }, good.rules, "mamba9"},
		{"an override for nothing", func(*testing.T, string) {}, Rules{Spec: good.rules.Spec, Overrides: []Override{{Pattern: "*.mlp.upproj"}}}, "*.mlp.upproj"},
		{"no weights", func(t *testing.T, dir string) { os.Remove(filepath.Join(dir, "model.safetensors")) }, good.rules, "model.safetensors"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			src := good.source(t)
			tt.spoil(t, src)
			parent := t.TempDir()
			_, err := Quantize(context.Background(), worker(t), src, filepath.Join(parent, "out"), Options{Rules: tt.rules})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want it to name %s", err, tt.want)
			}
			if left, _ := os.ReadDir(parent); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func edit(t *testing.T, dir, old, replaced string) {
	t.Helper()
	path := filepath.Join(dir, "config.json")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(raw, []byte(old)) {
		t.Fatalf("no %s in %s", old, raw)
	}
	if err := os.WriteFile(path, bytes.Replace(raw, []byte(old), []byte(replaced), 1), 0o600); err != nil {
		t.Fatal(err)
	}
}

// What mlx-lm drops is dropped and said; anything else that has no place is an error.
func TestTowersAreLeftOut(t *testing.T) {
	src := cases[1].source(t)
	add := func(name string) {
		w, err := safetensors.Create(filepath.Join(src, "model-2.safetensors"), []safetensors.Spec{{Name: name, DType: safetensors.F32, Shape: []int64{25}}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		tw, err := w.Tensor(name)
		if err == nil {
			_, err = tw.Write(make([]byte, 100))
		}
		if err := errors.Join(err, w.Commit()); err != nil {
			t.Fatal(err)
		}
	}
	add("model.vision_tower.encoder.layers.0.mlp.up_proj.weight")
	if _, report := quantize(t, src, cases[1].rules); len(report.Dropped) != 1 || report.Dropped["vision"] != 100 {
		t.Errorf("%+v", report)
	}
	add("model.language_model.layers.0.surprise.weight")
	if _, err := Quantize(context.Background(), worker(t), src, filepath.Join(t.TempDir(), "out"), Options{Rules: cases[1].rules}); err == nil || !strings.Contains(err.Error(), "surprise") {
		t.Errorf("%v", err)
	}
}

// Tensors of 33 MB pass in blocks: what MLX holds depends on those alone.
func TestMemoryIsBounded(t *testing.T) {
	c := cases[2]
	c.config = strings.NewReplacer(`"vocab_size": 200`, `"vocab_size": 131072`).Replace(c.config)
	src := c.source(t)
	mlx.ClearCache()
	before := mlx.ReadMemory().Active
	mlx.ResetPeak()
	_, report := quantize(t, src, c.rules)
	peak := mlx.ReadMemory().Peak - before
	t.Logf("%.1f MB, MLX's peak %.1f MB", float64(report.SourceBytes)/1e6, float64(peak)/1e6)
	if report.SourceBytes < 60e6 || peak > 50*blockBytes {
		t.Errorf("%d bytes quantized with a peak of %d", report.SourceBytes, peak)
	}
}

func TestAnInterruptedRunLeavesNothing(t *testing.T) {
	src := cases[2].source(t)
	parent := t.TempDir()
	ctx, cancel := context.WithCancel(context.Background())
	_, err := Quantize(ctx, worker(t), src, filepath.Join(parent, "out"), Options{Rules: cases[2].rules, Progress: func(done, total int64) {
		if done > total/2 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("an interrupted run gave %v", err)
	}
	if left, _ := os.ReadDir(parent); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
