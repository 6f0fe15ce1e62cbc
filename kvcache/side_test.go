package kvcache

import (
	"slices"
	"testing"
)

// TestABurstOfSideRequests has the shapes of OpenClaw and Hermes at a tenth of their lengths: a main line whose last message
// is gone from its place in the next request, then titles, summaries and the flush of a memory beside it, together several
// times the budget, which has room for the main line and the largest of them, between the main line's turns. The main line finds all that it would find without them.
func TestABurstOfSideRequests(t *testing.T) {
	every(t, plenty, func(t *testing.T, r *rig) {
		r.seldom = 16
		const static, note = 1100, 7
		turn := func(n int) Prompt {
			end := static + 90*n
			ids := append(span(1000, end), span(900000+1000*n, note)...)
			return Prompt{Sequence: Sequence{IDs: ids}, Static: static, FirstUser: static + 60, Wants: []int{static, end, end + note - 1}}
		}
		next := 100000
		beside := func(static, n int) {
			p := Prompt{Sequence: Sequence{IDs: span(next, n)}, Static: static, Wants: []int{n - 1}}
			next += n
			r.turn(ask{Request: Request{Prompt: p, Side: true}, answer: a1})
		}
		for n := 1; n <= 6; n++ {
			r.turn(ask{Request: request("", turn(n)), answer: a1})
		}
		r.cache.SetBudget(r.sweep().Bytes * 2)
		for n := 7; n <= 10; n++ {
			for range 15 {
				beside(0, 15)  // a title
				beside(0, 200) // a summary
			}
			beside(200, 1500) // the flush of a memory
			last := static + 90*(n-1)
			if m := r.turn(ask{Request: request("", turn(n)), answer: a1}); m.Matched != last || m.Hit != last {
				t.Fatalf("turn %d of the main line: matched %d, hit %d, want %d: side requests have taken the rest", n, m.Matched, m.Hit, last)
			}
		}
		r.finish()
	})
}

// TestASideRequestThatDoesNotFit: the budget has room for the main line and nothing else, and between its turns come side requests
// three times as large, alone or sharing its beginning or all of it, while another turn ends beside them. The main line hits all
// that it has left, and afterwards the budget is kept.
func TestASideRequestThatDoesNotFit(t *testing.T) {
	const static, note = 300, 7
	line := func(n int) Prompt {
		end := static + 90*n
		return Prompt{Sequence: Sequence{IDs: append(span(1000, end), span(900000+1000*n, note)...)}, Static: static, FirstUser: static + 60, Wants: []int{static, end, end + note - 1}}
	}
	for name, shared := range map[string]int{"shares nothing": 0, "shares the static prefix": static, "shares half of a message": static + 135, "extends the main line": static + 90*3} {
		t.Run(name, func(t *testing.T) {
			every(t, plenty, func(t *testing.T, r *rig) {
				var all []ask
				for n := 1; n <= 7; n++ {
					all = append(all, ask{Request: request("", line(n)), answer: a1})
				}
				budget := bytesOf(t, r.shape, all...)
				hits := func(r *rig) (out []int) {
					r.cache.SetBudget(budget)
					for n := 1; n <= 3; n++ {
						r.turn(ask{Request: request("", line(n)), answer: a1})
					}
					for n := 4; n <= 7; n++ {
						for i := range 2 {
							size := max(3*len(line(n).IDs), shared+200)
							p := Prompt{Sequence: Sequence{IDs: append(span(1000, shared), span(100000*n+10000*i, size-shared)...)}, Static: shared / 2, Wants: []int{shared / 2, size - 1}}
							o, w := r.begin(ask{Request: Request{Prompt: p, Side: true, Expect: 50}, answer: a1})
							if w != nil {
								t.Fatal("it waits")
							}
							o.restore()
							for o.step() {
								r.sweep() // as another turn's end does
							}
							o.commit()
							o.close()
							if s := r.cache.Stats(); s.LiveBytes+s.PieceBytes+s.SnapBytes > budget {
								t.Fatalf("turn %d: %+v", n, s)
							}
						}
						out = append(out, r.turn(ask{Request: request("", line(n)), answer: a1}).Hit)
					}
					r.finish()
					return out
				}
				want := []int{static + 90*3, static + 90*4, static + 90*5, static + 90*6}
				if got := hits(r); !slices.Equal(got, want) {
					t.Errorf("the main line hits %d, not %d", got, want)
				}
			})
		})
	}
}

