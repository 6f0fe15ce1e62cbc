package run

import (
	"strings"
	"testing"

	"reprise/kvcache/ledger"
)

func TestTurnFigures(t *testing.T) {
	var cold, none strings.Builder
	row := ledger.Row{
		PromptTokens: ledger.Some(1200), LookupHitTokens: ledger.Some(1000), RecomputeTokens: ledger.Some(50), NewTokens: ledger.Some(150),
		MissReason: ledger.Some(ledger.MissNoSnapshot), PrefillTPS: ledger.Some(146.0), PrefillTokens: ledger.Some(200), PrefillMs: ledger.Some(1370.0),
		TTFTMs: ledger.Some(1402.0), GeneratedTokens: ledger.Some(64), DecodeTPS: ledger.Some(20.26), DecodeMs: ledger.Some(3110.0),
		MLXPeakBytes: ledger.Some(int64(1_107_000_000)), FootprintPeakBytes: ledger.Some(int64(1_532_000_000)), KVLiveBytes: ledger.Some(int64(27_100_000)),
	}
	row.Note(ledger.Sampled, "footprint_peak_bytes")
	if err := WriteTurn(&cold, &row); err != nil {
		t.Fatal(err)
	}
	if err := WriteTurn(&none, &ledger.Row{}); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ what, got, want string }{
		{"a turn", cold.String(), `reuse    1,000 of 1,200 prompt tokens reused, 50 recomputed, 150 new (no_snapshot)
prefill  146 tok/s, 200 tokens in 1.37 s, first token after 1.40 s
decode   20.3 tok/s, 64 tokens in 3.11 s
memory   MLX peak active 1.11 GB, process footprint peak 1.53 GB (sampled), KV held 27.1 MB
`},
		{"nothing known", none.String(), `reuse    not measured
prefill  not measured
decode   not measured (0 generated)
memory   MLX peak active not measured, process footprint peak not measured, KV held not measured
`},
	} {
		if tt.got != tt.want {
			t.Errorf("%s:\n%s\nwant\n%s", tt.what, tt.got, tt.want)
		}
	}
}
