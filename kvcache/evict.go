package kvcache

import "slices"

// Swept is what a Sweep did.
type Swept struct {
	Evicted int   // tokens that lost their rows since the Sweep before
	Bytes   int64 // that are held now
}

// Sweep keeps the budget and frees what was given up. It belongs on the worker, after every turn, and may be called
// between the chunks of a long prefill.
func (c *Cache) Sweep() Swept {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sweep()
	c.shrink(0, false)
	s := Swept{Evicted: c.evicted, Bytes: c.bytes.total()}
	c.evicted = 0
	return s
}

// sweep frees what was discarded.
func (c *Cache) sweep() {
	for _, x := range c.garbage {
		x.Free()
	}
	c.garbage = nil
}

// victim is something that eviction could free: a block's snapshot, a piece, or an idle live state.
type victim struct {
	snap  *block
	piece *piece
	live  *live
	saved *block // of a live state's chain, the part down to here is needed by others and will be copied out

	bytes int64   // that it frees
	loss  float64 // tokens that would have to be computed again, weighed by how likely that is
	main  bool    // a main line's are among them
}

// before says whether v goes before w: what only side requests left goes before anything of a main line, then what is worth least
// a byte of those that are missing: to free more is no gain.
func (v *victim) before(w *victim, missing int64) bool {
	if v.main != w.main {
		return w.main
	}
	return v.loss*float64(min(w.bytes, missing)) < w.loss*float64(min(v.bytes, missing))
}

// shrink evicts until that many bytes fit into the budget. For what side requests need while they run, these bytes or those that
// they hold, nothing of a main line goes: the budget is exceeded for that long.
func (c *Cache) shrink(need int64, side bool) {
	spare := c.beside()
	if side {
		spare += need
	}
	c.shrinkTo(c.opts.Budget-need, spare, true)
}

// beside is the bytes that the states of side requests under way hold, and what was lent to those that were not restored yet.
func (c *Cache) beside() int64 {
	var n int64
	for _, l := range c.lives {
		if l.owner != nil && l.owner.req.Side {
			n += l.bytes
		}
	}
	seen := map[*piece]bool{}
	for _, p := range c.active {
		if !p.req.Side || p.stage != planned {
			continue
		}
		if b := p.target; b.snap != nil && b.node.side {
			n += b.snap.Bytes()
		}
		p.target.up(p.tree.base, func(b *block) {
			if x := b.piece; x != nil && x.lent && b.node.side && !seen[x] {
				seen[x] = true
				n += x.bytes
			}
		})
	}
	return n
}

// shrinkTo evicts until no more than that many bytes are held, and spare bytes more before anything of a main line goes. budget says
// that only the budget asks for it, for which less may go than for memory.
func (c *Cache) shrinkTo(most, spare int64, budget bool) {
	stays := stays{unread: budget, chains: budget && c.crowded(most)}
	for c.bytes.total() > most {
		var worst *victim
		for _, v := range c.victims(stays) {
			if worst == nil || v.before(worst, c.bytes.total()-most) {
				worst = &v
			}
		}
		if worst == nil || worst.main && c.bytes.total() <= most+spare {
			return
		}
		if !c.shorten(worst, most) {
			c.evict(worst)
		}
	}
}

// stays says what is spared besides what turns under way hold.
type stays struct {
	unread bool // what lower tiers have yet to read
	// chains is for when what runs takes up everything: without the snapshots on its chain nothing of it could stay behind the turn,
	// and they would hardly make it fit.
	chains bool
}

// crowded says whether what runs, and a few snapshots of it, are more than that many bytes.
func (c *Cache) crowded(most int64) bool {
	n := int64(0)
	for _, l := range c.lives {
		if !l.idle() {
			n += l.bytes + 4*l.tip.tree().SnapshotBytes
		}
	}
	return n > most
}

// runsOn says whether b lies on the chain of what runs.
func (c *Cache) runsOn(b *block) bool {
	return slices.ContainsFunc(c.lives, func(l *live) bool { return !l.idle() && l.tip.on(b) })
}