// TestASideRequestOutOfALowerTier: what a side request is lent, more than the budget has room for, takes nothing from the main line either.
func TestASideRequestOutOfALowerTier(t *testing.T) {
	line := func(n int) Prompt {
		return Prompt{Sequence: Sequence{IDs: span(1000, 300+90*n)}, Static: 300, FirstUser: 360, Wants: []int{300, 300 + 90*n - 1}}
	}
	aside := func(n int) ask {
		return ask{Request: Request{Prompt: Prompt{Sequence: Sequence{IDs: span(100000, 1000+20*n)}, Wants: []int{1000, 1000 + 20*n - 1}}, Side: true, Expect: 10}, answer: a1}
	}
	every(t, plenty, func(t *testing.T, r *rig) {
		r.shelf = &shelf{items: map[string]*item{}}
		r.turn(aside(0))
		r.cache.SetBudget(0)
		r.sweep() // it is on the shelf alone
		var all []ask
		for n := 1; n <= 5; n++ {
			all = append(all, ask{Request: request("", line(n)), answer: a1})
		}
		r.cache.SetBudget(bytesOf(t, r.shape, all...))
		r.turn(all[0])
		for n := 2; n <= 5; n++ {
			before := r.shelf.lifts
			r.turn(aside(n))
			lent := r.shelf.lifts
			if lent == before && r.shape.growing { // of others the few bytes may still be here
				t.Fatal("nothing was lent")
			}
			if m := r.turn(all[n-1]); m.Hit < 300+90*(n-1)-1 || r.shelf.lifts != lent { // its own state is on the shelf as well
				t.Errorf("turn %d of the main line hits %d of %d, lent %t: the side request has taken the rest", n, m.Hit, 300+90*(n-1), r.shelf.lifts != lent)
			}
		}
		r.finish()
	})
}

// TestAReviewOfTheMainLine: a turn with the main line's tools that goes on from all of it, as Hermes reviews its work in the background,
// cannot be told from the main line. It branches off: the main line's next turn hits what it had before.
func TestAReviewOfTheMainLine(t *testing.T) {
	every(t, plenty, func(t *testing.T, r *rig) {
		line := func(n int) Prompt {
			return Prompt{Sequence: Sequence{IDs: span(1000, 300+90*n)}, Static: 300, FirstUser: 360, Wants: []int{300, 300 + 90*n - 30}}
		}
		review := func(n int) Prompt {
			ids := append(slices.Clone(line(n).IDs), span(50000+1000*n, 60)...)
			return Prompt{Sequence: Sequence{IDs: ids}, Static: 300, FirstUser: 360, Wants: []int{300, len(line(n).IDs), len(ids) - 5}}
		}
		var all []ask
		for n := 1; n <= 8; n++ {
			all = append(all, ask{Request: request("", line(n)), answer: a1})
		}
		r.cache.SetBudget(bytesOf(t, r.shape, append(all, ask{Request: request("", review(8)), answer: a1})...))
		for n := 1; n <= 8; n++ {
			if m := r.turn(ask{Request: request("", line(n)), answer: a1}); n > 1 && m.Hit != 300+90*(n-1) {
				t.Errorf("turn %d: %+v", n, m)
			}
			r.turn(ask{Request: request("", review(n)), answer: a1})
		}
		r.finish()
	})
}

// TestYieldWhileASideRequestRuns: where memory itself runs out, the main line yields to a side request, too.
func TestYieldWhileASideRequestRuns(t *testing.T) {
	every(t, plenty, func(t *testing.T, r *rig) {
		r.turn(ask{Request: request("", Prompt{Sequence: Sequence{IDs: span(1000, 300)}, Wants: []int{299}}), answer: a1})
		held := r.sweep().Bytes
		r.cache.SetBudget(held)
		o, _ := r.begin(ask{Request: Request{Prompt: Prompt{Sequence: Sequence{IDs: span(5000, 600)}}, Side: true}, answer: a1})
		o.restore()
		if kept := r.sweep().Bytes; kept < held {
			t.Errorf("of %d bytes of the main line %d are left to it and the side request", held, kept)
		}
		if freed := r.cache.Yield(held); freed != held {
			t.Errorf("%d bytes yielded of %d", freed, held)
		}
		for o.step() {
		}
		o.commit()
		o.close()
		r.finish()
	})
}
