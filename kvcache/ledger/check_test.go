package ledger

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

func TestWholeRowsPass(t *testing.T) {
	for name, change := range map[string]func(*Row){
		"warm":         func(*Row) {},
		"later fields": func(r *Row) { r.DisplacedTokens, r.PaidAgainTokens = Opt[int]{}, Opt[int]{} },
		"cancelled": func(r *Row) {
			r.PrefillTokens, r.UnprefilledTokens, r.FinishReason = Some(12), Some(18), Some(FinishCancelled)
		},
		"refused before the prompt was known": func(r *Row) {
			*r = Row{TurnID: "t", Time: r.Time, Purpose: PurposeTurn, FinishReason: Some(FinishRefused)}
		},
		"refused, empty prompt": func(r *Row) {
			*r = Row{TurnID: "t", Time: r.Time, Purpose: PurposeTurn, FinishReason: Some(FinishRefused),
				PromptTokens: Some(0), LookupHitTokens: Some(0)}
		},
		"audit without a lookup": func(r *Row) {
			*r = Row{TurnID: "t", Time: r.Time, Purpose: PurposeAudit, FinishReason: Some(FinishStop), Audit: Some(AuditMatch)}
		},
		"all but the last token": func(r *Row) {
			r.MatchedTokens, r.NewTokens, r.DisplacedTokens = Some(100), Some(0), Some(0)
			r.LookupHitTokens, r.L0HitTokens, r.RecomputeTokens, r.PaidAgainTokens = Some(99), Some(79), Some(1), Some(1)
			r.PrefillTokens, r.DivergedAt = Some(1), Opt[int]{}
		},
	} {
		r := warmTurn()
		change(&r)
		if err := Check(&r); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEachIdentityBroken(t *testing.T) {
	for _, tt := range []struct {
		name  string
		spoil func(*Row)
		want  string // the whole message
	}{
		{"lookup", func(r *Row) { r.LookupRequestedTokens = Some(99) },
			"prompt 100 = lookup_requested 99: 100 ≠ 99"},
		{"matched", func(r *Row) {
			r.MatchedTokens, r.RecomputeTokens, r.NewTokens, r.PrefillTokens = Some(101), Some(31), Some(-1), Some(30)
			r.DisplacedTokens, r.PaidAgainTokens = Opt[int]{}, Opt[int]{}
		}, "matched 101 ≤ prompt 100: 101 > 100; new_tokens -1 < 0"},
		{"tiers", func(r *Row) { r.L0HitTokens = Some(52) },
			"hit 70 = l0 52 + l1 15 + l2 5: 70 ≠ 72"},
		{"lower tiers", func(r *Row) { r.LowerHitTokens = Some(21) },
			"lower_hit 21 = l1 15 + l2 5: 21 ≠ 20"},
		{"hit beyond the match", func(r *Row) {
			r.L0HitTokens, r.LookupHitTokens, r.RecomputeTokens = Some(61), Some(81), Some(-1)
			r.PaidAgainTokens, r.PrefillTokens = Some(7), Some(19)
		}, "hit 81 ≤ matched 80: 81 > 80; recompute_tokens -1 < 0"},
		{"last token", func(r *Row) {
			r.MatchedTokens, r.NewTokens, r.DisplacedTokens, r.PaidAgainTokens = Some(100), Some(0), Some(0), Some(0)
			r.LookupHitTokens, r.L0HitTokens, r.RecomputeTokens, r.PrefillTokens = Some(100), Some(80), Some(0), Some(0)
		}, "hit 100 ≤ prompt 100 − 1: 100 > 99"},
		{"recompute", func(r *Row) {
			r.RecomputeTokens, r.PaidAgainTokens, r.PrefillTokens = Some(11), Some(19), Some(31)
		}, "recompute 11 = matched 80 − hit 70: 11 ≠ 10"},
		{"new", func(r *Row) { r.NewTokens, r.PrefillTokens = Some(21), Some(31) },
			"new 21 = prompt 100 − matched 80: 21 ≠ 20"},
		{"displaced", func(r *Row) { r.DisplacedTokens, r.PaidAgainTokens = Some(21), Some(31) },
			"displaced 21 ≤ new 20: 21 > 20"},
		{"paid again", func(r *Row) { r.PaidAgainTokens = Some(17) },
			"paid_again 17 = recompute 10 + displaced 8: 17 ≠ 18"},
		{"a call dropped", func(r *Row) { r.PrefillTokens = Some(22) },
			"prefill 22 + unprefilled 0 = recompute 10 + new 20: 22 ≠ 30"},
		{"unprefilled in a whole turn", func(r *Row) { r.PrefillTokens, r.UnprefilledTokens = Some(22), Some(8) },
			`unprefilled 8 > 0 but finish_reason is "stop": only cancelled, refused and error leave tokens unprefilled`},
		{"reuse off", func(r *Row) { r.MissReason = Some(MissReuseOff) },
			"hit 70 = 0 with reuse_off: 70 ≠ 0"},
		{"diverged", func(r *Row) { r.DivergedAt = Some(101) },
			"diverged_at 101 ≤ prompt 100: 101 > 100"},
		{"no prompt", func(r *Row) {
			*r = Row{TurnID: "t", Time: r.Time, Purpose: PurposeTurn, FinishReason: Some(FinishStop), GeneratedTokens: Some(0)}
			zero := Some(0)
			r.PromptTokens, r.LookupRequestedTokens, r.MatchedTokens, r.LookupHitTokens = zero, zero, zero, zero
			r.LowerHitTokens, r.L0HitTokens, r.L1HitTokens, r.L2HitTokens = zero, zero, zero, zero
			r.RecomputeTokens, r.NewTokens, r.PrefillTokens, r.UnprefilledTokens = zero, zero, zero, zero
		}, `prompt 0 but finish_reason is "stop": one prompt token is always computed`},
		{"not counted", func(r *Row) { r.PrefillTokens, r.L2HitTokens = Opt[int]{}, Opt[int]{} },
			`finish_reason is "stop" but l2_hit_tokens, prefill_tokens null`},
		{"not ended", func(r *Row) { r.FinishReason = Opt[FinishReason]{} },
			"finish_reason is null: a row is written when its turn has ended"},
		{"negative bytes", func(r *Row) { r.KVLiveBytes = Some(int64(-5)) }, "kv_live_bytes -5 < 0"},
		{"negative time", func(r *Row) { r.QueueMs = Some(-0.5) }, "queue_ms -0.5 < 0"},
		{"turn id", func(r *Row) { r.TurnID = "" }, "turn_id is empty"},
		{"time", func(r *Row) { r.Time = time.Time{} }, "time is not set"},
		{"purpose", func(r *Row) { r.Purpose = "test" }, `purpose "test" is none of its values`},
		{"limited_by", func(r *Row) { r.LimitedBy = Some(LimitedBy("disk")) }, `limited_by "disk" is none of its values`},
		{"miss_reason", func(r *Row) { r.MissReason = Some(MissReason("")) }, `miss_reason "" is none of its values`},
		{"finish_reason", func(r *Row) { r.FinishReason = Some(FinishReason("Stop")) }, `finish_reason "Stop" is none of its values`},
		{"audit", func(r *Row) { r.Audit = Some(Audit("null")) }, `audit "null" is none of its values`},
		{"evidence value", func(r *Row) { r.Evidence["ttft_ms"] = "guessed" }, `evidence "guessed" of ttft_ms is none of its values`},
		{"evidence field", func(r *Row) { r.Note(Derived, "ttft") }, `evidence names "ttft", which is no field`},
		{"two at once", func(r *Row) { r.LowerHitTokens, r.PaidAgainTokens = Some(0), Some(0) },
			"lower_hit 0 = l1 15 + l2 5: 0 ≠ 20; paid_again 0 = recompute 10 + displaced 8: 0 ≠ 18"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := warmTurn()
			tt.spoil(&r)
			err := Check(&r)
			var broken *IdentityError
			if !errors.As(err, &broken) {
				t.Fatalf("Check returned %v", err)
			}
			if got := err.Error(); got != tt.want {
				t.Errorf("says  %s\nwant  %s", got, tt.want)
			}
			if got := Seal(r).IdentityError.Or(""); got != tt.want {
				t.Errorf("sealed row says %q", got)
			}
		})
	}
}

// TestRandomRows compares Check with the identities restated over the printed JSON, by their public names.
func TestRandomRows(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 2))
	whole, broken := 0, 0
	for i := range 4_000 {
		r := randomTurn(rng)
		for range rng.IntN(3) {
			disturb(rng, &r)
		}
		want := restated(t, r)
		err := Check(&r)
		if (err == nil) != (len(want) == 0) {
			line, _ := encode(r)
			t.Fatalf("row %d: Check says %v, restated %v\n%s", i, err, want, line)
		}
		if err == nil {
			whole++
		} else {
			broken++
		}
	}
	if whole < 800 || broken < 800 {
		t.Errorf("%d whole and %d broken rows: the test sees too few of one", whole, broken)
	}
}

