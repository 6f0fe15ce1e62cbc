package kvcache

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// prefixes is the naive tree: every prefix of everything that was inserted.
type prefixes map[string]bool

func text(ids []int32) string {
	b := make([]byte, len(ids))
	for i, id := range ids {
		b[i] = byte(id)
	}
	return string(b)
}

func (p prefixes) insert(ids []int32) {
	for i := range ids {
		p[text(ids[:i+1])] = true
	}
}

func (p prefixes) matched(ids []int32) int {
	for i := len(ids); i > 0; i-- {
		if p[text(ids[:i])] {
			return i
		}
	}
	return 0
}

// of reads the same out of a tree.
func (p prefixes) of(n *node, path []int32) prefixes {
	for i := range n.edge {
		p[text(append(path[:len(path):len(path)], n.edge[:i+1]...))] = true
	}
	path = append(path[:len(path):len(path)], n.edge...)
	for _, child := range n.children {
		p.of(child, path)
	}
	return p
}

// branch is a sequence that goes on from a random one that is there.
func branch(rng *rand.Rand, all [][]int32) []int32 {
	if len(all) == 0 || rng.IntN(10) == 0 {
		return few(rng, 1+rng.IntN(30))
	}
	from := all[rng.IntN(len(all))]
	return join(from[:rng.IntN(len(from)+1)], few(rng, 1+rng.IntN(30)))
}

// 1,000 random branches, inserted in pieces, split, stored, evicted: after every one of these the tree says the same as
// the naive one.
func TestTreeAgainstPrefixes(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 6))
	c := New(plenty)
	c.Add(Model{Fingerprint: "m", RowBytes: 1})
	tree := c.trees[0]
	naive := prefixes{}
	var all [][]int32
	same := func(after string) {
		t.Helper()
		for range 3 {
			x := branch(rng, all)
			if got, want := tree.walk(x).matched, naive.matched(x); got != want {
				t.Fatalf("after %d branches and %s: matched %d, naively %d", len(all), after, got, want)
			}
		}
		if err := c.Check(); err != nil {
			t.Fatalf("after %d branches and %s: %v", len(all), after, err)
		}
	}
	splits, evicted := 0, 0
	for len(all) < 1000 {
		x := branch(rng, all)
		if len(x) > 200 {
			continue
		}
		b, at := tree.base, 0
		for at < len(x) { // in pieces, as a turn commits
			to := at + 1 + rng.IntN(len(x)-at)
			for at < to {
				n, calls := tree.next(b.node, x[at:to]), b.calls
				for calls.end() < n.end {
					calls = calls.add(1, 1, "")
				}
				b = tree.place(b, n, calls)
				if b.piece == nil {
					c.keepPiece(b, stored{b.start(), b.end()}, int64(len(b.node.edge)))
				}
				at = b.end()
			}
		}
		naive.insert(x)
		all = append(all, x)
		same("an insert")
		if n := random(rng, tree.root); n.parent != nil && len(n.edge) > 1 {
			tree.split(n, n.start+1+rng.IntN(len(n.edge)-1))
			splits++
			same("a split")
		}
		if n := random(rng, tree.root); len(n.blocks) > 0 && n.parent != nil && rng.IntN(3) == 0 {
			top := n.blocks[0]
			for _, share := range append([]*block(nil), top.piece.blocks...) {
				if share.end() < top.end() {
					top = share
				}
			}
			c.drop(top, func(freer) {}, true)
			evicted++
			same("an eviction")
		}
		if len(all)%100 == 0 {
			if got, want := len(prefixes{}.of(tree.root, nil)), len(naive); got != want {
				t.Fatalf("after %d branches: %d prefixes, naively %d", len(all), got, want)
			}
		}
	}
	if splits < 200 || evicted < 100 || tree.ghosts == 0 || c.bytes.pieces == 0 {
		t.Errorf("too tame: %d splits, %d evictions, %d ghosts, %d bytes", splits, evicted, tree.ghosts, c.bytes.pieces)
	}
}

// stored are rows without a state.
type stored struct{ from, to int }

func (s stored) From() int    { return s.from }
func (s stored) To() int      { return s.to }
func (s stored) Bytes() int64 { return int64(s.to - s.from) }
func (s stored) Free()        {}

// random walks down to some node.
func random(rng *rand.Rand, n *node) *node {
	for len(n.children) > 0 && rng.IntN(8) > 0 {
		var next []*node
		for id := range int32(3) {
			if child := n.children[id]; child != nil {
				next = append(next, child)
			}
		}
		n = next[rng.IntN(len(next))]
	}
	return n
}

// What is forgotten is the oldest ghosts, a conversation by its last turn; what has rows stays.
func TestForget(t *testing.T) {
	r := newRig(t, shape{growing: true}, Options{Budget: 1 << 40, Ghosts: 420})
	prompt := func(i int) Prompt { return Prompt{Sequence: Sequence{IDs: span(1000*i, 60)}} }
	longer := func(i int) Prompt { return Prompt{Sequence: Sequence{IDs: span(1000*i, 100)}} }
	longest := func(i int) Prompt { return Prompt{Sequence: Sequence{IDs: span(1000*i, 120)}} }
	r.turn(ask{Request: request("", prompt(0))})
	r.turn(ask{Request: request("", longer(0))})
	for i := 1; i < 5; i++ {
		r.turn(ask{Request: request("", prompt(i))})
	}
	r.turn(ask{Request: request("", longest(0))}) // the oldest one goes on, from where it stands: its beginning is not looked at
	r.cache.Clear(false)                          // 360 tokens of ghosts
	r.sweep()
	for i := 5; i < 7; i++ {
		r.turn(ask{Request: request("", prompt(i))})
		r.cache.Clear(false)
		r.sweep()
	}
	r.turn(ask{Request: request("", prompt(7))})
	s := r.cache.Stats()
	if s.GhostTokens > 420 || s.GhostTokens < 300 || s.Tokens != s.GhostTokens+60 {
		t.Errorf("%d ghost tokens of %d, at most 420 may be kept", s.GhostTokens, s.Tokens)
	}
	for i, want := range []int{120, 0, 0, 60, 60, 60, 60, 60} {
		m, err := r.cache.Lookup(Request{Model: r.shape.model().Fingerprint, Prompt: longest(i)})
		if err != nil || m.Matched != want {
			t.Errorf("conversation %d: %+v, %v; want %d", i, m, err, want)
		}
	}
	r.finish()
}

// Offsets in a cut node stay those of the sequence, and marks stay at the end that they were made for.
func TestSplitKeepsWhatStandsAtTheEnd(t *testing.T) {
	r := newRig(t, shape{growing: true, recurrent: true}, plenty)
	r.turn(ask{Request: request("", chat(system, u1)), answer: a1})
	tree := r.cache.trees[0]
	n := tree.walk(join(system, u1)).last()
	snap, id := n.blocks[0].snap, n.id
	upper := tree.split(n, n.start+5)
	if n.id != id || n.blocks[0].snap != snap || snap == nil || n.start != upper.end || upper.blocks[0].snap != nil || upper.id == id {
		t.Errorf("split at %d: %+v, %+v", upper.end, upper, n)
	}
	if fmt.Sprint(upper.turns) != fmt.Sprint(n.turns) || len(n.turns) != 1 {
		t.Errorf("turns %v and %v", upper.turns, n.turns)
	}
	r.check("split")
	r.finish()
}
