package qwen35_test

import (
	"bytes"
	"log/slog"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"reprise/mlx"
	"reprise/mlx/mlxtest"
	"reprise/mlx/mlxtest/shim"
	"reprise/model/arch"
	"reprise/model/probe"
	"reprise/model/qwen35"
	"reprise/model/weights"
)

// logits of 23 ids in calls of 9, with a worker's options, and with these kernels found wrong.
func logits(t *testing.T, device mlx.Device, dir string, dtype mlx.Dtype, opts mlx.Options, wrong ...string) ([]float32, []mlx.KernelCheck) {
	t.Helper()
	ids := make([]int32, 23)
	for i := range ids {
		ids[i] = int32(3 + i*7%90)
	}
	var out []float32
	checks := mlxtest.OnWorkerWith(t, device, opts, func(s *mlx.Scope) error {
		for _, name := range wrong {
			of := func(v float32) func(s *mlx.Scope) []mlx.Array {
				return func(s *mlx.Scope) []mlx.Array { return []mlx.Array{mlx.New(s, []float32{v}, 1)} }
			}
			s.Verify(name, 0, of(1), of(2))
		}
		m, err := arch.Load(s, dir, weights.Options{Dtype: dtype})
		if err != nil {
			return err
		}
		defer m.Free()
		got, st, err := probe.Logits(s, m, ids, 9)
		if err != nil {
			return err
		}
		st.Free()
		out = got
		return nil
	})
	return out, checks
}

func apart(a, b []float32) (off float64) {
	for i := range a {
		d := math.Abs(float64(a[i]) - float64(b[i]))
		if off = max(off, d); math.IsNaN(d) {
			return d
		}
	}
	return off
}

// A whole model with a GPU's kernels, of either dialect, gives the plain ops' logits.
func TestGPUKernelsInAModel(t *testing.T) {
	for _, dir := range checkpoints(t)[:2] {
		for _, dtype := range []mlx.Dtype{mlx.Float32, mlx.BFloat16} {
			want, _ := logits(t, mlx.CPU, dir, dtype, mlx.Options{Plain: true})
			for _, flavour := range []shim.Flavour{shim.Metal, shim.CUDA} {
				if dtype == mlx.BFloat16 && flavour == shim.CUDA {
					continue // the dialects differ in no way that has to do with it
				}
				m := shim.New(t, flavour)
				got, checks := logits(t, mlx.CPU, dir, dtype, mlx.Options{Plain: true, Emulate: m})
				for _, c := range checks {
					if !c.On {
						t.Errorf("%s, %v: %+v", dir, dtype, c)
					}
				}
				for _, kernel := range []string{"prepare", "recurrence", "finish"} {
					if m.Launches["reprise_delta_"+kernel] == 0 {
						t.Errorf("%s, %v: launched %v", dir, dtype, m.Launches)
					}
				}
				allowed := toleranceOf(dir)
				if dtype == mlx.BFloat16 {
					allowed = 0.2 // a rounding that falls the other way moves logits by so much; TestBFloat16Activations
				}
				if off := apart(got, want); !(off <= allowed) {
					t.Errorf("%s, %v: logits differ by %g", dir, dtype, off)
				}
			}
		}
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
			t.Logf("MLX's own ops on the GPU differ by %g", apart(plain, want))
			got, checks := logits(t, mlx.GPU, dir, mlx.Float32, mlx.Options{})
			for _, c := range checks {
				if t.Logf("%+v", c); !c.On {
					t.Errorf("%+v", c)
				}
			}
			if off := apart(got, want); !(off <= toleranceOf(dir)) {
				t.Errorf("logits differ by %g", off)
			}
		})
	}
}

// A kernel that is wrong by a constant is switched off when the model is loaded: one warning, which is kept, and right
// answers.
func TestBrokenKernelIsSwitchedOff(t *testing.T) {
	dir := checkpoints(t)[0]
	want, _ := logits(t, mlx.CPU, dir, mlx.Float32, mlx.Options{Plain: true})
	for part, edit := range map[string][2]string{
		"preparation": {"squares + 1e-6f", "squares + 1e-2f"},
		"recurrence":  {"(value - row_sum(found)) * rate", "(value - 1.01f * row_sum(found)) * rate"},
		"end":         {"lane_sum(squares) / DV + eps[0]", "lane_sum(squares) / 32 + eps[0]"},
	} {
		t.Run(part, func(t *testing.T) {
			qwen35.Break(t, edit[0], edit[1])
			var log bytes.Buffer
			got, checks := logits(t, mlx.CPU, dir, mlx.Float32, mlx.Options{Plain: true, Emulate: shim.New(t, shim.Metal), Log: slog.New(slog.NewTextHandler(&log, nil))})
			off := 0
			for _, c := range checks {
				if broken := strings.Contains(c.Kernel, ", "+part+":"); c.On == broken || broken && !strings.Contains(c.Reason, "the plain ops give") {
					t.Errorf("kept %+v", c)
				} else if broken {
					off++
				}
			}
			if off != 1 || strings.Count(log.String(), "switched off") != 1 {
				t.Errorf("%d kernels are off, the log says\n%s", off, log.String())
			}
			if d := apart(got, want); !(d <= toleranceOf(dir)) {
				t.Errorf("logits differ by %g", d)
			}
		})
	}
}

// The CPU device's kernels are compared too. The delta net's is what runs, or plain ops where it is off; where one of those
// that all layers share is off, none of them runs.
func TestCPUKernelsAreCompared(t *testing.T) {
	for _, dir := range checkpoints(t) {
		want, none := logits(t, mlx.CPU, dir, mlx.Float32, mlx.Options{Plain: true})
		got, checks := logits(t, mlx.CPU, dir, mlx.Float32, mlx.Options{})
		net := false
		for _, c := range checks {
			if net = net || strings.HasPrefix(c.Kernel, "gated delta net, all of it"); !c.On {
				t.Errorf("%s: %+v", dir, c)
			}
		}
		if len(none) != 0 || !net {
			t.Errorf("%s: compared %v, and without kernels %v", dir, checks, none)
		}
		if off := apart(got, want); !(off <= toleranceOf(dir)) {
			t.Errorf("%s: logits differ by %g", dir, off)
		}
		for _, broken := range checks {
			if strings.HasPrefix(broken.Kernel, "product") || strings.HasPrefix(broken.Kernel, "embedding") {
				continue // more of the same
			}
			var log bytes.Buffer
			got, checks := logits(t, mlx.CPU, dir, mlx.Float32, mlx.Options{Log: slog.New(slog.NewTextHandler(&log, nil))}, broken.Kernel)
			off := 0
			for _, c := range checks {
				if !c.On {
					off++
				}
			}
			if off != 1 || strings.Count(log.String(), "switched off") != 1 {
				t.Errorf("%s without %s: %d are off, the log says\n%s", dir, broken.Kernel, off, log.String())
			}
			if d := apart(got, want); !(d <= tolerance) {
				t.Errorf("%s without %s: logits differ by %g", dir, broken.Kernel, d)
			}
		}
	}
}
