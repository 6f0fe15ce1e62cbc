package kvcache

import (
	"math"
	"slices"
)

// runLength is how many equal ids in a row are no accident.
const runLength = 32

// history is what a session computed: its sequences, each run of runLength ids once. Every such run is indexed by a
// rolling hash; what the index finds is compared.
type history struct {
	ids   []atom            // pieces of sequences, with a separator between them
	index map[uint32]uint32 // hash of a run → where it begins in ids
}

// separator is no atom: no run reaches over the end of a piece.
const separator = math.MinInt32

// The rolling hash of a run is the sum of its atoms times powers of a factor, 1 for the newest. leave is the power that
// an atom has reached when it is runLength atoms old.
const factor = 0x9E3779B97F4A7C15

var leave = func() uint64 {
	h := uint64(factor)
	for range runLength {
		h *= factor
	}
	return h
}()

// roll takes x into the hash, and the atom runLength before it out.
func roll(h uint64, x, out atom) uint64 {
	return (h+uint64(uint32(x)))*factor - uint64(uint32(out))*leave
}

// key is the hash's best mixed part.
func key(h uint64) uint32 { return uint32((h ^ h>>29) * 0xBF58476D1CE4E5B9 >> 32) }

// runs calls f with every run of x and its key; f says where the next one should begin, at the earliest.
func runs(x []atom, f func(at int, key uint32) int) {
	var h uint64
	want := 0
	for i, v := range x {
		var out atom
		if i >= runLength {
			out = x[i-runLength]
		}
		h = roll(h, v, out)
		if at := i + 1 - runLength; at >= want && at >= 0 {
			want = f(at, key(h))
		}
	}
}

// find is where the run is, with the key to use when it is not.
func (h *history) find(run []atom, key uint32) (at int, free uint32, ok bool) {
	for ; ; key++ {
		p, taken := h.index[key]
		if !taken {
			return 0, key, false
		}
		if slices.Equal(h.ids[p:p+runLength], run) {
			return int(p), key, true
		}
	}
}

// add takes in a sequence, or the part of one that is new, with the runLength-1 ids before it.
func (h *history) add(x []atom) {
	if h.index == nil {
		h.index = map[uint32]uint32{}
	}
	end := -1 // of what of x was last copied
	runs(x, func(at int, key uint32) int {
		_, free, known := h.find(x[at:at+runLength], key)
		if known {
			return 0
		}
		if end != at+runLength-1 {
			h.ids = append(append(h.ids, separator), x[at:at+runLength-1]...)
		}
		h.ids = append(h.ids, x[at+runLength-1])
		end = at + runLength
		h.index[free] = uint32(len(h.ids) - runLength)
		return 0
	})
}

// mark sets seen for the atoms of x that lie in a run of the history. Where one is found it is followed to its end.
func (h *history) mark(x []atom, seen []bool) {
	if h == nil || len(h.index) == 0 {
		return
	}
	runs(x, func(at int, key uint32) int {
		p, _, ok := h.find(x[at:at+runLength], key)
		if !ok {
			return 0
		}
		n := runLength
		for at+n < len(x) && p+n < len(h.ids) && x[at+n] == h.ids[p+n] {
			n++
		}
		for i := at; i < at+n; i++ {
			seen[i] = true
		}
		return at + n - runLength + 1 // the first run that reaches further
	})
}

// displaced counts the new tokens that were computed before, at another place or behind a changed prefix: those in runs
// of at least runLength ids, all of them new, that the session computed, or, within the static prefix, any session.
func (c *Cache) displaced(f *find) int {
	fresh := f.atoms[f.spot.matched:]
	if len(fresh) < runLength {
		return 0
	}
	seen := make([]bool, len(fresh))
	for _, s := range c.sessions {
		if s.name == f.Session {
			s.history.mark(fresh, seen)
		} else if n := f.req.Prompt.Static - f.spot.matched; n >= runLength {
			s.history.mark(fresh[:min(n, len(fresh))], seen)
		}
	}
	n := 0
	for _, x := range seen {
		if x {
			n++
		}
	}
	return n
}
