package engine

import (
	"context"
	"os"
	"strings"
	"testing"

	"reprise/kvcache/ledger"
	"reprise/mlx"
	"reprise/model/sample"
	"reprise/server/prompt"
)

// real is one engine on the small real model for all tests: loading takes seconds.
var real *Engine

func TestMain(m *testing.M) {
	var err error
	real, err = Open(context.Background(), Options{Device: mlx.CPU})
	if err != nil {
		println("engine tests need the small model (run make build):", err.Error())
		os.Exit(1)
	}
	code := m.Run()
	real.Close()
	if n := mlx.LiveArrays(); n != 0 && code == 0 {
		println("arrays left after Close:", n)
		code = 1
	}
	os.Exit(code)
}

func ask(t *testing.T, req Request) *Result {
	t.Helper()
	res, err := real.Turn(context.Background(), req, nil)
	if err != nil {
		t.Fatal(err)
	}
	if e := res.Row.IdentityError; e.Known() {
		t.Fatalf("identity broken: %s", e.Or(""))
	}
	return res
}

func fresh(t *testing.T) {
	t.Helper()
	if err := real.ClearCache(context.Background()); err != nil {
		t.Fatal(err)
	}
}

func raw(text string, n int) Request {
	return Request{Prompt: prompt.Input{Raw: text}, MaxTokens: n}
}

func TestATurnContinuesAndCounts(t *testing.T) {
	fresh(t)
	var streamed strings.Builder
	first, err := real.Turn(context.Background(), raw("The capital of France is", 16), func(ev Event) error {
		streamed.WriteString(ev.Text)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if streamed.String() != first.Text || !strings.Contains(first.Text, "France") {
		t.Errorf("streamed %q, result %q", streamed.String(), first.Text)
	}
	if first.Finish != ledger.FinishLength || len(first.IDs) != 16 {
		t.Errorf("finish %s after %d tokens", first.Finish, len(first.IDs))
	}
	r := first.Row
	if r.PrefillTokens != r.PromptTokens || r.MissReason.Or("") != ledger.MissFirstRequest || r.LookupHitTokens.Or(-1) != 0 {
		t.Errorf("cold turn: prefill %v of %v, miss %v, hit %v", r.PrefillTokens, r.PromptTokens, r.MissReason, r.LookupHitTokens)
	}
	for name, known := range map[string]bool{"decode_tps": r.DecodeTPS.Known(), "prefill_tps": r.PrefillTPS.Known(), "ttft_ms": r.TTFTMs.Known(),
		"mlx_peak_bytes": r.MLXPeakBytes.Known(), "footprint_peak_bytes": r.FootprintPeakBytes.Known(), "kv_live_bytes": r.KVLiveBytes.Known()} {
		if !known {
			t.Errorf("%s was not measured", name)
		}
	}
	second := ask(t, raw("The capital of France is"+first.Text+" and", 4))
	t.Logf("prefill %.0f decode %.1f tok/s; second turn: hit %v of %v, matched %v", r.PrefillTPS.Or(0), r.DecodeTPS.Or(0), second.Row.LookupHitTokens.Or(0), second.Row.PromptTokens.Or(0), second.Row.MatchedTokens.Or(0))
	if hit := second.Row.LookupHitTokens.Or(0); hit < r.PromptTokens.Or(0)+12 {
		t.Errorf("continuation reused %d tokens of a sequence of %d", hit, r.PromptTokens.Or(0)+15)
	}
	if second.Row.SessionID != r.SessionID || second.Row.ParentTurnID.Or("") != r.TurnID {
		t.Errorf("the continuation is in session %s behind %s", second.Row.SessionID, second.Row.ParentTurnID.Or("nothing"))
	}
	_ = sample.Params{}
}
