package kvcache

import "testing"

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