// randomTurn splits a random prompt into its classes.
func randomTurn(rng *rand.Rand) Row {
	prompt := 1 + rng.IntN(40)
	matched := rng.IntN(prompt + 1)
	hit := rng.IntN(min(matched, prompt-1) + 1)
	l0 := rng.IntN(hit + 1)
	l1 := rng.IntN(hit - l0 + 1)
	displaced := rng.IntN(prompt - matched + 1)
	finish := []FinishReason{FinishStop, FinishLength, FinishToolCalls, FinishCancelled, FinishError, FinishRefused}[rng.IntN(6)]
	left := 0
	if finish.brokenOff() {
		left = rng.IntN(prompt - hit + 1)
	}
	r := Row{
		TurnID: "t", Time: time.Unix(1, 0).UTC(), Purpose: PurposeTurn, FinishReason: Some(finish),
		PromptTokens: Some(prompt), LookupRequestedTokens: Some(prompt), MatchedTokens: Some(matched),
		LookupHitTokens: Some(hit), L0HitTokens: Some(l0), L1HitTokens: Some(l1), L2HitTokens: Some(hit - l0 - l1),
		LowerHitTokens: Some(hit - l0), RecomputeTokens: Some(matched - hit), NewTokens: Some(prompt - matched),
		DisplacedTokens: Some(displaced), PaidAgainTokens: Some(matched - hit + displaced),
		PrefillTokens: Some(prompt - hit - left), UnprefilledTokens: Some(left), GeneratedTokens: Some(rng.IntN(9)),
		MissReason: Some(MissNone),
	}
	if hit == 0 && rng.IntN(2) == 0 {
		r.MissReason = Some(MissReuseOff)
	}
	return r
}

