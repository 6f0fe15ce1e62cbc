package gemma4_test

import (
	"path/filepath"
	"strings"
	"testing"

	"reprise/mlx"
	"reprise/mlx/mlxtest"
	"reprise/mlx/mlxtest/shim"
	"reprise/model/arch"
	"reprise/model/probe"
	"reprise/model/probe/probetest"
	"reprise/model/weights"
)

// logits of 35 ids, in calls of 32 and then of 1, with a worker's options.
func logits(t *testing.T, device mlx.Device, dir string, dtype mlx.Dtype, opts mlx.Options) (out []float32, checks []mlx.KernelCheck) {
	t.Helper()
	checks = mlxtest.OnWorkerWith(t, device, opts, func(s *mlx.Scope) error {
		m, err := arch.Load(s, dir, weights.Options{Dtype: dtype})
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
		if strings.Contains(dir, "e4b") && m.Launches["reprise_attend"] < 10 {
			t.Errorf("%s: launched %v", dir, m.Launches)
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
			_, off := apart(plain, want)
			t.Logf("MLX's own ops on the GPU differ by %g", off)
			got, checks := logits(t, mlx.GPU, dir, mlx.Float32, mlx.Options{})
			agree(t, dir, got, want, checks)
		})
	}
}
