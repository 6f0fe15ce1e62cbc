package tier

import (
	"bytes"

	"reprise/kvcache"
)

// Entry is a block that a tier has.
type Entry struct {
	*Header
	Tier int // 1: the disk, 2: the remote store
}

// Query is a prompt, as a lookup asks for it.
type Query struct {
	Model string
	Root  kvcache.Digest // of the state that has seen nothing
	IDs   kvcache.Spelling
	Limit int  // the furthest offset that may be restored
	Needs bool // a state comes back at kept offsets only
	Worth int  // tokens that a remote block must spare to be asked for; 0: worthAsking
}

// chain is the best one that a list of blocks holds.
type chain struct {
	entries []*Entry // root first
	to      int      // 0: there is none
	matched int      // ids of the prompt that some block is of, whether it can be used or not
}

// step is a state that can be reached, and by which blocks.
type step struct {
	entry *Entry
	prev  *step
}

func (s *step) entries() []*Entry {
	if s == nil {
		return nil
	}
	return append(s.prev.entries(), s.entry)
}

// best follows digests from the root. lists has the blocks of each slot; an earlier one of two equals is taken.
func (q *Query) best(lists [][]*Entry) chain {
	var out chain
	var last *step
	reached := map[kvcache.Digest]*step{q.Root: nil}
	for _, list := range lists {
		next := map[kvcache.Digest]*step{}
		for _, e := range list {
			if e.To > q.IDs.Len() || !bytes.Equal(e.IDs, q.IDs.Slice(e.Base, e.To)) {
				continue
			}
			out.matched = max(out.matched, e.To)
			prev, ok := reached[e.Parent]
			if e.Base == 0 {
				prev, ok = nil, e.Parent == q.Root
			}
			if !ok {
				continue
			}
			s := &step{e, prev}
			if _, twice := next[e.Digest]; !e.Kept && !twice {
				next[e.Digest] = s
			}
			if e.To > out.to && (!q.Needs || e.Kept && e.To <= q.Limit) {
				out.to, last = e.To, s
			}
		}
		reached = next
	}
	out.entries = last.entries()
	return out
}
