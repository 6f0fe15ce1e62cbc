package kvcache

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
)

// shelfStep is small, so that short prompts have several blocks.
const shelfStep = 8

// shelf is a lower tier in memory: links with the rows of fakes, found by their ids.
type shelf struct {
	items map[string]*item // by digest, kind and place
	puts  int
	lifts int
	lost  int // links that were gone before they were read out
}

type item struct {
	Link
	rows []row
	snap *fakeSnap
}

func (i *item) key() string {
	kind := "rows"
	if i.Kept {
		kind = "kept"
	}
	return kind + string(i.Digest[:])
}

// store stores what a turn left, as the engine's writer does: behind the turn, and before the budget takes it.
func (r *rig) store(trace *Trace) {
	_, links := trace.Links(shelfStep, 2)
	for _, l := range links {
		i := &item{Link: l}
		if r.shelf.items[i.key()] != nil {
			continue
		}
		rows, snap, ok := trace.ReadOut(&l)
		if !ok {
			r.shelf.lost++
			continue
		}
		if rows != nil {
			i.rows = slices.Clone(rows.(*fakeRows).rows)
			rows.Free()
		}
		if snap != nil {
			copied := *snap.(*fakeSnap)
			i.snap = &copied
		}
		r.shelf.items[i.key()] = i
		r.shelf.puts++
	}
	if over := trace.Release(); over {
		r.cache.KeepBudget()
	}
	r.check("store")
	r.sweep()
}

// find is the longest chain for these ids: brute force.
func (r *rig) find(ids Spelling, limit int) []*item {
	m := r.shape.model()
	var best []*item
	var walk func(chain []*item, at int, digest Digest)
	walk = func(chain []*item, at int, digest Digest) {
		for _, i := range r.shelf.items {
			if i.To > ids.Len() || !bytes.Equal(i.IDs, ids.Slice(i.Base, i.To)) || i.Base != at || i.Parent != digest {
				continue
			}
			next := append(slices.Clone(chain), i)
			if (!m.needs() || i.Kept && i.To <= limit) && (len(best) == 0 || i.To > best[len(best)-1].To) {
				best = next
			}
			if !i.Kept {
				walk(next, i.To, i.Digest)
			}
		}
	}
	walk(nil, 0, RootDigest(m.Fingerprint))
	return best
}

// lift adopts what the shelf has of a prompt.
func (r *rig) lift(a *ask) {
	if r.shelf == nil || a.NoReuse {
		return
	}
	fp := r.shape.model().Fingerprint
	ids, err := r.cache.Spell(a.Prompt.Sequence)
	if err != nil {
		r.t.Fatal(err)
	}
	chain := r.find(ids, usable(&a.Prompt, len(a.Prompt.IDs)))
	if len(chain) == 0 {
		return
	}
	m, err := r.cache.Lookup(a.Request)
	if err != nil || m.Hit >= chain[len(chain)-1].To {
		return
	}
	l := Loaded{Side: a.Side, Beyond: !a.Side}
	for _, i := range chain {
		l.Links = append(l.Links, i.Link)
	}
	from, err := r.cache.Missing(fp, a.Prompt.Sequence, l.Links)
	if err != nil {
		r.t.Fatalf("turn %s: %v", a.Turn, err)
	}
	for _, i := range chain {
		if i.To > from && i.rows != nil {
			rows := &fakeRows{counter: &r.counter, from: i.From, rows: i.rows}
			r.counter.born(rows)
			l.Rows = append(l.Rows, rows)
		}
	}
	if s := chain[len(chain)-1].snap; s != nil {
		copied := *s
		copied.counter = &r.counter
		r.counter.born(&copied)
		l.Snapshot = &copied
	}
	if err := r.cache.Adopt(fp, a.Prompt.Sequence, l); err == nil {
		r.shelf.lifts++
	} else if !errors.Is(err, ErrNoRoom) && !strings.Contains(err.Error(), "are nowhere") {
		r.t.Fatalf("turn %s: %v", a.Turn, err)
	}
	r.check("adopt")
}

// Random turns with a lower tier under the cache: what it gives back is what its calls computed, whatever happened between.
func TestRandomTurnsWithALowerTier(t *testing.T) {
	steps := 120
	if testing.Short() {
		steps = 40
	}
	var lifts, puts, lost int
	for i, s := range shapes {
		for j, budget := range []int64{900, 3000, 1 << 40} {
			for _, most := range []int{1, 4} {
				p := newPlayer(t, uint64(1000+100*i+10*j+most), s, Options{Budget: budget, Wait: 8})
				p.shelf = &shelf{items: map[string]*item{}}
				p.most, p.wild = most, most > 1
				p.play(steps)
				lifts, puts, lost = lifts+p.shelf.lifts, puts+p.shelf.puts, lost+p.shelf.lost
			}
		}
	}
	t.Logf("%d links stored, %d chains adopted, %d links were gone before they could be read", puts, lifts, lost)
	if lifts < 50 || puts < 500 {
		t.Error("the play was too tame")
	}
}

