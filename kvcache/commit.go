package kvcache

import (
	"fmt"
	"slices"
)

// Made is what entered the model on a turn's state since its last Commit.
type Made struct {
	IDs       []int32    // of the prompt behind the hit, then generated ones
	Calls     []Step     // that fed them, in order
	Snapshots []Snapshot // captured by them; the cache takes them over, whatever Commit returns
}

// Step is a forward call that was made.
type Step struct {
	Width int
	Batch int // sequences computed side by side; 0 and 1: alone
}

// Commit records what entered the model, so that it can be reused: by this turn's children, and, as far as rows can be
// copied out of a state in use, by others at once. Nothing may run on the state meanwhile. After an error the turn must
// Abort: the state is not what the ids say.
func (p *Plan) Commit(m Made) error {
	c := p.cache
	c.mu.Lock()
	defer c.mu.Unlock()
	from := p.at
	if err := p.accept(m); err != nil {
		for _, s := range m.Snapshots {
			c.discard(s)
		}
		return fmt.Errorf("kvcache: commit of turn %s at %d: %w", p.turn.id, from, err)
	}
	calls := p.live.tip.calls
	for _, s := range m.Calls {
		calls = calls.add(s.Width, s.Batch, p.req.Purpose)
	}
	p.extend(calls, m.Snapshots)
	c.weigh(p.live)
	p.write()
	p.tree.forget(c.opts.Ghosts)
	p.awake(false)
	return nil
}

// accept checks a commit against the state and the prompt, and takes its ids.
func (p *Plan) accept(m Made) error {
	if p.stage != running {
		return errStage
	}
	n, fed := p.Requested, 0
	for _, s := range m.Calls {
		if s.Width < 1 {
			return fmt.Errorf("a call of width %d", s.Width)
		}
		fed += s.Width
	}
	if stands := p.live.state.Offset(); fed != len(m.IDs) || stands != p.at+fed {
		return fmt.Errorf("%d ids, calls of %d, and the state went from %d to %d", len(m.IDs), fed, p.at, stands)
	}
	for i, id := range m.IDs {
		if at := p.at + i; at < n && p.req.Prompt.IDs[at] != id {
			return fmt.Errorf("id %d at %d entered the model; the prompt has %d there", id, at, p.req.Prompt.IDs[at])
		}
		if id < 0 {
			return fmt.Errorf("id %d entered the model", id)
		}
	}
	if beyond := p.at + fed - max(n, p.at); beyond > 0 {
		p.atoms = append(p.atoms, m.IDs[fed-beyond:]...)
	}
	p.at += fed
	return nil
}

// extend moves the live state's tip to p.at, through nodes and blocks that are there or made now.
func (p *Plan) extend(calls *provenance, snaps []Snapshot) {
	c, t, l := p.cache, p.tree, p.live
	cuts := []int{p.req.Prompt.Static, p.Requested, p.at}
	for _, s := range snaps {
		cuts = append(cuts, s.Offset())
	}
	slices.Sort(cuts)
	for b := l.tip; b.end() < p.at; b = l.tip {
		to := p.at
		if i, _ := slices.BinarySearch(cuts, b.end()+1); i < len(cuts) {
			to = min(to, cuts[i])
		}
		n := t.next(b.node, p.atoms[b.end():to])
		l.stand(t.place(b, n, calls.cut(n.end, p.atoms[n.end:p.at])))
		n.used, n.side = c.clock, n.side && p.req.Side
		if n.end == p.req.Prompt.Static && !p.req.Side {
			c.static(n)
		}
		if i := slices.IndexFunc(snaps, func(s Snapshot) bool { return s.Offset() == n.end }); i >= 0 {
			c.keepSnap(l.tip, snaps[i], c.discard)
			snaps = slices.Delete(slices.Clone(snaps), i, i+1)
		}
	}
	for _, s := range snaps { // at no offset of this commit
		c.discard(s)
	}
	if t.sequence++; p.turn.id == "" {
		return
	}
	p.turn.all = p.at
	for n := l.tip.node; n != t.root; n = n.parent {
		n.remember(p.turn)
	}
}

// Close ends a turn. Its state stays for the next one.
func (p *Plan) Close() { p.end(false) }

// Abort ends a turn whose state nobody may use: a forward call failed. What was committed before is dropped with it, as
// far as nothing else holds it.
func (p *Plan) Abort() { p.end(true) }

func (p *Plan) end(broken bool) {
	c := p.cache
	c.mu.Lock()
	defer c.mu.Unlock()
	switch p.stage {
	case planned:
		p.unhold()
	case closed:
		return
	}
	p.finish(broken)
}

// finish is the last thing that happens to a plan.
func (p *Plan) finish(broken bool) {
	c := p.cache
	if l := p.live; l != nil {
		l.used = c.clock
		l.doomed = l.doomed || broken && p.stage == running || l.state.Offset() != l.tip.end()
		c.part(l)
	}
	p.stage = closed
	c.active = slices.DeleteFunc(c.active, func(x *Plan) bool { return x == p })
	p.awake(true)
}
