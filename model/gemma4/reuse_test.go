package gemma4_test

import (
	"path/filepath"
	"testing"

	"reprise/model/probe/probetest"
)

// Captures before a window is full, at a call's first token, in its middle and at its end, between decode steps, and in
// the call of 90, in which the windows move to the front of their buffers.
func TestReuse(t *testing.T) {
	for _, dir := range checkpoints(t) {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			probetest.Reuse{
				Widths:   []int{200, 60, 1, 1, 90, 9},
				Captures: []int{3, 30, 199, 200, 201, 260, 262, 263, 300, 351, 355},
				Then:     []int{17, 1, 1, 3},
				Trims:    3,
			}.Run(t, dir)
		})
	}
}
