package kvcache

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// player takes random turns, several at a time, and does to the cache whatever can happen to one.
type player struct {
	*rig
	rng       *rand.Rand
	talks     [][]int32 // conversations as they stand
	documents [][]int32
	most      int // turns at a time
	wild      bool
	steps     int
	waited    int
	failed    int
}

func newPlayer(t testing.TB, seed uint64, s shape, o Options) *player {
	p := &player{rig: newRig(t, s, o), rng: rand.New(rand.NewPCG(seed, 6)), most: 1}
	for i := range 5 {
		p.documents = append(p.documents, span(100*i, 20+12*i))
	}
	p.talks = make([][]int32, 4)
	return p
}

func (p *player) chance(of int) bool { return p.rng.IntN(of) == 0 }

// text is a few ids, some of them of a document that others quote, too.
func (p *player) text() []int32 {
	if p.chance(3) {
		d := p.documents[p.rng.IntN(len(p.documents))]
		return d[p.rng.IntN(5):]
	}
	return few(p.rng, 1+p.rng.IntN(12))
}

// prompt continues, edits, shortens or repeats a conversation.
func (p *player) prompt(talk int) Prompt {
	ids := slices.Clone(p.talks[talk])
	switch p.rng.IntN(8) {
	case 0: // an edit
		if len(ids) > 0 {
			ids[p.rng.IntN(len(ids))] = int32(p.rng.IntN(3))
		}
	case 1: // a beginning
		ids = ids[:p.rng.IntN(len(ids)+1)]
	case 2: // a retry
	case 3: // something in the middle
		at := p.rng.IntN(len(ids) + 1)
		ids = join(ids[:at], p.text(), ids[at:])
	default:
		ids = join(ids, p.text(), p.text())
	}
	if len(ids) > 150 {
		ids = ids[p.rng.IntN(100):]
	}
	if len(ids) == 0 {
		ids = few(p.rng, 1)
	}
	out := Prompt{Sequence: Sequence{IDs: ids}}
	if p.chance(3) {
		out.Static = p.rng.IntN(len(ids) + 1)
		out.FirstUser = out.Static + p.rng.IntN(len(ids)-out.Static+1)
	}
	for range p.rng.IntN(5) {
		out.Wants = append(out.Wants, p.rng.IntN(len(ids)+1))
	}
	if len(ids) > 40 && p.chance(4) {
		out.Media = []Media{{From: 8, To: 12, Identity: "a"}, {From: 20, To: 30, Identity: fmt.Sprint(p.rng.IntN(2))}}
	}
	return out
}

func (p *player) start() {
	talk := p.rng.IntN(len(p.talks))
	a := ask{Request: Request{
		Prompt: p.prompt(talk), Side: p.chance(8), NoReuse: p.chance(15), NoWait: p.chance(2), Expect: p.rng.IntN(20),
	}}
	if p.chance(5) {
		a.Session = fmt.Sprint("named ", p.rng.IntN(3))
	}
	for range p.rng.IntN(8) {
		a.answer = append(a.answer, int32(p.rng.IntN(3)))
	}
	if p.chance(6) {
		a.cancel = 1 + p.rng.IntN(len(a.Prompt.IDs))
	}
	o, w := p.begin(a)
	if w != nil {
		p.waited++
		if !slices.ContainsFunc(p.opens, func(o *open) bool { return o.ask.Turn == w.Turn }) {
			p.t.Fatalf("wait for turn %s, which is not there", w.Turn)
		}
		return
	}
	p.talks[talk] = join(a.Prompt.IDs, a.answer)
	if p.wild && p.chance(12) {
		o.close() // refused before it began
	}
}

// advance takes one step of a turn under way.
func (p *player) advance(o *open) {
	switch {
	case o.state == nil && p.wild && p.chance(8):
		p.spoil(o)
	case o.state == nil && p.chance(3): // others come first
	case o.state == nil:
		o.restore()
	case p.wild && p.chance(40):
		o.abort()
	case o.step():
		if p.chance(3) || o.plan.Awaited() && p.chance(2) {
			o.commit()
		}
	default:
		o.commit()
		o.close()
	}
}

