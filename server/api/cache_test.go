package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"reprise/kvcache/ledger"
	"reprise/server/api/wire/wiretest"
	"reprise/server/engine"
)

// TestStats has every name of the answer, so that a renamed one is noticed.
func TestStats(t *testing.T) {
	e := wiretest.New(nil)
	e.Cache = engine.CacheStats{
		Budget: 1000, LiveBytes: 100, PieceBytes: 20, SnapBytes: 3, Lives: 4, Busy: 1, Pieces: 5, Snapshots: 6, Nodes: 7, Tokens: 80, GhostTokens: 9,
		HistoryTokens: 70, Sessions: 2, EvictedTokens: 11, SnapsEvicted: 12,
	}
	e.Audits = engine.AuditStats{Matches: 5, Within: 4, Mismatches: 3, Skipped: 2, Failed: 1}
	h := newServer(t, Options{Engine: e}).Handler()
	call(h, "POST", "/v1/chat/completions", goodChat)
	call(h, "POST", "/v1/completions", `{"model": "tiny", "prompt": "Hi"}`)
	some := ledger.Some[int]
	e.Ledger().Record(ledger.Row{TurnID: "w", Purpose: ledger.PurposeWarmup, PromptTokens: some(99)})
	e.Ledger().Record(ledger.Row{TurnID: "t", Purpose: ledger.PurposeTurn, DisplacedTokens: some(33), PaidAgainTokens: some(34), SplicedTokens: some(35),
		RestoreBytes: ledger.Some[int64](36), FinishReason: ledger.Some(ledger.FinishCancelled)})
	w := call(h, "GET", "/v1/cache/stats", "")
	var v map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil || w.Code != 200 {
		t.Fatalf("/v1/cache/stats: %d %v %s", w.Code, err, w.Body)
	}
	for path, want := range map[string]float64{
		"turns.turns": 3, "turns.prompt_tokens": 20, "turns.matched_tokens": 10, "turns.lookup_hit_tokens": 8, "turns.recompute_tokens": 2,
		"turns.new_tokens": 10, "turns.displaced_tokens": 33, "turns.paid_again_tokens": 34, "turns.prefill_tokens": 12, "turns.unprefilled_tokens": 0,
		"turns.spliced_tokens": 35, "turns.generated_tokens": 6, "turns.stored_tokens": 0, "turns.evicted_tokens": 0, "turns.restore_bytes": 36,
		"turns.finish_reasons.stop": 2, "turns.finish_reasons.cancelled": 1, "turns.miss_reasons.no_snapshot.turns": 2, "turns.miss_reasons.no_snapshot.tokens": 12,
		"purposes.turn": 3, "purposes.audit": 0, "purposes.warmup": 1,
		"cache.budget_bytes": 1000, "cache.kv_live_bytes": 123, "cache.state_bytes": 100, "cache.piece_bytes": 20, "cache.snapshot_bytes": 3,
		"cache.states": 4, "cache.busy_states": 1, "cache.pieces": 5, "cache.snapshots": 6, "cache.nodes": 7, "cache.tokens": 80, "cache.ghost_tokens": 9,
		"cache.sessions": 2, "cache.history_tokens": 70, "cache.evicted_tokens": 11, "cache.evicted_snapshots": 12,
		"audits.match": 5, "audits.within": 4, "audits.mismatch": 3, "audits.skipped": 2, "audits.failed": 1,
		"memory.limit_bytes": 4e9, "memory.base_bytes": 1e9, "memory.reserve_bytes": 3e8, "memory.room_bytes": 2e9, "memory.row_bytes": 6144,
		"memory.fixed_bytes": 5e6, "memory.call_bytes": 7e6, "memory.waited": 8, "memory.refused_later": 3, "memory.refused_never": 2, "memory.cut_answers": 1,
		"memory.yielded_bytes": 9e6, "memory.pressure_events": 4, "memory.pressure_evicted_tokens": 1234, "memory.pressure_budget_bytes": 6e6,
		"waiting": 0, "identity_errors": 2, "write_errors": 0,
	} {
		var at any = v
		for _, name := range strings.Split(path, ".") {
			m, _ := at.(map[string]any)
			at = m[name]
		}
		if at != want {
			t.Errorf("%s is %v, want %v", path, at, want)
		}
	}
}

func TestWhy(t *testing.T) {
	e := wiretest.New(nil)
	want := engine.Why{TurnID: "turn_b", Other: "turn_a", At: 17, In: "system", MissReason: ledger.MissPrefixChanged, Old: "12:01", New: "12:02"}
	e.Whys = []engine.Why{want}
	e.Ledger().Record(ledger.Row{TurnID: "turn_a", MissReason: ledger.Some(ledger.MissFirstRequest)})
	e.Ledger().Record(ledger.Row{TurnID: "turn_old", DivergedAt: ledger.Some(5)})
	h := newServer(t, Options{Engine: e}).Handler()
	w := call(h, "GET", "/v1/cache/why/turn_b", "")
	var got engine.Why
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 200 || got != want {
		t.Errorf("%d %v %s", w.Code, err, w.Body)
	}
	for _, c := range []struct{ turn, code, says string }{
		{"turn_nobody", "not_found", "not in the ledger"},
		{"turn_a", "not_diverged", "miss_reason first_request"},
		{"turn_old", "texts_forgotten", "at token 5"},
	} {
		w := call(h, "GET", "/v1/cache/why/"+c.turn, "")
		if code, message := failure(t, w); w.Code != http.StatusNotFound || code != c.code || !strings.Contains(message, c.turn) || !strings.Contains(message, c.says) {
			t.Errorf("%s: %d %s, %s", c.turn, w.Code, code, message)
		}
	}
}

func TestVerify(t *testing.T) {
	e := wiretest.New(nil)
	h := newServer(t, Options{Engine: e}).Handler()
	for _, c := range []struct {
		found error
		code  int
		want  string
	}{
		{nil, 200, `{"ok":true,"broken":[]}`},
		{&engine.CacheError{Err: errors.Join(errors.New("pieces: 1 counted, 2 there"), errors.New("another"))}, 200, `{"ok":false,"broken":["pieces: 1 counted, 2 there","another"]}`},
		{errors.New("the worker is gone"), 500, `"the worker is gone"`},
	} {
		e.Broken = c.found
		if w := call(h, "POST", "/v1/cache/verify", ""); w.Code != c.code || !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("%v: %d %s", c.found, w.Code, w.Body)
		}
	}
}
