package kvcache

import (
	"fmt"
	"slices"
)

// liveFake carries the ids that were fed to it as its data, so that a test sees which tokens were reused. Like
// a window, it can go back by at most `reach` ids from the furthest point it ever stood at; reach < 0 is a full
// layer, which can go back anywhere.
type liveFake struct {
	ids   []int32
	reach int
	floor int // the earliest offset that it can go back to
	freed bool
}

func (f *liveFake) Offset() int  { return len(f.ids) }
func (f *liveFake) Bytes() int64 { return int64(len(f.ids)) * 10 }
func (f *liveFake) Free()        { f.freed = true }

func (f *liveFake) TrimLimit(to int) (limit int, by string) {
	switch {
	case to >= len(f.ids):
		return len(f.ids), ""
	case to < f.floor:
		return 0, "sliding"
	}
	return to, ""
}

func (f *liveFake) Trim(to int) error {
	if limit, by := f.TrimLimit(to); limit != to {
		return fmt.Errorf("cannot go back from %d to %d: %s", len(f.ids), to, by)
	}
	f.ids = f.ids[:to]
	return nil
}

func (f *liveFake) feed(ids []int32) {
	f.ids = append(slices.Clone(f.ids), ids...)
	if f.reach >= 0 {
		f.floor = max(f.floor, len(f.ids)-f.reach)
	}
}

// liveEngine does what a turn does with a Live: look up, take, trim, feed, put.
type liveEngine struct {
	live  *Live
	reach int // of new states
	turns int
	all   []*liveFake
}

// turn answers prompt with the ids of answer, in the named session, and checks what must hold for every lookup.
// The last id of an answer is sampled but not fed.
func (e *liveEngine) turn(session string, prompt, answer []int32) (LiveMatch, error) {
	e.turns++
	m := e.live.Lookup(prompt)
	if err := liveCheck(e.live.entries, m, prompt); err != nil {
		return m, fmt.Errorf("turn %d: %w", e.turns, err)
	}
	st := &liveFake{reach: e.reach}
	if m.Entry != nil {
		st = m.Entry.State.(*liveFake)
		e.live.Take(m.Entry)
		if slices.Contains(e.live.entries, m.Entry) {
			return m, fmt.Errorf("turn %d: the entry taken is still there", e.turns)
		}
	} else {
		e.all = append(e.all, st)
	}
	if err := st.Trim(m.Hit); err != nil {
		return m, fmt.Errorf("turn %d: %w", e.turns, err)
	}
	if !slices.Equal(st.ids, prompt[:m.Hit]) {
		return m, fmt.Errorf("turn %d: reused %v for a prompt that begins %v", e.turns, st.ids, prompt[:m.Hit])
	}
	st.feed(prompt[m.Hit:])
	st.feed(answer[:max(0, len(answer)-1)])
	entry := &Entry{IDs: slices.Clone(st.ids), State: st, Session: session, Turn: fmt.Sprint(e.turns), Prompt: len(prompt)}
	for _, x := range e.live.Put(entry) {
		x.State.Free()
	}
	return m, e.leaks()
}

// leaks checks that every state is either held, once, or freed.
func (e *liveEngine) leaks() error {
	var bytes int64
	for _, st := range e.all {
		held := 0
		for _, x := range e.live.entries {
			if x.State == LiveState(st) {
				held++
			}
		}
		if held > 1 || (held == 1) == st.freed {
			return fmt.Errorf("after turn %d a state of %d ids is held %d times, freed: %v", e.turns, len(st.ids), held, st.freed)
		}
		if held == 1 {
			bytes += st.Bytes()
		}
	}
	if n := len(e.live.entries); n > e.live.limit || e.live.Bytes() != bytes {
		return fmt.Errorf("after turn %d: %d states of at most %d, Bytes %d of %d", e.turns, n, e.live.limit, e.live.Bytes(), bytes)
	}
	return nil
}

// liveCheck compares a lookup with brute force over all entries, and with the invariants.
func liveCheck(entries []*Entry, m LiveMatch, prompt []int32) error {
	matched, hit := 0, 0
	for _, e := range entries {
		common := 0
		for common < len(prompt) && common < len(e.IDs) && prompt[common] == e.IDs[common] {
			common++
		}
		matched = max(matched, common)
		use := min(common, len(prompt)-1)
		if limit, _ := e.State.TrimLimit(use); limit == use {
			hit = max(hit, use)
		}
	}
	switch {
	case m.Matched != matched || m.Hit != hit:
		return fmt.Errorf("matched %d, hit %d; by brute force %d and %d", m.Matched, m.Hit, matched, hit)
	case m.Hit > min(m.Matched, len(prompt)-1):
		return fmt.Errorf("hit %d > min(matched %d, prompt %d - 1)", m.Hit, m.Matched, len(prompt))
	case (m.Entry == nil) != (m.Hit == 0):
		return fmt.Errorf("hit %d with entry %v", m.Hit, m.Entry)
	case (m.Parent == nil) != (m.Matched == 0):
		return fmt.Errorf("matched %d with parent %v", m.Matched, m.Parent)
	case m.Parent != nil && !slices.Equal(m.Parent.IDs[:m.Matched], prompt[:m.Matched]):
		return fmt.Errorf("the parent does not begin with the %d ids matched", m.Matched)
	case (m.Miss == MissSnapshot) != (m.Hit < min(m.Matched, len(prompt)-1)):
		return fmt.Errorf("miss %s with hit %d, matched %d, prompt %d", m.Miss, m.Hit, m.Matched, len(prompt))
	case (m.Miss == MissFirst) != (len(entries) == 0):
		return fmt.Errorf("miss %s with %d states held", m.Miss, len(entries))
	}
	return nil
}
