package cachecmd

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"reprise/kvcache/ledger"
	"reprise/server/api"
	"reprise/server/api/wire/wiretest"
	"reprise/server/engine"
)

// served is a client of the real server over a scripted engine.
func served(t *testing.T, e *wiretest.Engine, key string) *Client {
	t.Helper()
	s, err := api.NewServer(api.Options{Engine: e, APIKey: "k"})
	if err != nil {
		t.Fatal(err)
	}
	h := httptest.NewServer(s.Handler())
	t.Cleanup(h.Close)
	c, err := NewClient(h.URL+"/v1/", key)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestWhatTheServerSays(t *testing.T) {
	e := wiretest.New(nil)
	e.Cache = engine.CacheStats{Budget: 2e9, LiveBytes: 1_000_000, PieceBytes: 500_000, SnapBytes: 12, Lives: 2, Busy: 1, Pieces: 3, Snapshots: 4, Nodes: 5, Tokens: 1234, GhostTokens: 6, Sessions: 7, EvictedTokens: 8, SnapsEvicted: 9}
	e.Audits = engine.AuditStats{Matches: 1, Within: 2, Mismatches: 3, Skipped: 4, Failed: 5}
	for range 2 {
		if _, err := e.Turn(t.Context(), engine.Request{TurnID: engine.NewTurnID()}, nil); err != nil {
			t.Fatal(err)
		}
	}
	e.Ledger().Record(ledger.Row{TurnID: "x", Purpose: ledger.PurposeTurn, DisplacedTokens: ledger.Some(1), PaidAgainTokens: ledger.Some(2000), SplicedTokens: ledger.Some(3)})
	c := served(t, e, "k")
	stats, err := c.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := WriteStats(&out, stats); err != nil {
		t.Fatal(err)
	}
	const want = `turns    3, 0 waiting; 0 warm-ups, 0 audits
prompts  20 tokens: 8 reused, 2 recomputed, 10 new (1 of them displaced)
prefill  12 tokens, 2,000 of them paid again; 0 left unprefilled
answers  6 tokens; 3 came back and were spliced in
miss     no_snapshot: 2 turns, 12 tokens
cache    1.5 MB of 2.00 GB: 1.0 MB in 2 states (1 in use), 500.0 kB in 3 pieces, 12 B in 4 snapshots
tree     1,234 tokens in 5 nodes, 6 of them ghosts; 7 sessions
memory   2.00 GB left of 4.00 GB, 1.00 GB of them the model's; a token takes 6,144 bytes, any state 5.0 MB, a step at the context's end 7.0 MB
         8 turns waited for it, 3 were refused for now, 2 for good, 1 answers were cut; the cache gave up 9.0 MB
         the host ran short of it 4 times: 1,234 tokens evicted; the cache has 6.0 MB meanwhile
disk     3.0 MB of 20.00 GB in 7 blocks, in /kv
         read 2 blocks, 1.0 MB at 500.0 MB/s; wrote 3, 4.0 MB at 500.0 MB/s; evicted 0; 0 bad
         written today: 4.0 MB of 50.00 GB; 0 blocks were over it
shared   127.0.0.1:6379 (OFF: it failed lately): read 1 blocks, 2.0 MB at 500.0 MB/s; wrote 5, 6.0 MB at 500.0 MB/s (compressed to 90 %); 0 dropped, 0 failures, 0 bad; the whole store holds 8.0 MB
writer   0 turns wait; 0 blocks read out of the device in 0 ms, 0 given up before
evicted  8 tokens, 9 snapshots
audits   1 match, 2 within, 3 mismatch, 4 skipped, 5 failed
PROBLEM  1 rows break an identity, 0 could not be written
`
	if out.String() != want {
		t.Errorf("stats print\n%s\nwant\n%s", out.String(), want)
	}
	rows, err := c.Rows(t.Context())
	if err != nil || len(rows) != 3 {
		t.Errorf("%d rows, %v", len(rows), err)
	}
	if err := c.Clear(t.Context(), "l2"); err != nil || e.Cleared() != 0 || e.DisksCleared != 0 || e.RemotesCleared != 1 {
		t.Errorf("clearing l2: %v, memory %d times, disk %d, shared %d", err, e.Cleared(), e.DisksCleared, e.RemotesCleared)
	}
	if err := c.Clear(t.Context(), ""); err != nil || e.Cleared() != 1 || e.DisksCleared != 1 || e.RemotesCleared != 1 {
		t.Errorf("clear: %v, %d times", err, e.Cleared())
	}
	if v, err := c.Verify(t.Context()); err != nil || !v.OK || len(v.Broken) != 0 {
		t.Errorf("verify: %+v, %v", v, err)
	}
	e.Broken = &engine.CacheError{Err: errors.New("tokens: 1 counted, 2 there")}
	if v, err := c.Verify(t.Context()); err != nil || v.OK || len(v.Broken) != 1 {
		t.Errorf("verify: %+v, %v", v, err)
	}
	if _, err := c.Why(t.Context(), "turn/../nobody"); err == nil || !strings.Contains(err.Error(), `"turn/../nobody" is not in the ledger`) {
		t.Errorf("why of nobody: %v", err)
	}
}

func TestServersThatDoNotAnswer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := "http://" + l.Addr().String()
	l.Close()
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("<html>")) }))
	defer page.Close()
	for _, x := range []struct{ url, says string }{
		{nobody, "start one with `reprise serve`, or name another with --url"},
		{other.URL, "404 Not Found: 404 page not found: is it reprise's server?"},
		{page.URL, "is it reprise's server?"},
		{served(t, wiretest.New(nil), "").URL(), "--api-key"},
	} {
		c, err := NewClient(x.url, "wrong")
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Stats(t.Context())
		if err == nil || !strings.Contains(err.Error(), x.says) || !strings.Contains(err.Error(), c.URL()) || errors.Is(err, ErrNoServer) != (x.url == nobody) {
			t.Errorf("%s: %v, want %q", x.url, err, x.says)
		}
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	c, _ := NewClient(nobody, "")
	if _, err := c.Stats(gone); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
	for _, bad := range []string{"", "localhost:8000", "127.0.0.1", "ftp://host", "http://"} {
		if _, err := NewClient(bad, ""); err == nil {
			t.Errorf("%q is taken for a server's URL", bad)
		}
	}
}

