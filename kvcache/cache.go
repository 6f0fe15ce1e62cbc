package kvcache

import (
	"slices"
	"sync"
)

// Options are the limits of a cache.
type Options struct {
	Budget  int64 // bytes of live states, pieces and snapshots
	Ghosts  int   // tokens of evicted sequences that are remembered, by model; 0: 4 Mi (16 MB)
	History int   // tokens of the sessions' texts that displaced tokens are searched in; 0: 2 Mi (about 40 MB)
	Wait    int   // a turn waits for another one's prefill when that spares it this many tokens; 0: 64
}

// Model is what the cache must know of a model.
type Model struct {
	Fingerprint string
	RowBytes    int64 // of a token in all growing layers; 0: there are none
	// Needs is the kind of layer that cannot go back to any offset, so that a restore needs a snapshot; "" when all
	// layers grow.
	Needs         LimitedBy
	SnapshotBytes int64 // of one snapshot, until one was seen
	Grid          int   // prefill is cut at multiples of it; 0: not at all
	Sparse        int   // far from the offsets that a prompt names, a snapshot every so many tokens; 0: none
}

func (m *Model) needs() bool { return m.Needs != "" && m.Needs != LimitNone }

// Cache knows what was computed, and holds what of it is still there. Its methods may be called from any goroutine, except
// those that say that they belong on the worker.
type Cache struct {
	mu       sync.Mutex
	opts     Options
	trees    []*tree
	lives    []*live
	active   []*Plan
	sessions map[string]*session
	sieve    sieve   // the runs in all sessions' texts, and perhaps some of forgotten ones
	statics  []*node // ends of the static prefixes that were used last, newest first
	unread   *Trace  // that lower tiers are to read before the budget takes it; nil: none
	alphabet alphabet

	bytes   usage
	evicted int     // tokens that lost their rows since the last Sweep
	garbage []freer // to be freed on the worker
	clock   int64   // ticks once a turn of a main line: side requests make nothing older, however many come
	ids     int64   // of nodes
	stamp   int64   // of lookups
	counts  counts
}

// usage is bytes by where they are.
type usage struct{ live, pieces, snaps int64 }

func (u usage) total() int64 { return u.live + u.pieces + u.snaps }

// keptStatics is how many static prefixes are evicted last: an agent's, and another's beside it.
const keptStatics = 2

// New makes an empty cache.
func New(o Options) *Cache {
	for _, x := range []struct {
		n    *int
		then int
	}{{&o.Ghosts, 4 << 20}, {&o.History, 2 << 20}, {&o.Wait, 64}} {
		if *x.n == 0 {
			*x.n = x.then
		}
	}
	return &Cache{opts: o, sessions: map[string]*session{}}
}

// Add makes a model known. One that was known before finds its ghosts again.
func (c *Cache) Add(m Model) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t := c.tree(m.Fingerprint); t != nil {
		t.Model = m
		return
	}
	c.trees = append(c.trees, newTree(c, m))
}

// Remove drops what is held of a model, except for what a turn is using. Its ghosts stay, so that a prompt that another
// model knew is told from a new one.
func (c *Cache) Remove(fingerprint string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t := c.tree(fingerprint); t != nil {
		c.empty(t)
	}
}

// Clear drops every state that no turn is using. With all it also forgets that they were there.
func (c *Cache) Clear(all bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range c.trees {
		c.empty(t)
		if all {
			t.forget(0)
			t.sequence = 0
		}
	}
	if all {
		clear(c.sessions)
		c.sieve = sieve{}
	}
}

// SetBudget changes the budget; the next Sweep keeps it.
func (c *Cache) SetBudget(bytes int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.opts.Budget = bytes
}

// Distrust drops all states that share a computation with what is held of this sequence: an audit found one of them
// wrong. States in use are dropped when their turns are done, and reused by nobody until then. paths are the sequences that are
// known to have gone through there, each to its end: what else keeps states of them must drop these, too.
func (c *Cache) Distrust(fingerprint string, s Sequence) (paths []Spelling, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	x, err := c.alphabet.atoms(s)
	t := c.tree(fingerprint)
	if err != nil || t == nil {
		return nil, err
	}
	nodes := t.walk(x).nodes
	if len(nodes) == 0 {
		return nil, nil
	}
	for _, b := range slices.Clone(nodes[0].blocks) {
		c.condemn(b)
	}
	for leaf := range nodes[0].leaves() {
		paths = append(paths, c.alphabet.spelling(leaf.path()))
	}
	return paths, nil
}

// Stats is what the cache holds and did.
type Stats struct {
	Budget                              int64
	LiveBytes, PieceBytes, SnapBytes    int64
	Lives, Busy, Pieces, Snapshots      int
	Nodes                               int
	Tokens, GhostTokens, HistoryTokens  int // in the trees, and of those without rows; in the sessions' texts
	Sessions                            int
	Turns, EvictedTokens, SnapsEvicted  int64
	RequestedTokens, Matched, HitTokens int64
}

// counts are sums since the start.
type counts struct{ turns, evicted, snaps, requested, matched, hit int64 }

// Stats reads the counters.
func (c *Cache) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := Stats{
		Budget: c.opts.Budget, LiveBytes: c.bytes.live, PieceBytes: c.bytes.pieces, SnapBytes: c.bytes.snaps,
		Lives: len(c.lives), Sessions: len(c.sessions), Turns: c.counts.turns, EvictedTokens: c.counts.evicted,
		SnapsEvicted: c.counts.snaps, RequestedTokens: c.counts.requested, Matched: c.counts.matched, HitTokens: c.counts.hit,
	}
	for _, l := range c.lives {
		if l.owner != nil {
			s.Busy++
		}
	}
	for _, x := range c.sessions {
		s.HistoryTokens += len(x.history.ids)
	}
	for _, t := range c.trees {
		s.Tokens, s.GhostTokens = s.Tokens+t.total, s.GhostTokens+t.ghosts
		t.each(t.root, func(*node) { s.Nodes++ })
		s.Nodes-- // the root
		t.base.each(func(b *block) {
			if b.snap != nil {
				s.Snapshots++
			}
			if b.piece != nil && b.piece.blocks[0] == b {
				s.Pieces++
			}
		})
	}
	return s
}

func (t *tree) each(n *node, f func(*node)) {
	f(n)
	for _, child := range n.children {
		t.each(child, f)
	}
}

// each calls f for b and everything on it.
func (b *block) each(f func(*block)) {
	f(b)
	for _, child := range b.children {
		child.each(f)
	}
}

func (c *Cache) tree(fingerprint string) *tree {
	for _, t := range c.trees {
		if t.Fingerprint == fingerprint {
			return t
		}
	}
	return nil
}

func (c *Cache) nodeID() int64 {
	c.ids++
	return c.ids
}