// disturb changes one token field by a little, or takes it away.
func disturb(rng *rand.Rand, r *Row) {
	fields := []*Opt[int]{
		&r.PromptTokens, &r.LookupRequestedTokens, &r.MatchedTokens, &r.LookupHitTokens, &r.L0HitTokens, &r.L1HitTokens,
		&r.L2HitTokens, &r.LowerHitTokens, &r.RecomputeTokens, &r.NewTokens, &r.DisplacedTokens, &r.PaidAgainTokens,
		&r.PrefillTokens, &r.UnprefilledTokens, &r.GeneratedTokens,
	}
	f := fields[rng.IntN(len(fields))]
	if rng.IntN(3) == 0 {
		*f = Opt[int]{}
		return
	}
	*f = Some(f.Or(0) + rng.IntN(5) - 2)
}

// restated is invariant 1, written out over the row as its readers get it. Nulls switch off what names them.
func restated(t *testing.T, r Row) (broken []string) {
	t.Helper()
	line, err := encode(r)
	if err != nil {
		t.Fatal(err)
	}
	var row map[string]any
	if err := json.Unmarshal(line, &row); err != nil {
		t.Fatal(err)
	}
	n := map[string]int{}
	for name, v := range row {
		if f, ok := v.(float64); ok {
			n[name] = int(f)
		}
	}
	must := func(holds bool, names string) {
		for _, name := range strings.Fields(names) {
			if row[name] == nil {
				return
			}
		}
		if !holds {
			broken = append(broken, names)
		}
	}
	p, m, h := n["prompt_tokens"], n["matched_tokens"], n["lookup_hit_tokens"]
	l0, l1, l2 := n["l0_hit_tokens"], n["l1_hit_tokens"], n["l2_hit_tokens"]
	must(p == n["lookup_requested_tokens"], "prompt_tokens lookup_requested_tokens")
	must(m <= p, "matched_tokens prompt_tokens")
	must(h == l0+l1+l2, "lookup_hit_tokens l0_hit_tokens l1_hit_tokens l2_hit_tokens")
	must(n["lower_hit_tokens"] == l1+l2, "lower_hit_tokens l1_hit_tokens l2_hit_tokens")
	must(h <= m, "lookup_hit_tokens matched_tokens")
	must(h < p || (p == 0 && h == 0), "lookup_hit_tokens prompt_tokens")
	must(h+n["recompute_tokens"] == m, "lookup_hit_tokens recompute_tokens matched_tokens")
	must(m+n["new_tokens"] == p, "matched_tokens new_tokens prompt_tokens")
	must(n["displaced_tokens"] <= n["new_tokens"], "displaced_tokens new_tokens")
	must(n["paid_again_tokens"] == n["recompute_tokens"]+n["displaced_tokens"],
		"paid_again_tokens recompute_tokens displaced_tokens")
	must(n["prefill_tokens"]+n["unprefilled_tokens"] == n["recompute_tokens"]+n["new_tokens"],
		"prefill_tokens unprefilled_tokens recompute_tokens new_tokens")
	for name, v := range n {
		must(v >= 0, name)
	}
	answered := row["finish_reason"] == "stop" || row["finish_reason"] == "length" || row["finish_reason"] == "tool_calls"
	must(!answered || n["unprefilled_tokens"] <= 0, "unprefilled_tokens")
	must(!answered || p != 0, "prompt_tokens")
	must(row["miss_reason"] != "reuse_off" || h == 0, "lookup_hit_tokens")
	if answered {
		for _, class := range strings.Fields("prompt lookup_requested matched lookup_hit lower_hit l0_hit l1_hit l2_hit recompute new prefill unprefilled generated") {
			if row[class+"_tokens"] == nil {
				broken = append(broken, fmt.Sprintf("%s is null", class))
			}
		}
	}
	return broken
}
