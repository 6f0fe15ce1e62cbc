package qwen35_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"reprise/kvcache/state"
	"reprise/mlx"
	"reprise/mlx/mlxtest"
	"reprise/model"
	"reprise/model/arch"
	"reprise/model/hub"
	"reprise/model/synth"
)

// small is the shape of a hybrid of 27 million weights, with heads as large as Qwen3.6's.
var small = map[string]any{
	"model_type": "qwen3_5", "vocab_size": 512, "hidden_size": 512, "intermediate_size": 1536, "num_hidden_layers": 8,
	"full_attention_interval": 4, "num_attention_heads": 4, "num_key_value_heads": 1, "head_dim": 128,
	"linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 128, "linear_value_head_dim": 128,
	"linear_conv_kernel_dim": 4, "rms_norm_eps": 1e-6, "hidden_act": "silu", "max_position_embeddings": 32768,
	"tie_word_embeddings": true, "rope_parameters": map[string]any{"rope_theta": 1e7, "partial_rotary_factor": 0.25},
}

// writeSmall writes the hybrid with random weights.
func writeSmall(s *mlx.Scope, dir string) error {
	const hidden, mlp, keys, values = 512, 1536, 256, 512
	tensors := map[string]mlx.Array{}
	key := s.Key(1)
	add := func(name string, shape ...int) {
		pair := s.Split(s.RandomBits([]int{2, 2}, 4, key), 2, 0)
		key = s.Reshape(pair[0], []int{2})
		scale := 0.5
		if len(shape) == 2 {
			scale = 0.04
		}
		tensors[name] = s.Multiply(s.RandomNormal(shape, mlx.Float32, 0, 1, s.Reshape(pair[1], []int{2})), s.Scalar(scale, mlx.Float32))
	}
	add("model.embed_tokens.weight", 512, hidden)
	add("model.norm.weight", hidden)
	for i := range 8 {
		layer := func(name string, shape ...int) { add(fmt.Sprintf("model.layers.%d.%s", i, name), shape...) }
		layer("input_layernorm.weight", hidden)
		layer("post_attention_layernorm.weight", hidden)
		layer("mlp.gate_proj.weight", mlp, hidden)
		layer("mlp.up_proj.weight", mlp, hidden)
		layer("mlp.down_proj.weight", hidden, mlp)
		if i%4 == 3 {
			layer("self_attn.q_proj.weight", 2*4*128, hidden)
			layer("self_attn.k_proj.weight", 128, hidden)
			layer("self_attn.v_proj.weight", 128, hidden)
			layer("self_attn.o_proj.weight", hidden, 4*128)
			layer("self_attn.q_norm.weight", 128)
			layer("self_attn.k_norm.weight", 128)
			continue
		}
		layer("linear_attn.in_proj_qkv.weight", 2*keys+values, hidden)
		layer("linear_attn.in_proj_z.weight", values, hidden)
		layer("linear_attn.in_proj_b.weight", 4, hidden)
		layer("linear_attn.in_proj_a.weight", 4, hidden)
		layer("linear_attn.out_proj.weight", hidden, values)
		layer("linear_attn.conv1d.weight", 2*keys+values, 4, 1)
		layer("linear_attn.A_log", 4)
		layer("linear_attn.dt_bias", 4)
		layer("linear_attn.norm.weight", 128)
	}
	config, err := json.Marshal(small)
	if err != nil {
		return err
	}
	if err := s.Eval(slices.Collect(maps.Values(tensors))...); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), config, 0o600); err != nil {
		return err
	}
	return s.Save(filepath.Join(dir, "model.safetensors"), tensors, map[string]string{"format": "mlx"})
}

// prefill feeds tokens in calls of that width, with a snapshot every so many tokens (0: none), which it keeps to the end,
// and returns what it took.
func prefill(s *mlx.Scope, m model.Model, tokens, width, every int) (time.Duration, error) {
	st := m.NewState()
	defer st.Free()
	st.Reserve(tokens)
	ids := make([]int32, width)
	var kept []state.Snapshot
	defer func() {
		for _, snap := range kept {
			snap.Free()
		}
	}()
	start := time.Now()
	for at := 0; at < tokens; at += width {
		for i := range ids {
			ids[i] = int32((at + i) * 7 % 500)
		}
		if every > 0 {
			var offsets []int
			for to := at + every; to <= at+width; to += every {
				offsets = append(offsets, to)
			}
			st.CaptureAt(offsets...)
		}
		step := s.Child()
		last := m.Logits(step, model.LastRow(step, m.Forward(step, mlx.New(step, ids, 1, width), st)))
		err := step.Eval(append(st.Arrays(), last)...)
		step.Close()
		if err != nil {
			return 0, err
		}
		taken, err := st.Captured()
		if err != nil {
			return 0, err
		}
		kept = append(kept, taken...)
	}
	took := time.Since(start)
	if every > 0 && len(kept) != tokens/every {
		return 0, fmt.Errorf("%d snapshots of %d tokens, one every %d", len(kept), tokens, every)
	}
	return took, nil
}

// measured is the model that snapshots are measured on: made-up weights of the config that REPRISE_CONFIG names, or the
// small hybrid.
func measured(s *mlx.Scope, dir string, device mlx.Device) (model.Model, error) {
	file := os.Getenv("REPRISE_CONFIG")
	if file == "" {
		if err := writeSmall(s, dir); err != nil {
			return nil, err
		}
		return arch.Load(s, dir, arch.Options(device))
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	config, err := hub.ParseConfig(raw)
	if err != nil {
		return nil, err
	}
	config.Path = file
	return arch.Build(s, config, synth.Source(config, 1), arch.Options(device))
}

// BenchmarkSnapshots is what a snapshot every 256 tokens adds to a prefill of 8,192 on the best device: passes with and
// without alternate, and the ratio of their medians less one is reported as "cost-%". Calls are as wide as the device's
// grid: 256 tokens on the CPU device, where snapshots fall on their ends, 2,048 on a GPU, where they fall inside.
//
//	go test ./model/qwen35 -run '^$' -bench Snapshots -benchtime 9x
//	REPRISE_CONFIG=qwen3.6-27b.json go test …                            with the weights of that config, made up
func BenchmarkSnapshots(b *testing.B) {
	const tokens, every = 8192, 256
	device, width := mlx.BestDevice(), 256
	if device == mlx.GPU {
		width = 2048
	}
	b.Run(fmt.Sprintf("%v/calls of %d", device, width), func(b *testing.B) {
		mlxtest.OnWorkerWith(b, device, mlx.Options{}, func(s *mlx.Scope) error {
			m, err := measured(s, b.TempDir(), device)
			if err != nil {
				return err
			}
			defer m.Free()
			if _, err := prefill(s, m, 2*width, width, every); err != nil {
				return err
			}
			var with, without []time.Duration
			for n := 0; b.Loop(); n++ {
				for turn := range 2 { // first and second place alternate too
					interval, to := every, &with
					if (n+turn)%2 == 1 {
						interval, to = 0, &without
					}
					took, err := prefill(s, m, tokens, width, interval)
					if err != nil {
						return err
					}
					*to = append(*to, took)
				}
			}
			slices.Sort(with)
			slices.Sort(without)
			a, base := with[len(with)/2], without[len(without)/2]
			b.ReportMetric(100*(float64(a)/float64(base)-1), "cost-%")
			b.ReportMetric(float64(tokens)/base.Seconds(), "tok/s")
			return nil
		})
	})
}
