package agents

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"reprise/cmd/internal/loop"
)

// The command of the guide: the real Hermes, one session over two turns, as a run's files; every figure of every request is what brute
// force finds in the ids, what was displaced among them.
func TestBenchAgents(t *testing.T) {
	clients(t)
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), program(t), "bench", "agents", "--device", "cpu", "--variants", "hermes-resumed", "--turns", "2", "--out", dir)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "REPRISE_HOME="+t.TempDir())
	said, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	var s loop.Summary
	raw, err := os.ReadFile(filepath.Join(dir, "hermes-resumed", loop.SummaryFile))
	if err != nil || json.Unmarshal(raw, &s) != nil {
		t.Fatalf("%v\n%s", err, raw)
	}
	t.Logf("%s", said)
	if s.Status != "complete" || s.Turns < 2 || len(s.Problems) > 0 || s.Reuse.OfCeiling == nil || *s.Reuse.OfCeiling < least || s.Reuse.Displaced == nil {
		t.Errorf("%s, %d requests, problems %q, %+v", s.Status, s.Turns, s.Problems, s.Reuse)
	}
	if n, ok := s.Tokens.Displaced.Get(); !ok || s.Reuse.Displaced != nil && n != *s.Reuse.Displaced {
		t.Errorf("the rows have %d displaced tokens, by brute force %d", n, *s.Reuse.Displaced)
	}
}
