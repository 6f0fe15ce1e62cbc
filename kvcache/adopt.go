package kvcache

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
)

// ErrNoRoom says that the budget has no room for what was loaded.
var ErrNoRoom = errors.New("kvcache: no room for what was loaded")

// Missing says from which offset on the rows of a stored chain are needed: those before are held here, of the same calls.
func (c *Cache) Missing(fingerprint string, s Sequence, links []Link) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t, x, calls, err := c.chain(fingerprint, s, links)
	if err != nil {
		return 0, err
	}
	return t.standing(x, calls).end(), nil
}

// standing is the deepest block of these very calls whose rows are held.
func (t *tree) standing(x []atom, calls *provenance) *block {
	b := t.base
	for {
		i := slices.IndexFunc(b.children, func(o *block) bool {
			return o.end() <= len(x) && slices.Equal(o.node.edge, x[o.start():o.end()]) && o.readable() &&
				o.calls.same(calls.cut(o.end(), x[o.end():]), b.end()) && o.calls.alone(b.end())
		})
		if i < 0 {
			return b
		}
		b = b.children[i]
	}
}

// chain puts a stored chain's calls together and compares them with its last digest, so that a chain whose parts do not
// belong together is not one. x are the ids of it all.
func (c *Cache) chain(fingerprint string, s Sequence, links []Link) (t *tree, x []atom, calls *provenance, err error) {
	if t = c.tree(fingerprint); t == nil || len(links) == 0 {
		return nil, nil, nil, fmt.Errorf("kvcache: %d links of model %q", len(links), fingerprint)
	}
	if x, err = c.alphabet.atoms(s); err != nil {
		return nil, nil, nil, err
	}
	last := &links[len(links)-1]
	if last.To > len(x) {
		return nil, nil, nil, fmt.Errorf("kvcache: a chain to %d for %d ids", last.To, len(x))
	}
	x = x[:last.To]
	for i := range links {
		l := &links[i]
		if l.Base < 0 || l.Base > l.To || !bytes.Equal(l.IDs, c.alphabet.spell(nil, x[l.Base:l.To])) {
			return nil, nil, nil, fmt.Errorf("kvcache: link [%d, %d) is of other ids", l.From, l.To)
		}
		if calls, err = c.alphabet.join(calls, l.Runs); err != nil {
			return nil, nil, nil, err
		}
		if calls.end() != l.To {
			return nil, nil, nil, fmt.Errorf("kvcache: link [%d, %d): its calls explain %d", l.From, l.To, calls.end())
		}
	}
	if c.digestOf(fingerprint, calls, x, map[*provenance]Digest{}) != last.Digest {
		return nil, nil, nil, fmt.Errorf("kvcache: the links to %d do not give the digest that the last one names", last.To)
	}
	return t, x, calls, nil
}

// join puts a link's runs behind those of the link before, whose last may be the cut beginning of its first.
func (a *alphabet) join(calls *provenance, runs []Run) (*provenance, error) {
	if len(runs) > 0 {
		for calls != nil && calls.start >= runs[0].Start {
			calls = calls.prev
		}
	}
	for _, r := range runs {
		beyond, err := a.unspell(r.Beyond)
		switch {
		case err != nil:
			return nil, err
		case r.Start != calls.end() || r.Width < 1 || r.Count < 1 || r.Batch < 1 || len(beyond) >= r.Width || len(beyond) > 0 && r.Count > 1 ||
			r.Width > 1<<31 || r.Count > 1<<31/r.Width:
			return nil, fmt.Errorf("kvcache: a run of %d calls of %d at %d, %d beyond, behind %d", r.Count, r.Width, r.Start, len(beyond), calls.end())
		}
		calls = &provenance{prev: calls, start: r.Start, width: r.Width, count: r.Count, batch: r.Batch, purpose: r.Purpose, beyond: beyond}
	}
	return calls, nil
}

// Loaded is what a lower tier had of a prefix.
type Loaded struct {
	Links    []Link   // from the root
	Rows     []Rows   // in order, from what Missing said to the last link's end
	Snapshot Snapshot // there; nil where no layer needs one
	Side     bool     // for a side request, which evicts nothing of a main line
	Beyond   bool     // there is memory for it whatever the budget: a turn is about to hold it
}

func (l *Loaded) bytes() int64 {
	var n int64
	for _, r := range l.Rows {
		n += r.Bytes()
	}
	if l.Snapshot != nil {
		n += l.Snapshot.Bytes()
	}
	return n
}

