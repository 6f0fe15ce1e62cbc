package kvcache

// This file is the cache of the first issue, live states only. Cache takes its place; once the engine uses that, this
// file and its two tests (live_test.go, live_fake_test.go) can be deleted.

import "time"

// LiveState is what a live state must do; kvcache/state satisfies it.
type LiveState interface {
	Offset() int
	Bytes() int64
	// TrimLimit is `to` when the state can go back to it, else 0 and the kind of layer that cannot.
	TrimLimit(to int) (limit int, by string)
	Trim(to int) error
	Free()
}

// Entry is a state with the ids that were fed to it: len(IDs) == State.Offset().
type Entry struct {
	IDs     []int32
	State   LiveState
	Session string // the chain that it belongs to
	Turn    string // the turn that left it
	Prompt  int    // length of that turn's prompt
	used    time.Time
}

// LiveMatch is the outcome of a lookup.
type LiveMatch struct {
	Entry     *Entry // to continue, nil when nothing can be reused
	Parent    *Entry // the longest common prefix, whether or not it can be reused
	Matched   int    // tokens in common with Parent
	Hit       int    // tokens whose state is reused
	LimitedBy string // none, last_token, or the kind of layer that cannot go back
	Miss      Miss
}

// Live holds the states of the last few conversations. It is used under the engine's lock.
type Live struct {
	limit   int
	entries []*Entry
}

// NewLive keeps at most limit states.
func NewLive(limit int) *Live { return &Live{limit: limit} }

// Lookup finds the state that leaves least of ids to compute.
func (l *Live) Lookup(ids []int32) LiveMatch {
	m := LiveMatch{LimitedBy: "none", Miss: MissFirst}
	usable := len(ids) - 1 // always leave one token to compute
	for _, e := range l.entries {
		n := common(e.IDs, ids)
		if n > m.Matched || m.Parent == nil && n > 0 {
			m.Parent, m.Matched = e, n
		}
		hit := min(n, usable)
		if limit, _ := e.State.TrimLimit(hit); limit == hit && hit > m.Hit {
			m.Entry, m.Hit = e, hit
		}
	}
	switch {
	case m.Parent == nil && len(l.entries) == 0:
	case m.Hit < min(m.Matched, usable):
		m.Miss = MissSnapshot
		_, m.LimitedBy = m.Parent.State.TrimLimit(min(m.Matched, usable))
	case m.Hit == usable && m.Matched == len(ids):
		m.Miss, m.LimitedBy = MissNone, "last_token"
	case m.Parent == nil || m.Matched < len(m.Parent.IDs):
		m.Miss = MissChanged
	default:
		m.Miss = MissNone // everything held was used; the rest of the prompt is new
	}
	return m
}

// Take hands the entry's state to the caller.
func (l *Live) Take(e *Entry) {
	for i := range l.entries {
		if l.entries[i] == e {
			l.entries = append(l.entries[:i], l.entries[i+1:]...)
			return
		}
	}
}

// Put stores a state and returns the entries that no longer fit, whose states the caller frees on the worker.
func (l *Live) Put(e *Entry) (evicted []*Entry) {
	e.used = time.Now()
	l.entries = append(l.entries, e)
	for len(l.entries) > l.limit {
		oldest := l.entries[0]
		for _, x := range l.entries {
			if x.used.Before(oldest.used) {
				oldest = x
			}
		}
		l.Take(oldest)
		evicted = append(evicted, oldest)
	}
	return evicted
}

// Bytes is what all states held allocate.
func (l *Live) Bytes() int64 {
	var n int64
	for _, e := range l.entries {
		n += e.State.Bytes()
	}
	return n
}

// Clear gives every entry up; the caller frees their states.
func (l *Live) Clear() []*Entry {
	all := l.entries
	l.entries = nil
	return all
}
