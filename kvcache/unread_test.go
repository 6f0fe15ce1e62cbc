package kvcache

import "testing"

// line is an agent's conversation at turn n.
func line(n int) Prompt {
	return Prompt{Sequence: Sequence{IDs: span(1000, 300+90*n)}, Static: 300, FirstUser: 360, Wants: []int{300, 300 + 90*n - 30, 300 + 90*n - 1}}
}

// TestALineThatOutgrowsTheBudget: the budget has room for a conversation's first turns. Behind them as much of it stays as fits, and
// with a lower tier all of it is found again: what the budget takes was read out before, and what a turn is lent it may hold.
func TestALineThatOutgrowsTheBudget(t *testing.T) {
	const turns = 12
	for _, lower := range []bool{false, true} {
		every(t, plenty, func(t *testing.T, r *rig) {
			if !r.shape.growing {
				t.Skip("its state does not grow")
			}
			if lower {
				r.shelf = &shelf{items: map[string]*item{}}
			}
			budget := bytesOf(t, r.shape, ask{Request: request("", line(1)), answer: a1}, ask{Request: request("", line(2)), answer: a1}, ask{Request: request("", line(3)), answer: a1})
			budget += 4 * r.shape.model().SnapshotBytes // with room for less, snapshots are thinned out until the static prefix's alone is left to go back to
			r.cache.SetBudget(budget)
			for n := 1; n <= turns; n++ {
				m := r.turn(ask{Request: request("", line(n)), answer: a1})
				least := 300 + 90*(n-1) - 1 // up to the prompt before, but one
				if !lower {
					least = min(least, 300+90*2-30) // what the budget was seen to hold, but the room that the last snapshots of a longer line take
				}
				if n > 1 && m.Hit < least {
					t.Errorf("lower tier %t, turn %d hits %d of %d, at least %d could be", lower, n, m.Hit, m.Matched, least)
				}
				if m, err := r.cache.Lookup(Request{Model: r.shape.model().Fingerprint, Prompt: line(n + 1)}); err != nil || m.Hit < 300 {
					t.Errorf("lower tier %t, behind turn %d memory has %d of the line, not even its static prefix: %v", lower, n, m.Hit, err)
				}
				if s := r.sweep(); s.Bytes > budget {
					t.Errorf("turn %d leaves %d bytes, the budget is %d", n, s.Bytes, budget)
				}
			}
			if m := r.turn(ask{Request: request("", Prompt{Sequence: Sequence{IDs: join(span(1000, 300), span(70000, 40))}, Static: 300, FirstUser: 330}), answer: a1}); m.Hit < 300 {
				t.Errorf("another session hits %d of the static prefix's 300", m.Hit)
			}
			if lower && r.shelf.lost > 0 {
				t.Errorf("%d blocks were gone before they could be read", r.shelf.lost)
			}
			r.finish()
		})
	}
}

// TestOnlyTheNewestIsHeld: what the turn before left is the budget's again when the next turn's is to be read, and Yield minds neither.
func TestOnlyTheNewestIsHeld(t *testing.T) {
	every(t, plenty, func(t *testing.T, r *rig) {
		var traces []*Trace
		for i := range 2 {
			o, _ := r.begin(ask{Request: request("", Prompt{Sequence: Sequence{IDs: span(1000*i, 105)}, Wants: []int{60, 104}}), answer: a1})
			o.restore()
			for o.step() {
			}
			o.commit()
			traces = append(traces, o.plan.Trace())
			traces[i].Hold(2)
			o.close()
		}
		r.cache.SetBudget(0)
		r.sweep()
		for i, trace := range traces {
			_, links := trace.Links(shelfStep, 2)
			read := 0
			for _, l := range links {
				if rows, _, ok := trace.ReadOut(&l); ok {
					read++
					if rows != nil {
						rows.Free()
					}
				}
			}
			if i == 0 && read > 0 || i == 1 && read < len(links) {
				t.Errorf("of turn %d %d of %d blocks could be read", i, read, len(links))
			}
		}
		r.cache.Yield(1 << 40)
		if s := r.sweep(); s.Bytes != 0 {
			t.Errorf("%d bytes were not yielded", s.Bytes)
		}
		if traces[0].Release() || traces[1].Release() {
			t.Error("nothing is there, and it is beyond the budget")
		}
		r.finish()
	})
}

