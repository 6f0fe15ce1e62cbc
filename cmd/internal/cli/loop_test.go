package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"reprise/cmd/internal/loop"
	"reprise/kvcache/ledger"
)

// Acceptance 6.2, for the profiles that are never run here in full.
func TestBenchLoopDryRuns(t *testing.T) {
	for profile, want := range map[string]string{
		"local":                      "166 to 579 tokens estimated, 18,625 in all, at most 0.00 % off the profile's line; append-only prompts share 96.89 %, a cold start at most 98.85 %",
		"16gb-max-mlx-observability": "238 to 2,790 tokens estimated, 75,700 in all, at most 0.00 % off the profile's line; append-only prompts share 96.31 %, a cold start at most 99.62 %",
		"kimi-k26-gb200-openclaw":    "12,166 to 122,437 tokens estimated, 3,365,075 in all, at most 0.00 % off the profile's line; append-only prompts share 96.36 %, a cold start at most 99.64 %",
	} {
		r := command(t, "bench", "loop", "--profile", profile, "--dry-run")
		if r.code != 0 || !strings.Contains(r.stdout, want) || strings.Count(r.stderr, "\n") != 50 {
			t.Errorf("%s: exit code %d\n%s%s", profile, r.code, r.stdout, r.stderr)
		}
	}
}

// A dry run makes the very prompts that a server makes, and each of its counts is marked as an estimate.
func TestDryRunsPromptsAreTheServers(t *testing.T) {
	withModel(t)
	dry, real := t.TempDir(), t.TempDir()
	run := func(args ...string) {
		t.Helper()
		if r := command(t, append([]string{"bench", "loop", "--assistant", "scripted", "--turns", "3"}, args...)...); r.code != 0 {
			t.Fatalf("%v: exit code %d\n%s%s", args, r.code, r.stdout, r.stderr)
		}
	}
	run("--dry-run", "--out", dry)
	run("--out", real, "--device", "cpu", "--ctx", "4096", "--max-tokens", "4")
	run("--out", t.TempDir(), "--device", "cpu", "--ctx", "4096", "--max-tokens", "4", "--no-reuse", "--same-as", real)
	a, b := recordsOf(t, dry), recordsOf(t, real)
	for i := range a {
		x, y := &a[i].Row, &b[i].Row
		if x.PromptSHA256.Or("x") != y.PromptSHA256.Or("y") || *a[i].Markup != *b[i].Markup {
			t.Errorf("turn %d: %d tokens, the server made %d", i+1, x.PromptTokens.Or(0), y.PromptTokens.Or(0))
		}
		if x.NewTokens.Or(-1) < 0 || i > 0 && x.LookupHitTokens.Or(0) < 200 || x.TTFTMs.Known() || x.MLXPeakBytes.Known() {
			t.Errorf("turn %d: %+v", i+1, x)
		}
		for _, field := range []string{"prompt_tokens", "lookup_hit_tokens", "matched_tokens", "prefill_tokens", "displaced_tokens"} {
			if x.Evidence[field] != ledger.Estimated {
				t.Errorf("turn %d: evidence of %s is %q", i+1, field, x.Evidence[field])
			}
		}
	}
	var s loop.Summary
	raw, err := os.ReadFile(filepath.Join(dry, loop.SummaryFile))
	if err != nil || json.Unmarshal(raw, &s) != nil || !s.Mimic || len(s.Problems) > 0 || *s.Reuse.OfCeiling != 1 {
		t.Errorf("%v: mimic %v, problems %q", err, s.Mimic, s.Problems)
	}
}

// Twelve turns of the small profile on the real weights: sizes, lines, identities, and what the oracle finds.
func TestBenchLoopRealModel(t *testing.T) {
	withModel(t)
	dir := filepath.Join(t.TempDir(), "run")
	r := command(t, "bench", "loop", "--device", "cpu", "--turns", "12", "--out", dir, "--json")
	if r.code != 0 {
		t.Fatalf("exit code %d: %s", r.code, r.stderr)
	}
	var s struct {
		Status   string
		Mimic    bool `json:"observability_mimic"`
		Turns    int
		Recipe   loop.Recipe
		Sizes    loop.Sizes `json:"prompt_sizes"`
		Tokens   map[string]*int
		Reuse    loop.Reuse
		Problems []string
	}
	if err := json.Unmarshal([]byte(r.stdout), &s); err != nil {
		t.Fatal(err)
	}
	if s.Status != "complete" || s.Mimic || s.Turns != 12 || s.Recipe.Model != "gemma-3-270m" || len(s.Problems) > 0 {
		t.Errorf("%+v", s)
	}
	if s.Sizes.First != 166 || s.Sizes.Worst > 0.02 || *s.Reuse.OfCeiling < 0.99 || *s.Tokens["recompute_tokens"] > 11 {
		t.Errorf("sizes %+v, reuse %+v, %d recomputed", s.Sizes, s.Reuse, *s.Tokens["recompute_tokens"])
	}
	raw, err := os.ReadFile(filepath.Join(dir, loop.TurnsFile))
	if err != nil || strings.Count(string(raw), "\n") != 13 || !strings.HasPrefix(string(raw), strings.Join(ledger.Columns(), ",")+"\n") {
		t.Errorf("%v, the CSV is\n%s", err, raw)
	}
	trace, err := os.ReadFile(filepath.Join(dir, loop.TraceFile))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(trace)) {
		var record loop.Record
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Fatal(err)
		}
		row := record.Row
		if est := row.PromptTokensEst.Or(0); est != record.Estimated() || row.PromptTokens.Or(0) != len(record.Prompt) || row.IdentityError.Known() {
			t.Errorf("turn %d: %d estimated by the row, %d by the loop; %d ids, identity %q", record.Turn, est, record.Estimated(), len(record.Prompt), row.IdentityError.Or(""))
		}
		if *record.Markup < 100 || *record.Markup > 200+70*record.Turn {
			t.Errorf("turn %d: %d characters of markup", record.Turn, *record.Markup)
		}
	}
}