// Adopt takes a stored chain in, so that the next lookup finds it, and with it the loaded rows and snapshot, whatever it
// returns. It belongs on the worker.
func (c *Cache) Adopt(fingerprint string, s Sequence, l Loaded) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	used := map[Rows]bool{}
	snap := l.Snapshot
	defer func() {
		for _, r := range l.Rows {
			if !used[r] {
				r.Free()
			}
		}
		if snap != nil {
			snap.Free()
		}
	}()
	t, x, calls, err := c.chain(fingerprint, s, l.Links)
	if err != nil {
		return err
	}
	if t.needs() && (snap == nil || snap.Offset() != len(x)) {
		return fmt.Errorf("kvcache: a chain to %d without its snapshot", len(x))
	}
	c.sweep()
	held := t.standing(x, calls)
	if c.clear(held, &l); !l.Beyond && !c.affords(l.bytes(), l.Side) {
		c.settle(held, freeNow, true)
		return ErrNoRoom
	}
	b, err := c.graft(t, x, calls, &l, used)
	if err == nil && snap != nil {
		c.keepSnap(b, snap, freeNow)
		snap = nil
	}
	c.settle(b, freeNow, false)
	t.sequence++
	t.forget(c.opts.Ghosts)
	return err
}

// clear makes room as shrink does, and spares the rows down to b, on which what was loaded stands: of the states that hold them, the
// one that holds most. What goes beyond the budget in any case evicts nothing here; the restore makes room for the turn.
func (c *Cache) clear(b *block, loaded *Loaded) {
	var holder *live
	most := 0
	for _, l := range c.lives {
		if l.tip.tree() != b.tree() {
			continue
		}
		if rows := meet(l.tip, b).end(); rows > most {
			holder, most = l, rows
		}
	}
	stays, bytes := c.busy(), loaded.bytes()
	if holder != nil {
		if holder.idle() {
			stays += holder.bytes
		}
		holder.readers++
		defer func() { holder.readers-- }()
	}
	if loaded.Beyond && stays+bytes > c.opts.Budget {
		return
	}
	b.up(b.tree().base, func(b *block) { b.held++ })
	c.shrink(bytes, loaded.Side)
	b.up(b.tree().base, func(b *block) { b.held-- })
}

// graft makes the chain's blocks, with pieces where no rows are held, and returns the last one that has rows.
func (c *Cache) graft(t *tree, x []atom, calls *provenance, l *Loaded, used map[Rows]bool) (*block, error) {
	pieces := make([]*piece, len(l.Rows))
	cuts := []int{len(x)}
	for _, r := range l.Rows {
		cuts = append(cuts, r.From(), r.To())
	}
	slices.Sort(cuts)
	b := t.base
	for b.end() < len(x) {
		i, _ := slices.BinarySearch(cuts, b.end()+1)
		to := min(len(x), cuts[i])
		n := t.next(b.node, x[b.end():to])
		next := t.place(b, n, calls.cut(n.end, x[n.end:]))
		n.used, n.side = c.clock, n.side && l.Side
		if !next.readable() {
			i := slices.IndexFunc(l.Rows, func(r Rows) bool { return r.From() <= n.start && n.end <= r.To() })
			if i < 0 || next.bad {
				if !next.hasRows() {
					c.drop(next, freeNow, false)
				}
				return b, fmt.Errorf("kvcache: rows [%d, %d) of the chain are nowhere", n.start, n.end)
			}
			if used[l.Rows[i]] = true; pieces[i] == nil {
				pieces[i] = &piece{rows: l.Rows[i], bytes: l.Rows[i].Bytes(), lent: true}
				c.bytes.pieces += pieces[i].bytes
			}
			next.piece = pieces[i]
			pieces[i].blocks = append(pieces[i].blocks, next)
		}
		b = next
	}
	return b, nil
}

// unlend drops the rows of loaded pieces that a live state holds now, too: the lower tier has them.
func (c *Cache) unlend(b *block) {
	b.up(b.tree().base, func(b *block) {
		if b.piece != nil && b.piece.lent && b.held == 0 && b.cover > b.leaving {
			c.dropPiece(b, freeNow)
		}
	})
}

// Know notes that a prefix was computed before, though its state is not here: it counts as matched.
func (c *Cache) Know(fingerprint string, s Sequence) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	x, err := c.alphabet.atoms(s)
	t := c.tree(fingerprint)
	if err != nil || t == nil {
		return err
	}
	for n := t.root; n.end < len(x); {
		n = t.next(n, x[n.end:])
	}
	t.forget(c.opts.Ghosts)
	return nil
}
