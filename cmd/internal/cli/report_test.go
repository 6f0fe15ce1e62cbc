package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"reprise/kvcache/ledger"
)

// A ledger without a session named lists what there is; a session that is not there is refused with those that are.
func TestReportChoosesASession(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	row := ledger.Row{TurnID: "t", SessionID: "session_a", Model: "m", Purpose: ledger.PurposeTurn, PromptTokens: ledger.Some(12), LookupHitTokens: ledger.Some(0)}
	raw, err := json.Marshal(row)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "ledger.jsonl")
	if err := os.WriteFile(path, append(raw, '\n'), 0o600); err != nil {
		t.Fatal(err)
	}
	r := command(t, "report", "--ledger", path)
	if r.code != exitUsage || !strings.Contains(r.stdout, "session_a") || strings.Count(r.stderr, "\n") != 1 || !strings.Contains(r.stderr, "has 1 sessions: choose one with --session") {
		t.Errorf("exit code %d, %s%s", r.code, r.stdout, r.stderr)
	}
	command(t, "report", "--ledger", path, "--session", "session_b").refused(t, exitError, "session_b is not in", "session_a")
	command(t, "report", "--ledger", path+"x", "--session", "session_a").refused(t, exitError, "cannot be read")
	command(t, "report", "--ledger", path, "--session", "session_a", "--files", filepath.Join(path, "x")).refused(t, exitError, "--files "+path)
	if r := command(t, "report", "--ledger", path, "--session", "last"); r.code != 0 || !strings.Contains(r.stderr, filepath.Join("runs", "ledger", "session_a")) {
		t.Errorf("exit code %d, %s", r.code, r.stderr)
	}
	if page, err := os.ReadFile("report.html"); err != nil || !strings.Contains(string(page), "session_a") {
		t.Errorf("the page: %v", err)
	}
	// A name that leads elsewhere is no folder's.
	if err := os.WriteFile(path, []byte(strings.Replace(string(raw), "session_a", "../../up", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	command(t, "report", "--ledger", path, "--session", "last").refused(t, exitUsage, "--files")
}
