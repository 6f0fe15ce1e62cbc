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

// anywhere is a sieve with plenty of room, for keys that nobody asks for.
func anywhere() *sieve {
	s := newSieve(1 << 16)
	return &s
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
			h.add(x, anywhere())
			held = append(held, x)
		}
		for range 4 {
			x := phrase()
			seen := make([]bool, len(x))
			h.markAll(x, keys(x), seen)
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
	h.add(x, anywhere())
	h.index[ky], h.index[kz] = h.index[kx], h.index[kx] // as if y and z had x's key
	h.sieve.sow(kz)
	h.add(y, anywhere())
	for _, r := range []struct {
		name string
		ids  []int32
		want bool
	}{{"x", x, true}, {"y", y, true}, {"z", z, false}} {
		seen := make([]bool, runLength)
		h.markAll(r.ids, keys(r.ids), seen)
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
	h.add(join(a, b), anywhere())
	n := len(h.ids)
	h.add(join(a, b), anywhere())
	h.add(a, anywhere())
	h.add(b, anywhere())
	if len(h.ids) != n {
		t.Errorf("%d ids, then %d", n, len(h.ids))
	}
	var two history
	two.add(a, anywhere())
	two.add(b, anywhere())
	for _, from := range []int{20, 5} {
		x := join(a[from:], b[:20])
		seen, want := make([]bool, len(x)), brute([][]int32{a, b}, x)
		if two.markAll(x, keys(x), seen); !slices.Equal(seen, want) {
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
		h.add(x[max(0, i-runLength+1):i+500], anywhere())
	}
	seen := make([]bool, len(x))
	if h.markAll(x, keys(x), seen); slices.Contains(seen, false) || len(h.ids) != len(x)+1 {
		t.Errorf("%d of %d ids kept; not all of them found", len(h.ids), len(x))
	}
	passed := 0
	for _, k := range keys(span(50_000, 5000)) {
		if h.sieve.has(k) {
			passed++
		}
	}
	if passed > 500 {
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

// What a lower tier told of is the session's text as well once a prompt of it had that.
func TestDisplacedThatAnotherComputed(t *testing.T) {
	r := newRig(t, shape{growing: true}, plenty)
	text := msg(user, span(3000, 60))
	r.turn(ask{Request: request("", chat(system, u1)), answer: a1})
	p := chat(system, u1, echo(a1), text)
	known := p.IDs[:len(p.IDs)-5]
	fp := r.shape.model().Fingerprint
	if err := r.cache.Know(fp, Sequence{IDs: known}); err != nil {
		t.Fatal(err)
	}
	r.oracle.hold(ask{Request: Request{Model: fp, Turn: "elsewhere"}}, "of another process", known, nil)
	r.oracle.told = true
	if m := r.turn(ask{Request: request("", p), answer: a2}); m.Session != "session 1" || m.Matched != len(known) {
		t.Fatalf("%+v", m)
	}
	if m := r.turn(ask{Request: request("", chat(system, u1, echo(a1), text, echo(a2), msg(user, span(3010, 40)))), answer: a1}); m.Displaced != 40 {
		t.Errorf("40 ids of what another computed are said again: %+v", m)
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

// However often the sieve of all sessions is made anew, it has the runs of every session that is left, and not many others.
func TestSieveOfAllSessions(t *testing.T) {
	r := newRig(t, shape{growing: true}, Options{Budget: 1 << 40, History: 4000})
	made := 0
	for i := range 60 {
		words := r.cache.sieve.words
		r.turn(ask{Request: request("", chat(span(1000*i, 300), msg(user, span(1000*i+400, 40)))), answer: a1})
		if now := r.cache.sieve.words; len(words) == 0 || &words[0] != &now[0] {
			made++
		}
		for _, s := range r.cache.sessions {
			for _, k := range keys(s.history.ids[1:]) { // one piece
				if !r.cache.sieve.has(k) {
					t.Fatalf("turn %d: a run of %s is not in the sieve", i, s.name)
				}
			}
		}
	}
	passed := 0
	for _, k := range keys(span(5_000_000, 5000)) {
		if r.cache.sieve.has(k) {
			passed++
		}
	}
	if made < 3 || passed > 500 {
		t.Errorf("made %d times; %d of 5000 strange runs pass", made, passed)
	}
	r.finish()
}

// What one session has leaves nothing to ask the others for; what it has in part does.
func TestUnseen(t *testing.T) {
	seen := make([]bool, 200)
	for i := range seen {
		seen[i] = i >= 20 && i < 60 || i >= 100 && i < 131
	}
	all := span(0, len(seen)-runLength+1)
	for _, at := range unseen(slices.Clone(all), seen) {
		if at >= 20 && at <= 28 {
			t.Errorf("the run at %d is marked whole", at)
		}
	}
	if n := len(unseen(slices.Clone(all), seen)); n != len(all)-9 {
		t.Errorf("%d of %d runs left, want %d", n, len(all), len(all)-9)
	}
	if n := len(unseen([]int32{19, 20, 28, 29, 99, 100}, seen)); n != 4 {
		t.Errorf("%d of 6 runs left, want 4", n)
	}
}
