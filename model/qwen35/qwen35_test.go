package qwen35_test

import (
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"reprise/mlx"
	"reprise/mlx/mlxtest"
	"reprise/model/arch"
	"reprise/model/probe"
	"reprise/model/probe/probetest"
	"reprise/model/weights"
)

// tolerance is that of the tiny Gemma 3 checkpoints; the references lie within 4e-5 of each other here.
const tolerance = 1e-4

// toleranceOf a checkpoint is that, but for one whose references lie 7e-5 apart.
func toleranceOf(dir string) float64 {
	if filepath.Base(dir) == "tiny-moe-raw" {
		return 3 * tolerance
	}
	return tolerance
}

func checkpoints(t *testing.T) []string {
	dirs, err := filepath.Glob("testdata/tiny-*")
	if err != nil || len(dirs) < 9 {
		t.Fatalf("found %d tiny checkpoints, %v", len(dirs), err)
	}
	return dirs
}

func packed(dir string) bool { return strings.Contains(dir, "-q") || strings.HasSuffix(dir, "fp4") }

func TestTinyCheckpointsAgreeWithMLXLM(t *testing.T) {
	for _, dir := range checkpoints(t) {
		for _, widen := range []bool{false, true} {
			if widen && !packed(dir) {
				continue
			}
			t.Run(fmt.Sprintf("%s/widen=%v", filepath.Base(dir), widen), func(t *testing.T) { probetest.Parity(t, dir, widen, toleranceOf(dir)) })
		}
	}
}

// On a GPU activations are bfloat16: the layers keep that dtype, the state's matrix stays float32, and the logits stay
// near those of float32: within 0.11 of the largest where it was measured, mlx-lm's own within 0.24.
func TestBFloat16Activations(t *testing.T) {
	mlxtest.OnWorker(t, func(s *mlx.Scope) error {
		ids := make([]int32, 40)
		for i := range ids {
			ids[i] = int32(3 + i*7%90)
		}
		var logits [2][]float32
		for i, dtype := range []mlx.Dtype{mlx.Float32, mlx.BFloat16} {
			m, err := arch.Load(s, "testdata/tiny-bf16-tied", weights.Options{Dtype: dtype})
			if err != nil {
				return err
			}
			defer m.Free()
			got, st, err := probe.Logits(s, m, ids, 17)
			if err != nil {
				return err
			}
			defer st.Free()
			logits[i] = got
			for k, a := range st.Arrays() {
				matrix := a.Ndim() == 4 && a.Dim(3) == 8 && a.Dim(1) == 6
				if want := dtype; !matrix && a.Dtype() != want || matrix && a.Dtype() != mlx.Float32 {
					t.Errorf("%v: array %d of the state is %v", dtype, k, a)
				}
			}
		}
		var largest, off float64
		for i, v := range logits[0] {
			largest, off = max(largest, math.Abs(float64(v))), max(off, math.Abs(float64(v-logits[1][i])))
		}
		if off == 0 || off > 0.2*largest {
			t.Errorf("logits differ by %g, the largest is %g", off, largest)
		}
		return nil
	})
}

// Mixtures keep the dtype too, with the kernels and with MLX's ops, which is what a GPU runs: sorted by expert and not.
func TestMixturesKeepBFloat16(t *testing.T) {
	for _, plain := range []bool{false, true} {
		for _, dir := range []string{"testdata/tiny-moe-q4", "testdata/tiny-moe-mxfp4", "testdata/tiny-moe-nvfp4"} {
			mlxtest.With(t, mlx.Options{Plain: plain}, func(s *mlx.Scope) error {
				m, err := arch.Load(s, dir, weights.Options{Dtype: mlx.BFloat16})
				if err != nil {
					return err
				}
				defer m.Free()
				st := m.NewState()
				defer st.Free()
				for _, ids := range [][]int32{make([]int32, 40), {5}} {
					hidden := m.Forward(s, mlx.New(s, ids, 1, len(ids)), st)
					logits := m.Logits(s, hidden)
					if err := s.Eval(logits); err != nil {
						return err
					}
					if hidden.Dtype() != mlx.BFloat16 || logits.Dtype() != mlx.BFloat16 {
						t.Errorf("%s, plain %v: %v, %v", dir, plain, hidden, logits)
					}
				}
				return nil
			})
		}
	}
}
