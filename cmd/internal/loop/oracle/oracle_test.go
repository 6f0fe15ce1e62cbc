package oracle

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// span is n ids from, from+1, …: equal spans are equal texts.
func span(from, n int) []int32 {
	ids := make([]int32, n)
	for i := range ids {
		ids[i] = int32(from + i)
	}
	return ids
}

func join(parts ...[]int32) []int32 { return slices.Concat(parts...) }

func ptr(n int) *int { return &n }

var (
	system = span(1000, 60)
	docA   = span(2000, 40)
	docB   = span(3000, 33)
	short  = span(4000, 31)
	ask    = span(5000, 10)
	answer = span(6000, 5)
)

// What a turn is asked, and what the oracle must say.
type want struct {
	name         string
	conversation string
	prompt       []int32
	static       int
	matched      int
	displaced    int
}

func TestVerdicts(t *testing.T) {
	for _, line := range []struct {
		name  string
		turns []want
	}{
		{"a prompt that grows", []want{
			{"first", "a", join(system, ask), 0, 0, 0},
			{"with the answer", "a", join(system, ask, answer, docA), 0, 74, 0}, // the last of the answer has no state
			{"again", "a", join(system, ask, answer, docA), 0, 115, 0},          // the whole prompt; the ceiling is one less
		}},
		{"documents that change places", []want{
			{"first", "a", join(system, docA, docB, ask), 0, 0, 0},
			{"moved", "a", join(system, docB, docA, ask), 0, 60, 33 + 40}, // ask follows another one now: its ten ids are too few
		}},
		{"too short to be a run", []want{
			{"first", "a", join(system, short, ask), 0, 0, 0},
			{"moved", "a", join(system, ask, short), 0, 60, 0},
		}},
		{"a run must lie behind what matched", []want{
			{"first", "a", join(system, docA), 0, 0, 0},
			{"a copy of system's end", "a", join(system, docA[:20], system[40:], span(9000, 1)), 0, 80, 0}, // 20 ids
			{"a longer copy", "a", join(system, docA[:20], system[20:], span(9500, 1)), 0, 80, 40},
		}},
		{"another conversation's text is not displaced", []want{
			{"first", "a", join(system, docA, ask), 0, 0, 0},
			{"other", "b", join(docB, docA, ask), 0, 0, 0},
			{"its own", "b", join(ask, docA), 0, 0, 40},
		}},
		{"unless it is the static prefix", []want{
			{"first", "a", join(docA, docB, ask), 0, 0, 0},
			{"other", "b", join(docB, docA, ask), 73, 0, 73},
		}},
	} {
		t.Run(line.name, func(t *testing.T) {
			var o Oracle
			for i, w := range line.turns {
				turn := &Turn{Turn: i + 1, Conversation: w.conversation, Prompt: w.prompt, Generated: answer, Static: w.static}
				v := o.Add(turn)
				if v.Prompt != len(w.prompt) || v.Matched != w.matched || v.Displaced != w.displaced {
					t.Errorf("%s: matched %d, displaced %d, want %d and %d", w.name, v.Matched, v.Displaced, w.matched, w.displaced)
				}
				if v.Ceiling != min(w.matched, len(w.prompt)-1) {
					t.Errorf("%s: ceiling %d of %d matched and %d", w.name, v.Ceiling, w.matched, len(w.prompt))
				}
			}
		})
	}
}

func TestComputedSaysWhatIsHeld(t *testing.T) {
	for computed, matched := range map[int]int{0: 74, 74: 74, 75: 75} {
		var o Oracle
		o.Add(&Turn{Prompt: join(system, ask), Generated: answer, Computed: computed})
		if v := o.Add(&Turn{Prompt: join(system, ask, answer, docA)}); v.Matched != matched {
			t.Errorf("with %d computed, %d matched, want %d", computed, v.Matched, matched)
		}
	}
	var o Oracle
	if v := o.Add(&Turn{Turn: 4, Prompt: ask, Generated: answer, Computed: 11, Row: Claim{Prompt: ptr(10), Matched: ptr(0), Hit: ptr(0), Displaced: ptr(0)}}); len(v.Problems) != 1 || !strings.Contains(v.Problems[0], "turn 4: computed_tokens 11") {
		t.Errorf("problems %q", v.Problems)
	}
}

