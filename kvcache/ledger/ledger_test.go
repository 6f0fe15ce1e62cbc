package ledger

import (
	"reflect"
	"slices"
	"testing"
	"time"
)

func TestRing(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC)
	ring := NewRing(4)
	at := func(s int) time.Time { return start.Add(time.Duration(s) * time.Second) }
	add := func(n int) {
		r := turn(n)
		r.Time, r.SessionID = at(n), []string{"even", "odd"}[n%2]
		ring.Add(r)
	}
	type want struct {
		mark  string
		ids   []string
		found bool
	}
	check := func(wants ...want) {
		t.Helper()
		for _, tt := range wants {
			rows, found := ring.Since(tt.mark)
			if got := ids(rows); !slices.Equal(got, tt.ids) || found != tt.found {
				t.Errorf("since %s: %v, %v; want %v, %v", tt.mark, got, found, tt.ids, tt.found)
			}
		}
	}
	stamp := func(s int) string { return at(s).Format(time.RFC3339Nano) }

	check(want{"t1", nil, false}, want{stamp(0), nil, true})
	add(1)
	add(2)
	check(
		want{"t1", []string{"t2"}, true}, want{"t2", nil, true},
		want{"t9", []string{"t1", "t2"}, false}, want{"", []string{"t1", "t2"}, false},
		want{stamp(0), []string{"t1", "t2"}, true}, want{stamp(1), []string{"t2"}, true}, want{stamp(2), nil, true},
		want{"2026-01-02T04:04:01.5+01:00", []string{"t2"}, true},
	)
	for n := 3; n <= 6; n++ {
		add(n)
	}
	check(
		want{"t2", []string{"t3", "t4", "t5", "t6"}, false}, // forgotten: something may be missing
		want{"t3", []string{"t4", "t5", "t6"}, true},
		want{stamp(1), []string{"t3", "t4", "t5", "t6"}, false}, want{stamp(3), []string{"t4", "t5", "t6"}, true},
	)
	if got := ids(ring.Session("odd")); !slices.Equal(got, []string{"t3", "t5"}) {
		t.Errorf("odd session: %v", got)
	}
	if got := ids(ring.Session("")); len(got) != 0 {
		t.Errorf("nameless session: %v", got)
	}
	rows := ring.Rows()
	rows[0].TurnID = "changed"
	if got := ring.Rows()[0].TurnID; got != "t3" {
		t.Errorf("a caller changed the ring: %s", got)
	}
}

func TestTotals(t *testing.T) {
	l, err := Open(Options{Recent: 2})
	if err != nil {
		t.Fatal(err)
	}
	first := Row{
		TurnID: "t1", Time: time.Unix(1, 0), Purpose: PurposeTurn, FinishReason: Some(FinishCancelled),
		PromptTokens: Some(40), MissReason: Some(MissFirstRequest), RestoreBytes: Some(int64(3)),
	}
	broken := turn(2)
	broken.L0HitTokens = Some(51)
	broken.L1ReadBytes, broken.RestoreBytes = Some(int64(1000)), Some(int64(4))
	audit := Row{
		TurnID: "a", Time: time.Unix(1, 0), Purpose: PurposeAudit, FinishReason: Some(FinishStop), Audit: Some(AuditMismatch),
		PrefillTokens: Some(500),
	}
	for _, r := range []Row{first, broken, turn(3), audit} {
		sealed := l.Record(r)
		if got, want := sealed.IdentityError.Known(), r.TurnID == "t2"; got != want {
			t.Errorf("%s: identity error %q", r.TurnID, sealed.IdentityError.Or("none"))
		}
	}
	want := Totals{
		IdentityErrors: 1,
		Purposes: map[Purpose]PurposeTotals{
			PurposeTurn: {
				Turns:    3,
				Finished: map[FinishReason]int64{FinishCancelled: 1, FinishStop: 2},
				Audited:  map[Audit]int64{},
				Misses:   map[MissReason]Misses{MissFirstRequest: {Turns: 1, Tokens: 40}, MissNoSnapshot: {Turns: 2, Tokens: 60}},
				Tokens: TokenTotals{
					Prompt: 240, PromptEst: 220, LookupRequested: 200, Matched: 160, Hit: 140, L0Hit: 101, L1Hit: 30, L2Hit: 10,
					Recompute: 20, New: 40, Displaced: 16, PaidAgain: 36, Prefill: 60, Generated: 14,
				},
				Bytes: TierBytes{Restored: 7, L1Read: 1000},
			},
			PurposeAudit: {
				Turns:    1,
				Finished: map[FinishReason]int64{FinishStop: 1},
				Audited:  map[Audit]int64{AuditMismatch: 1},
				Misses:   map[MissReason]Misses{},
				Tokens:   TokenTotals{Prefill: 500},
			},
		},
	}
	got := l.Totals()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("totals\n%+v\nwant\n%+v", got, want)
	}
	got.Purposes[PurposeTurn].Finished[FinishStop] = 99
	if again := l.Totals(); !reflect.DeepEqual(again, want) {
		t.Error("a caller changed the totals")
	}
	if got := ids(l.Recent().Rows()); !slices.Equal(got, []string{"t3", "a"}) {
		t.Errorf("recent rows %v", got)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}