// Acceptance 2.3: where documents move, most of what is new was computed before at another place; where a message is
// dropped, only the tail is computed again; in both the oracle finds every figure right.
func TestBenchLoopLayouts(t *testing.T) {
	withModel(t)
	for layout, share := range map[string][2]float64{"stable": {0, 0}, "moving": {0.5, 1}, "ephemeral": {0, 0}} {
		r := command(t, "bench", "loop", "--device", "cpu", "--turns", "6", "--layout", layout, "--profile", "16gb-max-mlx-observability", "--out", filepath.Join(t.TempDir(), layout), "--json")
		var s struct {
			Tokens   map[string]*int
			Reuse    loop.Reuse
			Problems []string
		}
		if err := json.Unmarshal([]byte(r.stdout), &s); err != nil || r.code != 0 {
			t.Fatalf("%s: exit code %d, %v\n%s", layout, r.code, err, r.stderr)
		}
		moved, fresh := *s.Tokens["displaced_tokens"], *s.Tokens["new_tokens"]
		if got := float64(moved) / float64(fresh); got < share[0] || got > share[1] || len(s.Problems) > 0 || *s.Reuse.OfCeiling < 0.98 {
			t.Errorf("%s: %d of %d new tokens are displaced, %.1f %% of the ceiling, problems %q", layout, moved, fresh, 100**s.Reuse.OfCeiling, s.Problems)
		}
	}
}

