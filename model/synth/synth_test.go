package synth

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"reprise/mlx"
	"reprise/mlx/mlxtest"
	"reprise/model"
	"reprise/model/arch"
	"reprise/model/hub"
	"reprise/model/hub/layout"
	"reprise/model/weights"
)

const gemma4Text = `"hidden_size": 128, "intermediate_size": 256, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 32, "global_head_dim": 64,
	"vocab_size": 640, "vocab_size_per_layer_input": 640, "num_hidden_layers": 12, "sliding_window": 16, "num_kv_shared_layers": 4, "max_position_embeddings": 512,
	"layer_types": ["sliding_attention", "sliding_attention", "full_attention", "sliding_attention", "sliding_attention", "full_attention",
		"sliding_attention", "sliding_attention", "full_attention", "sliding_attention", "sliding_attention", "full_attention"],
	"hidden_size_per_layer_input": 64, "use_double_wide_mlp": false, "attention_k_eq_v": false, "enable_moe_block": false, "tie_word_embeddings": true,
	"final_logit_softcapping": 30.0, "rms_norm_eps": 1e-06, "hidden_activation": "gelu_pytorch_tanh", "rope_parameters": {
		"sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
		"full_attention": {"rope_type": "proportional", "partial_rotary_factor": 0.25, "rope_theta": 1000000.0}}`

const qwenText = `"hidden_size": 128, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 32, "vocab_size": 640,
	"full_attention_interval": 4, "linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 32, "linear_value_head_dim": 32,
	"linear_conv_kernel_dim": 4, "tie_word_embeddings": false, "rms_norm_eps": 1e-06, "hidden_act": "silu", "attn_output_gate": true, "max_position_embeddings": 512,
	"rope_parameters": {"rope_type": "default", "rope_theta": 10000000, "partial_rotary_factor": 0.25}, "num_hidden_layers": `

// small are configs of each architecture, with each way to quantize.
var small = map[string]string{
	"gemma3 of 4 bit": `{"model_type": "gemma3_text", "hidden_size": 128, "intermediate_size": 256, "num_attention_heads": 4, "num_key_value_heads": 1,
		"head_dim": 32, "vocab_size": 640, "num_hidden_layers": 6, "sliding_window": 16, "sliding_window_pattern": 6, "max_position_embeddings": 512,
		"rms_norm_eps": 1e-06, "query_pre_attn_scalar": 32, "rope_theta": 1000000.0, "rope_local_base_freq": 10000.0, "hidden_activation": "gelu_pytorch_tanh",
		"quantization": {"group_size": 64, "bits": 4}}`,
	"gemma4 with a table of 8 bit": `{"model_type": "gemma4", "text_config": {"model_type": "gemma4_text", ` + gemma4Text + `},
		"quantization": {"group_size": 64, "bits": 4, "language_model.model.embed_tokens_per_layer": {"bits": 8, "group_size": 64}}}`,
	"gemma4 with experts": `{"model_type": "gemma4", "text_config": {"model_type": "gemma4_text", ` + strings.NewReplacer(
		`"enable_moe_block": false`, `"enable_moe_block": true, "num_experts": 8, "top_k_experts": 2, "moe_intermediate_size": 64`,
		`"num_kv_shared_layers": 4`, `"num_kv_shared_layers": 0`, `"hidden_size_per_layer_input": 64`, `"hidden_size_per_layer_input": 0`,
		`"attention_k_eq_v": false`, `"attention_k_eq_v": true, "num_global_key_value_heads": 1`).Replace(gemma4Text) + `},
		"quantization": {"group_size": 64, "bits": 4}}`,
	"qwen of 6 and 3 bit": `{"model_type": "qwen3_5", "text_config": {"model_type": "qwen3_5_text", "intermediate_size": 256, ` + qwenText + `64},
		"quantization": {"group_size": 32, "bits": 6, "language_model.lm_head": {"bits": 3, "group_size": 64}, "language_model.model.embed_tokens": false}}`,
	"qwen in mxfp4":  `{"model_type": "qwen3_5", "text_config": {"model_type": "qwen3_5_text", "intermediate_size": 256, ` + qwenText + `8}, "quantization": {"mode": "mxfp4"}}`,
	"qwen in nvfp4":  `{"model_type": "qwen3_5", "text_config": {"model_type": "qwen3_5_text", "intermediate_size": 256, ` + qwenText + `8}, "quantization": {"mode": "nvfp4"}}`,
	"qwen unpacked":  `{"model_type": "qwen3_5", "text_config": {"model_type": "qwen3_5_text", "intermediate_size": 256, ` + qwenText + `8}}`,
	"qwen in halves": `{"model_type": "qwen3_5", "text_config": {"model_type": "qwen3_5_text", "dtype": "float16", "intermediate_size": 256, ` + qwenText + `4}}`,
	"qwen with experts": `{"model_type": "qwen3_5_moe", "text_config": {"model_type": "qwen3_5_moe_text", "num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 64,
		"shared_expert_intermediate_size": 64, "norm_topk_prob": true, ` + qwenText + `8}, "quantization": {"group_size": 64, "bits": 4}}`,
}

