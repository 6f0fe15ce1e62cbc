package probetest

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"reprise/mlx"
	"reprise/mlx/mlxtest"
	"reprise/model"
	"reprise/model/arch"
	"reprise/model/hub"
	"reprise/model/probe"
	"reprise/model/weights"
)

// Tie is the gap between the first and the second choice below which a greedy step may go either way.
const Tie = 1e-4

// expected is expected.json, which a make_*_tiny.py wrote.
type expected struct {
	Prompts []struct {
		IDs          []int32            `json:"ids"`
		Greedy       []int32            `json:"greedy"`
		Disagreement map[string]float64 `json:"disagreement"` // of the other references with mlx-lm
	} `json:"prompts"`
}

func readExpected(t *testing.T, dir string) expected {
	t.Helper()
	var want expected
	readJSON(t, filepath.Join(dir, "expected.json"), &want)
	if len(want.Prompts) == 0 {
		t.Fatalf("%s: expected.json has no prompts", dir)
	}
	return want
}

func readJSON(t *testing.T, path string, out any) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(raw, out)
	}
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// Tolerance is how far a model's float32 logits may lie from mlx-lm's on a tiny checkpoint: ten times the largest
// disagreement of the references there (mlx-lm with mlx-lm in chunks of 1, and with transformers in float64, which
// transformers.json beside the checkpoints has), at least 1e-3, with packed weights 2e-3: acceptance line 3.1. It fails the
// test where transformers does not take mlx-lm's greedy path.
func Tolerance(t *testing.T, dir string) float64 {
	t.Helper()
	var third struct {
		Checkpoints []struct {
			Checkpoint   string
			Disagreement float64
			GreedyAgrees bool `json:"greedy_agrees"`
		}
	}
	readJSON(t, filepath.Join(filepath.Dir(dir), "transformers.json"), &third)
	cfg, err := hub.ReadConfig(dir)
	if err != nil {
		t.Fatal(err)
	}
	least, apart := 1e-3, -1.0
	if cfg.Quantization != nil {
		least = 2e-3
	}
	for _, c := range third.Checkpoints {
		if c.Checkpoint != filepath.Base(dir) {
			continue
		}
		if apart = c.Disagreement; !c.GreedyAgrees || apart <= 0 {
			t.Errorf("%s: transformers lies %g from mlx-lm; its greedy ids are the same: %v", dir, apart, c.GreedyAgrees)
		}
	}
	if apart < 0 {
		t.Fatalf("%s is not in transformers.json: run model/parity/check_transformers.py", dir)
	}
	for _, p := range readExpected(t, dir).Prompts {
		apart = max(apart, p.Disagreement["mlx_lm_chunks_of_1"])
	}
	return max(least, 10*apart)
}

// WithModel loads a checkpoint in float32 on the CPU device and checks that nothing leaks.
func WithModel(t *testing.T, dir string, widen bool, fn func(s *mlx.Scope, m model.Model) error) {
	t.Helper()
	with(t, mlx.Options{}, dir, weights.Options{Widen: widen}, fn)
}

func with(t *testing.T, worker mlx.Options, dir string, opts weights.Options, fn func(s *mlx.Scope, m model.Model) error) {
	t.Helper()
	opts.Dtype = mlx.Float32
	mlxtest.OnWorkerWith(t, mlx.CPU, worker, func(s *mlx.Scope) error {
		m, err := arch.Load(s, dir, opts)
		if err != nil {
			return err
		}
		defer m.Free()
		return fn(s, m)
	})
}

// Parity compares a tiny checkpoint with its reference: the logits of every position, whole and in chunks of 1, 7 and 16,
// within tolerance, and greedy continuations.
func Parity(t *testing.T, dir string, widen bool, tolerance float64) {
	t.Helper()
	parity(t, mlx.Options{}, dir, widen, tolerance)
}

// PlainParity is Parity with MLX's own ops, as a GPU runs them, without the CPU device's kernels.
func PlainParity(t *testing.T, dir string, tolerance float64) {
	t.Helper()
	parity(t, mlx.Options{Plain: true}, dir, false, tolerance)
}

func parity(t *testing.T, opts mlx.Options, dir string, widen bool, tolerance float64) {
	t.Helper()
	want := readExpected(t, dir)
	with(t, opts, dir, weights.Options{Widen: widen}, func(s *mlx.Scope, m model.Model) error {
		ref, _, err := s.Load(filepath.Join(dir, "expected.safetensors"))
		if err != nil {
			return err
		}
		for i, p := range want.Prompts {
			logits, err := s.Float32s(ref[fmt.Sprintf("logits/%d", i)])
			if err != nil {
				return err
			}
			gaps, err := s.Float32s(ref[fmt.Sprintf("gaps/%d", i)])
			if err != nil {
				return err
			}
			for _, chunk := range []int{0, 1, 7, 16} {
				got, st, err := probe.Logits(s, m, p.IDs, chunk)
				if err != nil {
					return err
				}
				st.Free()
				if d := maxDiff(got, logits); !(d <= tolerance) {
					t.Errorf("prompt %d (%d ids) in chunks of %d: logits differ by %g, allowed %g", i, len(p.IDs), chunk, d, tolerance)
				}
				if chunk == 1 || chunk == 16 {
					continue // the logits above say it all; greedy runs are the slow part
				}
				choices, err := probe.Greedy(s, m, p.IDs, len(p.Greedy), chunk)
				if err != nil {
					return err
				}
				CheckGreedy(t, fmt.Sprintf("prompt %d in chunks of %d", i, chunk), choices, p.Greedy, gaps)
			}
		}
		return nil
	})
}

// CheckGreedy compares up to the first tie, which it reports: behind it the texts may part.
func CheckGreedy(t *testing.T, what string, got []probe.Choice, want []int32, gaps []float32) {
	t.Helper()
	for k := range want {
		if got[k].ID == want[k] {
			continue
		}
		if gaps[k] < Tie {
			t.Logf("%s: token %d is a tie (gap %g): %d, the reference chose %d", what, k, gaps[k], got[k].ID, want[k])
		} else {
			t.Errorf("%s: token %d is %d, the reference chose %d with a lead of %g", what, k, got[k].ID, want[k], gaps[k])
		}
		return
	}
}

func maxDiff(a, b []float32) float64 {
	if len(a) != len(b) {
		return math.Inf(1)
	}
	var d float64
	for i := range a {
		x := math.Abs(float64(a[i]) - float64(b[i]))
		if math.IsNaN(x) {
			return x
		}
		d = max(d, x)
	}
	return d
}