func TestClaims(t *testing.T) {
	good := Claim{Prompt: ptr(133), Matched: ptr(60), Hit: ptr(60), Displaced: ptr(73)}
	for _, tt := range []struct {
		name   string
		change func(*Claim)
		want   string
	}{
		{"as it is", func(*Claim) {}, ""},
		{"prompt", func(c *Claim) { c.Prompt = ptr(132) }, "prompt_tokens 132, the prompt has 133"},
		{"no prompt", func(c *Claim) { c.Prompt = nil }, "prompt_tokens null"},
		{"too much matched", func(c *Claim) { c.Matched, c.Displaced = ptr(61), ptr(72) }, "matched_tokens 61 > 60"},
		{"too little matched", func(c *Claim) { c.Matched = ptr(59) }, "matched_tokens 59, the longest prefix held is 60"},
		{"evicted", func(c *Claim) { c.Matched, c.Hit, c.MissReason = ptr(0), ptr(0), "evicted" }, ""},
		{"matched null", func(c *Claim) { c.Matched = nil }, "matched_tokens is null"},
		{"hit", func(c *Claim) { c.Hit = ptr(61) }, "lookup_hit_tokens 61 > 60"},
		{"hit null", func(c *Claim) { c.Hit = nil }, "lookup_hit_tokens is null"},
		{"displaced", func(c *Claim) { c.Displaced = ptr(0) }, "displaced_tokens 0, by brute force 73"},
		{"displaced null", func(c *Claim) { c.Displaced = nil }, "displaced_tokens is null"},
	} {
		var o Oracle
		o.Add(&Turn{Prompt: join(system, docA, docB)})
		claim := good
		tt.change(&claim)
		v := o.Add(&Turn{Prompt: join(system, docB, docA), Row: claim})
		if tt.want == "" && v.Problems != nil || tt.want != "" && (len(v.Problems) != 1 || !strings.Contains(v.Problems[0], tt.want)) {
			t.Errorf("%s: %q, want %q", tt.name, v.Problems, tt.want)
		}
	}
}

// An evicted part may be up to 63 ids short, and what it lacks there is new without being displaced.
func TestGhosts(t *testing.T) {
	long := join(system, docA, docB, short)
	for short, ok := range map[int]bool{0: true, 63: true, 64: false} {
		var o Oracle
		o.Add(&Turn{Prompt: long, Generated: answer})
		n := len(long)
		v := o.Add(&Turn{Prompt: join(long, ask), Row: Claim{Prompt: ptr(n + 10), Matched: ptr(n - short), Hit: ptr(0), Displaced: ptr(0), MissReason: "evicted"}})
		if (v.Problems == nil) != ok {
			t.Errorf("%d short: %q", short, v.Problems)
		}
	}
}

// plainly counts displaced tokens from the definition: every run of every earlier sequence, position by position.
func plainly(t *Turn, earlier []*Turn, from int) int {
	hit := make([]bool, len(t.Prompt))
	for i := from; i < len(t.Prompt); i++ {
		for _, e := range earlier {
			s := e.Held()
			for j := range s {
				n := 0
				for i+n < len(t.Prompt) && j+n < len(s) && t.Prompt[i+n] == s[j+n] {
					n++
				}
				samePlace := i == j && slices.Equal(t.Prompt[:i], s[:j])
				for k := i; n >= run && k < i+n; k++ {
					hit[k] = hit[k] || !samePlace && (e.Conversation == t.Conversation || i+run <= t.Static && k < t.Static)
				}
			}
		}
	}
	n := 0
	for _, h := range hit {
		if h {
			n++
		}
	}
	return n
}

// Random conversations that copy and move pieces: the oracle agrees with the definition.
func TestRandomRuns(t *testing.T) {
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 3))
		pieces := [][]int32{span(100, 20), span(200, 35), span(300, 50), span(400, 31), span(500, 64)}
		var o Oracle
		var earlier []*Turn
		for i := range 12 {
			var prompt []int32
			for range 1 + rng.IntN(5) {
				p := pieces[rng.IntN(len(pieces))]
				prompt = append(prompt, p[:1+rng.IntN(len(p))]...)
			}
			turn := &Turn{Turn: i, Conversation: fmt.Sprint(rng.IntN(2)), Prompt: prompt, Generated: span(600, rng.IntN(4)), Static: rng.IntN(2) * rng.IntN(len(prompt)+1)}
			matched := 0
			for _, e := range earlier {
				matched = max(matched, Common(e.Held(), prompt))
			}
			from := matched
			if rng.IntN(3) == 0 {
				from = max(0, matched-rng.IntN(64))
			}
			turn.Row.Matched = &from
			v := o.Add(turn)
			if want := plainly(turn, earlier, from); v.Matched != matched || v.Displaced != want {
				t.Fatalf("seed %d, turn %d of %d ids from %d, static %d: matched %d, displaced %d, want %d and %d", seed, i, len(prompt), from, turn.Static, v.Matched, v.Displaced, matched, want)
			}
			earlier = append(earlier, turn)
		}
	}
}

func TestRead(t *testing.T) {
	whole := `{"turn":1,"conversation":"a","prompt_ids":[1,2],"generated_ids":[3],"computed_tokens":2,"answer":"x","row":{"turn_id":"t","prompt_tokens":2,"matched_tokens":null,"miss_reason":"first_request"}}` + "\n"
	for _, tt := range []struct {
		text string
		n    int
		fail string
	}{{whole + whole, 2, ""}, {whole + whole[:40], 1, ""}, {"", 0, ""}, {whole + "nonsense\n" + whole, 1, ":2: not a turn"}} {
		path := filepath.Join(t.TempDir(), "trace.jsonl")
		if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		turns, err := Read(path)
		if len(turns) != tt.n || (err == nil) != (tt.fail == "") || err != nil && !strings.Contains(err.Error(), tt.fail) {
			t.Errorf("%d turns, %v, want %d and %q", len(turns), err, tt.n, tt.fail)
		}
		if tt.n > 0 && (turns[0].Row.Matched != nil || *turns[0].Row.Prompt != 2 || turns[0].Computed != 2 || turns[0].Row.MissReason != "first_request") {
			t.Errorf("%+v", turns[0])
		}
	}
}