func TestSessions(t *testing.T) {
	at := func(minute int) time.Time { return time.Date(2026, 1, 2, 3, minute, 0, 0, time.UTC) }
	row := func(turn, session string, p ledger.Purpose, minute, prompt, hit, generated int) ledger.Row {
		return ledger.Row{TurnID: turn, SessionID: session, Model: "m", Purpose: p, Time: at(minute), PromptTokens: ledger.Some(prompt), LookupHitTokens: ledger.Some(hit), GeneratedTokens: ledger.Some(generated)}
	}
	refused := ledger.Row{TurnID: "r", SessionID: "lone", Purpose: ledger.PurposeTurn, Time: at(9), PromptTokens: ledger.Some(5)}
	got := Sessions([]ledger.Row{
		row("w", "a", ledger.PurposeWarmup, 1, 50, 0, 1), row("t1", "a", ledger.PurposeTurn, 3, 100, 40, 8), row("t2", "b", ledger.PurposeTurn, 2, 1000, 0, 1),
		row("audit", "b", ledger.PurposeAudit, 8, 1000, 1, 0), row("t3", "a", ledger.PurposeTurn, 4, 90, 80, 2), refused,
	})
	want := []Session{
		{ID: "a", Model: "m", Turns: 2, WarmUps: 1, Tokens: 108, LastTurn: "t3", LastPrompt: 90, LastHit: 80, Last: at(4)},
		{ID: "b", Model: "m", Turns: 1, Tokens: 1001, LastTurn: "t2", LastPrompt: 1000, LastHit: 0, Last: at(2)},
	}
	if len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("%+v\nwant %+v", got, want)
	}
	var out bytes.Buffer
	if err := WriteSessions(&out, got, &api.Cache{Budget: 1e9, States: 2}); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"a        2 + 1 warm-up  108     90           80        t3", "b        1              1,001   1,000        0         t2", "cache    0 B of 1.00 GB: 0 B in 2 states"} {
		if !strings.Contains(out.String(), line) {
			t.Errorf("%q is not in\n%s", line, out.String())
		}
	}
	out.Reset()
	if err := WriteSessions(&out, nil, &api.Cache{}); err != nil || !strings.HasPrefix(out.String(), "no session yet\n") {
		t.Errorf("no sessions: %v\n%s", err, out.String())
	}
}

