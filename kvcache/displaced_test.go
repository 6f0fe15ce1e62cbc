package kvcache

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// brute marks what lies in a run of at least runLength equal ids with one of the sequences.
func brute(held [][]int32, x []int32) []bool {
	seen := make([]bool, len(x))
	for _, s := range held {
		for i := range x {
			for j := range s {
				n := common(x[i:], s[j:])
				for k := i; n >= runLength && k < i+n; k++ {
					seen[k] = true
				}
			}
		}
	}
	return seen
}

// Histories against brute force, on texts that repeat themselves in every way: one id only, short periods, quotations that
// are just too short, quotations of quotations.
func TestHistoryAgainstBruteForce(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 6))
	words := [][]int32{span(100, 31), span(200, 32), span(300, 33), span(400, 70), slices.Repeat([]int32{5}, 45), slices.Repeat([]int32{6, 7, 8}, 15)}
	phrase := func() []int32 {
		var x []int32
		for range 1 + rng.IntN(4) {
			w := words[rng.IntN(len(words))]
			from := rng.IntN(3)
			x = join(x, w[from:len(w)-rng.IntN(3)], few(rng, rng.IntN(3)))
		}
		return x
	}
	found := 0
	for range 60 {
		var h history
		var held [][]int32
		for range 1 + rng.IntN(5) {
			x := phrase()
			h.add(x)
			held = append(held, x)
		}
		for range 4 {
			x := phrase()
			seen := make([]bool, len(x))
			h.mark(x, keys(x), seen)
			want := brute(held, x)
			if !slices.Equal(seen, want) {
				t.Fatalf("%v\nin %v:\n%v, by brute force\n%v", x, held, seen, want)
			}
			if slices.Contains(want, true) {
				found++
			}
		}
	}
	if found < 100 {
		t.Errorf("only %d texts had anything displaced", found)
	}
}

// What the index finds is compared: two runs with one key are both found, and nothing else is.
func TestHistoryWithEqualKeys(t *testing.T) {
	var h history
	x, y, z := span(100, runLength), span(200, runLength), span(300, runLength)
	kx, ky, kz := keys(x)[0], keys(y)[0], keys(z)[0]
	h.add(x)
	h.index[ky], h.index[kz] = h.index[kx], h.index[kx] // as if y and z had x's key
	h.sow(kz)
	h.add(y)
	for _, r := range []struct {
		name string
		ids  []int32
		want bool
	}{{"x", x, true}, {"y", y, true}, {"z", z, false}} {
		seen := make([]bool, runLength)
		h.mark(r.ids, keys(r.ids), seen)
		if seen[0] != r.want || seen[runLength-1] != r.want {
			t.Errorf("%s found: %v, want %v", r.name, seen[0], r.want)
		}
	}
	if len(h.ids) != 2*(runLength+1) {
		t.Errorf("%d ids kept of two runs", len(h.ids))
	}
}

// A text that is told again and again takes its room once, and runs do not reach from one piece into the next.
func TestHistoryKeepsEveryRunOnce(t *testing.T) {
	var h history
	a, b := span(100, 40), span(200, 40)
	h.add(join(a, b))
	n := len(h.ids)
	h.add(join(a, b))
	h.add(a)
	h.add(b)
	if len(h.ids) != n {
		t.Errorf("%d ids, then %d", n, len(h.ids))
	}
	var two history
	two.add(a)
	two.add(b)
	for _, from := range []int{20, 5} {
		x := join(a[from:], b[:20])
		seen, want := make([]bool, len(x)), brute([][]int32{a, b}, x)
		if two.mark(x, keys(x), seen); !slices.Equal(seen, want) {
			t.Errorf("a run over the end of a piece: %v, want %v", seen, want)
		}
	}
}

// The sieve grows with the index and forgets nothing.
func TestHistorySieve(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 6))
	var h history
	x := make([]int32, 5000)
	for i := range x {
		x[i] = rng.Int32N(1000)
	}
	for i := 0; i < len(x); i += 500 {
		h.add(x[max(0, i-runLength+1) : i+500])
	}
	seen := make([]bool, len(x))
	if h.mark(x, keys(x), seen); slices.Contains(seen, false) || len(h.ids) != len(x)+1 {
		t.Errorf("%d of %d ids kept; not all of them found", len(h.ids), len(x))
	}
	passed := 0
	for _, k := range keys(span(50_000, 5000)) {
		if h.sift(k) {
			passed++
		}
	}
	if passed > 1000 {
		t.Errorf("%d of 5000 strange runs pass", passed)
	}
}

// In a session's static prefix, what any session computed counts; behind it, only its own text does.
func TestDisplacedByWhom(t *testing.T) {
	r := newRig(t, shape{growing: true}, plenty)
	tools, manual := span(5000, 60), span(6000, 50)
	p := chat(join(manual, tools), u1)
	r.turn(ask{Request: request("", p), answer: a1})
	other := chat(join(tools, manual), msg(user, span(7000, 40)))
	if m := r.turn(ask{Request: request("", other), answer: a1}); m.Displaced != 110 || m.Session == "session 1" {
		t.Errorf("tools and manual changed places: %+v", m)
	}
	quoted := chat(span(8000, 40), msg(user, join(tools, manual)))
	if m := r.turn(ask{Request: request("", quoted), answer: a1}); m.Displaced != 0 {
		t.Errorf("another session's text, quoted: %+v", m)
	}
	if m := r.turn(ask{Request: request("session 3", chat(span(8500, 40), msg(user, join(tools, manual)))), answer: a1}); m.Displaced != 115 { // with the messages' marks
		t.Errorf("its own text behind a changed prefix: %+v", m)
	}
	r.finish()
}

// The texts of sessions that were not heard of for long are given up first.
func TestHistoriesAreLimited(t *testing.T) {
	r := newRig(t, shape{growing: true}, Options{Budget: 1 << 40, History: 400})
	for i := range 5 {
		r.turn(ask{Request: request("", chat(span(1000*i, 60), msg(user, span(1000*i+100, 40)))), answer: a1})
	}
	if s := r.cache.Stats(); s.HistoryTokens > 400 || s.Sessions != 3 || r.cache.sessions["session 5"] == nil {
		t.Errorf("%d tokens of %d sessions", s.HistoryTokens, s.Sessions)
	}
	r.turn(ask{Request: request("", chat(span(50000, 500), u1)), answer: a1})
	if s := r.cache.Stats(); s.HistoryTokens > 400 {
		t.Errorf("%d tokens of %d sessions", s.HistoryTokens, s.Sessions)
	}
	r.finish()
}
