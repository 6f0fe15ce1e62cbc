package report

import (
	"bytes"
	"encoding/json"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"reprise/cmd/internal/loop"
	"reprise/kvcache/ledger"
)

func row(id string, prompt, l0, recompute, displaced int) ledger.Row {
	some := ledger.Some[int]
	return ledger.Row{
		TurnID: id, PromptTokens: some(prompt), LookupHitTokens: some(l0), L0HitTokens: some(l0), L1HitTokens: some(0), L2HitTokens: some(0),
		RecomputeTokens: some(recompute), NewTokens: some(prompt - l0 - recompute), DisplacedTokens: some(displaced), PaidAgainTokens: some(recompute + displaced),
		MissReason: ledger.Some(ledger.MissPrefixChanged), DivergedAt: some(l0), DivergedIn: ledger.Some("system <script>alert(1)</script>"), TTFTMs: ledger.Some(12.25),
	}
}

// folder writes a run with the ids of its trace: the second prompt leaves the first one's after two ids.
func folder(t *testing.T, summary string) string {
	t.Helper()
	dir := t.TempDir()
	rows := []ledger.Row{row("t1", 4, 0, 0, 0), row("t2", 5, 2, 1, 1), {TurnID: "t3"}}
	var csv, trace bytes.Buffer
	if err := ledger.WriteCSV(&csv, rows); err != nil {
		t.Fatal(err)
	}
	for i, ids := range [][]int32{{1, 2, 3, 4}, {1, 2, 9, 9, 9}} {
		line, err := json.Marshal(loop.Record{Turn: i + 1, Prompt: ids, Generated: []int32{7, 7}, Row: rows[i]})
		if err != nil {
			t.Fatal(err)
		}
		trace.Write(append(line, '\n'))
	}
	for name, text := range map[string]string{loop.TurnsFile: csv.String(), loop.TraceFile: trace.String(), loop.SummaryFile: summary} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func letters(string) (func([]int32) string, error) {
	return func(ids []int32) string {
		var b strings.Builder
		for _, id := range ids {
			b.WriteRune('a' + id)
		}
		return b.String()
	}, nil
}

func TestReadARun(t *testing.T) {
	r, err := Read(folder(t, `{"status":"incomplete","why":"turn 4 of 9: cancelled","machine":{"memory_bytes":16e9}}`), letters)
	if err != nil {
		t.Fatal(err)
	}
	if r.State() != "incomplete: turn 4 of 9: cancelled" || *r.Limit != 16e9 || len(r.Turns) != 3 {
		t.Errorf("%q, %+v", r.State(), r)
	}
	second, third := &r.Turns[1], &r.Turns[2]
	if *second.Ceiling != 2 || second.Shared != "bc" || second.Before != "deh" || second.After != "jjj" {
		t.Errorf("ceiling %v, behind %q %q and %q", *second.Ceiling, second.Shared, second.Before, second.After)
	}
	sum := 0.0
	for _, p := range second.Parts() {
		sum += p.Tokens
	}
	if sum != 5 || len(second.Parts()) != 6 {
		t.Errorf("the parts are %+v", second.Parts())
	}
	if third.Prompt != nil || third.Ceiling != nil || len(third.Parts()) != 0 {
		t.Errorf("what was not measured is %+v", third)
	}
	if w := worst(r.Turns); len(w) != 2 || w[0].Number != 2 || !strings.Contains(w[0].Reason(), "2 tokens paid for again (1 recomputed, 1 moved); miss: prefix_changed; left what was known at token 2") {
		t.Errorf("the worst turns are %+v", w)
	}
	for _, f := range Fields {
		if v := f.Of(r); f.Name == "prompt_tokens" && v != nil { // the third turn's is not known
			t.Errorf("%s sums to %v over a turn that does not know it", f.Name, *v)
		}
	}
}

// Text of a run is never markup, and the page names no other place.
func TestThePageIsSelfContained(t *testing.T) {
	r, err := Read(folder(t, `{"status":"complete","claims":[{"claim":"it grows","supported":true,"shows":"<b>much</b>"}],"recipe":{"model":"m"}}`), letters)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := WritePage(&b, []*Run{r, r}); err != nil {
		t.Fatal(err)
	}
	for _, not := range []string{"<script>alert", "<b>much", "http://", "https://", "@import", "NaN", "ZgotmplZ"} {
		if strings.Contains(b.String(), not) {
			t.Errorf("the page has %q", not)
		}
	}
	for _, want := range []string{`data-turn="2" data-part="recompute" data-value="1"`, "not measured in this run", "it grows", `id="r2-w2"`, "@media print"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	var picture bytes.Buffer
	if err := WritePNG(&picture, r); err != nil {
		t.Fatal(err)
	}
	if img, err := png.Decode(&picture); err != nil || img.Bounds().Dx() < 800 {
		t.Errorf("the picture: %v, %v", err, img)
	}
}

// The article's own CSV is one side, as estimates.
func TestTheArticlesCSV(t *testing.T) {
	path := filepath.Join(t.TempDir(), "article.csv")
	if err := os.WriteFile(path, []byte("turn,vllm_l0_prefix_hit_tokens_est,lmcache_mp_l1_hit_tokens_est,remote_or_l2_hit_tokens_est,lookup_requested_tokens_est,lookup_hit_tokens_est,recompute_tokens_est,pd_transfer_ms_proxy\n1,0,0,0,166,0,0,1.5\n2,100,20,10,174,130,4,\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := Read(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	last := r.Turns[1]
	if !r.Estimated || !strings.Contains(r.State(), "estimates") || *last.L1 != 20 || *last.New != 40 || *last.PaidAgain != 4 || last.Transfer != nil || len(r.Evidence) != 7 {
		t.Errorf("%q, %+v", r.State(), last)
	}
}

func TestWhatIsNoRun(t *testing.T) {
	dir := t.TempDir()
	for _, tt := range []struct{ name, text, want string }{
		{"empty.csv", "", "not even a header"},
		{"other.csv", "a,b\n1,2\n", "neither turn_id nor"},
		{"bad.csv", "turn_id,prompt_tokens\nt1,many\n", `bad.csv:2: prompt_tokens is "many"`},
		{"negative.csv", "turn_id,prompt_tokens\nt1,-4\n", "not a number from 0 up"},
		{"nan.csv", "turn_id,ttft_ms\nt1,NaN\n", "not a number from 0 up"},
		{"inf.csv", "turn_id,ttft_ms\nt1,+Inf\n", "not a number from 0 up"},
		{"short.csv", "turn_id,prompt_tokens\nt1\n", "no CSV"},
	} {
		path := filepath.Join(dir, tt.name)
		if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(path, nil); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	for path, want := range map[string]string{filepath.Join(dir, "nosuch"): "nosuch", t.TempDir(): loop.TurnsFile} {
		if _, err := Read(path, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if _, err := Read(folder(t, `{"status":`), nil); err == nil || !strings.Contains(err.Error(), "no run's summary") {
		t.Error(err)
	}
}
