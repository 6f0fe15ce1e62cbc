package kvcache

import (
	"fmt"
	"testing"
)

// What Idle counts is what Yield frees; a turn under way keeps what it uses, and a withdrawn plan leaves no trace.
func TestYieldFreesWhatIsIdle(t *testing.T) {
	for _, s := range shapes {
		t.Run(s.String(), func(t *testing.T) {
			r := newRig(t, s, Options{Budget: 1 << 20})
			for k := range 4 {
				ids := make([]int32, 40)
				for i := range ids {
					ids[i] = int32(i*min(1, i/20*k) + i + 1) // 20 shared, then each its own
				}
				r.turn(ask{Request: Request{Prompt: Prompt{Sequence: Sequence{IDs: ids}, Wants: []int{20}}}, answer: []int32{7, 8}})
			}
			before := r.cache.Stats()
			a := ask{Request: Request{Model: s.model().Fingerprint, Turn: "w", NewSession: "w", Prompt: Prompt{Sequence: Sequence{IDs: []int32{1, 2, 3, 4, 5, 6, 7, 8, 9}}}}}
			p, _, err := r.cache.Begin(a.Request)
			if err != nil {
				t.Fatal(err)
			}
			cost := p.Cost()
			if want := 9; cost.Rows != want || p.live == nil && cost.Held != 0 || p.live != nil && cost.Held != p.live.bytes {
				t.Errorf("the plan costs %+v; its prompt has %d tokens", cost, want)
			}
			kept := r.cache.Stats()
			r.cache.Yield(1 << 40)
			if idle := r.cache.Idle(); idle != 0 {
				t.Errorf("%d bytes are idle when all were given up", idle)
			}
			if p.Hit > 0 && r.cache.bytes.total() == 0 {
				t.Errorf("what a plan has reserved was given up: it hits %d, of %d bytes nothing is left", p.Hit, kept.LiveBytes)
			}
			r.check("yield under a plan")
			p.Withdraw()
			r.check("withdraw")
			after := r.cache.Stats()
			if got, want := fmt.Sprint(after.Turns, after.RequestedTokens, after.Matched, after.HitTokens), fmt.Sprint(before.Turns, before.RequestedTokens, before.Matched, before.HitTokens); got != want {
				t.Errorf("a withdrawn plan counts: %s, before it %s", got, want)
			}
			idle, held := r.cache.Idle(), r.cache.bytes.total()
			if freed := r.cache.Yield(1 << 40); idle > 0 && freed < idle || r.cache.bytes.total() != held-freed {
				t.Errorf("%d bytes were idle of %d, %d were freed, %d are left", idle, held, freed, r.cache.bytes.total())
			}
			r.cache.Sweep()
			r.check("yield")
			if total := r.cache.bytes.total(); total != 0 {
				t.Errorf("%d bytes are left where nobody uses any", total)
			}
		})
	}
}

// A plan that is thinned captures what its bytes allow: the static prefix's end, and the latest.
func TestThinKeepsWhatMatters(t *testing.T) {
	s := shape{growing: true, recurrent: true}
	r := newRig(t, s, Options{Budget: 1 << 20})
	ids := make([]int32, 90)
	for i := range ids {
		ids[i] = int32(i + 1)
	}
	a := ask{Request: Request{Prompt: Prompt{Sequence: Sequence{IDs: ids}, Static: 20, Wants: []int{30, 40, 50}}}}
	o, _ := r.begin(a)
	if want := o.plan.Cost().Snapshots; want != 4*snapBytes {
		t.Fatalf("the captures take %d bytes, want %d", want, 4*snapBytes)
	}
	for _, c := range []struct {
		bytes int64
		want  string
	}{{1 << 20, "[20 30 40 50]"}, {3*snapBytes + 1, "[20 40 50]"}, {2 * snapBytes, "[20 50]"}, {snapBytes, "[20]"}, {snapBytes - 1, "[]"}} {
		o.plan.Thin(c.bytes)
		var got []int
		for _, x := range o.plan.Chunks() {
			got = append(got, x.Captures...)
		}
		if fmt.Sprint(got) != c.want {
			t.Errorf("in %d bytes it captures %v, want %s", c.bytes, got, c.want)
		}
	}
	o.plan.Withdraw()
	r.opens = nil
	r.check("withdraw")
}

// Yield takes what is worth least first, and no more than it is asked for, by one victim.
func TestYieldTakesNoMoreThanAsked(t *testing.T) {
	r := newRig(t, shape{growing: true}, Options{Budget: 1 << 20})
	for k := range 5 {
		ids := make([]int32, 10)
		for i := range ids {
			ids[i] = int32(100*k + i + 1)
		}
		r.turn(ask{Request: Request{Prompt: Prompt{Sequence: Sequence{IDs: ids}}}, answer: []int32{7}})
	}
	before := r.cache.bytes.total()
	freed := r.cache.Yield(15 * rowBytes)
	if freed < 15*rowBytes || freed > 30*rowBytes || r.cache.bytes.total() != before-freed {
		t.Errorf("asked for %d of %d bytes, %d were freed and %d are left", 15*rowBytes, before, freed, r.cache.bytes.total())
	}
	if s := r.cache.Sweep(); s.Evicted == 0 {
		t.Error("the sweep behind it counts no evicted token")
	}
	r.check("yield")
}
