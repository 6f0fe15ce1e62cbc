package kvcache

import (
	"fmt"
	"slices"
)

// Restore gives the state that the prompt's hit asks for; the turn owns it until Close. It belongs on the worker. fresh
// makes an empty state. What is evicted for it is freed here; after an error the plan is good for Close only.
func (p *Plan) Restore(fresh func() State) (State, error) {
	c := p.cache
	c.mu.Lock()
	defer c.mu.Unlock()
	if p.stage != planned {
		return nil, errStage
	}
	c.sweep()
	err := p.move(fresh)
	l := p.live
	if l != nil {
		c.weigh(l)
	}
	p.unhold()
	if err != nil {
		p.finish(true)
		return nil, fmt.Errorf("kvcache: restoring %d of %d tokens: %w", p.Hit, p.Requested, err)
	}
	c.unlend(l.tip)
	p.stage = running
	l.session = p.Session
	return l.state, nil
}

// move brings the taken live state, or a new one, to the target.
func (p *Plan) move(fresh func() State) error {
	c := p.cache
	growth := int64(p.Requested-p.Hit+p.req.Expect) * p.tree.RowBytes
	l := p.live
	if l == nil {
		c.shrink(growth+p.way.room, p.req.Side)
		l = &live{state: fresh(), owner: p}
		p.live = l
		c.hold(l, p.tree)
	} else {
		fork := l.fork
		saved := c.depart(l, p)
		c.shrink(growth+int64(p.Hit-fork.end())*p.tree.RowBytes, p.req.Side)
		c.save(l.state, saved, &p.copied)
	}
	fork := l.tip
	if p.way.trim != nil || p.target == p.tree.base {
		if l.state.Offset() != p.Hit {
			if err := l.state.Trim(p.Hit); err != nil {
				return err
			}
		}
		l.stand(p.target)
		return nil
	}
	segments, copies, err := p.gather(fork)
	defer func() {
		for _, r := range copies {
			r.Free()
		}
	}()
	if err != nil {
		return err
	}
	snap := p.target.snap
	if snap != nil {
		p.copied += snap.Bytes()
	}
	for _, s := range segments {
		p.copied += int64(s.To-s.From) * p.tree.RowBytes
	}
	if err := l.state.MoveTo(p.Hit, fork.end(), segments, snap); err != nil {
		return err
	}
	if at := l.state.Offset(); at != p.Hit {
		return fmt.Errorf("the state stands at %d", at)
	}
	l.stand(p.target)
	return nil
}

// depart takes the live state off its chain, back to where it parts from the target's. Blocks that only it held and that
// are worth keeping get pieces, which are only planned for now: they compete for room with everything else.
func (c *Cache) depart(l *live, p *Plan) (saved []*block) {
	t, tip, fork := p.tree, l.tip, l.fork
	if tip == fork {
		l.unpromise()
		return nil
	}
	if t.needs() && tip.snap == nil && l.session != p.Session && c.affords(t.SnapshotBytes, p.req.Side) {
		if s, err := l.state.Snapshot(); err == nil { // without it, less can be restored
			p.copied += s.Bytes()
			c.keepSnap(tip, s, freeNow)
		}
	}
	l.unpromise()
	l.retreat(fork)
	worth := !t.needs()
	tip.up(fork, func(b *block) {
		worth = worth || b.snap != nil || b.branches()
		if worth && !b.hasRows() {
			c.keepPiece(b, nil, int64(len(b.node.edge))*t.RowBytes)
			saved = append(saved, b)
		}
	})
	c.settle(tip, freeNow, false)
	return saved
}

// save copies the rows of the planned pieces that found room, while the state still has them.
func (c *Cache) save(st State, saved []*block, copied *int64) {
	for _, b := range slices.Backward(saved) { // top down
		if b.piece == nil {
			continue // there was no room
		}
		rows, err := st.CopyRows(b.start(), b.end())
		if err != nil { // as if there had been none
			c.drop(b, freeNow, true)
			c.settle(b.parent, freeNow, true)
			continue
		}
		c.bytes.pieces += rows.Bytes() - b.piece.bytes
		b.piece.rows, b.piece.bytes = rows, rows.Bytes()
		*copied += rows.Bytes()
	}
}

// gather lists the rows between the fork and the target: pieces as they are, and copies out of other live states.
func (p *Plan) gather(fork *block) (segments []Segment, copies []Rows, err error) {
	if p.tree.RowBytes == 0 {
		return nil, nil, nil
	}
	var chain []*block
	p.target.up(fork, func(b *block) { chain = append(chain, b) })
	for i := len(chain) - 1; i >= 0; i-- {
		b := chain[i]
		if b.piece != nil {
			segments = append(segments, Segment{Rows: b.piece.rows, From: b.start(), To: b.end()})
			continue
		}
		l := p.reads(b)
		if l == nil {
			return segments, copies, fmt.Errorf("rows [%d, %d) are nowhere", b.start(), b.end())
		}
		to := b
		for i > 0 && chain[i-1].piece == nil && l.tip.on(chain[i-1]) {
			i--
			to = chain[i]
		}
		rows, err := l.state.CopyRows(b.start(), to.end())
		if err != nil {
			return segments, copies, err
		}
		copies = append(copies, rows)
		segments = append(segments, Segment{Rows: rows, From: b.start(), To: to.end()})
	}
	return segments, copies, nil
}

// reads is the live state that the plan may copy b's rows out of.
func (p *Plan) reads(b *block) *live {
	for _, l := range p.sources {
		if l.tip.on(b) {
			return l
		}
	}
	return nil
}

// unhold gives up what was reserved for the restore.
func (p *Plan) unhold() {
	c := p.cache
	p.target.up(p.tree.base, func(b *block) { b.held-- })
	p.target.pins--
	for _, l := range p.sources {
		if l.readers--; l.readers == 0 && l.doomed {
			l.unpromise()
			c.release(l, c.discard, false)
		}
	}
	p.sources = nil
	c.settle(p.target, c.discard, false)
}