// victims lists what may go: nothing of a turn under way, and nothing that would free no bytes.
func (c *Cache) victims(stays stays) []victim {
	var out []victim
	add := func(v victim) {
		if stays.unread && c.unread.names(&v) || stays.chains && v.snap != nil && c.runsOn(v.snap) {
			return
		}
		c.appraise(&v)
		if v.bytes > 0 {
			out = append(out, v)
		}
	}
	for _, t := range c.trees {
		t.base.each(func(b *block) {
			if b.snap != nil && b.pins == 0 {
				add(victim{snap: b})
			}
			if p := b.piece; p != nil && p.blocks[0] == b && !p.held() {
				add(victim{piece: p})
			}
		})
	}
	for _, l := range c.lives {
		if l.idle() {
			add(victim{live: l, saved: c.shared(l)})
		}
	}
	return out
}

// low is the deepest of the blocks.
func (p *piece) low() *block {
	low := p.blocks[0]
	for _, b := range p.blocks {
		if b.end() > low.end() {
			low = b
		}
	}
	return low
}

func (p *piece) held() bool {
	return slices.ContainsFunc(p.blocks, func(b *block) bool { return b.held > 0 })
}

// shared is the deepest block that only this live state holds and that others need: something else hangs on it, or it
// ends a static prefix that is in use. The root's when there is none.
func (c *Cache) shared(l *live) *block {
	b := l.tip
	for b.parent != nil && !(b.exclusive() && (b.branches() || slices.Contains(c.statics, b.node) && (b.snap != nil || !b.tree().needs()))) {
		b = b.parent
	}
	return b
}

// dead says whether v's eviction takes the rows of b away.
func (v *victim) dead(b *block) bool {
	switch {
	case v.piece != nil:
		return b.piece == v.piece && b.cover == 0 && b.tree().RowBytes > 0
	case v.live != nil:
		return b.exclusive() && b.end() > v.saved.end() && v.live.tip.on(b)
	}
	return false
}

// ready says whether b could still be restored without v.
func (v *victim) ready(b *block) bool {
	if b.parent == nil || !b.tree().needs() || b.snap != nil && v.snap != b {
		return true
	}
	tips := b.idleTips()
	if v.live != nil && v.live.tip == b {
		tips--
	}
	return tips > 0
}

// top is the block from which on things change.
func (v *victim) top() *block {
	switch {
	case v.snap != nil:
		return v.snap
	case v.piece != nil:
		top := v.piece.low()
		for _, b := range v.piece.blocks {
			if v.dead(b) && b.end() < top.end() {
				top = b
			}
		}
		return top
	}
	top := v.live.tip
	v.live.tip.up(v.live.tip.tree().base, func(b *block) {
		if v.dead(b) {
			top = b
		}
	})
	return top
}

// appraise works out what an eviction frees and loses.
func (c *Cache) appraise(v *victim) {
	switch {
	case v.snap != nil:
		v.bytes = v.snap.snap.Bytes()
	case v.piece != nil:
		v.bytes = v.piece.bytes
	case v.live != nil:
		v.bytes = v.live.bytes
		v.saved.up(v.saved.tree().base, func(b *block) {
			if b.exclusive() {
				v.bytes -= int64(len(b.node.edge)) * b.tree().RowBytes
			}
		})
	}
	top := v.top()
	if top.parent == nil {
		return
	}
	at := top.parent.nearest()
	c.change(v, top, at, at, false)
}

// change adds up what the blocks from b down lose, and the bytes of what is gone with them. before and after are the
// offsets that can be restored above b.
func (c *Cache) change(v *victim, b *block, before, after int, dead bool) {
	dead = dead || v.dead(b)
	if b.ready() {
		before = b.end()
	}
	if !dead && v.ready(b) {
		after = b.end()
	}
	if before == after && !dead && (v.live == nil || !v.live.tip.on(b)) {
		return // nothing below notices
	}
	v.loss += c.weight(b.node) * float64(before-after)
	v.main = v.main || !b.node.side && (dead || before != after)
	if dead {
		if b.snap != nil {
			v.bytes += b.snap.Bytes()
		}
		if p := b.piece; p != nil && p != v.piece && len(p.blocks) == 1 {
			v.bytes += p.bytes
		}
	}
	for _, child := range b.children {
		c.change(v, child, before, after, dead)
	}
}

