package gemma3_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"reprise/model/probe/probetest"
)

// tolerance is acceptance line 1.4's.
const tolerance = 1e-4

func TestTinyCheckpointsAgreeWithMLXLM(t *testing.T) {
	dirs, err := filepath.Glob("testdata/tiny-*")
	if err != nil || len(dirs) < 6 {
		t.Fatalf("found %d tiny checkpoints, %v", len(dirs), err)
	}
	for _, dir := range dirs {
		for _, widen := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/widen=%v", filepath.Base(dir), widen), func(t *testing.T) { probetest.Parity(t, dir, widen, tolerance) })
		}
	}
}
