package kvcache

import (
	"errors"
	"slices"
)

// Plan is a turn's claim on the cache, from its lookup to its end: Begin, Restore, Commit as often as wanted, Close. What
// it will restore is kept for it, and a live state that it took is nobody else's.
type Plan struct {
	Match
	cache *Cache
	tree  *tree
	req   Request
	turn  *turn
	atoms []atom // the prompt's, then what was generated: everything that was committed, at least

	way     way
	target  *block  // whose end is restored
	sources []*live // that rows are copied out of
	wants   []int   // offsets that the prefill captures
	stage   stage
	live    *live // from Begin on when one was taken, from Restore on in any case
	at      int   // committed up to here
	copied  int64 // bytes, by Restore
	written int   // of the atoms, into the session's history
	waits   []*Wait
}

type stage int

const (
	planned stage = iota
	running
	closed
)

// Wait says that another turn is computing what this one needs.
type Wait struct {
	Turn   string
	Offset int           // that it will have reached
	Done   chan struct{} // closed when it has, or has ended
}

var errStage = errors.New("kvcache: a plan is restored once, then committed to, then closed")

// Begin looks a prompt up and reserves what serves it. When another turn is computing more of the prefix than is there
// already, it reserves nothing and says so instead: the caller waits for Done and begins again.
func (c *Cache) Begin(r Request) (*Plan, *Wait, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f, err := c.find(r)
	if err != nil {
		return nil, nil, err
	}
	if w := c.wait(f); w != nil {
		return nil, w, nil
	}
	if !r.Side {
		c.clock++
	}
	c.counts.turns++
	c.counts.requested += int64(f.Requested)
	c.counts.matched += int64(f.Matched)
	c.counts.hit += int64(f.Hit)
	return c.reserve(f), nil, nil
}

// reserve makes a plan of a lookup.
func (c *Cache) reserve(f *find) *Plan {
	p := &Plan{
		Match: f.Match, cache: c, tree: f.tree, req: f.req, atoms: slices.Clip(f.atoms), way: f.way, live: f.way.live,
		turn: &turn{id: f.req.Turn, session: f.Session, prompt: f.Requested}, at: f.Hit, target: f.way.block,
	}
	if f.way.at < p.target.end() {
		f.tree.split(p.target.node, f.way.at)
		p.target = p.target.parent
	}
	base := f.tree.base
	p.target.up(base, func(b *block) { b.held++ })
	p.target.pins++
	if n := p.target.node; n != f.tree.root {
		n.used, n.side = c.clock, n.side && f.req.Side
		n.uses++
	}
	top := base
	if l := p.live; l != nil {
		l.owner = p
		l.promise(meet(l.tip, p.target))
		top = l.fork
	}
	p.target.up(top, func(b *block) {
		if b.piece != nil || p.tree.RowBytes == 0 {
			return
		}
		if l := c.source(b); !slices.Contains(p.sources, l) {
			l.readers++
			p.sources = append(p.sources, l)
		}
	})
	p.wants = c.captures(f)
	if f.parent != nil && f.parent.session == f.Session {
		p.written = f.shared
	}
	c.active = append(c.active, p)
	c.note(f)
	return p
}

// source is a live state that the rows of b can be copied out of.
func (c *Cache) source(b *block) *live {
	for _, l := range c.lives {
		if l.holds(b) {
			return l
		}
	}
	return nil
}

// wait looks for a turn that is computing more of the prompt than can be restored now.
func (c *Cache) wait(f *find) *Wait {
	if f.req.NoReuse || f.req.NoWait {
		return nil
	}
	var best *Plan
	offset := f.Hit + c.opts.Wait - 1
	for _, p := range c.active {
		if p.tree != f.tree || p.live != nil && p.live.tip.distrusted() {
			continue
		}
		shared := usable(&f.req.Prompt, common(p.atoms[:p.Requested], f.atoms))
		if at := p.offers(shared); at > offset {
			best, offset = p, at
		}
	}
	if best == nil {
		return nil
	}
	w := &Wait{Turn: best.turn.id, Offset: offset, Done: make(chan struct{})}
	best.waits = append(best.waits, w)
	return w
}

