package kvcache

import (
	"cmp"
	"maps"
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
	sieve sieve             // the runs' keys: most runs that are not there need no look into the index
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

// sown takes the keys of all runs into a sieve, piece by piece: the index does not have them as they were.
func (h *history) sown(s *sieve) {
	for start := 0; start < len(h.ids); {
		end := start
		for end < len(h.ids) && h.ids[end] != separator {
			end++
		}
		for _, k := range keys(h.ids[start:end]) {
			s.sow(k)
		}
		start = end + 1
	}
}

// add takes in a sequence, or the part of one that is new, with the runLength-1 ids before it, and the keys of new runs
// into all, which must have room. What continues the last piece is joined to it: all that is ever asked is whether a run
// is there.
func (h *history) add(x []atom, all *sieve) {
	if h.index == nil {
		h.index = map[uint32]uint32{}
	}
	if h.sieve.full(len(x)) {
		h.sieve = newSieve(len(h.index) + len(x))
		h.sown(&h.sieve)
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
		h.sieve.sow(key)
		all.sow(key)
	}
}

func (h *history) endsWith(x []atom) bool {
	n := len(h.ids) - len(x)
	return n >= 0 && slices.Equal(h.ids[n:], x)
}

// mark sets seen for the atoms of x that lie in runs which the history has. Only the runs that begin at some offsets are
// looked for, by their keys. One that is there is followed to its end, and the next that is looked at reaches further: next
// is where it begins, 0 when none was found.
func (h *history) mark(x []atom, keys []uint32, some []int32, seen []bool) (next int) {
	for _, at := range some {
		at := int(at)
		if at < next || !h.sieve.has(keys[at]) {
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
		next = at + n - runLength + 1
	}
	return next
}

// markAll looks for all runs of x. It sifts them in batches, so that those within a long run are not even sifted.
func (h *history) markAll(x []atom, keys []uint32, seen []bool) {
	var some [512]int32
	for from := 0; from < len(keys); {
		to := min(from+len(some), len(keys))
		from = max(to, h.mark(x, keys, h.sieve.sift(some[:], keys[from:to], from), seen))
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
	if own != nil {
		own.history.markAll(fresh, all, seen)
	}
	if static >= runLength {
		c.anyones(fresh[:static], all[:static-runLength+1], seen)
	}
	n := 0
	for _, x := range seen {
		if x {
			n++
		}
	}
	return n
}

// anyones marks what any session has. One look into the sieve of all sessions settles most of what is new; for what it
// lets through the sessions are asked, those first that were heard of last, as long as there is something left to find.
func (c *Cache) anyones(x []atom, keys []uint32, seen []bool) {
	some := unseen(c.sieve.sift(make([]int32, len(keys)), keys, 0), seen)
	if len(some) == 0 {
		return
	}
	order := slices.SortedFunc(maps.Values(c.sessions), func(a, b *session) int { return cmp.Compare(b.used, a.used) })
	for _, s := range order {
		if s.history.mark(x, keys, some, seen) > 0 {
			some = unseen(some, seen)
		}
	}
}

// unseen keeps the beginnings, in order, of runs that are not marked whole.
func unseen(some []int32, seen []bool) []int32 {
	end := 0 // of a stretch of marks that reaches at least to the last run looked at
	return slices.DeleteFunc(some, func(at int32) bool {
		whole := int(at) + runLength
		end = max(end, int(at))
		for end < whole && seen[end] {
			end++
		}
		return end == whole
	})
}