// each runs a test on every small config that this build can load.
func each(t *testing.T, test func(t *testing.T, file string, c *hub.Config)) {
	for _, name := range slices.Sorted(func(yield func(string) bool) {
		for name := range small {
			if !yield(name) {
				return
			}
		}
	}) {
		t.Run(name, func(t *testing.T) {
			file := configFile(t, small[name])
			c, err := hub.ReadConfigFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Supported(arch.Supported()); err != nil {
				t.Skip(err)
			}
			test(t, file, c)
		})
	}
}

func configFile(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func write(t *testing.T, o Options) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "out")
	if _, err := Write(context.Background(), dir, o); err != nil {
		t.Fatal(err)
	}
	return dir
}

// sizes compares what is held in memory with what inspect says, part by part, within 2 %. To a small array the allocator
// adds up to 64 bytes.
func sizes(t *testing.T, in *hub.Inspection, parts map[string]int64, info model.Info, active int64) {
	t.Helper()
	near := func(what string, got, want, slack int64) {
		if math.Abs(float64(got-want)) > 0.02*float64(want)+float64(slack) {
			t.Errorf("%s: %d bytes, inspect says %d", what, got, want)
		}
	}
	for _, part := range in.Components {
		near(part.Name, parts[part.Name], part.Held, 0)
		delete(parts, part.Name)
	}
	for name, n := range parts {
		t.Errorf("%s: %d bytes that inspect does not list", name, n)
	}
	near("all weights", info.Bytes, in.HeldBytes, 0)
	if info.ActiveBytes > 0 { // not every architecture says
		near("what a token reads", info.ActiveBytes, in.ActiveBytes, 0)
	}
	near("MLX's active memory", active, in.HeldBytes, 64*int64(in.Tensors))
	near("a token", info.RowBytes, in.State.TokenBF16, 0)
	near("a snapshot", info.SnapshotBytes, in.State.WindowBF16+in.State.Recurrent, 0)
}

// onGPU are the options of a GPU, which the figures are about: bfloat16 throughout.
func onGPU(parts map[string]int64) weights.Options {
	return weights.Options{Dtype: mlx.BFloat16, Parts: parts}
}

func TestFilesHoldWhatInspectSays(t *testing.T) {
	each(t, func(t *testing.T, file string, c *hub.Config) {
		dir := write(t, Options{Config: file, Seed: 1})
		in, err := hub.Inspect(dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		loaded(t, c, in, weights.Files(dir))
	})
}

// The tiny checkpoints of the model packages bring other layouts: Hugging Face's own, single experts, shards.
func TestTinyCheckpointsHoldWhatInspectSays(t *testing.T) {
	configs, err := filepath.Glob("../*/testdata/tiny-*/config.json")
	if err != nil || len(configs) == 0 {
		t.Fatal(err)
	}
	for _, file := range configs {
		dir := filepath.Dir(file)
		t.Run(filepath.Base(filepath.Dir(filepath.Dir(dir)))+"/"+filepath.Base(dir), func(t *testing.T) {
			c, err := hub.ReadConfig(dir)
			if err != nil {
				t.Fatal(err)
			}
			in, err := hub.Inspect(dir, nil)
			if err != nil {
				t.Fatal(err)
			}
			mlxtest.OnWorker(t, func(s *mlx.Scope) error { return held(t, s, c, in, weights.Files(dir)) })
		})
	}
}

func TestDeviceHoldsWhatInspectSays(t *testing.T) {
	each(t, func(t *testing.T, _ string, c *hub.Config) {
		l, err := layout.Of(c)
		if err != nil {
			t.Fatal(err)
		}
		in, err := hub.Describe(c, l.Weights(c))
		if err != nil {
			t.Fatal(err)
		}
		loaded(t, c, in, Source(c, 1))
	})
}

// loaded builds the model, compares sizes, and runs it: logits must be finite, and neither flat nor peaked.
func loaded(t *testing.T, c *hub.Config, in *hub.Inspection, from weights.Source) {
	t.Helper()
	mlxtest.OnWorker(t, func(s *mlx.Scope) error {
		if err := held(t, s, c, in, from); err != nil {
			return err
		}
		m, err := arch.Build(s, c, from, onGPU(nil))
		if err != nil {
			return err
		}
		defer m.Free()
		return sane(t, s, m)
	})
}

// held builds the model and compares sizes.
func held(t *testing.T, s *mlx.Scope, c *hub.Config, in *hub.Inspection, from weights.Source) error {
	parts := map[string]int64{}
	defer mlx.SetCacheLimit(mlx.SetCacheLimit(0)) // a buffer that is used again may be bigger than what is in it
	before := mlx.ReadMemory().Active
	m, err := arch.Build(s, c, from, onGPU(parts))
	if err != nil {
		return err
	}
	defer m.Free()
	sizes(t, in, parts, m.Info(), mlx.ReadMemory().Active-before)
	return nil
}

func sane(t *testing.T, s *mlx.Scope, m model.Model) error {
	st := m.NewState()
	defer st.Free()
	ids := make([]int32, 24)
	for i := range ids {
		ids[i] = int32(i * 53 % 640)
	}
	logits, err := s.Float32s(m.Logits(s, m.Forward(s, mlx.New(s, ids, 1, len(ids)), st)))
	if err != nil {
		return err
	}
	var squares, largest float64
	for _, x := range logits {
		if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
			return fmt.Errorf("a logit is %v", x)
		}
		squares += float64(x) * float64(x)
		largest = max(largest, math.Abs(float64(x)))
	}
	if std := math.Sqrt(squares / float64(len(logits))); std < 0.3 || std > 3 || largest > 30 {
		t.Errorf("logits have deviation %.2f, the largest is %.1f", std, largest)
	}
	return nil
}

