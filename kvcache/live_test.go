package kvcache

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// liveRequest is one turn of a timeline with what its lookup must say.
type liveRequest struct {
	name           string
	session        string
	prompt, answer []int32

	matched, hit int
	miss         Miss
	limitedBy    string
}

const liveFull, liveWindow = -1, 16

// The prompts' parts: a system text, user messages and answers.
var (
	liveSystem     = span(1000, 50)
	liveU1, liveA1 = span(2000, 10), span(3000, 8)
	liveU2, liveA2 = span(4000, 10), span(5000, 8)
	liveU3         = span(6000, 10)
	other          = span(7000, 30)
	first          = join(liveSystem, liveU1)
	second         = join(first, liveA1, liveU2)
	third          = join(second, liveA2, liveU3)
	editedAt30     = join(liveSystem[:30], span(9000, 1), liveSystem[31:], liveU1, liveA1, liveU2)
)

var liveTimelines = []struct {
	name  string
	reach int
	limit int
	turns []liveRequest
}{
	{"append", liveWindow, 4, []liveRequest{
		{"first", "a", first, liveA1, 0, 0, MissFirst, "none"},
		{"second", "a", second, liveA2, 67, 67, MissNone, "none"}, // 60 of the prompt, 7 of the 8 generated
		{"third", "a", third, liveA2, 85, 85, MissNone, "none"},
	}},
	{"an edit in the middle, full layers", liveFull, 4, []liveRequest{
		{"first", "a", first, liveA1, 0, 0, MissFirst, "none"},
		{"second", "a", second, liveA2, 67, 67, MissNone, "none"},
		{"edited", "a", editedAt30, liveA2, 30, 30, MissChanged, "none"},
		{"as before the edit", "a", second, liveA2, 30, 30, MissChanged, "none"}, // the one live state was cut to serve the edit
	}},
	{"an edit in the middle, a window", liveWindow, 4, []liveRequest{
		{"first", "a", first, liveA1, 0, 0, MissFirst, "none"},
		{"second", "a", second, liveA2, 67, 67, MissNone, "none"},
		{"edited", "a", editedAt30, liveA2, 30, 0, MissSnapshot, "sliding"},
		{"as before the edit", "a", third, liveA2, 85, 85, MissNone, "none"}, // untouched: the edit got a state of its own
	}},
	{"retry", liveWindow, 4, []liveRequest{
		{"first", "a", first, liveA1, 0, 0, MissFirst, "none"},
		{"again", "a", first, liveA1, 60, 59, MissNone, "last_token"},
		{"once more, with a long answer", "a", first, span(3000, 40), 60, 59, MissNone, "last_token"},
		{"behind the long answer", "a", first, liveA1, 60, 0, MissSnapshot, "sliding"},
	}},
	{"the last message replaced", liveWindow, 4, []liveRequest{
		{"first", "a", first, liveA1, 0, 0, MissFirst, "none"},
		{"second", "a", second, nil, 67, 67, MissNone, "none"},
		{"another", "a", join(first, liveA1, span(8000, 10)), nil, 68, 68, MissChanged, "none"},
	}},
	{"a shorter prompt", liveFull, 4, []liveRequest{
		{"long", "a", third, liveA2, 0, 0, MissFirst, "none"},
		{"its beginning", "a", first, liveA1, 60, 59, MissNone, "last_token"},
		{"one id", "a", first[:1], nil, 1, 0, MissNone, "last_token"},
	}},
	{"exactly what is held", liveFull, 4, []liveRequest{
		{"first", "a", first, liveA1, 0, 0, MissFirst, "none"},
		{"prompt and answer as fed", "a", join(first, liveA1[:7]), nil, 67, 66, MissNone, "last_token"},
		{"and one more id", "a", join(first, liveA1), nil, 67, 67, MissNone, "none"},
	}},
	{"nothing in common", liveFull, 4, []liveRequest{
		{"first", "a", first, liveA1, 0, 0, MissFirst, "none"},
		{"another text", "b", other, liveA1, 0, 0, MissChanged, "none"},
		{"the first again", "a", second, liveA1, 67, 67, MissNone, "none"},
	}},
	{"two sessions in turns", liveWindow, 4, []liveRequest{
		{"a1", "a", first, liveA1, 0, 0, MissFirst, "none"},
		{"b1", "b", other, liveA2, 0, 0, MissChanged, "none"},
		{"a2", "a", second, liveA2, 67, 67, MissNone, "none"},
		{"b2", "b", join(other, liveA2, liveU2), liveA1, 37, 37, MissNone, "none"},
		{"a3", "a", third, liveA1, 85, 85, MissNone, "none"},
	}},
	{"two sessions behind one system text", liveWindow, 4, []liveRequest{
		{"a1", "a", first, liveA1, 0, 0, MissFirst, "none"},
		{"b1", "b", join(liveSystem, other), liveA1, 50, 0, MissSnapshot, "sliding"}, // a's state cannot go back to the system text
		{"a2", "a", second, liveA2, 67, 67, MissNone, "none"},
		{"b2", "b", join(liveSystem, other, liveA1, liveU2), liveA2, 87, 87, MissNone, "none"},
	}},
	{"eviction", liveFull, 2, []liveRequest{
		{"a1", "a", first, liveA1, 0, 0, MissFirst, "none"},
		{"b1", "b", other, liveA1, 0, 0, MissChanged, "none"},
		{"a2", "a", second, liveA1, 67, 67, MissNone, "none"}, // b is now the oldest
		{"c1", "c", span(100, 20), liveA1, 0, 0, MissChanged, "none"},
		{"a3", "a", join(second, liveA1, liveU3), liveA1, 85, 85, MissNone, "none"},
		{"b2", "b", join(other, liveA1, liveU2), liveA1, 0, 0, MissChanged, "none"},
	}},
	{"a single place", liveFull, 1, []liveRequest{
		{"a1", "a", first, liveA1, 0, 0, MissFirst, "none"},
		{"b1", "b", other, liveA1, 0, 0, MissChanged, "none"},
		{"a2", "a", second, liveA1, 0, 0, MissChanged, "none"},
		{"a3", "a", join(second, liveA1, liveU3), liveA1, 85, 85, MissNone, "none"},
	}},
}

