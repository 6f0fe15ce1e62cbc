package loop

import (
	"encoding/csv"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"reprise/kvcache/ledger"
)

// TestObserved: turns that somebody else drove become the files of a run, with a ceiling from their ids, and what does not add up
// is named.
func TestObserved(t *testing.T) {
	some := ledger.Some[int]
	ids := func(n int) []int32 {
		out := make([]int32, n)
		for i := range out {
			out[i] = int32(7 * i)
		}
		return out
	}
	row := func(turn string, n, matched, hit int) ledger.Row {
		return ledger.Row{TurnID: turn, SessionID: "s", Worker: "w", Purpose: ledger.PurposeTurn, PromptTokens: some(n), LookupRequestedTokens: some(n), MatchedTokens: some(matched), LookupHitTokens: some(hit),
			L0HitTokens: some(hit), RecomputeTokens: some(matched - hit), NewTokens: some(n - matched), DisplacedTokens: some(0), PrefillTokens: some(n - hit)}
	}
	for name, c := range map[string]struct {
		matched int
		problem string
	}{"right": {100, ""}, "a match that is none": {120, "turn 2"}} {
		dir := t.TempDir()
		o := Observed{Options: Options{Turns: 2, Layout: Stable, Session: Resumed, Assistant: Generated, Scale: 1, Engine: Ours}, Workload: "the real agent", DoNotClaim: "another agent", Began: time.Now(), Out: dir}
		s, err := o.Write([]Record{
			{Turn: 1, Conversation: "s", Characters: 400, Prompt: ids(100), Computed: 100, Row: row("a", 100, 0, 0)},
			{Turn: 2, Conversation: "s", Characters: 800, Prompt: ids(200), Computed: 200, Row: row("b", 200, c.matched, 90)},
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(s.Problems, "; "); (got == "") != (c.problem == "") || !strings.Contains(got, c.problem) {
			t.Errorf("%s: problems %q", name, got)
		}
		if s.Status != "complete" || *s.Reuse.Ceiling != 100 || *s.Reuse.OfCeiling != 0.9 || !strings.HasPrefix(s.Recipe.Workload, "the real agent, 2 requests") || s.DoNotClaim[0] != "another agent" {
			t.Errorf("%s: %+v", name, s)
		}
		for _, file := range []string{TurnsFile, TraceFile, SummaryFile, ClaimsFile} {
			raw, err := os.ReadFile(filepath.Join(dir, file))
			if err != nil {
				t.Fatal(err)
			}
			switch file {
			case TurnsFile:
				if lines, err := csv.NewReader(strings.NewReader(string(raw))).ReadAll(); err != nil || len(lines) != 3 {
					t.Errorf("%v, %d lines", err, len(lines))
				}
			case TraceFile:
				if n := strings.Count(string(raw), "\n"); n != 2 {
					t.Errorf("%d records", n)
				}
			case SummaryFile:
				if !json.Valid(raw) {
					t.Errorf("%s", raw)
				}
			}
		}
	}
}
