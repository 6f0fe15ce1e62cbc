package kvcache

import (
	"fmt"
	"slices"
)

// Request is a turn's wish to the cache.
type Request struct {
	Model string // fingerprint
	Turn  string // id, for its children; "": it is nobody's parent
	// Session is the client's name for its conversation, if it gave one; NewSession names the session that this turn
	// begins, if it begins one.
	Session, NewSession string
	Side                bool   // a side request (titles, summaries): what it leaves behind is worth less
	Purpose             string // of its forward calls
	Prompt              Prompt
	Expect              int  // tokens that will probably be generated: room is made for them
	NoReuse             bool // look up and count, but restore nothing
	NoWait              bool // do not wait for what another turn is computing
}

// Prompt is what a turn wants continued.
type Prompt struct {
	Sequence
	Static    int   // end of the static prefix (system text and tools); 0: none
	FirstUser int   // end of the first user message; 0: a raw prompt
	Wants     []int // offsets where state is wanted
}

// Match is what the cache knows of a prompt.
type Match struct {
	Requested int // tokens of the prompt
	Matched   int // tokens of the longest known prefix, whether its state is still there or not
	Hit       int // tokens whose state is restored: ≤ Matched, < Prompt
	// Displaced counts, of the tokens behind Matched, those that were computed before, elsewhere.
	Displaced int

	Miss      Miss
	LimitedBy LimitedBy
	Path      []int64 // nodes, root first

	Session    string // that this turn belongs to
	Parent     string // the turn that it continues, "" when it begins a session
	DivergedAt int    // where the prompt left what was known; -1 when it only goes on
	Instead    []int32
}

// insteadTokens is how much of the known continuation a Match shows.
const insteadTokens = 64

// find is a lookup under way.
type find struct {
	Match
	req    Request
	tree   *tree
	atoms  []atom
	spot   spot
	limit  int   // the furthest offset that could be restored
	way    way   // to restore
	poor   bool  // memory forbade a longer hit
	parent *turn // that is continued
	shared int   // with the parent: what else matched was told of by a lower tier
}

// Lookup says what the cache knows of a prompt and would restore now. It reserves nothing.
func (c *Cache) Lookup(r Request) (Match, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f, err := c.find(r)
	if err != nil {
		return Match{}, err
	}
	return f.Match, nil
}

func (c *Cache) find(r Request) (*find, error) {
	t := c.tree(r.Model)
	if t == nil {
		return nil, fmt.Errorf("kvcache: no model %q", r.Model)
	}
	x, err := c.alphabet.atoms(r.Prompt.Sequence)
	switch {
	case err != nil:
		return nil, err
	case len(x) == 0:
		return nil, fmt.Errorf("kvcache: the prompt is empty")
	case r.Prompt.Static > len(x) || r.Prompt.FirstUser > len(x):
		return nil, fmt.Errorf("kvcache: static prefix %d, first message %d of a prompt of %d", r.Prompt.Static, r.Prompt.FirstUser, len(x))
	}
	f := &find{req: r, tree: t, atoms: x, spot: t.walk(x)}
	f.Requested, f.Matched, f.DivergedAt = len(x), f.spot.matched, -1
	f.limit = usable(&r.Prompt, f.Matched)
	f.way = way{place: place{block: t.base}}
	if !r.NoReuse {
		f.way, f.poor = c.choose(f)
	}
	f.Hit = f.way.at
	for _, n := range f.spot.nodes {
		f.Path = append(f.Path, n.id)
	}
	f.chain()
	f.diverge(&c.alphabet)
	f.Miss, f.LimitedBy = c.explain(f)
	f.Displaced = c.displaced(f)
	return f, nil
}

// usable is the furthest offset that may be restored of a prompt of which so much is known. This is the one place where a
// token is kept back: the last one of the prompt must be computed, its logits choose the first token of the answer.
func usable(p *Prompt, matched int) int {
	return outside(p.Media, min(matched, len(p.IDs)-1))
}

