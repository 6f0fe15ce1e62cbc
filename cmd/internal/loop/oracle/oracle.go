package oracle

import "fmt"

// run is how many ids in a row make a displaced run.
const run = 32

// ghost is how finely a cache remembers what it evicted, and how finely processes tell each other of what they hold, in ids: a
// match that ends there may be this much short.
const ghost = 64

// Verdict is what was possible at one turn, and what is wrong with its row.
type Verdict struct {
	Prompt    int      `json:"prompt_tokens"`
	Matched   int      `json:"matched_tokens"`
	Own       int      `json:"own_tokens"`     // of matched, what the process that is asked held itself
	Ceiling   int      `json:"ceiling_tokens"` // matched, at most prompt − 1
	Displaced int      `json:"displaced_tokens"`
	Problems  []string `json:"problems,omitempty"`
	Prefill   *Verdict `json:"prefill,omitempty"` // of the process that computed the prompt before; nil: the same did both
}

// Oracle follows a run. The zero value knows nothing; turns are added in the order in which they happened.
type Oracle struct {
	held     []sequence
	sessions map[talk]windows
}

type sequence struct {
	ids []int32
	talk
}

// talk is a conversation as one process knows it. What another one computed is the same state, but a process searches for
// displaced text only in what went through it.
type talk struct{ conversation, worker string }

// window is 32 ids in a row. Go compares map keys whole: nothing here rests on a hash.
type window [run]int32

type windows map[window]struct{}

// Add judges a turn by what was held before it, and then holds what it leaves behind.
func (o *Oracle) Add(t *Turn) Verdict {
	if t.Prefill == nil {
		return o.add(t)
	}
	first := o.add(&Turn{Turn: t.Turn, Conversation: t.Conversation, Static: t.Static, Prompt: t.Prompt, Computed: len(t.Prompt), Row: *t.Prefill})
	v := o.add(t)
	v.Prefill = &first
	return v
}

func (o *Oracle) add(t *Turn) Verdict {
	v := Verdict{Prompt: len(t.Prompt)}
	own := 0 // the longest common prefix within the conversation
	for _, s := range o.held {
		n := Common(s.ids, t.Prompt)
		v.Matched = max(v.Matched, n)
		if s.worker == t.Row.Worker {
			v.Own = max(v.Own, n)
		}
		if s.talk == t.talk() {
			own = max(own, n)
		}
	}
	v.Ceiling = max(0, min(v.Matched, len(t.Prompt)-1)) // one token is always computed
	from := v.Matched
	if t.Row.Matched != nil {
		from = max(0, min(*t.Row.Matched, len(t.Prompt)))
	}
	v.Displaced = o.displaced(t, from, v.Matched)
	v.Problems = v.judge(t)
	o.hold(t, own)
	return v
}

// hold takes what the turn leaves behind. own is a lower bound of what the conversation held of it already, so that only
// windows that reach beyond it are new.
func (o *Oracle) hold(t *Turn, own int) {
	ids := t.Held()
	o.held = append(o.held, sequence{ids, t.talk()})
	if o.sessions == nil {
		o.sessions = map[talk]windows{}
	}
	set := o.sessions[t.talk()]
	if set == nil {
		set = windows{}
		o.sessions[t.talk()] = set
	}
	for i := max(0, own-run+1); i+run <= len(ids); i++ {
		set[window(ids[i:i+run])] = struct{}{}
	}
}

// displaced counts the tokens behind from that lie in runs held before. Up to matched, the same ids at the same place
// are the same prefix and not displaced; there, the other places are searched one by one.
func (o *Oracle) displaced(t *Turn, from, matched int) int {
	n, end := 0, from // tokens before end are counted, if they are to be
	for i := from; i+run <= len(t.Prompt); i++ {
		w := t.Prompt[i : i+run]
		var found bool
		switch {
		case i < matched:
			found = o.elsewhere(t, i)
		default:
			_, found = o.sessions[t.talk()][window(w)]
			found = found || i+run <= t.Static && o.elsewhere(t, i)
		}
		if found {
			n += i + run - max(i, end)
			end = i + run
		}
	}
	return n
}

// elsewhere searches the window at i of the prompt in what was held, at another place or behind another prefix: in the
// conversation, or anywhere when it lies in the static prefix.
func (o *Oracle) elsewhere(t *Turn, i int) bool {
	w := t.Prompt[i : i+run]
	for _, s := range o.held {
		if s.worker != t.Row.Worker || s.conversation != t.Conversation && i+run > t.Static {
			continue
		}
		prefix := Common(s.ids, t.Prompt)
		for j := 0; j+run <= len(s.ids); j++ {
			if Common(s.ids[j:], w) == run && !(j == i && prefix >= i+run) {
				return true
			}
		}
	}
	return false
}

// judge compares the row's claims with the verdict.
func (v *Verdict) judge(t *Turn) []string {
	var out []string
	say := func(format string, args ...any) {
		out = append(out, fmt.Sprintf("turn %d: ", t.Turn)+fmt.Sprintf(format, args...))
	}
	if all := len(t.Prompt) + len(t.Generated); t.Computed != 0 && t.Computed != all && t.Computed != all-1 {
		say("computed_tokens %d, but prompt %d + generated %d = %d, or one less", t.Computed, len(t.Prompt), len(t.Generated), all)
	}
	r := &t.Row
	if r.Prompt == nil || *r.Prompt != len(t.Prompt) {
		say("prompt_tokens %s, the prompt has %d ids", shown(r.Prompt), len(t.Prompt))
	}
	switch {
	case r.Matched == nil:
		say("matched_tokens is null")
	case *r.Matched > v.Matched:
		say("matched_tokens %d > %d, the longest prefix held (was the server's cache empty when the run began?)", *r.Matched, v.Matched)
	case *r.Matched < v.Own && r.MissReason != "evicted":
		say("matched_tokens %d, the longest prefix held is %d", *r.Matched, v.Own)
	case *r.Matched <= v.Matched-ghost:
		say("matched_tokens %d, evicted or another process's, is %d or more short of %d", *r.Matched, ghost, v.Matched)
	}
	switch {
	case r.Hit == nil:
		say("lookup_hit_tokens is null")
	case *r.Hit > v.Ceiling:
		say("lookup_hit_tokens %d > %d, the most that was possible", *r.Hit, v.Ceiling)
	}
	switch {
	case r.Displaced == nil:
		say("displaced_tokens is null")
	case t.Static < 0:
	case *r.Displaced != v.Displaced:
		say("displaced_tokens %d, by brute force %d", *r.Displaced, v.Displaced)
	}
	return out
}

func shown(n *int) string {
	if n == nil {
		return "null"
	}
	return fmt.Sprint(*n)
}

// Common is the length of the longest common prefix.
func Common(a, b []int32) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}
