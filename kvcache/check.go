package kvcache

import (
	"errors"
	"fmt"
	"slices"
)

// Check verifies every invariant and returns all that is broken, with the arithmetic. It walks everything, and reads
// States, so that no turn may run meanwhile: it belongs on the worker, in a turn's place.
func (c *Cache) Check() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := &checker{cache: c, want: map[*block]*block{}}
	for _, l := range c.lives {
		k.live(l)
	}
	for _, p := range c.active {
		k.plan(p)
	}
	for _, t := range c.trees {
		k.tree(t)
	}
	k.equal("bytes of live states", c.bytes.live, k.bytes.live)
	k.equal("bytes of pieces", c.bytes.pieces, k.bytes.pieces)
	k.equal("bytes of snapshots", c.bytes.snaps, k.bytes.snaps)
	return errors.Join(k.broken...)
}

// checker counts everything again. want has, by block, the counters as they should be.
type checker struct {
	cache  *Cache
	want   map[*block]*block
	bytes  usage
	broken []error
}

func (k *checker) fail(format string, args ...any) {
	k.broken = append(k.broken, fmt.Errorf(format, args...))
}

func (k *checker) equal(what string, got, want int64) {
	if got != want {
		k.fail("%s: %d counted, %d there", what, got, want)
	}
}

func (k *checker) counters(b *block) *block {
	w := k.want[b]
	if w == nil {
		w = &block{}
		k.want[b] = w
	}
	return w
}

func (k *checker) live(l *live) {
	k.bytes.live += l.bytes
	k.counters(l.tip).tips++
	base := l.tip.tree().base
	l.tip.up(base, func(b *block) { k.counters(b).cover++ })
	if l.fork != nil {
		if !l.tip.on(l.fork) {
			k.fail("a live state at %d keeps [0, %d) of another chain", l.tip.end(), l.fork.end())
		}
		l.tip.up(l.fork, func(b *block) { k.counters(b).leaving++ })
	}
	switch at := l.state.Offset(); {
	case l.owner == nil && at != l.tip.end() && !l.doomed:
		k.fail("an idle state stands at %d, its block ends at %d", at, l.tip.end())
	case at < l.tip.end() && !l.doomed:
		k.fail("a state stands at %d, before its block's end %d", at, l.tip.end())
	case l.owner == nil && l.doomed && l.readers == 0:
		k.fail("a state at %d was given up, is read by nobody, and is still there", at)
	}
	readers := 0
	for _, p := range k.cache.active {
		if slices.Contains(p.sources, l) {
			readers++
		}
	}
	k.equal(fmt.Sprintf("readers of a live state at %d", l.tip.end()), int64(l.readers), int64(readers))
	if l.owner != nil && l.owner.live != l {
		k.fail("a live state at %d belongs to turn %s, which has another one", l.tip.end(), l.owner.turn.id)
	}
}

func (k *checker) plan(p *Plan) {
	if p.Hit > min(p.Matched, p.Requested-1) || p.Matched > p.Requested {
		k.fail("turn %s: hit %d ≤ min(matched %d, prompt %d − 1)", p.turn.id, p.Hit, p.Matched, p.Requested)
	}
	switch p.stage {
	case planned:
		p.target.up(p.tree.base, func(b *block) { k.counters(b).held++ })
		k.counters(p.target).pins++
		k.equal("end of the target", int64(p.target.end()), int64(p.Hit))
	case running:
		k.equal("end of what was committed", int64(p.live.tip.end()), int64(p.at))
	default:
		k.fail("turn %s is over and still active", p.turn.id)
	}
	if p.live != nil && p.live.owner != p {
		k.fail("the live state of turn %s belongs to somebody else", p.turn.id)
	}
}

func (k *checker) tree(t *tree) {
	ghosts, total := 0, 0
	t.each(t.root, func(n *node) {
		k.node(n)
		total += len(n.edge)
		if len(n.blocks) == 0 {
			ghosts += len(n.edge)
		}
	})
	k.equal("ghost tokens", int64(t.ghosts), int64(ghosts))
	k.equal("tokens", int64(t.total), int64(total))
	t.base.each(func(b *block) { k.block(b) })
}

func (k *checker) node(n *node) {
	if n.parent == nil {
		return
	}
	if len(n.edge) == 0 || n.start+len(n.edge) != n.end || n.start != n.parent.end || n.parent.children[n.edge[0]] != n {
		k.fail("node %d: [%d, %d) holds %d atoms, under a node that ends at %d", n.id, n.start, n.end, len(n.edge), n.parent.end)
	}
	for i, b := range n.blocks {
		if b.node != n || !slices.Contains(b.parent.children, b) {
			k.fail("node %d: a block of another node, or one that hangs on nothing", n.id)
		}
		for _, x := range n.blocks[:i] {
			if x.parent == b.parent && x.calls == b.calls {
				k.fail("node %d: one computation twice", n.id)
			}
		}
	}
}

func (k *checker) block(b *block) {
	w := k.counters(b)
	if b.cover != w.cover || b.leaving != w.leaving || b.tips != w.tips || b.held != w.held || b.pins != w.pins {
		k.fail("block [%d, %d): cover %d, leaving %d, tips %d, held %d, pins %d; counted again: %d, %d, %d, %d, %d", b.start(), b.end(),
			b.cover, b.leaving, b.tips, b.held, b.pins, w.cover, w.leaving, w.tips, w.held, w.pins)
	}
	if b.parent == nil {
		return
	}
	n := b.node
	switch {
	case b.parent.node != n.parent || !slices.Contains(n.blocks, b):
		k.fail("block [%d, %d) hangs on one that ends at %d", b.start(), b.end(), b.parent.end())
	case b.calls.end() != n.end:
		k.fail("block [%d, %d): its calls explain %d", b.start(), b.end(), b.calls.end())
	case !b.calls.cut(n.start, n.edge).same(b.parent.calls, 0):
		k.fail("block [%d, %d) was not computed on the one above it", b.start(), b.end())
	case !b.hasRows():
		k.fail("block [%d, %d) has no rows", b.start(), b.end())
	case b.bad && b.cover == 0 && b.held == 0:
		k.fail("block [%d, %d) is distrusted and still there", b.start(), b.end())
	case b.loose():
		k.fail("block [%d, %d) is of no use", b.start(), b.end())
	}
	if b.snap != nil {
		k.bytes.snaps += b.snap.Bytes()
		k.equal("offset of a snapshot", int64(b.snap.Offset()), int64(n.end))
	}
	if p := b.piece; p != nil {
		k.piece(b, p)
	}
}

func (k *checker) piece(b *block, p *piece) {
	if p.blocks[0] == b {
		k.bytes.pieces += p.bytes
	}
	if !slices.Contains(p.blocks, b) {
		k.fail("block [%d, %d) has no share in its piece", b.start(), b.end())
	}
	if r := p.rows; r == nil || r.From() > b.start() || r.To() < b.end() || r.Bytes() != p.bytes {
		k.fail("block [%d, %d): its piece of %d bytes is %v", b.start(), b.end(), p.bytes, p.rows)
	}
}
