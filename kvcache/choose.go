package kvcache

import (
	"cmp"
	"slices"
)

// place is an offset of the prompt that can be restored.
type place struct {
	at    int
	block *block // that the offset ends or lies in
	trim  *live  // the live state that can go back there by itself; nil: what is stored at the block serves any
}

// way is how to get to a place.
type way struct {
	place
	live *live // that is moved there; nil: a new one, with copies
	// cost is the bytes that must be copied. Tokens that would have to be computed again are counted in bytes, too.
	cost int64
	room int64 // that the copies take
}

// tokenCost is what a lost token counts: computing one takes about as long as copying so many bytes.
const tokenCost = 16 << 20

// choose takes the furthest place that can be paid for, and the way there that copies least.
func (c *Cache) choose(f *find) (best way, poor bool) {
	places := c.places(f)
	slices.SortStableFunc(places, func(a, b place) int { return cmp.Compare(b.at, a.at) })
	for i := 0; i < len(places); {
		at, found := places[i].at, false
		var dear *way // needs evictions
		for ; i < len(places) && places[i].at == at; i++ {
			for _, w := range c.ways(f, places[i]) {
				switch {
				case w.live == nil && !c.affords(w.room, f.req.Side):
					if more := w.room - w.block.lent(); more <= max(0, c.opts.Budget-c.busy()) {
						dear = &w
					}
				case !found || w.cost < best.cost:
					best, found = w, true
				}
			}
		}
		if found {
			return best, poor
		}
		if dear != nil {
			return *dear, poor
		}
		poor = true
	}
	return way{place: place{block: f.tree.base}}, poor
}

// lent is the bytes on the way to b that a lower tier lent. They go when a state holds them, and the turn that they were lent to
// will hold as much whether it reads or computes it.
func (b *block) lent() int64 {
	var n int64
	if b.piece != nil && b.piece.lent && b.snap != nil {
		n = b.snap.Bytes()
	}
	b.up(b.tree().base, func(b *block) {
		if b.piece != nil && b.piece.lent {
			n += int64(len(b.node.edge)) * b.tree().RowBytes
		}
	})
	return n
}

// affords says whether so many bytes can be had without an eviction. A side request does not ask: it runs beside the budget.
func (c *Cache) affords(bytes int64, side bool) bool {
	return side || bytes <= c.opts.Budget-c.bytes.total()
}

// places lists where the prompt can be restored. It stamps the nodes of the path and the blocks that can be read.
func (c *Cache) places(f *find) []place {
	t := f.tree
	c.stamp++
	t.root.stamp, t.base.stamp = c.stamp, c.stamp
	var out []place
	for _, n := range f.spot.nodes {
		n.stamp = c.stamp
		for _, b := range n.blocks {
			if b.parent.stamp != c.stamp || !b.readable() {
				continue
			}
			b.stamp = c.stamp
			at := min(n.end, f.limit)
			if at > n.start && (!t.needs() || b.snap != nil && at == n.end) {
				out = append(out, place{at: at, block: b})
			}
		}
	}
	for _, l := range c.lives {
		if l.tip.tree() != t || !l.idle() || l.tip.distrusted() {
			continue
		}
		b := l.tip
		for b.node.stamp != c.stamp || b.start() >= f.limit && b.parent != nil {
			b = b.parent
		}
		at := min(b.end(), f.limit)
		if got, _ := l.state.TrimLimit(at); at > 0 && got == at {
			out = append(out, place{at: at, block: b, trim: l})
		}
	}
	return out
}

// distrusted says whether b stands on something that was found wrong.
func (b *block) distrusted() bool {
	for ; b != nil; b = b.parent {
		if b.bad {
			return true
		}
	}
	return false
}

// ways lists how to get to a place.
func (c *Cache) ways(f *find, p place) []way {
	if p.trim != nil {
		return []way{{place: p, live: p.trim, cost: c.leave(p.trim, p.at, f)}}
	}
	t := f.tree
	snap := int64(0)
	if p.block.snap != nil {
		snap = p.block.snap.Bytes()
	}
	all := int64(p.at) * t.RowBytes
	var out []way
	for _, l := range c.lives {
		if l.tip.tree() != t || !l.idle() || l.tip.distrusted() {
			continue
		}
		keep := min(meet(l.tip, p.block).end(), p.at)
		out = append(out, way{place: p, live: l, cost: int64(p.at-keep)*t.RowBytes + snap + c.leave(l, keep, f)})
	}
	return append(out, way{place: p, cost: all + snap, room: all + snap})
}

// leave is what it costs that a live state goes back behind offset keep: rows worth keeping that must be copied out, and,
// when another session takes it, its present end.
func (c *Cache) leave(l *live, keep int, f *find) int64 {
	t := f.tree
	tokens, cost := 0, int64(0)
	worth := !t.needs()
	if !worth && l.tip.end() > keep && l.tip.snap == nil && l.session != f.Session {
		worth = true // its end will be copied out if there is room
		if c.affords(t.SnapshotBytes, f.req.Side) {
			cost += t.SnapshotBytes
		} else {
			cost += int64(l.tip.end()-max(keep, l.tip.parent.nearest())) * tokenCost
		}
	}
	l.tip.up(t.base, func(b *block) {
		worth = worth || b.snap != nil || b.branches()
		if b.end() > keep && b.exclusive() && worth {
			tokens += b.end() - max(b.start(), keep)
		}
	})
	return cost + int64(tokens)*t.RowBytes
}

// branches says whether something is stored on b that no live state holds.
func (b *block) branches() bool {
	return slices.ContainsFunc(b.children, func(x *block) bool { return x.cover == 0 })
}

// busy is the bytes that no eviction can free.
func (c *Cache) busy() int64 {
	var n int64
	for _, l := range c.lives {
		if !l.idle() {
			n += l.bytes
		}
	}
	return n
}
