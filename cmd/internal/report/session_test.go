package report

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"reprise/cmd/internal/loop"
	"reprise/kvcache/ledger"
)

// at is a turn of a session, n minutes after the hour.
func at(minute int, session, id string, purpose ledger.Purpose) ledger.Row {
	r := row(id, 100*minute, 90*minute, 0, 0)
	r.SessionID, r.Purpose, r.Time, r.Model, r.Worker = session, purpose, time.Date(2026, 11, 26, 9, minute, 0, 0, time.UTC), "m", "w1"
	r.LookupRequestedTokens, r.MatchedTokens, r.PrefillTokens, r.GeneratedTokens = r.PromptTokens, r.LookupHitTokens, r.NewTokens, ledger.Some(4)
	return r
}

var served = []ledger.Row{
	at(3, "session_a", "a2", ledger.PurposeTurn), // rows come in the order in which turns ended
	at(1, "session_a", "a1", ledger.PurposeTurn), at(2, "session_b", "b1", ledger.PurposeTurn), at(4, "session_a", "x", ledger.PurposeAudit), at(5, "session_w", "w", ledger.PurposeWarmup),
}

// ledgers are the same rows as a server keeps them, with a last line that was cut off, and as it answers them.
func ledgers(t *testing.T) map[string]string {
	t.Helper()
	var lines bytes.Buffer
	for _, r := range served {
		raw, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		lines.Write(append(raw, '\n'))
	}
	answer, err := json.Marshal(map[string]any{"rows": served})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	out := map[string]string{"file": filepath.Join(dir, "ledger-000001.jsonl"), "folder": dir, "answer": filepath.Join(t.TempDir(), "rows.json")}
	for path, text := range map[string]string{out["file"]: lines.String() + `{"turn_id":"torn`, out["answer"]: string(answer)} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// A served session becomes a run's files, in the order of its turns, without anybody else's; what the ledger does not tell is null,
// and the claims say so.
func TestAServedSession(t *testing.T) {
	for name, path := range ledgers(t) {
		s, err := ReadLedger(path)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if list := s.Sessions(); len(list) != 2 || list[0].ID != "session_a" || list[0].Turns != 2 || (len(s.Problems) == 1) != (name != "answer") {
			t.Errorf("%s: %+v, problems %v", name, list, s.Problems)
		}
		if id, err := s.Find(Last); err != nil || id != "session_a" {
			t.Errorf("%s: the last session is %q, %v", name, id, err)
		}
		dir := t.TempDir()
		sum, err := s.Write("session_a", dir)
		if err != nil {
			t.Fatal(err)
		}
		if sum.Status != "complete" || sum.Mimic || sum.Turns != 2 || sum.Seconds != 120.012 || sum.Reuse.Ceiling != nil || sum.Reuse.OfCeiling != nil || *sum.Reuse.HitShare != 0.9 || sum.Machine != nil || len(sum.Problems) != len(s.Problems) {
			t.Errorf("%s: %+v", name, sum)
		}
		claims, err := os.ReadFile(filepath.Join(dir, loop.ClaimsFile))
		if err != nil || !strings.Contains(string(claims), "a ledger has neither texts nor ids") || !strings.Contains(string(claims), "the served session session_a") {
			t.Errorf("%s: %v\n%s", name, err, claims)
		}
		one, err := s.Write("session_b", t.TempDir())
		if err != nil || len(sum.Claims) == 0 || !sum.Claims[0].Supported || one.Claims[0].Supported || !strings.HasSuffix(one.Recipe.Claim, "on a machine that is not known") {
			t.Errorf("%s: %v; one turn shows growth: %+v, %q", name, err, one.Claims[0], one.Recipe.Claim)
		}
		r, err := Read(dir, letters)
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Turns) != 2 || r.Turns[0].ID != "a1" || r.Turns[1].ID != "a2" || *r.Turns[1].Prompt != 300 || r.Turns[1].Ceiling != nil || len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "came without ids") {
			t.Errorf("%s: %+v, notes %q", name, r.Turns, r.Notes)
		}
		var page bytes.Buffer
		if err := WritePage(&page, []*Run{r}); err != nil || !strings.Contains(page.String(), `data-turn="2" data-part="l0" data-value="270"`) {
			t.Errorf("%s: %v, the page lacks the bar of turn 2", name, err)
		}
	}
}

func TestWhatIsNoSession(t *testing.T) {
	s, err := ReadLedger(ledgers(t)["answer"])
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"session_c", "session_w", ""} { // a warm-up is nobody's session
		if _, err := s.Find(id); err == nil || !strings.Contains(err.Error(), "session_a, session_b") {
			t.Errorf("%q: %v", id, err)
		}
	}
	file := filepath.Join(t.TempDir(), "x.jsonl")
	for text, want := range map[string]string{"": "there is no row in it", "turn,prompt\n1,2\n": "x.jsonl:1: line is not a row", `{"rows":[]}`: "there is no row in it"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadLedger(file); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "/v1/cache/ledger") {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := ReadLedger(file + "x"); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Error(err)
	}
}