// weight says how likely it is that somebody returns to the end of a node: more so the more often and the more lately
// that happened.
func (c *Cache) weight(n *node) float64 {
	w := float64(1+n.uses) / float64(1+c.clock-n.used)
	if n.side {
		w = min(w, 1) / 1024 // however many come
	}
	if slices.Contains(c.statics, n) {
		w *= 1e6 // the static prefix of a recent session goes last
	}
	return w
}

// evict carries a decision out. On the worker.
func (c *Cache) evict(v *victim) {
	switch {
	case v.snap != nil:
		v.snap.node.lostState = true
		c.counts.snaps++
		c.dropSnap(v.snap, freeNow)
		c.settle(v.snap, freeNow, true)
	case v.piece != nil:
		low := v.piece.low()
		for _, b := range slices.Clone(v.piece.blocks) {
			c.dropPiece(b, freeNow)
		}
		c.settle(low, freeNow, true)
	default:
		c.retire(v)
	}
}

// shorten cuts a live state so far back that what is held fits into that many bytes, if that leaves more of it than would be copied
// out anyway. It says whether that freed anything.
func (c *Cache) shorten(v *victim, most int64) bool {
	before := c.bytes.total()
	for v.live != nil && c.bytes.total() > most {
		b := c.stump(v, most)
		if b == nil {
			break
		}
		if !c.cut(v.live, b) {
			c.retire(v) // the state is lost
			return true
		}
	}
	return c.bytes.total() < before
}

// stump is how much of a live state can stay: the deepest block on its chain, above its tip, whose end can be had again and without
// whose rows behind it that many bytes would do; nil: there is none below what would be copied out anyway.
func (c *Cache) stump(v *victim, most int64) *block {
	l, t := v.live, v.live.tip.tree()
	if t.RowBytes == 0 {
		return nil
	}
	over := c.bytes.total() - most
	for b := l.tip.parent; b != nil && b.parent != nil && b.end() >= v.saved.end(); b = b.parent {
		if (b.snap != nil || !t.needs()) && int64(l.tip.end()-b.end())*t.RowBytes >= over {
			return b
		}
	}
	return nil
}

// cut takes an idle live state back to a block on its chain, and gives back what its buffers have beyond that. Buffers have steps, so
// that this may free less than the rows. After a failure the state is good for nothing but its release.
func (c *Cache) cut(l *live, b *block) bool {
	tip := l.tip
	if l.state.MoveTo(b.end(), b.end(), nil, b.snap) != nil || l.state.Shrink() != nil {
		return false
	}
	if tip.tree().needs() && tip.snap == nil && tip.tips == 1 {
		tip.node.lostState = true // it could be continued at its tip
	}
	l.retreat(b)
	c.weigh(l)
	c.settle(tip, freeNow, true)
	return true
}

// retire copies out of a live state what others need of it, and frees it.
func (c *Cache) retire(v *victim) {
	l := v.live
	if l.tip.tree().needs() && l.tip.snap == nil && l.tip.tips == 1 {
		l.tip.node.lostState = true // it could be continued at its tip
	}
	var saved []*block
	v.saved.up(v.saved.tree().base, func(b *block) {
		if b.exclusive() {
			saved = append(saved, b)
		}
	})
	for _, b := range slices.Backward(saved) {
		rows, err := l.state.CopyRows(b.start(), b.end())
		if err != nil {
			break // what it cannot save is lost with it
		}
		c.keepPiece(b, rows, rows.Bytes())
	}
	c.release(l, freeNow, true)
}
