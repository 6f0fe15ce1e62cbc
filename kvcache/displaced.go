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
	index map[uint32]uint32 // a run's key, or one of the next → where it begins in ids
	sieve []uint64          // a bit for every key: most runs that are not there need no look into the index
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

// key mixes the hash well: of texts that count up, hashes do, too.
func key(h uint64) uint32 {
	h = (h ^ h>>33) * 0xFF51AFD7ED558CCD
	h = (h ^ h>>33) * 0xC4CEB9FE1A85EC53
	return uint32(h >> 32)
}

// keys are those of the runs of x, by where they begin.
func keys(x []atom) []uint32 {
	if len(x) < runLength {
		return nil
	}
	out := make([]uint32, 0, len(x)-runLength+1)
	var h uint64
	for i, v := range x {
		var old atom
		if i >= runLength {
			old = x[i-runLength]
		}
		if h = roll(h, v, old); i+1 >= runLength {
			out = append(out, key(h))
		}
	}
	return out
}

// find is where the run is, with the place in the index to use when it is not.
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

// sift says whether a run with that key may be there. The sieve's size is a power of two.
func (h *history) sift(key uint32) bool {
	bit := key & uint32(len(h.sieve)*64-1)
	return h.sieve[bit/64]>>(bit%64)&1 == 1
}

// sow takes a key into the sieve. One that is too full for it is made anew.
func (h *history) sow(key uint32) {
	if len(h.index)*8 > len(h.sieve)*64 {
		h.sieve = make([]uint64, max(64, 2*len(h.sieve)))
		for start := 0; start < len(h.ids); { // piece by piece: the index does not have the keys as they were
			end := start
			for end < len(h.ids) && h.ids[end] != separator {
				end++
			}
			for _, k := range keys(h.ids[start:end]) {
				h.sow(k)
			}
			start = end + 1
		}
	}
	bit := key & uint32(len(h.sieve)*64-1)
	h.sieve[bit/64] |= 1 << (bit % 64)
}

// add takes in a sequence, or the part of one that is new, with the runLength-1 ids before it. What continues the last
// piece is joined to it: all that is ever asked is whether a run is there.
func (h *history) add(x []atom) {
	if h.index == nil {
		h.index = map[uint32]uint32{}
	}
	end := -1 // of what of x was last copied
	for at, key := range keys(x) {
		run := x[at : at+runLength]
		_, free, known := h.find(run, key)
		if known {
			continue
		}
		if before := run[:runLength-1]; end != at+runLength-1 && !h.endsWith(before) {
			h.ids = append(append(h.ids, separator), before...)
		}
		h.ids = append(h.ids, run[runLength-1])
		end = at + runLength
		h.index[free] = uint32(len(h.ids) - runLength)
		h.sow(key)
	}
}

func (h *history) endsWith(x []atom) bool {
	n := len(h.ids) - len(x)
	return n >= 0 && slices.Equal(h.ids[n:], x)
}

// mark sets seen for the atoms of x, with these keys, that lie in a run of the history. Where one is found it is followed
// to its end.
func (h *history) mark(x []atom, keys []uint32, seen []bool) {
	if len(h.index) == 0 {
		return
	}
	for at := 0; at < len(keys); at++ {
		if !h.sift(keys[at]) {
			continue
		}
		p, _, ok := h.find(x[at:at+runLength], keys[at])
		if !ok {
			continue
		}
		n := runLength
		for at+n < len(x) && p+n < len(h.ids) && x[at+n] == h.ids[p+n] {
			n++
		}
		for i := at; i < at+n; i++ {
			seen[i] = true
		}
		at += n - runLength // the next run reaches further
	}
}

// displaced counts the new tokens that were computed before, at another place or behind a changed prefix: those in runs
// of at least runLength ids, all of them new, that the session computed, or, within the static prefix, any session.
func (c *Cache) displaced(f *find) int {
	fresh := f.atoms[f.spot.matched:]
	static := max(0, f.req.Prompt.Static-f.spot.matched)
	own := c.sessions[f.Session]
	if own == nil {
		fresh = fresh[:static]
	}
	all := keys(fresh)
	if len(all) == 0 {
		return 0
	}
	seen := make([]bool, len(fresh))
	for _, s := range c.sessions {
		switch {
		case s == own:
			s.history.mark(fresh, all, seen)
		case static >= runLength:
			s.history.mark(fresh[:static], all[:static-runLength+1], seen)
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
