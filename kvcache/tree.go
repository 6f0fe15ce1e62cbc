package kvcache

import (
	"cmp"
	"iter"
	"slices"
)

// tree is what was ever computed with one model, exact to the token: a radix tree over atoms.
type tree struct {
	Model
	cache    *Cache
	root     *node
	base     *block // the root's: nothing computed, always there
	sequence int    // committed so far
	ghosts   int    // tokens in nodes without a block
	total    int    // tokens in nodes
}

// node is an edge of the tree and what is known at its end. The offsets are absolute: end = start + len(edge).
type node struct {
	id         int64
	tree       *tree
	parent     *node
	edge       []atom
	start, end int
	children   map[atom]*node // by the first atom of their edges
	blocks     []*block       // what is stored of the edge, by provenance; none: a ghost

	turns     []*turn // the last few that went through all of the edge, newest last
	used      int64   // tick when it was made, or last restored to
	uses      int     // times restored to
	side      bool    // only side requests came here
	lostRows  bool    // its rows were evicted
	lostState bool    // a snapshot at its end was evicted

	stamp int64 // of the lookup that went through
}

// turn is what a node remembers of a turn.
type turn struct {
	id, session string
	prompt, all int // tokens of the prompt, and of everything that it committed
}

// keptTurns is how many turns a node remembers. Among those that a prompt has equally much in common with, the parent is
// chosen from the last ones.
const keptTurns = 8

func newTree(c *Cache, m Model) *tree {
	t := &tree{Model: m, cache: c}
	t.root = &node{id: c.nodeID(), tree: t}
	t.base = &block{node: t.root}
	t.root.blocks = []*block{t.base}
	return t
}

// spot is where a walk along the tree ended.
type spot struct {
	nodes   []*node // those with at least one atom in common, top down; the last one may go on differently
	matched int
}

// walk follows x as far as anything is known of it.
func (t *tree) walk(x []atom) spot {
	var s spot
	for n := t.root; s.matched < len(x); {
		child := n.children[x[s.matched]]
		if child == nil {
			break
		}
		k := common(child.edge, x[s.matched:])
		s.nodes = append(s.nodes, child)
		s.matched += k
		if k < len(child.edge) {
			break
		}
		n = child
	}
	return s
}

// path is what leads from the root to the node's end.
func (n *node) path() []atom {
	out := make([]atom, n.end)
	for ; n.parent != nil; n = n.parent {
		copy(out[n.start:], n.edge)
	}
	return out
}

// leaves are the ends of all paths through the node.
func (n *node) leaves() iter.Seq[*node] {
	return func(yield func(*node) bool) {
		for open := []*node{n}; len(open) > 0; {
			next := open[len(open)-1]
			open = open[:len(open)-1]
			if len(next.children) == 0 && !yield(next) {
				return
			}
			for _, child := range next.children {
				open = append(open, child)
			}
		}
	}
}

// last is the deepest node that was touched, nil at the root.
func (s spot) last() *node {
	if len(s.nodes) == 0 {
		return nil
	}
	return s.nodes[len(s.nodes)-1]
}

// next is the child of n whose edge is the beginning of x: an existing one, cut where it goes on differently or beyond
// x, or a new one for all of x.
func (t *tree) next(n *node, x []atom) *node {
	child := n.children[x[0]]
	if child == nil {
		return t.grow(n, slices.Clone(x))
	}
	if k := common(child.edge, x); k < len(child.edge) {
		return t.split(child, child.start+k)
	}
	return child
}

// grow adds a ghost.
func (t *tree) grow(parent *node, edge []atom) *node {
	n := &node{id: t.cache.nodeID(), tree: t, parent: parent, edge: edge, start: parent.end, end: parent.end + len(edge), used: t.cache.clock, side: true}
	parent.adopt(n)
	t.ghosts += len(edge)
	t.total += len(edge)
	return n
}

func (n *node) adopt(child *node) {
	if n.children == nil {
		n.children = map[atom]*node{}
	}
	n.children[child.edge[0]] = child
	child.parent = n
}

// split cuts a node in two at an offset within it. The lower half keeps its identity, so that whatever stands at the
// node's end stays where it is; the upper half is new and returned.
func (t *tree) split(n *node, at int) *node {
	k := at - n.start
	upper := &node{
		id: t.cache.nodeID(), tree: t, edge: n.edge[:k:k], start: n.start, end: at,
		turns: slices.Clone(n.turns), used: n.used, side: n.side, lostRows: n.lostRows,
	}
	n.parent.adopt(upper)
	n.edge, n.start = n.edge[k:], at
	upper.adopt(n)
	for _, b := range n.blocks {
		b.split(upper)
	}
	return upper
}

// remember records that a turn went through the whole edge.
func (n *node) remember(t *turn) {
	if k := len(n.turns); k > 0 && n.turns[k-1] == t {
		return
	}
	n.turns = append(slices.DeleteFunc(n.turns, func(x *turn) bool { return x == t }), t)
	if k := len(n.turns) - keptTurns; k > 0 {
		n.turns = slices.Delete(n.turns, 0, k)
	}
}

// forget removes the longest unused ghosts when there are more tokens of them than limit.
func (t *tree) forget(limit int) {
	if t.ghosts <= limit {
		return
	}
	var all []ghost
	t.root.ghosts(&all)
	slices.SortStableFunc(all, func(a, b ghost) int { return cmp.Compare(a.used, b.used) })
	for _, g := range all { // children before their parents
		if t.ghosts <= limit-limit/10 {
			return
		}
		n := g.node
		delete(n.parent.children, n.edge[0])
		t.ghosts -= len(n.edge)
		t.total -= len(n.edge)
	}
}

// ghost is a node without rows, and the last tick when it, or one below it, was used.
type ghost struct {
	node *node
	used int64
}

// ghosts lists the ghosts from n down, children before their parents. What hangs on a ghost is ghosts.
func (n *node) ghosts(all *[]ghost) (used int64) {
	used = n.used
	for _, child := range n.children {
		used = max(used, child.ghosts(all))
	}
	if len(n.blocks) == 0 {
		*all = append(*all, ghost{n, used})
	}
	return used
}