// After a restart the first turn goes on from what the tier has, and the second from that.
func TestRestartFromALowerTier(t *testing.T) {
	for _, s := range shapes {
		t.Run(s.String(), func(t *testing.T) {
			first := newRig(t, s, plenty)
			first.shelf = &shelf{items: map[string]*item{}}
			prompt := Prompt{Sequence: Sequence{IDs: span(0, 50)}, Static: 20, FirstUser: 30, Wants: []int{20, 40, 47}}
			first.turn(ask{Request: Request{Prompt: prompt}, answer: []int32{1, 2, 3}})
			again := newRig(t, s, plenty)
			again.shelf = first.shelf
			longer := prompt
			longer.IDs = join(prompt.IDs, []int32{1, 2, 9, 9})
			longer.Wants = []int{20, 47, 53}
			again.oracle.hold(ask{Request: Request{Prompt: prompt, Turn: "0", Model: s.model().Fingerprint}}, "", longer.IDs[:52], nil)
			p := again.lifted(longer)
			least := 47
			if !s.needs() {
				least = 52
			}
			if p.Hit < least {
				t.Errorf("hit %d of %d matched, at least %d could be", p.Hit, p.Matched, least)
			}
			// A branch behind the static prefix, in yet another process.
			third := newRig(t, s, plenty)
			third.shelf = first.shelf
			other := Prompt{Sequence: Sequence{IDs: join(prompt.IDs[:20], span(500, 20))}, Static: 20, FirstUser: 30}
			if p := third.lifted(other); p.Hit < 20 && s.needs() || p.Hit < 16 {
				t.Errorf("hit %d of the static prefix's 20", p.Hit)
			}
		})
	}
}

// lifted adopts and restores, and compares with the replay.
func (r *rig) lifted(p Prompt) Match {
	r.t.Helper()
	a := ask{Request: Request{Prompt: p, Model: r.shape.model().Fingerprint, Turn: "x", NewSession: "y"}}
	r.lift(&a)
	plan, _, err := r.cache.Begin(a.Request)
	if err != nil {
		r.t.Fatal(err)
	}
	o := &open{rig: r, ask: a, plan: plan, chunks: plan.Chunks()}
	r.opens = append(r.opens, o)
	o.restore()
	for o.step() {
	}
	o.fed = append(o.fed, o.made.IDs...)
	if err := plan.Commit(o.made); err != nil {
		r.t.Fatal(err)
	}
	if err := o.state.verify(plan.Calls(), o.fed); err != nil {
		r.t.Fatal(err)
	}
	r.check("turn after a restart")
	o.plan.Close()
	o.over()
	m := plan.Match
	r.finish()
	return m
}

// Chains whose parts do not belong together are refused.
func TestAdoptRefusesWhatDoesNotBelongTogether(t *testing.T) {
	s := shape{growing: true}
	fp := s.model().Fingerprint
	r := newRig(t, s, plenty)
	r.shelf = &shelf{items: map[string]*item{}}
	seq := Sequence{IDs: span(0, 24)}
	r.turn(ask{Request: Request{Prompt: Prompt{Sequence: seq}}, answer: []int32{1}})
	spelled, err := r.cache.Spell(seq)
	if err != nil {
		t.Fatal(err)
	}
	var good []Link
	for _, i := range r.find(spelled, 24) {
		good = append(good, i.Link)
	}
	if _, err := r.cache.Missing(fp, seq, good); err != nil || len(good) != 3 {
		t.Fatalf("%d links: %v", len(good), err)
	}
	for name, spoil := range map[string]func(l []Link){
		"another digest":   func(l []Link) { l[2].Digest[0] ^= 1 },
		"other ids":        func(l []Link) { l[1].IDs = append([]byte{9}, l[1].IDs[1:]...) },
		"a gap":            func(l []Link) { l[1].Runs = []Run{{Start: 9, Width: 7, Count: 1, Batch: 1}} },
		"an absurd run":    func(l []Link) { l[1].Runs[0].Count = 1 << 40 },
		"bytes for beyond": func(l []Link) { l[1].Runs[0].Beyond = []byte{1, 2, 3} },
		"a batch":          func(l []Link) { l[1].Runs[0].Batch = 2 },
	} {
		bad := make([]Link, len(good))
		for i, l := range good {
			bad[i] = l
			bad[i].Runs = slices.Clone(l.Runs)
		}
		spoil(bad)
		if _, err := r.cache.Missing(fp, seq, bad); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestSpelling(t *testing.T) {
	c := New(plenty)
	s := Sequence{IDs: span(0, 20), Media: []Media{{From: 3, To: 9, Identity: "cat"}, {From: 9, To: 12, Identity: "dog"}}}
	sp, err := c.Spell(s)
	if err != nil || sp.Len() != 20 {
		t.Fatal(sp.Len(), err)
	}
	x, _ := c.alphabet.atoms(s)
	other := New(plenty) // numbers its media otherwise
	other.alphabet.number(mediaAtom{7, "dog", 3})
	got, err := other.alphabet.unspell(sp.Slice(0, 20))
	if err != nil || !bytes.Equal(other.alphabet.spell(nil, got), c.alphabet.spell(nil, x)) || !bytes.Equal(sp.Slice(4, 10), c.alphabet.spell(nil, x[4:10])) {
		t.Errorf("%v of %v: %v", got, x, err)
	}
	for n := range sp.Slice(0, 20) {
		_, _ = other.alphabet.unspell(sp.Slice(0, 20)[:n]) // any bytes: no panic
	}
}

func (s shape) needs() bool { return s.window > 0 || s.recurrent }
