package qwen35_test

import (
	"path/filepath"
	"testing"

	"reprise/model/probe/probetest"
)

// Captures at a call's first token, in its middle, at its end, between decode steps, and behind the growth of a buffer.
func TestReuse(t *testing.T) {
	for _, dir := range checkpoints(t) {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			probetest.Reuse{
				Widths:   []int{130, 61, 1, 1, 80, 7},
				Captures: []int{1, 129, 130, 192, 193, 240},
				Then:     []int{17, 1, 1, 3},
			}.Run(t, dir)
		})
	}
}
