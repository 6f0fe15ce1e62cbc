package kvcache

import (
	"errors"
	"fmt"
	"slices"
	"testing"
)

// rig is an engine without a model: it takes turns through the cache, one step at a time, and checks after every step
// everything that must hold.
type rig struct {
	t       testing.TB
	cache   *Cache
	shape   shape
	counter counter
	oracle  oracle
	turns   int
	opens   []*open
	calm    bool // nothing was evicted or dropped: what was captured must be had
	seldom  int  // check only every so many steps; 0: always
	checks  int
	shelf   *shelf // a lower tier; nil: there is none
}

func newRig(t testing.TB, s shape, o Options) *rig {
	r := &rig{t: t, cache: New(o), shape: s}
	r.cache.Add(s.model())
	return r
}

// ask is one turn of a timeline.
type ask struct {
	Request
	answer []int32 // the last one is sampled and does not enter the model
	cancel int     // stop the prefill at the chunk that reaches it; 0: no
}

// open is a turn under way.
type open struct {
	rig    *rig
	ask    ask
	plan   *Plan
	state  *fake
	size   int64   // of the state, at the end
	fed    []int32 // everything that stands behind the state, from offset 0
	chunks []Chunk
	sent   int // of the answer
	made   Made
}

// begin looks up and compares with brute force. It returns nil and whom to wait for, if so.
func (r *rig) begin(a ask) (*open, *Wait) {
	r.t.Helper()
	r.turns++
	if a.Turn == "" {
		a.Turn = fmt.Sprint(r.turns)
	}
	if a.NewSession == "" {
		a.NewSession = "session " + a.Turn
	}
	if a.Model == "" {
		a.Model = r.shape.model().Fingerprint
	}
	r.lift(&a)
	looked, err := r.cache.Lookup(a.Request)
	if err != nil {
		r.t.Fatal(err)
	}
	p, w, err := r.cache.Begin(a.Request)
	if err != nil {
		r.t.Fatal(err)
	}
	if w != nil {
		return nil, w
	}
	if fmt.Sprint(looked) != fmt.Sprint(p.Match) {
		r.t.Fatalf("turn %s: Lookup said %+v, Begin %+v", a.Turn, looked, p.Match)
	}
	if err := r.oracle.judge(a, p.Match); err != nil {
		r.t.Fatalf("turn %s: %v", a.Turn, err)
	}
	if r.calm && len(r.opens) == 0 {
		if err := r.oracle.reached(a, p.Match, r.shape); err != nil {
			r.t.Fatalf("turn %s: %v", a.Turn, err)
		}
	}
	r.check("begin")
	o := &open{rig: r, ask: a, plan: p, chunks: p.Chunks()}
	r.opens = append(r.opens, o)
	return o, nil
}

// restore takes the state over and looks at what it holds.
func (o *open) restore() {
	r := o.rig
	r.t.Helper()
	ids := slices.Clone(o.ask.Prompt.IDs[:o.plan.Hit])
	calls := o.plan.Calls()
	st, err := o.plan.Restore(func() State { return newFake(r.shape, &r.counter) })
	if err != nil {
		r.t.Fatalf("turn %s: %v", o.ask.Turn, err)
	}
	o.state, o.fed = st.(*fake), ids
	if err := o.state.verify(calls, ids); err != nil {
		r.t.Fatalf("turn %s: restored %d of %d: %v", o.ask.Turn, o.plan.Hit, o.plan.Requested, err)
	}
	r.check("restore")
}

// step makes the next forward call; false when there is none.
func (o *open) step() bool {
	var ids []int32
	var captures []int
	switch {
	case len(o.chunks) > 0:
		c := o.chunks[0]
		o.chunks, ids, captures = o.chunks[1:], o.ask.Prompt.IDs[c.From:c.To], c.Captures
		if o.ask.cancel > 0 && c.To >= o.ask.cancel {
			o.chunks, o.ask.answer = nil, nil
		}
	case o.sent+1 < len(o.ask.answer):
		ids = o.ask.answer[o.sent : o.sent+1]
		o.sent++
	default:
		return false
	}
	o.made.Snapshots = append(o.made.Snapshots, o.state.feed(ids, captures)...)
	o.made.IDs = append(o.made.IDs, ids...)
	o.made.Calls = append(o.made.Calls, Step{Width: len(ids)})
	return true
}

