package kvcache

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// span is ids from, from+1, … of length n: equal spans are equal texts.
func span(from, n int) []int32 {
	ids := make([]int32, n)
	for i := range ids {
		ids[i] = int32(from + i)
	}
	return ids
}

func join(parts ...[]int32) []int32 { return slices.Concat(parts...) }

// request is one turn of a timeline with what its lookup must say.
type request struct {
	name           string
	session        string
	prompt, answer []int32

	matched, hit int
	miss         Miss
	limitedBy    string
}

const full, window = -1, 16

// The prompts' parts: a system text, user messages and answers.
var (
	system     = span(1000, 50)
	u1, a1     = span(2000, 10), span(3000, 8)
	u2, a2     = span(4000, 10), span(5000, 8)
	u3         = span(6000, 10)
	other      = span(7000, 30)
	first      = join(system, u1)
	second     = join(first, a1, u2)
	third      = join(second, a2, u3)
	editedAt30 = join(system[:30], span(9000, 1), system[31:], u1, a1, u2)
)

var timelines = []struct {
	name  string
	reach int
	limit int
	turns []request
}{
	{"append", window, 4, []request{
		{"first", "a", first, a1, 0, 0, MissFirst, "none"},
		{"second", "a", second, a2, 67, 67, MissNone, "none"}, // 60 of the prompt, 7 of the 8 generated
		{"third", "a", third, a2, 85, 85, MissNone, "none"},
	}},
	{"an edit in the middle, full layers", full, 4, []request{
		{"first", "a", first, a1, 0, 0, MissFirst, "none"},
		{"second", "a", second, a2, 67, 67, MissNone, "none"},
		{"edited", "a", editedAt30, a2, 30, 30, MissChanged, "none"},
		{"as before the edit", "a", second, a2, 30, 30, MissChanged, "none"}, // the one live state was cut to serve the edit
	}},
	{"an edit in the middle, a window", window, 4, []request{
		{"first", "a", first, a1, 0, 0, MissFirst, "none"},
		{"second", "a", second, a2, 67, 67, MissNone, "none"},
		{"edited", "a", editedAt30, a2, 30, 0, MissState, "sliding"},
		{"as before the edit", "a", third, a2, 85, 85, MissNone, "none"}, // untouched: the edit got a state of its own
	}},
	{"retry", window, 4, []request{
		{"first", "a", first, a1, 0, 0, MissFirst, "none"},
		{"again", "a", first, a1, 60, 59, MissNone, "last_token"},
		{"once more, with a long answer", "a", first, span(3000, 40), 60, 59, MissNone, "last_token"},
		{"behind the long answer", "a", first, a1, 60, 0, MissState, "sliding"},
	}},
	{"the last message replaced", window, 4, []request{
		{"first", "a", first, a1, 0, 0, MissFirst, "none"},
		{"second", "a", second, nil, 67, 67, MissNone, "none"},
		{"another", "a", join(first, a1, span(8000, 10)), nil, 68, 68, MissChanged, "none"},
	}},
	{"a shorter prompt", full, 4, []request{
		{"long", "a", third, a2, 0, 0, MissFirst, "none"},
		{"its beginning", "a", first, a1, 60, 59, MissNone, "last_token"},
		{"one id", "a", first[:1], nil, 1, 0, MissNone, "last_token"},
	}},
	{"exactly what is held", full, 4, []request{
		{"first", "a", first, a1, 0, 0, MissFirst, "none"},
		{"prompt and answer as fed", "a", join(first, a1[:7]), nil, 67, 66, MissNone, "last_token"},
		{"and one more id", "a", join(first, a1), nil, 67, 67, MissNone, "none"},
	}},
	{"nothing in common", full, 4, []request{
		{"first", "a", first, a1, 0, 0, MissFirst, "none"},
		{"another text", "b", other, a1, 0, 0, MissChanged, "none"},
		{"the first again", "a", second, a1, 67, 67, MissNone, "none"},
	}},
	{"two sessions in turns", window, 4, []request{
		{"a1", "a", first, a1, 0, 0, MissFirst, "none"},
		{"b1", "b", other, a2, 0, 0, MissChanged, "none"},
		{"a2", "a", second, a2, 67, 67, MissNone, "none"},
		{"b2", "b", join(other, a2, u2), a1, 37, 37, MissNone, "none"},
		{"a3", "a", third, a1, 85, 85, MissNone, "none"},
	}},
	{"two sessions behind one system text", window, 4, []request{
		{"a1", "a", first, a1, 0, 0, MissFirst, "none"},
		{"b1", "b", join(system, other), a1, 50, 0, MissState, "sliding"}, // a's state cannot go back to the system text
		{"a2", "a", second, a2, 67, 67, MissNone, "none"},
		{"b2", "b", join(system, other, a1, u2), a2, 87, 87, MissNone, "none"},
	}},
	{"eviction", full, 2, []request{
		{"a1", "a", first, a1, 0, 0, MissFirst, "none"},
		{"b1", "b", other, a1, 0, 0, MissChanged, "none"},
		{"a2", "a", second, a1, 67, 67, MissNone, "none"}, // b is now the oldest
		{"c1", "c", span(100, 20), a1, 0, 0, MissChanged, "none"},
		{"a3", "a", join(second, a1, u3), a1, 85, 85, MissNone, "none"},
		{"b2", "b", join(other, a1, u2), a1, 0, 0, MissChanged, "none"},
	}},
	{"a single place", full, 1, []request{
		{"a1", "a", first, a1, 0, 0, MissFirst, "none"},
		{"b1", "b", other, a1, 0, 0, MissChanged, "none"},
		{"a2", "a", second, a1, 0, 0, MissChanged, "none"},
		{"a3", "a", join(second, a1, u3), a1, 85, 85, MissNone, "none"},
	}},
}

func TestTimelines(t *testing.T) {
	for _, line := range timelines {
		t.Run(line.name, func(t *testing.T) {
			e := &engine{live: NewLive(line.limit), reach: line.reach}
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
	long := &fakeState{reach: window}
	long.feed(third)
	short := &fakeState{reach: full}
	short.feed(join(system[:40], other))
	live.Put(&Entry{IDs: long.ids, State: long, Turn: "long"})
	live.Put(&Entry{IDs: short.ids, State: short, Turn: "short"})
	prompt := join(system, span(20000, 5))
	m := live.Lookup(prompt)
	if err := check(live.entries, m, prompt); err != nil {
		t.Fatal(err)
	}
	if m.Matched != 50 || m.Hit != 40 || m.Parent.Turn != "long" || m.Entry.Turn != "short" || m.Miss != MissState || m.LimitedBy != "sliding" {
		t.Errorf("matched %d in %s, hit %d of %s, %s, limited by %s", m.Matched, m.Parent.Turn, m.Hit, m.Entry.Turn, m.Miss, m.LimitedBy)
	}
}

func TestRandomTimelinesKeepTheInvariants(t *testing.T) {
	for seed := range uint64(40) {
		rng := rand.New(rand.NewPCG(seed, 11))
		e := &engine{live: NewLive(1 + rng.IntN(4)), reach: []int{full, 0, 5, window}[rng.IntN(4)]}
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

// few are n ids of an alphabet so small that prompts share prefixes by chance.
func few(rng *rand.Rand, n int) []int32 {
	ids := make([]int32, n)
	for i := range ids {
		ids[i] = int32(rng.IntN(3))
	}
	return ids
}
