package kvcache

import "slices"

// Cost is what a plan will hold beside what is held now, as far as the cache knows: how large a state gets, and what a forward
// call takes, is for whoever pays to say.
type Cost struct {
	Rows      int   // tokens that the turn's state must have room for: the prompt's, and those expected behind it
	Held      int64 // bytes of the live state that it goes on with; 0: it makes a new one
	Copies    int64 // bytes of rows that are copied out on the way and live until the restore is done, or longer
	Snapshots int64 // bytes of the snapshots that the prefill captures
	Lent      int64 // bytes that a lower tier lent for it, which are held now and go when the state is restored, or with the plan
}

// Cost says what the plan will cost, before Restore.
func (p *Plan) Cost() Cost {
	c := p.cache
	c.mu.Lock()
	defer c.mu.Unlock()
	k := Cost{Rows: p.Requested + p.req.Expect, Snapshots: int64(len(p.wants)) * p.tree.SnapshotBytes}
	k.Lent = p.target.lent()
	if l := p.live; l != nil {
		k.Held = l.bytes
		if l.session != p.Session && p.tree.needs() && l.tip.snap == nil {
			k.Copies += p.tree.SnapshotBytes // of the end that it leaves, see depart
		}
		k.Copies += int64(l.tip.end()-l.fork.end()) * p.tree.RowBytes
	}
	for _, l := range p.sources {
		k.Copies += int64(min(l.tip.end(), p.Hit)) * p.tree.RowBytes
	}
	return k
}

// Thin gives up captures until those left take no more than that many bytes: the end of the static prefix goes last, of the others
// the earliest goes first. Before Chunks.
func (p *Plan) Thin(bytes int64) {
	c := p.cache
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(p.wants) > 0 && int64(len(p.wants))*p.tree.SnapshotBytes > bytes {
		at := 0
		if p.wants[0] == p.req.Prompt.Static && len(p.wants) > 1 {
			at = 1
		}
		p.wants = slices.Delete(slices.Clone(p.wants), at, at+1)
	}
}

// Withdraw ends a plan that was never restored as if Begin had not been called: the caller will begin again.
func (p *Plan) Withdraw() {
	c := p.cache
	c.mu.Lock()
	defer c.mu.Unlock()
	if p.stage != planned {
		return
	}
	c.counts.turns--
	c.counts.requested -= int64(p.Requested)
	c.counts.matched -= int64(p.Matched)
	c.counts.hit -= int64(p.Hit)
	p.unhold()
	p.finish(false)
}

// Idle is the bytes that Yield could free: what no turn uses or has reserved.
func (c *Cache) Idle() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	var n int64
	for _, l := range c.lives {
		if l.idle() {
			n += l.bytes
		}
	}
	for _, t := range c.trees {
		t.base.each(func(b *block) {
			if b.snap != nil && b.pins == 0 {
				n += b.snap.Bytes()
			}
			if p := b.piece; p != nil && p.blocks[0] == b && !p.held() {
				n += p.bytes
			}
		})
	}
	return n
}

// Yield evicts what is worth least a byte, whatever the budget, until that many bytes are freed or nothing is left that may go.
// It belongs on the worker, and says how much it freed. The next Sweep counts the tokens.
func (c *Cache) Yield(bytes int64) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sweep()
	before := c.bytes.total()
	c.shrinkTo(max(0, before-bytes), 0, false)
	return before - c.bytes.total()
}
