package kvcache

import (
	"slices"
)

// Call is one forward call, as it can be made again: feed the Width ids from Start on, of which the last len(Beyond.IDs)
// are Beyond and the others the path's. A call with something beyond was cut off: what it computed of those ids was
// dropped, but their number, and in some models their values, are in the bits of the others.
type Call struct {
	Start, Width int
	Batch        int // sequences computed side by side; 1: alone. Only those can be replayed to the bit
	Purpose      string
	Beyond       Sequence
}

// provenance is the list of forward calls that made the state at one offset, newest first and never changed, so that
// branches share what they have in common. Equal calls in a row, such as decode steps, are one element.
type provenance struct {
	prev         *provenance
	start, width int
	count, batch int
	purpose      string
	beyond       []atom // of the last call; then count is 1
}

// end is the offset that the list explains.
func (p *provenance) end() int {
	if p == nil {
		return 0
	}
	return p.start + p.width*p.count - len(p.beyond)
}

// add appends a call that begins at the list's end.
func (p *provenance) add(width, batch int, purpose string) *provenance {
	batch = max(batch, 1)
	if p != nil && len(p.beyond) == 0 && p.width == width && p.batch == batch && p.purpose == purpose {
		longer := *p
		longer.count++
		return &longer
	}
	return &provenance{prev: p, start: p.end(), width: width, count: 1, batch: batch, purpose: purpose}
}

// cut is the list for an earlier offset. rest are the path's atoms from there to the list's end.
func (p *provenance) cut(at int, rest []atom) *provenance {
	for p != nil && p.start >= at {
		p = p.prev
	}
	end := p.end()
	if end <= at {
		return p
	}
	base := p.prev
	whole := (at - p.start) / p.width
	if whole > 0 {
		run := *p
		run.count, run.beyond = whole, nil
		base = &run
	}
	start := p.start + whole*p.width
	if start == at {
		return base
	}
	beyond := slices.Clone(rest[:min(start+p.width, end)-at])
	if start+p.width > end {
		beyond = append(beyond, p.beyond...)
	}
	return &provenance{prev: base, start: start, width: p.width, count: 1, batch: p.batch, purpose: p.purpose, beyond: beyond}
}

// same says whether two lists for one path, which agree up to offset from, are of the same calls. What they were made
// for does not matter.
func (p *provenance) same(q *provenance, from int) bool {
	for p != q {
		if p == nil || q == nil || p.start != q.start || p.width != q.width || p.count != q.count || p.batch != q.batch ||
			!slices.Equal(p.beyond, q.beyond) {
			return false
		}
		if p.start <= from {
			return true
		}
		p, q = p.prev, q.prev
	}
	return true
}

// alone says whether no call from that offset on was part of a batch. The company is not recorded, so that two batched
// calls that look the same may have given other bits.
func (p *provenance) alone(from int) bool {
	for ; p != nil && p.end() > from; p = p.prev {
		if p.batch > 1 {
			return false
		}
	}
	return true
}

// calls are the single calls, oldest first.
func (p *provenance) calls(a *alphabet) []Call {
	var out []Call
	for ; p != nil; p = p.prev {
		for i := p.count - 1; i >= 0; i-- {
			c := Call{Start: p.start + i*p.width, Width: p.width, Batch: p.batch, Purpose: p.purpose}
			if len(p.beyond) > 0 {
				c.Beyond = a.sequence(p.beyond)
			}
			out = append(out, c)
		}
	}
	slices.Reverse(out)
	return out
}
