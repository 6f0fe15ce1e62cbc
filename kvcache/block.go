package kvcache

import "slices"

// block is what is stored of one node's edge, as one list of forward calls made it. Blocks form a tree of their own above
// the nodes: a block hangs on the very block that it was computed on, so that every chain from the root is a state that
// some calls really produced. Two turns that computed the same ids by other calls leave two blocks in one node.
//
// A block exists as long as its rows do: in a live state that stands on it or below, or in a piece.
type block struct {
	node     *node
	parent   *block
	children []*block
	calls    *provenance // that led to its end
	piece    *piece      // its rows, copied out
	snap     Snapshot    // at its end

	cover   int  // live states that hold its rows: those that stand here or below
	leaving int  // of those, taken ones that will go back behind it
	tips    int  // live states that stand at its end
	held    int  // plans that need its rows
	pins    int  // plans that will restore its end
	bad     bool // distrusted: nothing on it is used again
	gone    bool // dropped

	stamp int64 // of the lookup that found it readable
}

// piece is rows copied out of a live state. Cutting a node leaves a piece with two blocks.
type piece struct {
	rows   Rows // nil: planned only
	bytes  int64
	blocks []*block
	lent   bool // a lower tier has them, too
}

func (b *block) tree() *tree { return b.node.tree }
func (b *block) start() int  { return b.node.start }
func (b *block) end() int    { return b.node.end }

// hasRows says whether its rows are somewhere.
func (b *block) hasRows() bool {
	return b.parent == nil || b.tree().RowBytes == 0 || b.piece != nil || b.cover > 0
}

// readable says whether another turn may still count on its rows.
func (b *block) readable() bool {
	return !b.bad && (b.parent == nil || b.tree().RowBytes == 0 || b.piece != nil || b.cover > b.leaving)
}

// ready says whether a state at its end can be had again: from its rows, by its snapshot, or because one stands there.
func (b *block) ready() bool {
	return b.parent == nil || !b.tree().needs() || b.snap != nil || b.idleTips() > 0
}

// idleTips counts the live states at its end that no turn is going on with.
func (b *block) idleTips() int {
	n := 0
	if b.tips > 0 {
		for _, l := range b.tree().cache.lives {
			if l.tip == b && l.owner == nil && !l.doomed {
				n++
			}
		}
	}
	return n
}

// exclusive says whether its rows are gone when the one live state that holds them goes.
func (b *block) exclusive() bool { return b.cover == 1 && b.piece == nil && b.tree().RowBytes > 0 }

// split moves the upper part of b into the new node above its own.
func (b *block) split(n *node) {
	u := &block{
		node: n, parent: b.parent, children: []*block{b}, calls: b.calls.cut(n.end, b.node.edge),
		piece: b.piece, cover: b.cover, leaving: b.leaving, held: b.held, bad: b.bad, stamp: b.stamp,
	}
	u.parent.children[slices.Index(u.parent.children, b)] = u
	b.parent = u
	if u.piece != nil {
		u.piece.blocks = append(u.piece.blocks, u)
	}
	n.blocks = append(n.blocks, u)
}

// place is the block of node n on parent that these calls made: one that is there, or a new one.
func (t *tree) place(parent *block, n *node, calls *provenance) *block {
	for _, b := range parent.children {
		if b.node == n && !b.bad && b.calls.same(calls, parent.end()) && calls.alone(parent.end()) {
			return b
		}
	}
	b := &block{node: n, parent: parent, calls: calls}
	parent.children = append(parent.children, b)
	if len(n.blocks) == 0 {
		t.ghosts -= len(n.edge)
	}
	n.blocks = append(n.blocks, b)
	n.lostRows = false
	return b
}

// meet is the deepest block that both stand on.
func meet(a, b *block) *block {
	for a != b {
		switch {
		case a.end() > b.end():
			a = a.parent
		case a.end() < b.end():
			b = b.parent
		default:
			a, b = a.parent, b.parent
		}
	}
	return a
}

// on says whether a is b or above it.
func (b *block) on(a *block) bool {
	for b.end() > a.end() {
		b = b.parent
	}
	return b == a
}

// up calls f for b and the blocks above it, up to but without the block at the top.
func (b *block) up(top *block, f func(*block)) {
	for b != top {
		parent := b.parent
		f(b)
		b = parent
	}
}

// nearest is the offset of the deepest state that can be had again, at b or above.
func (b *block) nearest() int {
	for !b.ready() {
		b = b.parent
	}
	return b.end()
}
