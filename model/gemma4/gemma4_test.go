package gemma4_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"reprise/model/probe/probetest"
)

func checkpoints(t *testing.T) []string {
	t.Helper()
	dirs, err := filepath.Glob("testdata/tiny-*")
	if err != nil || len(dirs) < 7 {
		t.Fatalf("found %d tiny checkpoints, %v", len(dirs), err)
	}
	return dirs
}

func TestTinyCheckpointsAgreeWithTheReferences(t *testing.T) {
	for _, dir := range checkpoints(t) {
		for _, widen := range []bool{false, true} {
			if widen && !strings.Contains(dir, "-q") {
				continue // nothing is packed
			}
			t.Run(fmt.Sprintf("%s/widen=%v", filepath.Base(dir), widen), func(t *testing.T) {
				probetest.Parity(t, dir, widen, 1e-3)
			})
		}
	}
}
