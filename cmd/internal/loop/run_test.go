package loop

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"reprise/cmd/internal/loop/oracle"
	"reprise/kvcache/ledger"
)

// table reads a run's CSV.
func table(t *testing.T, dir string) []map[string]string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, TurnsFile))
	if err != nil {
		t.Fatal(err)
	}
	lines, err := csv.NewReader(bytes.NewReader(raw)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(lines[0], ledger.Columns()) {
		t.Fatalf("the columns are %v", lines[0])
	}
	var out []map[string]string
	for _, line := range lines[1:] {
		row := map[string]string{}
		for i, name := range lines[0] {
			row[name] = line[i]
		}
		out = append(out, row)
	}
	return out
}

// summaryOf reads a run's summary as any reader would.
func summaryOf(t *testing.T, dir string) map[string]any {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, SummaryFile))
	if err != nil {
		t.Fatal(err)
	}
	var s map[string]any
	if err := json.Unmarshal(raw, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

func at(v any, path ...string) any {
	for _, key := range path {
		m, _ := v.(map[string]any)
		v = m[key]
	}
	return v
}

// Fifty turns of every layout and session, on a cache that does what the oracle says: nothing is wrong, and the files
// hold what happened.
func TestRuns(t *testing.T) {
	for _, layout := range []string{Stable, Moving, Ephemeral} {
		for _, session := range []string{Resumed, Fresh} {
			t.Run(layout+" "+session, func(t *testing.T) {
				dir := t.TempDir()
				r := Run{Options: options(t, "local", func(o *Options) { o.Layout, o.Session = layout, session }), Server: (&cache{}).serve(t), Out: dir}
				s, err := r.Do(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if len(s.Problems) > 0 {
					t.Errorf("%d problems, such as %s", len(s.Problems), s.Problems[0])
				}
				rows := table(t, dir)
				if len(rows) != 50 {
					t.Fatalf("the CSV has %d lines below its header", len(rows))
				}
				filed := summaryOf(t, dir)
				if at(filed, "status") != "complete" || at(filed, "observability_mimic") != false || at(filed, "turns") != 50.0 {
					t.Errorf("status %v, mimic %v, turns %v", at(filed, "status"), at(filed, "observability_mimic"), at(filed, "turns"))
				}
				for _, name := range []string{"prompt_tokens", "matched_tokens", "lookup_hit_tokens", "new_tokens", "displaced_tokens", "prefill_tokens"} {
					sum := 0
					for _, row := range rows {
						n, err := strconv.Atoi(row[name])
						if err != nil {
							t.Fatal(err)
						}
						sum += n
					}
					if at(filed, "tokens", name) != float64(sum) {
						t.Errorf("%s: the CSV's sum is %d, the summary says %v", name, sum, at(filed, "tokens", name))
					}
				}
				verdicts(t, dir, s)
			})
		}
	}
}

// verdicts reads the trace again and compares its ceiling with the summary's.
func verdicts(t *testing.T, dir string, s *Summary) {
	t.Helper()
	turns, err := oracle.Read(filepath.Join(dir, TraceFile))
	if err != nil || len(turns) != s.Turns {
		t.Fatalf("%d turns in the trace, %v", len(turns), err)
	}
	var o oracle.Oracle
	prompt, ceiling, repeated := 0, 0, 0
	for i := range turns {
		v := o.Add(&turns[i])
		if v.Problems != nil {
			t.Errorf("from the trace: %s", v.Problems[0])
		}
		prompt, ceiling, repeated = prompt+v.Prompt, ceiling+v.Ceiling, repeated+v.Matched+v.Displaced
	}
	if *s.Reuse.Ceiling != ceiling || math.Abs(*s.Reuse.CeilingShare-float64(ceiling)/float64(prompt)) > 1e-9 || math.Abs(*s.Reuse.RepeatedShare-float64(repeated)/float64(prompt)) > 1e-9 {
		t.Errorf("the trace gives %d of %d and %d repeated, the summary %+v", ceiling, prompt, repeated, s.Reuse)
	}
	if *s.Reuse.OfCeiling != 1 {
		t.Errorf("a cache that reuses all reached %v", *s.Reuse.OfCeiling)
	}
}

// What the layouts are for: moving makes most of what is new displaced, stable nothing; fresh reuses what never changes.
func TestLayoutsShowInTheSummary(t *testing.T) {
	run := func(change func(*Options)) *Summary {
		s, err := (&Run{Options: options(t, "local", change), Server: (&cache{}).serve(t)}).Do(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	stable, moving := run(nil), run(func(o *Options) { o.Layout = Moving })
	fresh, off := run(func(o *Options) { o.Session = Fresh }), run(func(o *Options) { o.NoReuse = true })
	if n, ok := stable.Tokens.Displaced.Get(); !ok || n != 0 || !strings.Contains(stable.Potential.Verdict, "prefix reuse is enough") {
		t.Errorf("stable: %d displaced, %s", n, stable.Potential.Verdict)
	}
	if d, n := moving.Tokens.Displaced.n, moving.Tokens.New.n; 2*d < n || !strings.Contains(moving.Potential.Verdict, "reuse of text that moved could save") {
		t.Errorf("moving: %d displaced of %d new, %s", d, n, moving.Potential.Verdict)
	}
	if s := *fresh.Reuse.HitShare; s < 0.3 || s > 0.7 {
		t.Errorf("fresh reuses %.2f", s)
	}
	if off.Tokens.Hit.n != 0 || off.Tokens.Recompute.n != off.Tokens.Matched.n || !strings.Contains(off.Potential.Verdict, "turning reuse on could save 9") || len(off.Problems) > 0 {
		t.Errorf("without reuse: %d hit, %s, %v", off.Tokens.Hit.n, off.Potential.Verdict, off.Problems)
	}
	if *stable.TTFT.Hit >= *stable.TTFT.Miss || stable.TTFT.MissTurns != 1 || off.TTFT.Hit != nil || off.TTFT.MissTurns != 50 {
		t.Errorf("first tokens: %+v, without reuse %+v", stable.TTFT, off.TTFT)
	}
	if stable.Peaks.Footprint != nil || *stable.Peaks.MLX != 1050 {
		t.Errorf("peaks %+v", stable.Peaks)
	}
}

// Each mistake of a server is a problem of the run.
func TestProblems(t *testing.T) {
	for _, tt := range []struct {
		name  string
		cache *cache
		want  string
	}{
		{"an identity", &cache{change: func(r *ledger.Row) { r.PrefillTokens = ledger.Some(r.PrefillTokens.Or(0) - 1) }}, "the row breaks an identity"},
		{"too much matched", &cache{change: func(r *ledger.Row) {
			r.MatchedTokens, r.NewTokens = ledger.Some(r.MatchedTokens.Or(0)+1), ledger.Some(r.NewTokens.Or(0)-1)
			r.RecomputeTokens, r.PaidAgainTokens = ledger.Some(r.RecomputeTokens.Or(0)+1), ledger.Some(r.PaidAgainTokens.Or(0)+1)
		}}, "matched_tokens"},
		{"displaced unknown", &cache{change: func(r *ledger.Row) { r.DisplacedTokens, r.PaidAgainTokens = ledger.Opt[int]{}, ledger.Opt[int]{} }}, "displaced_tokens is null"},
		{"hits short of the ceiling", &cache{shorten: 30}, "of the ceiling"},
		{"recompute", &cache{shorten: 2}, "2 tokens recomputed"},
		{"another session", &cache{change: func(r *ledger.Row) { r.SessionID += r.TurnID }}, "but its conversation was"},
	} {
		s, err := (&Run{Options: options(t, "local", func(o *Options) { o.Turns = 12 }), Server: tt.cache.serve(t)}).Do(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(s.Problems, func(p string) bool { return strings.Contains(p, tt.want) }) {
			t.Errorf("%s: %q is not among %q", tt.name, tt.want, s.Problems)
		}
		var text bytes.Buffer
		if err := s.WriteText(&text); err != nil || !strings.Contains(text.String(), "PROBLEM") {
			t.Errorf("%s: %v\n%s", tt.name, err, text.String())
		}
	}
	s, err := (&Run{Options: options(t, "local", func(o *Options) { o.Session = Fresh; o.Turns = 3 }), Server: (&cache{change: func(r *ledger.Row) { r.SessionID = "one" }}).serve(t)}).Do(t.Context())
	if err != nil || len(s.Problems) != 2 || !strings.Contains(s.Problems[0], "another conversation") {
		t.Errorf("one session for fresh conversations: %v, %q", err, s.Problems)
	}
}

// A run that is cut off leaves whole files that say so.
func TestCutRuns(t *testing.T) {
	for name, cut := range map[string]func(*cache, context.CancelFunc){
		"the server fails": func(c *cache, _ context.CancelFunc) { c.fail = 8 },
		"cancelled":        func(c *cache, cancel context.CancelFunc) { c.fail, c.stop = 8, cancel },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			c := &cache{}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			cut(c, cancel)
			r := Run{Options: options(t, "local", nil), Server: c.serve(t), Out: dir}
			s, err := r.Do(ctx)
			if err == nil || !strings.Contains(err.Error(), "turn 8 of 50") || s == nil || s.Status != "incomplete" {
				t.Fatalf("%v, %+v", err, s)
			}
			filed := summaryOf(t, dir)
			why, _ := at(filed, "why").(string)
			if at(filed, "status") != "incomplete" || !strings.Contains(why, "turn 8 of 50") || at(filed, "turns") != 7.0 || len(table(t, dir)) != 7 {
				t.Errorf("status %v, %q, %v turns, %d lines", at(filed, "status"), why, at(filed, "turns"), len(table(t, dir)))
			}
			if turns, err := oracle.Read(filepath.Join(dir, TraceFile)); err != nil || len(turns) != 7 {
				t.Errorf("%d turns in the trace, %v", len(turns), err)
			}
		})
	}
}

// watcher looks at the files before every turn, as a reader of a run that was killed there would.
type watcher struct {
	Server
	look func(turn int)
}

func (w *watcher) Turn(ctx context.Context, p *Prompt, o *Options) (*Answer, error) {
	w.look(p.Turn)
	return w.Server.Turn(ctx, p, o)
}

func TestFilesAreWholeAtAnyMoment(t *testing.T) {
	dir := t.TempDir()
	looked := 0
	w := &watcher{(&cache{}).serve(t), func(turn int) {
		looked++
		s := summaryOf(t, dir)
		if n := len(table(t, dir)); n != turn-1 || at(s, "status") != "incomplete" || at(s, "why") == nil || at(s, "turns") != float64(turn-1) {
			t.Errorf("before turn %d: %d lines, status %v, turns %v", turn, n, at(s, "status"), at(s, "turns"))
		}
		if turns, err := oracle.Read(filepath.Join(dir, TraceFile)); err != nil || len(turns) != turn-1 {
			t.Errorf("before turn %d: %d turns in the trace, %v", turn, len(turns), err)
		}
	}}
	if _, err := (&Run{Options: options(t, "local", func(o *Options) { o.Turns = 5 }), Server: w, Out: dir}).Do(t.Context()); err != nil || looked != 5 {
		t.Fatalf("%v, looked %d times", err, looked)
	}
	if files, _ := filepath.Glob(filepath.Join(dir, ".*")); len(files) > 0 {
		t.Errorf("left behind: %v", files)
	}
}

func TestAFolderThatCannotBeWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c := &cache{}
	_, err := (&Run{Options: options(t, "local", nil), Server: c.serve(t), Out: filepath.Join(file, "run")}).Do(t.Context())
	if err == nil || !strings.Contains(err.Error(), "--out "+file) || c.turns != 0 {
		t.Errorf("%v after %d turns", err, c.turns)
	}
}

// The six fields, the five phases, what may not be claimed; and a dry run, which claims nothing that was not measured.
func TestSummaryFields(t *testing.T) {
	dir := t.TempDir()
	facts := Facts{Model: "tiny", Quantization: "4 bit", Runtime: "a test", Decode: func(ids []int32) string { return string(make([]rune, len(ids))) }}
	if _, err := (&Run{Options: options(t, "local", func(o *Options) { o.Turns = 3 }), Server: (&cache{}).serve(t), Out: dir, Facts: facts}).Do(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := summaryOf(t, dir)
	for _, field := range []string{"model", "quantization", "workload", "hardware", "runtime", "claim"} {
		if text, _ := at(s, "recipe", field).(string); text == "" {
			t.Errorf("the recipe has no %s", field)
		}
	}
	var names []any
	for _, p := range at(s, "phases").([]any) {
		names = append(names, at(p, "phase"))
	}
	if want := []any{PhaseLoad, PhaseAssembly, PhasePrefill, PhaseDecode, PhaseReuse}; !slices.Equal(names, want) {
		t.Errorf("phases %v", names)
	}
	if no, _ := at(s, "do_not_claim").([]any); len(no) < 3 {
		t.Errorf("do_not_claim %v", no)
	}
	characters := 0
	list, _ := prompts(t, options(t, "local", func(o *Options) { o.Turns = 3 }), func(turn int) string { return fmt.Sprintf("answer %d of %d", turn, turn*7919%1009) })
	for _, p := range list {
		characters += p.Characters
	}
	if m, n := at(s, "prompt_sizes", "markup_characters"), at(s, "tokens", "prompt_tokens").(float64); m != n-float64(characters) {
		t.Errorf("markup %v of %v characters rendered and %d of contents", m, n, characters)
	}
	dry := t.TempDir()
	if _, err := (&Run{Options: options(t, "local", nil), Out: dry}).Do(t.Context()); err != nil {
		t.Fatal(err)
	}
	s = summaryOf(t, dry)
	if at(s, "observability_mimic") != true || at(s, "tokens", "prompt_tokens") != nil || at(s, "reuse", "ceiling_tokens") != nil || at(s, "ttft", "hit_median_ms") != nil {
		t.Errorf("a dry run says %v, %v", at(s, "tokens"), at(s, "reuse"))
	}
	rows := table(t, dry)
	if len(rows) != 50 || rows[0]["prompt_tokens_est"] != "166" || rows[49]["prompt_tokens_est"] != "579" || rows[0]["lookup_hit_tokens"] != "" || rows[0]["evidence"] != `{"prompt_tokens_est":"estimated"}` {
		t.Errorf("%d rows, the first is %v", len(rows), rows[0])
	}
}

func TestScriptedAnswersAreNotTheModels(t *testing.T) {
	c := &cache{answer: func(int) string { return "something else altogether" }}
	s, err := (&Run{Options: options(t, "local", func(o *Options) { o.Assistant = Scripted }), Server: c.serve(t)}).Do(t.Context())
	if err != nil || len(s.Problems) > 0 || strings.Contains(c.seen[49].text[:len(c.seen[49].text)-40], "something else") {
		t.Errorf("%v, %v, the last prompt is %s", err, s.Problems, c.seen[49].text)
	}
}
