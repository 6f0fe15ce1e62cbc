package compare

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"reprise/cmd/internal/loop"
	"reprise/cmd/internal/report"
	"reprise/kvcache/ledger"
)

// row is a turn that came from memory but for ten tokens; without transfers, and without a peak of MLX.
func row(id string, prompt, hit int) ledger.Row {
	some := ledger.Some[int]
	return ledger.Row{TurnID: id, PromptTokens: some(prompt), LookupHitTokens: some(hit), L0HitTokens: some(hit), L1HitTokens: some(0), L2HitTokens: some(0), RecomputeTokens: some(0),
		NewTokens: some(prompt - hit), DisplacedTokens: some(0), PaidAgainTokens: some(0), PrefillTokens: some(prompt - hit), TTFTMs: ledger.Some(float64(prompt - hit)),
		FootprintPeakBytes: ledger.Some(int64(5e8)), PromptSHA256: ledger.Some(id)}
}

const whole = `{"status":"complete","recipe":{"model":"m","quantization":"q","workload":"local (small), 2 turns, stable","hardware":"h","runtime":"r","claim":"c"},
	"options":{"profile":"local","assistant":"scripted","scale":1,"max_tokens":4},"evidence":{"footprint_peak_bytes":"sampled"}}`

// read makes a run of rows and a summary.
func read(t *testing.T, name, summary string, rows ...ledger.Row) *report.Run {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	var csv bytes.Buffer
	if err := ledger.WriteCSV(&csv, rows); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for file, text := range map[string]string{loop.TurnsFile: csv.String(), loop.SummaryFile: summary} {
		if text == "" {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return open(t, dir)
}

func open(t *testing.T, path string) *report.Run {
	t.Helper()
	r, err := report.Read(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (t *Table) find(name string) *Figure {
	return &t.Figures[slices.IndexFunc(t.Figures, func(f Figure) bool { return f.Name == name })]
}

// line is the words of the text's line that begins with these.
func line(t *testing.T, table *Table, begin string) string {
	t.Helper()
	var b strings.Builder
	if err := table.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	for l := range strings.Lines(b.String()) {
		if strings.HasPrefix(l, begin) {
			return strings.Join(strings.Fields(l), " ")
		}
	}
	t.Fatalf("no line begins with %q in\n%s", begin, b.String())
	return ""
}

// Two runs of the same thing: ratios, marks of evidence, dashes for what was not measured, and nothing to warn of.
func TestSideBySide(t *testing.T) {
	a := read(t, "a", whole, row("1", 100, 0), row("2", 200, 100))
	b := read(t, "b", strings.Replace(whole, "2 turns, stable", "2 turns, moving", 1), row("1", 100, 0), row("x", 200, 50))
	table := Of([]*report.Run{a, b})
	if len(table.Warnings) != 0 || !slices.Equal(table.Differ, []string{"workload"}) || *table.Runs[1].Same != 1 {
		t.Errorf("warnings %q, differ %q, %v prompts are the same", table.Warnings, table.Differ, table.Runs[1].Same)
	}
	for begin, want := range map[string]string{
		"reused  ":                       "reused 100 50 0.50",
		"reused, of all":                 "reused, of all prompt tokens 33.33 % 16.67 % 0.50",
		"reused, of the ceiling":         "reused, of the ceiling – – –", // without ids
		"from disk":                      "from disk (L1) 0 0 –",
		"first token, warm":              "first token, warm, median 100 ms 150 ms 1.50",
		"handed over":                    "handed over, median – – –",
		"fetched from L2":                "fetched from L2, median – – –",
		"MLX peak":                       "MLX peak – – –",
		"process footprint":              "process footprint, peak 500.0 MB s 500.0 MB s 1.00",
		"workload ":                      "workload A local (small), 2 turns, stable",
		"the same":                       "the same model, quantization, hardware, runtime, claim",
		"B  " + table.Runs[1].Path + ":": "B " + table.Runs[1].Path + ": complete, 2 turns; 1 of its prompts are A's, id by id",
		"–: not measured":                "–: not measured; s: sampled; ratios are of what was measured in both",
	} {
		if got := line(t, table, begin); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	raw, err := json.Marshal(table.find("mlx_peak_bytes"))
	if want := `{"name":"mlx_peak_bytes","title":"MLX peak","values":[null,null],"evidence":["measured","measured"],"ratios":[null,null]}`; err != nil || string(raw) != want {
		t.Errorf("%v\n%s, want\n%s", err, raw, want)
	}
}

// Each thing that makes runs incomparable is said.
func TestWarnings(t *testing.T) {
	a := read(t, "a", whole, row("1", 100, 0))
	change := func(old, by string) string {
		if !strings.Contains(whole, old) {
			t.Fatalf("%q is not there", old)
		}
		return strings.Replace(whole, old, by, 1)
	}
	for want, b := range map[string]*report.Run{
		"A and B: another model: m and n":                         read(t, "b", change(`"model":"m"`, `"model":"n"`), row("1", 100, 0)),
		"A and B: another quantization: q and none":               read(t, "b", change(`"quantization":"q"`, `"quantization":"none"`), row("1", 100, 0)),
		"A and B: another machine: h and M5":                      read(t, "b", change(`"hardware":"h"`, `"hardware":"M5"`), row("1", 100, 0)),
		"A and B: another profile: local and none":                read(t, "b", change(`"profile":"local"`, `"profile":""`), row("1", 100, 0)),
		"A and B: another assistant mode: scripted and generated": read(t, "b", change("scripted", "generated"), row("1", 100, 0)),
		"A and B: another length of answers (--max-tokens): 4":    read(t, "b", change(`"max_tokens":4`, `"max_tokens":16`), row("1", 100, 0)),
		"A and B: 1 turns and 2: sums":                            read(t, "b", whole, row("1", 100, 0), row("2", 200, 100)),
		"B: incomplete: turn 2 of 9: cancelled":                   read(t, "b", change(`"status":"complete"`, `"status":"incomplete","why":"turn 2 of 9: cancelled"`), row("1", 100, 0)),
		"B: no model ran":                                         read(t, "b", change(`"status":"complete"`, `"status":"complete","observability_mimic":true`), row("1", 100, 0)),
		"B: 1 problems, the first: turn 1 broke":                  read(t, "b", change(`"status":"complete"`, `"status":"complete","problems":["turn 1 broke"]`), row("1", 100, 0)),
		"A and B: whether model, machine":                         read(t, "b", "", row("1", 100, 0)),
	} {
		got := Of([]*report.Run{a, b}).Warnings
		if n := len(got); n == 0 || !strings.HasPrefix(got[n-1], want) && !strings.HasPrefix(got[0], want) {
			t.Errorf("%q, want one that begins with %q", got, want)
		}
	}
	agent := func(name string) *report.Run {
		return read(t, "c", strings.Replace(strings.Replace(whole, `"profile":"local"`, `"profile":""`, 1), "local (small)", name, 1), row("1", 100, 0))
	}
	if got := Of([]*report.Run{agent("the real hermes"), agent("the real openclaw")}).Warnings; len(got) != 1 || got[0] != "A and B: another workload: the real hermes and the real openclaw" {
		t.Errorf("%q", got)
	}
}

// The article's own columns are estimates: marked, without ratios, with a warning; what they do not tell is a dash.
func TestTheArticlesCSV(t *testing.T) {
	path := filepath.Join(t.TempDir(), "article.csv")
	if err := os.WriteFile(path, []byte("turn,vllm_l0_prefix_hit_tokens_est,lmcache_mp_l1_hit_tokens_est,remote_or_l2_hit_tokens_est,lookup_requested_tokens_est,lookup_hit_tokens_est,recompute_tokens_est,pd_transfer_ms_proxy\n1,0,0,0,166,0,0,1.5\n2,100,20,10,174,130,4,2.5\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	table := Of([]*report.Run{read(t, "a", whole, row("1", 100, 0), row("2", 200, 100)), open(t, path)})
	for begin, want := range map[string]string{
		"reused  ":        "reused 100 130 e –",
		"handed over":     "handed over, median – 2.0 ms e –",
		"decode":          "decode, tokens/s, median – – –",
		"–: not measured": "–: not measured; e: estimated; s: sampled; ratios are of what was measured in both",
	} {
		if got := line(t, table, begin); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if text := strings.Join(table.Warnings, "\n"); !strings.Contains(text, "B: estimates: the article's proxy columns") {
		t.Errorf("warnings %q", text)
	}
}

// Evidence is found in the CSV too, where there is no summary.
func TestEvidenceWithoutASummary(t *testing.T) {
	r := row("1", 100, 0)
	r.Note(ledger.Counter("usage.cached_tokens"), "lookup_hit_tokens")
	run := read(t, "a", "", r)
	table := Of([]*report.Run{run, run})
	if got := line(t, table, "reused  "); got != "reused 0 c 0 c –" {
		t.Errorf("%q", got)
	}
	if kind := table.find("hit_share").Evidence[0]; kind != "counter usage.cached_tokens" {
		t.Errorf("%q", kind)
	}
}

// Every figure of the page stands somewhere in the table.
func TestNoFigureIsLeftOut(t *testing.T) {
	shown := slices.Concat(groups...)
	for _, f := range report.Fields {
		if !slices.Contains(shown, f.Name) || len(f.From) == 0 {
			t.Errorf("%s is in no group, or of no field", f.Name)
		}
		for _, field := range f.From {
			if !slices.Contains(ledger.Columns(), field) {
				t.Errorf("%s is of %s, which rows do not have", f.Name, field)
			}
		}
	}
	if len(shown) != len(report.Fields) {
		t.Errorf("%d figures in groups, %d there are", len(shown), len(report.Fields))
	}
}
