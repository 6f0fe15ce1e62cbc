package qwen35_test

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"reprise/mlx"
	"reprise/model/arch"
	"reprise/model/probe"
)

// run loads a checkpoint as serve does on the CPU device, feeds 40 ids and one more, and tells the logits and the kinds of
// ops that made them.
func run(t *testing.T, dir string, opts mlx.Options, ids []int32) (logits []float32, kinds []string) {
	t.Helper()
	w, err := mlx.StartWith(mlx.CPU, opts)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	err = w.Do(context.Background(), func(s *mlx.Scope) error {
		m, err := arch.Load(s, dir, arch.Options(mlx.CPU))
		if err != nil {
			return err
		}
		defer m.Free()
		w.StartProfile()
		got, st, err := probe.Logits(s, m, ids, 40)
		if err != nil {
			return err
		}
		logits = got
		st.Free()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, op := range w.StopProfile() {
		kinds = append(kinds, op.Kind)
	}
	return logits, kinds
}

// The CPU device's kernels run hybrid checkpoints, dense and with experts, and agree with MLX's own ops.
func TestKernelsAgreeWithMLXsOps(t *testing.T) {
	ids := make([]int32, 41)
	for i := range ids {
		ids[i] = int32(3 + i*11%90)
	}
	for _, dir := range checkpoints(t) {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			want, plain := run(t, dir, mlx.Options{Plain: true}, ids)
			got, kernels := run(t, dir, mlx.Options{}, ids)
			moe := strings.Contains(dir, "moe")
			ours, theirs := []string{"LayerAttention"}, []string{"SDPA", "Matmul", "QuantizedMatmul", "GatherMM", "GatherQMM"}
			if moe {
				ours = append(ours, "GatheredProduct")
			}
			for _, kind := range ours {
				if !slices.Contains(kernels, kind) || slices.Contains(plain, kind) {
					t.Errorf("%s: with the kernels %v, without %v", kind, slices.Contains(kernels, kind), slices.Contains(plain, kind))
				}
			}
			for _, kind := range theirs {
				if slices.Contains(kernels, kind) {
					t.Errorf("the kernels leave %s to MLX", kind)
				}
			}
			if moe && !slices.ContainsFunc(plain, func(kind string) bool { return strings.HasPrefix(kind, "Gather") }) {
				t.Errorf("MLX's ops gather nothing: %v", plain)
			}
			if err := near(got, want, 2*toleranceOf(dir)); err != nil {
				t.Error(err)
			}
		})
	}
}

func near(got, want []float32, tolerance float64) error {
	if len(got) != len(want) {
		return fmt.Errorf("%d logits, want %d", len(got), len(want))
	}
	for i, w := range want {
		if d := math.Abs(float64(got[i] - w)); !(d <= tolerance) {
			return fmt.Errorf("logit %d is %g, want %g", i, got[i], w)
		}
	}
	return nil
}
