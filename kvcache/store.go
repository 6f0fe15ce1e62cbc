package kvcache

import "slices"

// live is a state that can go on computing. It holds the rows of the chain of blocks from the root to its tip.
type live struct {
	state   State
	tip     *block
	bytes   int64  // of the state, when it was last looked at
	owner   *Plan  // the turn that it belongs to; nil: idle
	fork    *block // while it is taken and not yet moved: what of its chain it will keep
	readers int    // plans that will copy rows out of it
	doomed  bool   // its owner gave it up; it goes when the last reader has read
	session string // of its last turn
	used    int64  // tick
}

// idle says whether a plan may take it.
func (l *live) idle() bool { return l.owner == nil && l.readers == 0 && !l.doomed }

// holds says whether a plan may copy the rows of b out of it. One that was taken keeps only the rows up to its fork.
func (l *live) holds(b *block) bool {
	return l.tip.on(b) && (l.fork == nil || b.end() <= l.fork.end())
}

// stand moves the tip down the tree, to a block on the present one.
func (l *live) stand(b *block) {
	b.up(l.tip, func(x *block) { x.cover++ })
	l.tip.tips--
	l.tip = b
	b.tips++
}

// retreat moves the tip up the tree.
func (l *live) retreat(b *block) {
	l.tip.up(b, func(x *block) { x.cover-- })
	l.tip.tips--
	l.tip = b
	b.tips++
}

// promise says that the live state will go back to b, so that nobody counts on the rest of it.
func (l *live) promise(b *block) {
	l.fork = b
	l.tip.up(b, func(x *block) { x.leaving++ })
}

// unpromise takes that back.
func (l *live) unpromise() {
	if l.fork != nil {
		l.tip.up(l.fork, func(x *block) { x.leaving-- })
		l.fork = nil
	}
}

// hold registers a new live state, which is empty.
func (c *Cache) hold(l *live, t *tree) {
	l.tip = t.base
	l.tip.tips++
	c.lives = append(c.lives, l)
	c.weigh(l)
}

// weigh notes what a state allocates now.
func (c *Cache) weigh(l *live) {
	n := l.state.Bytes()
	c.bytes.live += n - l.bytes
	l.bytes = n
}

// release gives a live state up: what only it held is gone. free is what becomes of the state.
func (c *Cache) release(l *live, free func(freer), evicted bool) {
	old := l.tip
	l.unpromise()
	l.retreat(old.tree().base)
	l.tip.tips--
	c.lives = slices.DeleteFunc(c.lives, func(x *live) bool { return x == l })
	c.bytes.live -= l.bytes
	free(l.state)
	c.settle(old, free, evicted)
}

// part ends a plan's hold on a live state: it is idle again, or goes, at the latest when the last reader has read.
func (c *Cache) part(l *live) {
	l.owner = nil
	l.unpromise()
	if !l.doomed && l.tip.parent != nil && !l.tip.distrusted() {
		return
	}
	l.doomed = true
	if l.readers > 0 {
		l.promise(l.tip.tree().base)
		return
	}
	c.release(l, c.discard, false)
}

// discard keeps what must be freed until the worker comes by.
func (c *Cache) discard(x freer) { c.garbage = append(c.garbage, x) }

// freeNow is for the worker.
func freeNow(x freer) { x.Free() }

// settle drops what the chain from the root to b can no longer use: blocks without rows or trust, with all that hangs on
// them, and loose ends that nothing can be restored from.
func (c *Cache) settle(b *block, free func(freer), evicted bool) {
	for b.gone {
		b = b.parent
	}
	var top *block
	b.up(b.tree().base, func(x *block) {
		if !x.hasRows() || x.bad && x.cover == 0 && x.held == 0 {
			top = x
		}
	})
	if top != nil {
		b = top.parent
		c.drop(top, free, evicted)
	}
	for b.parent != nil && b.loose() {
		parent := b.parent
		c.drop(b, free, evicted)
		b = parent
	}
}

// loose says whether b ends a chain and is of no use.
func (b *block) loose() bool {
	return len(b.children) == 0 && b.cover == 0 && b.held == 0 && !b.ready()
}

// drop removes b and everything on it. No live state may stand there, and no plan may need it.
func (c *Cache) drop(b *block, free func(freer), evicted bool) {
	for len(b.children) > 0 {
		c.drop(b.children[len(b.children)-1], free, evicted)
	}
	c.dropSnap(b, free)
	c.dropPiece(b, free)
	b.gone = true
	n := b.node
	b.parent.children = slices.DeleteFunc(b.parent.children, func(x *block) bool { return x == b })
	n.blocks = slices.DeleteFunc(n.blocks, func(x *block) bool { return x == b })
	if len(n.blocks) > 0 {
		return
	}
	n.tree.ghosts += len(n.edge)
	n.lostRows = n.lostRows || evicted
	if evicted {
		c.evicted += len(n.edge)
		c.counts.evicted += int64(len(n.edge))
	}
}

// keepSnap takes a snapshot of b's end over; one that is there already stays.
func (c *Cache) keepSnap(b *block, s Snapshot, free func(freer)) {
	t := b.tree()
	if s.Bytes() > 0 {
		t.SnapshotBytes = s.Bytes()
	}
	if !t.needs() || b.snap != nil || b.parent == nil {
		free(s)
		return
	}
	b.snap = s
	b.node.lostState = false
	c.bytes.snaps += s.Bytes()
}

func (c *Cache) dropSnap(b *block, free func(freer)) {
	if b.snap == nil {
		return
	}
	c.bytes.snaps -= b.snap.Bytes()
	free(b.snap)
	b.snap = nil
}

// keepPiece gives b rows of its own. They may follow later.
func (c *Cache) keepPiece(b *block, rows Rows, bytes int64) {
	b.piece = &piece{rows: rows, bytes: bytes, blocks: []*block{b}}
	c.bytes.pieces += bytes
}

// dropPiece takes b's share of its piece away; the rows go with the last share.
func (c *Cache) dropPiece(b *block, free func(freer)) {
	p := b.piece
	if p == nil {
		return
	}
	b.piece = nil
	p.blocks = slices.DeleteFunc(p.blocks, func(x *block) bool { return x == b })
	if len(p.blocks) > 0 {
		return
	}
	c.bytes.pieces -= p.bytes
	if p.rows != nil {
		free(p.rows)
	}
}

// empty drops everything of a model that no turn is using.
func (c *Cache) empty(t *tree) {
	for _, l := range slices.Clone(c.lives) {
		if l.tip.tree() == t && l.idle() {
			c.release(l, c.discard, true)
		}
	}
	var unused func(b *block)
	unused = func(b *block) {
		for _, child := range slices.Clone(b.children) {
			if child.cover == 0 && child.held == 0 {
				c.drop(child, c.discard, true)
			} else {
				unused(child)
			}
		}
	}
	unused(t.base)
}

// condemn drops a block with everything on it, or, while turns are using some of it, keeps others from doing so.
func (c *Cache) condemn(b *block) {
	b.bad = true
	for _, l := range slices.Clone(c.lives) {
		if l.idle() && l.tip.on(b) {
			c.release(l, c.discard, false)
		}
	}
	if !b.gone && b.cover == 0 && b.held == 0 {
		c.drop(b, c.discard, false)
	}
}
