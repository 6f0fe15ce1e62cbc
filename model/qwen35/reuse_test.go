package qwen35_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"reprise/mlx"
	"reprise/model/probe/probetest"
)

// Captures at a call's first token, in its middle, at its end, between decode steps, and behind the growth of a buffer:
// with the CPU device's kernels, and with plain ops, which take the tokens of a long call in chunks.
func TestReuse(t *testing.T) {
	for _, dir := range checkpoints(t) {
		for _, plain := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/plain=%v", filepath.Base(dir), plain), func(t *testing.T) {
				probetest.Reuse{
					Widths:   []int{130, 61, 1, 1, 80, 7},
					Captures: []int{1, 129, 130, 192, 193, 240},
					Then:     []int{17, 1, 1, 3},
					Worker:   mlx.Options{Plain: plain},
				}.Run(t, dir)
			})
		}
	}
}