// TestSnapshotsGoBeforeTheState: of a line whose snapshots are large, and with the state more than the budget, only as much goes as is
// missing, which is snapshots: each turn finds all of the one before.
func TestSnapshotsGoBeforeTheState(t *testing.T) {
	const turns = 12
	for _, s := range []shape{{growing: true, window: 400}, {growing: true, window: 400, recurrent: true}} {
		for eighths := range int64(17) {
			f := newFake(s, &counter{})
			f.feed(line(turns).IDs, nil)
			r := newRig(t, s, Options{Budget: f.Bytes() + eighths*s.model().SnapshotBytes/8})
			var ids []int32
			for n := 1; n <= turns; n++ {
				ids = join(ids, span(1000*n, 70))
				p := Prompt{Sequence: Sequence{IDs: ids}, Static: 60, FirstUser: 70, Wants: []int{60, len(ids) - 20, len(ids) - 1}}
				before := len(ids) - 71
				if m := r.turn(ask{Request: request("", p), answer: a1}); n > 1 && m.Hit < before {
					t.Errorf("%v, %d eighths of a snapshot above the state: turn %d hits %d of %d, %d could be", s, eighths, n, m.Hit, m.Requested, before)
				}
				ids = join(ids, a1)
			}
			r.finish()
		}
	}
}

// TestYieldTakesWhatTheBudgetLeaves: what the budget would leave to a turn under way goes for memory, as Idle promises.
func TestYieldTakesWhatTheBudgetLeaves(t *testing.T) {
	every(t, plenty, func(t *testing.T, r *rig) {
		r.turn(ask{Request: request("", line(1)), answer: a1})
		r.turn(ask{Request: request("", line(2)), answer: a1})
		o, _ := r.begin(ask{Request: request("", line(3)), answer: a1})
		o.restore()
		for o.step() {
		}
		o.commit()
		r.cache.SetBudget(0)
		r.sweep()
		idle := r.cache.Idle()
		if freed := r.cache.Yield(1 << 40); freed < idle {
			t.Errorf("%d bytes are idle, %d were freed", idle, freed)
		}
		o.close()
		r.finish()
	})
}

// TestALoanTakesTheLeast: sessions on one static prefix fill the budget, and one more comes back from a lower tier: the session that was
// not heard of for longest makes room, the others and the prefix stay.
func TestALoanTakesTheLeast(t *testing.T) {
	talk := func(i int) ask {
		p := Prompt{Sequence: Sequence{IDs: join(span(1000, 100), span(2000*(i+1), 105))}, Static: 100, FirstUser: 120, Wants: []int{100, 204}}
		return ask{Request: request("", p), answer: a1}
	}
	every(t, plenty, func(t *testing.T, r *rig) {
		if !r.shape.growing {
			t.Skip("its state does not grow")
		}
		r.shelf = &shelf{items: map[string]*item{}}
		r.turn(talk(9))
		r.cache.SetBudget(0)
		r.sweep() // it is on the shelf alone
		r.cache.SetBudget(bytesOf(t, r.shape, talk(0), talk(1), talk(2), talk(3)))
		for i := range 4 {
			r.turn(talk(i))
		}
		before := r.shelf.lifts
		if m := r.turn(talk(9)); m.Hit < 204 || r.shelf.lifts == before {
			t.Errorf("%d of %d come back", m.Hit, m.Requested)
		}
		if m, err := r.cache.Lookup(Request{Model: r.shape.model().Fingerprint, Prompt: Prompt{Sequence: Sequence{IDs: join(span(1000, 100), span(90000, 20))}}}); err != nil || m.Hit < 100 {
			t.Errorf("a new session has %d of the static prefix's 100: %v", m.Hit, err)
		}
		for _, i := range []int{2, 3} {
			if m, err := r.cache.Lookup(Request{Model: r.shape.model().Fingerprint, Prompt: talk(i).Prompt}); err != nil || m.Hit < 204 {
				t.Errorf("session %d has %d of %d: %v", i, m.Hit, m.Requested, err)
			}
		}
		r.finish()
	})
}