func TestWriteWhy(t *testing.T) {
	for _, c := range []struct {
		why  engine.Why
		want string
	}{
		{engine.Why{TurnID: "turn_b", Other: "turn_a", At: 1017, In: "system", MissReason: ledger.MissPrefixChanged, Old: "time: 12:01\nBe kind.", New: "time: 12:02\nBe kind."},
			"turn_b left turn_a at token 1,017, in system (miss_reason prefix_changed)\n\nwas  time: 12:0▸1\n     Be kind.\nnow  time: 12:0▸2\n     Be kind.\n"},
		{engine.Why{TurnID: "b", At: 3, MissReason: ledger.MissEvicted, Old: "für", New: "fúr"}, "b left what was known at token 3 (miss_reason evicted)\n\nwas  f▸ür\nnow  f▸úr\n"},
		{engine.Why{TurnID: "b", At: 3, Old: "a", New: "ab"}, "was  a▸\nnow  a▸b\n"},
		{engine.Why{TurnID: "b", At: 3, Old: "", New: "ab"}, "was  ▸\nnow  ▸ab\n"},
		{engine.Why{TurnID: "b", At: 3, In: "retokenized", Old: "a", New: "a"}, "other tokens stand for the same text"},
		{engine.Why{TurnID: "b", At: 3, Old: "a\x1b[2J\r", New: "a\u202eb"}, "was  a▸�[2J�\nnow  a▸�b\n"},
	} {
		var out bytes.Buffer
		if err := WriteWhy(&out, &c.why); err != nil || !strings.Contains(out.String(), c.want) {
			t.Errorf("%+v prints %v\n%s\nwant\n%s", c.why, err, out.String(), c.want)
		}
	}
}

// good is a row that keeps every identity.
func good(turn string) ledger.Row {
	e := wiretest.New(nil)
	return e.Finish(engine.Request{TurnID: turn}, "", 1).Row
}

func TestVerifyLedger(t *testing.T) {
	dir := t.TempDir()
	v, err := VerifyLedger(filepath.Join(dir, "nosuch"))
	if err != nil || v.Files != 0 || v.Count() != 0 {
		t.Errorf("no ledger: %+v, %v", v, err)
	}
	w, err := ledger.NewWriter(dir, ledger.WriterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	broken := good("broken")
	broken.NewTokens = ledger.Some(6)
	for _, r := range []ledger.Row{good("a"), good("b"), broken, good("twice")} {
		if err := w.Write(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := ledger.Files(dir)
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	whole, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(whole), "\n")
	changed := strings.Replace(strings.Replace(first, `"turn_id":"a"`, `"turn_id":"changed"`, 1), `"prompt_tokens":10`, `"prompt_tokens":11`, 1)
	lying := strings.Replace(strings.Replace(first, `"turn_id":"a"`, `"turn_id":"lying"`, 1), `"identity_error":null`, `"identity_error":"1 ≠ 2"`, 1)
	twice := strings.Replace(first, `"turn_id":"a"`, `"turn_id":"twice"`, 1)
	second := filepath.Join(dir, "ledger-000002.jsonl")
	if err := os.WriteFile(second, []byte(strings.Join([]string{changed, lying, "nonsense", twice, `{"turn_id": "to`}, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	v, err = VerifyLedger(dir)
	if err != nil || v.Files != 2 || v.Rows != 7 || v.Count() != 6 {
		t.Fatalf("%+v, %v", v, err)
	}
	var out bytes.Buffer
	if err := v.WriteText(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"2 files, 7 rows, 6 problems",
		"ledger-000001.jsonl: turn broken breaks an identity: new 6 = prompt 10 − matched 5",
		"ledger-000002.jsonl: turn changed breaks an identity and does not say so",
		"ledger-000002.jsonl: turn lying says that it breaks an identity, and breaks none: 1 ≠ 2",
		second + ":3: line is not a row", second + ":5: line is cut off",
		"ledger-000002.jsonl: turn twice is there twice, first in ledger-000001.jsonl",
		"cache    not checked",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
}
