package qwen35_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"reprise/model/probe/probetest"
)

// tolerance is that of the tiny Gemma 3 checkpoints; the references lie within 4e-5 of each other here.
const tolerance = 1e-4

func checkpoints(t *testing.T) []string {
	dirs, err := filepath.Glob("testdata/tiny-*")
	if err != nil || len(dirs) < 3 {
		t.Fatalf("found %d tiny checkpoints, %v", len(dirs), err)
	}
	return dirs
}

func TestTinyCheckpointsAgreeWithMLXLM(t *testing.T) {
	for _, dir := range checkpoints(t) {
		for _, widen := range []bool{false, true} {
			if widen && !strings.Contains(dir, "-q") {
				continue // nothing is packed
			}
			t.Run(fmt.Sprintf("%s/widen=%v", filepath.Base(dir), widen), func(t *testing.T) { probetest.Parity(t, dir, widen, tolerance) })
		}
	}
}