// chain finds the turn that this one continues: the one with the longest common prefix, if that reaches past the first
// user message; of raw prompts, past its whole prompt, or over this whole prompt. What a lower tier lent leads on where no
// turn of this process was.
func (f *find) chain() {
	f.Session = f.req.Session
	for _, n := range slices.Backward(f.spot.nodes) {
		at := min(n.end, f.Matched)
		for i := len(n.turns) - 1; i >= 0 && f.parent == nil; i-- {
			x := n.turns[i]
			if first := f.req.Prompt.FirstUser; first > 0 && at >= first ||
				first == 0 && (at >= x.prompt || at == f.Requested) {
				f.parent, f.shared = x, at
			}
		}
		if len(n.turns) > 0 {
			break // others have less in common
		}
	}
	if f.parent != nil {
		f.Parent = f.parent.id
	}
	switch {
	case f.Session != "":
	case f.parent != nil:
		f.Session = f.parent.session
	default:
		f.Session = f.req.NewSession
	}
}

// diverge says where the prompt left the sequence of its parent, or else of the last turn that came this way, and what
// stood there.
func (f *find) diverge(a *alphabet) {
	n, other := f.spot.last(), f.parent
	if n == nil {
		n = f.tree.root
	}
	if k := len(n.turns); other == nil && k > 0 {
		other = n.turns[k-1]
	}
	goesOn := n.end > f.Matched || len(n.children) > 0
	if other != nil {
		goesOn = other.all > f.Matched
	}
	if f.Matched == f.Requested || !goesOn {
		return
	}
	f.DivergedAt = f.Matched
	was := n.edge[min(len(n.edge), f.Matched-n.start):]
	for len(was) < insteadTokens && len(n.children) > 0 {
		n = n.follow(other)
		was = append(was[:len(was):len(was)], n.edge...)
	}
	f.Instead = a.sequence(was[:min(len(was), insteadTokens)]).IDs
}

// follow is the child that the turn went through, or else the one that was used last.
func (n *node) follow(t *turn) *node {
	var best *node
	for _, child := range n.children {
		switch {
		case slices.Contains(child.turns, t):
			return child
		case best == nil || child.used > best.used || child.used == best.used && child.id > best.id:
			best = child
		}
	}
	return best
}

// explain says why the token after the hit was not a hit, and what kept the hit from being longer.
func (c *Cache) explain(f *find) (Miss, LimitedBy) {
	switch {
	case f.req.NoReuse:
		return MissReuse, LimitNone
	case f.Hit < f.limit:
		return c.lost(f)
	case f.Matched > f.limit:
		return MissNone, LimitLast
	case c.elsewhere(f):
		return MissModel, LimitNone
	case f.tree.sequence == 0:
		return MissFirst, LimitNone
	case f.DivergedAt < 0:
		return MissNone, LimitNone
	case len(f.Instead) > 0 && f.Instead[0] == f.req.Prompt.IDs[f.Matched]:
		return MissMedia, LimitNone
	}
	return MissChanged, LimitNone
}

// elsewhere says whether another model knows more of the prompt.
func (c *Cache) elsewhere(f *find) bool {
	for _, t := range c.trees {
		if t != f.tree && t.walk(f.atoms).matched > f.Matched {
			return true
		}
	}
	return false
}

// lost explains a hit that is shorter than what is known.
func (c *Cache) lost(f *find) (Miss, LimitedBy) {
	if f.poor {
		return MissEvicted, LimitMemory
	}
	kind := LimitFull
	if f.tree.needs() {
		kind = f.tree.Needs
	}
	had := false // a snapshot that would have served was evicted
	for _, n := range f.spot.nodes {
		if n.start >= f.limit {
			break
		}
		if n.end > f.Hit && !f.stored(n) {
			if n.lostRows {
				return MissEvicted, LimitMemory
			}
			break
		}
		had = had || n.lostState && n.end > f.Hit && n.end <= f.limit
	}
	if had {
		return MissEvicted, kind
	}
	return MissSnapshot, kind
}

// stored says whether the lookup found rows of the node.
func (f *find) stored(n *node) bool {
	for _, b := range n.blocks {
		if b.stamp == n.stamp {
			return true
		}
	}
	return false
}