// spoil makes the restore fail.
func (p *player) spoil(o *open) {
	broken := errors.New("no memory")
	for _, l := range p.cache.lives {
		l.state.(*fake).fail = broken
	}
	_, err := o.plan.Restore(func() State {
		f := newFake(p.shape, &p.counter)
		f.fail = broken
		return f
	})
	for _, l := range p.cache.lives {
		l.state.(*fake).fail = nil
	}
	if err != nil {
		p.failed++
		p.check("failed restore")
		o.plan.Close()
		o.over()
		p.sweep()
		return
	}
	o.abort() // it needed nothing that failed
}

func (p *player) disturb() {
	switch p.rng.IntN(6) {
	case 0:
		p.cache.Clear(false)
	case 1:
		p.cache.SetBudget(int64(p.rng.IntN(6000)))
	default:
		talk := p.talks[p.rng.IntN(len(p.talks))]
		if _, err := p.cache.Distrust(p.shape.model().Fingerprint, Sequence{IDs: talk[:min(len(talk), 20)]}); err != nil {
			p.t.Fatal(err)
		}
	}
	p.check("disturbance")
}

func (p *player) play(steps int) {
	for ; p.steps < steps || len(p.opens) > 0; p.steps++ {
		switch {
		case p.wild && p.chance(60):
			p.disturb()
		case p.steps < steps && len(p.opens) < p.most && (len(p.opens) == 0 || p.chance(2)):
			p.start()
		case len(p.opens) > 0:
			p.advance(p.opens[p.rng.IntN(len(p.opens))])
		}
	}
	p.finish()
}

var seeds = flag.Int("seeds", 1, "how often to play TestRandomTurns, each time otherwise")

// Random conversations on every mix of layers, under budgets from none to plenty, one and several at a time, with
// cancellations, failures, doubts and changes of the budget. rig checks every step: matched and displaced against brute
// force, restored states against the replay of their calls, counters, budgets, leaks.
func TestRandomTurns(t *testing.T) {
	steps := 250
	if testing.Short() {
		steps = 60
	}
	var total, waited, failed int
	var sum Stats
	for i := range len(shapes) * *seeds {
		s := shapes[i%len(shapes)]
		for j, budget := range []int64{0, 700, 1500, 3000, 8000, 1 << 40, 1 << 40} {
			for _, most := range []int{1, 3, 5} {
				p := newPlayer(t, uint64(100*i+10*j+most), s, Options{Budget: budget, Wait: 8})
				p.most = most
				p.wild = most > 1 && j < 6 // the last budget without
				p.calm = !p.wild && budget == 1<<40
				p.play(steps)
				total, waited, failed = total+p.steps, waited+p.waited, failed+p.failed
				x := p.cache.Stats()
				sum.RequestedTokens, sum.Matched, sum.HitTokens = sum.RequestedTokens+x.RequestedTokens, sum.Matched+x.Matched, sum.HitTokens+x.HitTokens
				sum.EvictedTokens, sum.SnapsEvicted, sum.Turns = sum.EvictedTokens+x.EvictedTokens, sum.SnapsEvicted+x.SnapsEvicted, sum.Turns+x.Turns
			}
		}
	}
	t.Logf("%d steps, %d turns, %d waits, %d failed restores; %d tokens asked for, %d known, %d restored, %d evicted with %d snapshots",
		total, sum.Turns, waited, failed, sum.RequestedTokens, sum.Matched, sum.HitTokens, sum.EvictedTokens, sum.SnapsEvicted)
	if !testing.Short() && (total < 10_000 || waited < 100 || failed < 100 || sum.HitTokens*3 < sum.Matched) {
		t.Error("the play was too tame")
	}
}