func TestTheSameBytesEverywhere(t *testing.T) {
	file := configFile(t, small["qwen of 6 and 3 bit"])
	sum := func(seed uint64) string {
		h := sha256.New()
		dir := write(t, Options{Config: file, Seed: seed, Change: Change{Layers: 4}})
		raw, err := os.ReadFile(filepath.Join(dir, "model.safetensors"))
		if err != nil {
			t.Fatal(err)
		}
		h.Write(raw)
		return hex.EncodeToString(h.Sum(nil))
	}
	const want = "4414e8ad7bbc925b84cd3d912158b95df50bbffd5f3738787c79be4195097e21"
	if got := sum(7); got != want {
		t.Errorf("seed 7 gives %s, want %s", got, want)
	}
	if sum(8) == want {
		t.Error("another seed gives the same bytes")
	}
}

// A quantized matrix has about the deviation that it would have unquantized.
func TestPackedValuesHaveTheirDeviation(t *testing.T) {
	for _, block := range []string{`"bits": 2`, `"bits": 3, "group_size": 32`, `"bits": 4`, `"bits": 5`, `"bits": 8, "group_size": 128`, `"mode": "mxfp4"`, `"mode": "nvfp4"`} {
		c, err := hub.ParseConfig([]byte(`{"model_type": "qwen3_5", "text_config": {"model_type": "qwen3_5_text", "intermediate_size": 256, ` + qwenText + `4}, "quantization": {` + block + `}}`))
		if err != nil {
			t.Fatal(err)
		}
		file := configFile(t, string(c.Raw))
		for name, from := range map[string]weights.Source{"device": Source(c, 3), "files": weights.Files(write(t, Options{Config: file, Seed: 3}))} {
			mlxtest.OnWorker(t, func(s *mlx.Scope) error {
				all, err := from(s)
				if err != nil {
					return err
				}
				const path = "language_model.model.layers.0.mlp.up_proj"
				spec, _ := c.Quantization.For(path)
				values, err := s.Float32s(s.Dequantize(all[path+".weight"], all[path+".scales"], all[path+".biases"], spec.GroupSize, spec.Bits, spec.Mode, mlx.Array{}, mlx.Float32))
				if err != nil {
					return err
				}
				var sum, squares float64
				for _, x := range values {
					sum += float64(x)
					squares += float64(x) * float64(x)
				}
				n, want := float64(len(values)), 1/math.Sqrt(128)
				if std := math.Sqrt(squares / n); std < 0.9*want || std > 1.1*want || math.Abs(sum/n) > 0.05*want {
					t.Errorf("%s, %s: deviation %.4f, mean %.5f; want %.4f and 0", block, name, std, sum/n, want)
				}
				return nil
			})
		}
	}
}

