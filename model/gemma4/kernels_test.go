package gemma4_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"reprise/mlx"
	"reprise/mlx/mlxtest"
	"reprise/mlx/mlxtest/shim"
	"reprise/model"
	"reprise/model/arch"
	"reprise/model/hub"
	"reprise/model/probe"
	"reprise/model/probe/probetest"
	"reprise/model/synth"
	"reprise/model/weights"
)

// logits of 35 ids, in calls of 32 and then of 1, with a worker's options.
func logits(t *testing.T, device mlx.Device, dir string, dtype mlx.Dtype, opts mlx.Options) (out []float32, checks []mlx.KernelCheck) {
	t.Helper()
	return logitsOf(t, device, opts, func(s *mlx.Scope) (model.Model, error) { return arch.Load(s, dir, weights.Options{Dtype: dtype}) })
}

func logitsOf(t *testing.T, device mlx.Device, opts mlx.Options, load func(s *mlx.Scope) (model.Model, error)) (out []float32, checks []mlx.KernelCheck) {
	t.Helper()
	checks = mlxtest.OnWorkerWith(t, device, opts, func(s *mlx.Scope) error {
		m, err := load(s)
		if err != nil {
			return err
		}
		defer m.Free()
		got, st, err := probe.Logits(s, m, ids(32), 32)
		if err != nil {
			return err
		}
		defer st.Free()
		out = got
		for _, id := range ids(35)[32:] {
			row, err := s.Float32s(m.Logits(s, m.Forward(s, mlx.New(s, []int32{id}, 1, 1), st)))
			if err != nil {
				return err
			}
			out = append(out, row...)
		}
		return nil
	})
	return out, checks
}

// agree compares logits with kernels and without.
func agree(t *testing.T, dir string, got, want []float32, checks []mlx.KernelCheck) {
	t.Helper()
	for _, c := range checks {
		if !c.On {
			t.Errorf("%s: %+v", dir, c)
		}
	}
	_, off := apart(got, want)
	if allowed := probetest.Tolerance(t, dir); len(checks) == 0 || !(off <= allowed) {
		t.Errorf("%s: %d kernels compared, logits differ by %g, allowed %g", dir, len(checks), off, allowed)
	}
}

// A whole model with a GPU's kernels gives the plain ops' logits, in prefill and in decode steps, whose products are packed.
func TestGPUKernelsInAModel(t *testing.T) {
	for _, dir := range checkpoints(t) {
		want, _ := logits(t, mlx.CPU, dir, mlx.Float32, mlx.Options{Plain: true})
		m := shim.New(t, shim.Metal)
		got, checks := logits(t, mlx.CPU, dir, mlx.Float32, mlx.Options{Plain: true, Emulate: m})
		agree(t, dir, got, want, checks)
		for _, kernel := range []string{"norm_add", "gate", "place"} {
			if m.Launches["reprise_"+kernel] < 10 {
				t.Errorf("%s: launched %v", dir, m.Launches)
			}
		}
	}
}

// With heads as wide as a simdgroup a decode step's attention is a kernel too, also that of layers which share keys and
// values, and its products are packed.
func TestAttentionKernelInAModel(t *testing.T) {
	raw, err := os.ReadFile("testdata/tiny-e4b-f32/config.json")
	if err != nil {
		t.Fatal(err)
	}
	for narrow, wide := range map[string]string{
		`"head_dim": 8`: `"head_dim": 32`, `"global_head_dim": 16`: `"global_head_dim": 64`, `"hidden_size": 28`: `"hidden_size": 64`,
		`"intermediate_size": 36`: `"intermediate_size": 96`, `"hidden_size_per_layer_input": 8`: `"hidden_size_per_layer_input": 32`,
		`"model_type": "gemma4",`: `"model_type": "gemma4", "quantization": {"group_size": 32, "bits": 4},`,
	} {
		if !bytes.Contains(raw, []byte(narrow)) {
			t.Fatalf("the config lacks %s", narrow)
		}
		raw = bytes.Replace(raw, []byte(narrow), []byte(wide), 1)
	}
	cfg, err := hub.ParseConfig(raw)
	if err != nil {
		t.Fatal(err)
	}
	build := func(s *mlx.Scope) (model.Model, error) {
		return arch.Build(s, cfg, synth.Source(cfg, 1), weights.Options{Dtype: mlx.Float32})
	}
	want, _ := logitsOf(t, mlx.CPU, mlx.Options{Plain: true}, build)
	m := shim.New(t, shim.Metal)
	got, checks := logitsOf(t, mlx.CPU, mlx.Options{Plain: true, Emulate: m}, build)
	for _, c := range checks {
		if !c.On {
			t.Errorf("%+v", c)
		}
	}
	if m.Launches["reprise_attend"] < 30 {
		t.Errorf("launched %v", m.Launches)
	}
	if _, off := apart(want, got); !(off <= 1e-3) {
		t.Errorf("logits differ by %g", off)
	}
}

// The same on a GPU where there is one, with MLX_ENABLE_TF32=0: by default its products have ten bits.
func TestModelOnGPU(t *testing.T) {
	if !mlx.HasGPU() {
		t.Skip("no GPU")
	}
	for _, dir := range checkpoints(t) {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			want, _ := logits(t, mlx.CPU, dir, mlx.Float32, mlx.Options{Plain: true})
			plain, _ := logits(t, mlx.GPU, dir, mlx.Float32, mlx.Options{Plain: true})
			_, off := apart(plain, want)
			t.Logf("MLX's own ops on the GPU differ by %g", off)
			got, checks := logits(t, mlx.GPU, dir, mlx.Float32, mlx.Options{})
			agree(t, dir, got, want, checks)
		})
	}
}