// offers is the furthest offset, at most limit, that others will be able to restore once the turn gets there; 0 when it
// is there already.
func (p *Plan) offers(limit int) int {
	at := limit
	if p.tree.needs() {
		at = 0
		for _, x := range p.wants {
			if x <= limit {
				at = x
			}
		}
	}
	if at <= p.at {
		return 0
	}
	return at
}

// awake lets those go on that waited for what is there now; all of them when the turn is over.
func (p *Plan) awake(all bool) {
	p.waits = slices.DeleteFunc(p.waits, func(w *Wait) bool {
		if all || w.Offset <= p.at {
			close(w.Done)
			return true
		}
		return false
	})
}

// Awaited says whether another turn waits for this one to commit its prefill.
func (p *Plan) Awaited() bool {
	p.cache.mu.Lock()
	defer p.cache.mu.Unlock()
	return len(p.waits) > 0
}

// Chunk is a forward call of the prefill: ids [From, To) of the prompt, with snapshots at these offsets.
type Chunk struct {
	From, To int
	Captures []int
}

// Chunks cuts what is left of the prompt on the model's grid, so that the same ids are mostly computed by the same calls.
// Media are not cut.
func (p *Plan) Chunks() []Chunk {
	var out []Chunk
	n := p.Requested
	for at := p.Hit; at < n; {
		to := n
		if g := p.tree.Grid; g > 0 {
			to = min(n, (at/g+1)*g)
		}
		for _, m := range p.req.Prompt.Media {
			if m.From < to && to < m.To {
				to = m.To
			}
		}
		c := Chunk{From: at, To: to}
		for _, x := range p.wants {
			if x > at && x <= to {
				c.Captures = append(c.Captures, x)
			}
		}
		out = append(out, c)
		at = to
	}
	return out
}

// captures are the offsets to snapshot on the way, in order: those that the prompt names, the one where it left what was
// known, and sparse ones between, where none of the others follows soon. When a quarter of the budget cannot hold them all, the static prefix's comes first,
// then the latest of each kind.
func (c *Cache) captures(f *find) []int {
	t, p := f.tree, &f.req.Prompt
	if !t.needs() {
		return nil
	}
	var all []int
	add := func(at int) {
		if at > f.Hit && at <= f.Requested && outside(p.Media, at) == at && !slices.Contains(all, at) {
			all = append(all, at)
		}
	}
	add(p.Static)
	wants := slices.Sorted(slices.Values(p.Wants))
	for _, at := range slices.Backward(wants) {
		add(at)
	}
	if f.Matched < f.Requested {
		add(f.Matched)
	}
	if t.Sparse > 0 {
		near := func(at int) bool {
			return slices.ContainsFunc(all, func(x int) bool { return at < x && x <= at+t.Sparse/4 })
		}
		for at := f.Requested / t.Sparse * t.Sparse; at > f.Hit; at -= t.Sparse {
			if !near(at) {
				add(at)
			}
		}
	}
	if t.SnapshotBytes > 0 {
		all = all[:min(len(all), max(2, int(c.opts.Budget/4/t.SnapshotBytes)))]
	}
	slices.Sort(all)
	return all
}

// Calls are the forward calls that made the state as it is committed, or, before the first Commit, as it is restored. The
// audit replays them.
func (p *Plan) Calls() []Call {
	p.cache.mu.Lock()
	defer p.cache.mu.Unlock()
	return p.tip().calls.calls(&p.cache.alphabet)
}

// Digest names the state as Calls does, by its ids and the calls that made it.
func (p *Plan) Digest() Digest {
	p.cache.mu.Lock()
	defer p.cache.mu.Unlock()
	return p.cache.digest(p.tip())
}

func (p *Plan) tip() *block {
	if p.stage == running {
		return p.live.tip
	}
	return p.target
}

// Copied is the bytes that Restore copied.
func (p *Plan) Copied() int64 { return p.copied }