func TestChange(t *testing.T) {
	const raw = `{"model_type": "gemma4", "vocab_size": 9, "vision_config": {}, "text_config": {"num_hidden_layers": 6, "num_kv_shared_layers": 3, "vocab_size": 9, "rms_norm_eps": 1e-06,
		"layer_types": ["s", "f", "s", "s", "f", "s"]}, "quantization": {"bits": 4, "model.layers.1.mlp.up_proj": {"bits": 8}, "model.layers.4.mlp.up_proj": false}}`
	out, err := Change{Layers: 4, Set: []string{"vocab_size=33", "num_experts=8"}}.Apply([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Vocab  int `json:"vocab_size"`
		Vision any `json:"vision_config"`
		Text   struct {
			Layers  int         `json:"num_hidden_layers"`
			Shared  int         `json:"num_kv_shared_layers"`
			Types   []string    `json:"layer_types"`
			Vocab   int         `json:"vocab_size"`
			Experts int         `json:"num_experts"`
			Eps     json.Number `json:"rms_norm_eps"`
		} `json:"text_config"`
		Quantization map[string]any
	}
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	if got.Vocab != 33 || got.Vision != nil || got.Text.Layers != 4 || got.Text.Shared != 2 || len(got.Text.Types) != 4 || got.Text.Vocab != 33 ||
		got.Text.Experts != 8 || got.Text.Eps != "1e-06" || len(got.Quantization) != 2 {
		t.Errorf("%s", out)
	}
	for _, tt := range []struct {
		ch   Change
		want string
	}{
		{Change{Layers: 7}, "7 layers of 6"}, {Change{Layers: -1}, "-1 layers"}, {Change{Set: []string{"vocab_size"}}, "key=value"},
		{Change{Set: []string{"vocab_sise=3"}}, "vocab_sise"}, {Change{Set: []string{"vocab_size=ten"}}, "ten"}, {Change{Set: []string{"vocab_size=1 2"}}, "more than one"},
	} {
		if _, err := tt.ch.Apply([]byte(raw)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: %v, want %q", tt.ch, err, tt.want)
		}
	}
}

func TestCancelledWriteLeavesNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	parent := t.TempDir()
	_, err := Write(ctx, filepath.Join(parent, "out"), Options{Config: configFile(t, strings.Replace(small["qwen unpacked"], `"vocab_size": 640`, `"vocab_size": 9000`, 1))})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled write gave %v", err)
	}
	if left, _ := os.ReadDir(parent); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// big is the config of a checkpoint of some 1.1 GB; the test without REPRISE_PROVE takes fewer and narrower layers of it.
const big = `{"model_type": "qwen3_5", "text_config": {"model_type": "qwen3_5_text", "hidden_size": 2048, "intermediate_size": 8192, "num_attention_heads": 16,
	"num_key_value_heads": 4, "head_dim": 128, "vocab_size": 65536, "num_hidden_layers": 24, "full_attention_interval": 4, "linear_num_key_heads": 16,
	"linear_num_value_heads": 16, "linear_key_head_dim": 128, "linear_value_head_dim": 128, "linear_conv_kernel_dim": 4, "tie_word_embeddings": false,
	"rms_norm_eps": 1e-06, "hidden_act": "silu", "attn_output_gate": true, "max_position_embeddings": 4096,
	"rope_parameters": {"rope_type": "default", "rope_theta": 10000000, "partial_rotary_factor": 0.25}}, "quantization": {"group_size": 64, "bits": 4}}`

// A load peaks at the weights plus a tenth, from files and made up, for the CPU device and as a GPU holds them.
func TestLoadPeak(t *testing.T) {
	// Kernels are compared with plain ops on made-up arrays of one layer's size: much beside so small a model.
	change, compared := Change{Layers: 8, Set: []string{"hidden_size=512", "intermediate_size=2048", "vocab_size=8192"}}, 16<<20
	if os.Getenv("REPRISE_PROVE") != "" {
		change, compared = Change{}, 0
	}
	file := configFile(t, big)
	dir := write(t, Options{Config: file, Change: change})
	c, err := hub.ReadConfig(dir)
	if err != nil {
		t.Fatal(err)
	}
	for name, from := range map[string]weights.Source{"files": weights.Files(dir), "made up": Source(c, 1)} {
		for how, o := range map[string]weights.Options{"cpu": arch.Options(mlx.CPU), "gpu": arch.Options(mlx.GPU)} {
			mlxtest.OnWorker(t, func(s *mlx.Scope) error {
				mlx.ClearCache()
				before := mlx.ReadMemory().Active
				mlx.ResetPeak()
				m, err := arch.Build(s, c, from, o)
				if err != nil {
					return err
				}
				defer m.Free()
				after := mlx.ReadMemory()
				held, peak := after.Active-before, after.Peak-before
				t.Logf("%s, as on a %s: %.1f MB held, peak %.1f MB: %+.1f %%", name, how, float64(held)/1e6, float64(peak)/1e6, 100*float64(peak-held)/float64(held))
				if peak > held+held/10+int64(compared) {
					t.Errorf("%s, as on a %s: the load peaked at %d bytes for %d of weights", name, how, peak, held)
				}
				return nil
			})
		}
	}
}