func TestLiveTimelines(t *testing.T) {
	for _, line := range liveTimelines {
		t.Run(line.name, func(t *testing.T) {
			e := &liveEngine{live: NewLive(line.limit), reach: line.reach}
			for _, r := range line.turns {
				m, err := e.turn(r.session, r.prompt, r.answer)
				if err != nil {
					t.Fatalf("%s: %v", r.name, err)
				}
				if m.Matched != r.matched || m.Hit != r.hit || m.Miss != r.miss || m.LimitedBy != r.limitedBy {
					t.Errorf("%s: matched %d, hit %d, %s, limited by %s; want %d, %d, %s, %s",
						r.name, m.Matched, m.Hit, m.Miss, m.LimitedBy, r.matched, r.hit, r.miss, r.limitedBy)
				}
				if m.Entry != nil && m.Entry.Session != r.session && r.hit > 0 && r.miss == MissNone {
					t.Errorf("%s: session %s was given the state of %s", r.name, r.session, m.Entry.Session)
				}
			}
		})
	}
}

// A state that matches less, but can go back, serves; the parent stays the longest match.
func TestAShorterMatchThatCanBeUsedServes(t *testing.T) {
	live := NewLive(4)
	long := &liveFake{reach: liveWindow}
	long.feed(third)
	short := &liveFake{reach: liveFull}
	short.feed(join(liveSystem[:40], other))
	live.Put(&Entry{IDs: long.ids, State: long, Turn: "long"})
	live.Put(&Entry{IDs: short.ids, State: short, Turn: "short"})
	prompt := join(liveSystem, span(20000, 5))
	m := live.Lookup(prompt)
	if err := liveCheck(live.entries, m, prompt); err != nil {
		t.Fatal(err)
	}
	if m.Matched != 50 || m.Hit != 40 || m.Parent.Turn != "long" || m.Entry.Turn != "short" || m.Miss != MissSnapshot || m.LimitedBy != "sliding" {
		t.Errorf("matched %d in %s, hit %d of %s, %s, limited by %s", m.Matched, m.Parent.Turn, m.Hit, m.Entry.Turn, m.Miss, m.LimitedBy)
	}
}

func TestLiveRandomTimelinesKeepTheInvariants(t *testing.T) {
	for seed := range uint64(40) {
		rng := rand.New(rand.NewPCG(seed, 11))
		e := &liveEngine{live: NewLive(1 + rng.IntN(4)), reach: []int{liveFull, 0, 5, liveWindow}[rng.IntN(4)]}
		conversations := make([][]int32, 3)
		for range 60 {
			c := rng.IntN(len(conversations))
			prompt := slices.Clone(conversations[c])
			switch rng.IntN(5) {
			case 0: // an edit
				if len(prompt) > 0 {
					prompt[rng.IntN(len(prompt))] = int32(rng.IntN(3))
				}
			case 1: // a shorter one
				prompt = prompt[:rng.IntN(len(prompt)+1)]
			case 2: // a retry
			default:
				prompt = append(prompt, few(rng, 6)...)
			}
			if len(prompt) == 0 {
				prompt = few(rng, 1)
			}
			answer := few(rng, rng.IntN(8))
			if _, err := e.turn("", prompt, answer); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			conversations[c] = join(prompt, answer)
		}
		for _, x := range e.live.Clear() {
			x.State.Free()
		}
		if err := e.leaks(); err != nil {
			t.Fatalf("seed %d, after Clear: %v", seed, err)
		}
		if e.live.Bytes() != 0 {
			t.Fatalf("seed %d: %d bytes after Clear", seed, e.live.Bytes())
		}
	}
}