// commit hands over what was made.
func (o *open) commit() {
	r := o.rig
	r.t.Helper()
	o.fed = append(o.fed, o.made.IDs...)
	var captured []int
	for _, s := range o.made.Snapshots {
		captured = append(captured, s.Offset())
	}
	if err := o.plan.Commit(o.made); err != nil {
		r.t.Fatal(err)
	}
	o.made = Made{}
	if err := o.state.verify(o.plan.Calls(), o.fed); err != nil {
		r.t.Fatalf("turn %s: committed %d: %v", o.ask.Turn, len(o.fed), err)
	}
	r.oracle.hold(o.ask, o.plan.Session, o.fed, captured)
	r.check("commit")
}

func (o *open) close() {
	var trace *Trace
	if o.state != nil && o.rig.shelf != nil {
		trace = o.plan.Trace()
		trace.Hold(2)
	}
	if o.state != nil {
		o.size = o.state.Bytes()
	}
	o.plan.Close()
	o.over()
	o.rig.check("close")
	s := o.rig.sweep()
	if trace != nil {
		if most := o.rig.cache.opts.Budget + o.rig.cache.beside() + o.rig.cache.busy() + o.size + 3*o.rig.shape.model().SnapshotBytes; s.Bytes > most {
			o.rig.t.Errorf("turn %s leaves %d bytes to be read, more than the budget and its own state, %d", o.ask.Turn, s.Bytes, most)
		}
		o.rig.store(trace)
	}
}

// abort drops the turn's state, and with it what was captured and not committed.
func (o *open) abort() {
	for _, s := range o.made.Snapshots {
		s.Free()
	}
	o.made = Made{}
	o.plan.Abort()
	o.over()
	o.rig.check("abort")
	o.rig.sweep()
}

func (o *open) over() {
	o.rig.opens = slices.DeleteFunc(o.rig.opens, func(x *open) bool { return x == o })
}

func (r *rig) sweep() Swept {
	r.t.Helper()
	s := r.cache.Sweep()
	r.check("sweep")
	stays := stays{unread: true, chains: r.cache.crowded(r.cache.opts.Budget)}
	if over := s.Bytes - r.cache.opts.Budget - r.cache.beside(); over > 0 && len(r.cache.victims(stays)) > 0 {
		r.t.Fatalf("%d bytes over the budget, and %d things could still go", over, len(r.cache.victims(stays)))
	}
	return s
}

// turn runs a turn alone, from beginning to end.
func (r *rig) turn(a ask) Match {
	r.t.Helper()
	o, w := r.begin(a)
	if w != nil {
		r.t.Fatalf("waits for turn %s, which does not run", w.Turn)
	}
	o.restore()
	for o.step() {
	}
	o.commit()
	o.close()
	return o.plan.Match
}

// check looks for broken invariants and leaks.
func (r *rig) check(after string) {
	r.t.Helper()
	if r.checks++; r.seldom > 0 && r.checks%r.seldom != 0 {
		return
	}
	if err := errors.Join(r.cache.Check(), r.leaks()); err != nil {
		r.t.Fatalf("turn %d, after %s: %v", r.turns, after, err)
	}
}

// leaks compares the fakes that are alive with those that can be reached.
func (r *rig) leaks() error {
	reached := map[any]bool{}
	for _, l := range r.cache.lives {
		reached[l.state] = true
	}
	for _, x := range r.cache.garbage {
		reached[x] = true
	}
	for _, t := range r.cache.trees {
		t.base.each(func(b *block) {
			if b.snap != nil {
				reached[b.snap] = true
			}
			if b.piece != nil {
				reached[b.piece.rows] = true
			}
		})
	}
	for x := range reached {
		if !r.counter.alive[x] {
			return fmt.Errorf("%T is in the cache and was freed", x)
		}
	}
	for _, o := range r.opens {
		for _, s := range o.made.Snapshots {
			reached[s] = true
		}
	}
	for x := range r.counter.alive {
		if !reached[x] {
			return fmt.Errorf("%T leaked", x)
		}
	}
	if len(r.counter.twice) > 0 {
		return fmt.Errorf("freed twice: %v", r.counter.twice)
	}
	return nil
}

// finish empties the cache, after which nothing may be left.
func (r *rig) finish() {
	r.t.Helper()
	r.cache.Clear(true)
	r.sweep()
	if n := len(r.counter.alive); n > 0 {
		r.t.Fatalf("%d things leaked", n)
	}
	if s := r.cache.Stats(); s.LiveBytes+s.PieceBytes+s.SnapBytes != 0 || s.Tokens != 0 || s.Nodes != 0 {
		r.t.Fatalf("after Clear: %+v", s)
	}
}

// limits of a cache that never evicts.
var plenty = Options{Budget: 1 << 40}