// A prompt that cannot fit is found before the first turn, an unwritable folder before the model is loaded.
func TestBenchLoopRefusals(t *testing.T) {
	withModel(t)
	r := command(t, "bench", "loop", "--device", "cpu", "--ctx", "300", "--out", t.TempDir())
	if r.code != exitError || !strings.Contains(r.stderr, "about 579 tokens and the context is 300") {
		t.Errorf("exit code %d, %s", r.code, r.stderr)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	command(t, "bench", "loop", "--device", "cpu", "--out", filepath.Join(file, "x")).refused(t, exitError, "--out "+file)
}

// A run that is to be compared with another one is refused before it begins where there is none, or where it would write over it
// and be the same as itself.
func TestBenchLoopWithoutARunToCompare(t *testing.T) {
	dir := t.TempDir()
	command(t, "bench", "loop", "--device", "cpu", "--out", filepath.Join(dir, "out"), "--same-as", dir).refused(t, exitError, "--same-as "+dir, "no run is there")
	kept := []byte("a run's turns")
	trace := filepath.Join(dir, loop.TraceFile)
	if err := os.WriteFile(trace, kept, 0o600); err != nil {
		t.Fatal(err)
	}
	command(t, "bench", "loop", "--device", "cpu", "--out", dir+"/.", "--same-as", dir).refused(t, exitUsage, "--same-as "+dir, "--out")
	if raw, err := os.ReadFile(trace); err != nil || !bytes.Equal(raw, kept) {
		t.Errorf("the run was written over: %q, %v", raw, err)
	}
}

// A run that is to share state through a store is refused where there is none, in one line that shows no password, and leaves no files.
func TestBenchLoopWithoutItsStore(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := l.Addr().String()
	defer l.Close() // it takes connections and says nothing
	for _, tt := range []struct{ url, says string }{
		{"redis://me:planted-key@127.0.0.1:1/0", "no Valkey or Redis answers at 127.0.0.1:1: connect: connection refused"},
		{"redis://me:planted-key@" + nobody + "/0?timeout=100ms", "no Valkey or Redis answers at " + nobody + ": "},
	} {
		for _, session := range []string{"resumed", "restart", "remote", "pd"} {
			out := filepath.Join(t.TempDir(), "run")
			r := command(t, "bench", "loop", "--device", "cpu", "--session", session, "--l2", tt.url, "--out", out)
			r.refused(t, exitError, "--l2", tt.says, "leave --l2 out")
			if _, err := os.Stat(out); err == nil || strings.Contains(r.stderr, "planted-key") {
				t.Errorf("%s: files were written, or the password is in %q", session, r.stderr)
			}
		}
	}
}

// Another engine's server, which says no more than mlx-lm's: what it counts is in the files under its name, the rest is
// null, and nothing is missing.
func TestBenchLoopOtherEngine(t *testing.T) {
	asked := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/health" { // its /v1/models lists what was downloaded, not what is served
			fmt.Fprint(w, `{"status":"ok"}`)
			return
		}
		asked++
		fmt.Fprint(w, "data: {\"id\":\"x\",\"choices\":[{\"delta\":{\"content\":\"well\"},\"finish_reason\":\"length\"}]}\n\n")
		fmt.Fprintf(w, "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":%d,\"completion_tokens\":1,\"prompt_tokens_details\":{\"cached_tokens\":%d}}}\n\ndata: [DONE]\n\n",
			100*asked, 100*(asked-1)+1)
	}))
	defer s.Close()
	dir := t.TempDir()
	at := strings.Replace(s.URL, "://", "://me:planted-key@", 1)
	r := command(t, "bench", "loop", "--engine", "mlx-lm", "--url", at, "--api-key", "planted-key", "--assistant", "scripted", "--turns", "3", "--out", dir, "--check", "--json")
	if r.code != 0 {
		t.Fatalf("exit code %d: %s", r.code, r.stderr)
	}
	var summary struct {
		Mimic  bool `json:"observability_mimic"`
		Recipe struct{ Model, Runtime string }
		Tokens map[string]*int
		Reuse  struct {
			Ceiling *int `json:"ceiling_tokens"`
		}
		Evidence map[string]string
	}
	if err := json.Unmarshal([]byte(r.stdout), &summary); err != nil {
		t.Fatal(err)
	}
	if summary.Mimic || summary.Recipe.Model != "default_model" || !strings.Contains(summary.Recipe.Runtime, "mlx-lm's server at "+strings.Replace(at, "planted-key", "xxxxx", 1)) || summary.Reuse.Ceiling != nil {
		t.Errorf("%+v", summary)
	}
	for name, want := range map[string]int{"prompt_tokens": 600, "lookup_hit_tokens": 303, "l0_hit_tokens": 303, "prefill_tokens": 297} {
		if n := summary.Tokens[name]; n == nil || *n != want {
			t.Errorf("%s: %v, not %d", name, n, want)
		}
	}
	for _, name := range []string{"l1_hit_tokens", "l2_hit_tokens", "matched_tokens", "recompute_tokens"} {
		if n := summary.Tokens[name]; n != nil {
			t.Errorf("%s is %d, and it was not counted", name, *n)
		}
	}
	for _, name := range []string{loop.TurnsFile, loop.TraceFile, loop.SummaryFile, loop.ClaimsFile} {
		if text, err := os.ReadFile(filepath.Join(dir, name)); err != nil || strings.Contains(string(text)+r.stdout+r.stderr, "planted-key") {
			t.Errorf("%s: %v, or the key is in it or was printed", name, err)
		}
	}
	if e := summary.Evidence["l0_hit_tokens"]; e != "counter usage.prompt_tokens_details.cached_tokens" {
		t.Errorf("evidence of l0_hit_tokens: %q", e)
	}
}

func TestBenchLoopEngineFlags(t *testing.T) {
	for _, tt := range []struct {
		args []string
		says string
	}{
		{[]string{"--engine", "abacus", "--url", "http://127.0.0.1:1"}, "[reprise vllm lmcache llamacpp mlx-lm sglang]"},
		{[]string{"--engine", "vllm"}, "--url"},
		{[]string{"--engine", "lmcache", "--url", "http://127.0.0.1:1"}, "--lmcache-url"},
		{[]string{"--engine", "vllm", "--url", "http://127.0.0.1:1", "--lmcache-url", "http://127.0.0.1:2"}, "--lmcache-url"},
		{[]string{"--engine", "vllm", "--url", "http://127.0.0.1:1", "--no-reuse"}, "--no-reuse"},
		{[]string{"--engine", "vllm", "--url", "http://127.0.0.1:1", "--device", "cpu"}, "--device"},
	} {
		command(t, append([]string{"bench", "loop", "--out", t.TempDir()}, tt.args...)...).refused(t, exitUsage, tt.says)
	}
}

// A server of another make is refused by name.
func TestBenchLoopForeignServer(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" {
			t.Errorf("the key is not shown: %v", r.Header)
		}
		_, _ = w.Write([]byte(`{"object":"list","data":[{"id":"m","object":"model","owned_by":"vllm"}]}`))
	}))
	defer s.Close()
	command(t, "bench", "loop", "--url", s.URL+"/v1", "--api-key", "secret", "--out", t.TempDir()).refused(t, exitError, "not reprise's server", `"vllm"`, "--engine")
}
