package kvcache

import (
	"fmt"
	"sync"
	"testing"
)

// Two turns begin before either has computed anything. The second waits for the first, restores what it computed, and
// computes the rest: the prefix that they share is computed once.
func TestTwoTurnsComputeAPrefixOnce(t *testing.T) {
	for _, s := range shapes {
		t.Run(s.String(), func(t *testing.T) {
			r := newRig(t, s, Options{Budget: 1 << 40, Wait: 16})
			mine, yours := chat(system, u1), chat(system, u2)
			first, w := r.begin(ask{Request: request("", mine), answer: a1})
			if w != nil {
				t.Fatal("waits for nobody")
			}
			if _, w = r.begin(ask{Request: request("", yours), answer: a2}); w == nil || w.Turn != "1" || w.Offset < 50 || w.Offset > 52 {
				t.Fatalf("the second turn should wait for 50 to 52 tokens of the first: %+v", w)
			}
			first.restore()
			computed := 0
			for !over(w) {
				if !first.step() {
					t.Fatal("the first turn is at its end and the second still waits")
				}
				if first.plan.Awaited() {
					first.commit()
				}
			}
			second, w := r.begin(ask{Request: request("", yours), answer: a2})
			if w != nil {
				t.Fatalf("waits again: %+v", w)
			}
			second.restore() // out of the first one's state, which is in use
			if second.plan.Hit < 50 || second.state == first.state {
				t.Errorf("restored %d tokens", second.plan.Hit)
			}
			for _, o := range []*open{first, second} {
				for o.step() {
				}
				o.commit()
				computed += len(o.fed) - o.plan.Hit
				o.close()
			}
			if all := len(mine.IDs) + len(yours.IDs) + 24; computed > all-50 {
				t.Errorf("%d tokens computed of %d, 52 of which are shared", computed, all)
			}
			r.finish()
		})
	}
}

func over(w *Wait) bool {
	select {
	case <-w.Done:
		return true
	default:
		return false
	}
}

// The same with goroutines, many turns, and a worker that takes steps one by one.
func TestManyTurnsComputeAPrefixOnce(t *testing.T) {
	s := shape{growing: true, window: 9, recurrent: true}
	c := New(Options{Budget: 1 << 40, Wait: 16})
	c.Add(s.model())
	var (
		worker   sync.Mutex
		count    counter
		group    sync.WaitGroup
		computed int // under worker
	)
	const turns = 8
	turn := func(i int) error {
		p := chat(span(1000, 200), msg(user, span(10_000*(i+1), 20)))
		for {
			plan, wait, err := c.Begin(Request{Model: s.model().Fingerprint, Turn: fmt.Sprint(i), Prompt: p})
			if err != nil {
				return err
			}
			if wait != nil {
				<-wait.Done
				continue
			}
			defer plan.Close()
			worker.Lock()
			st, err := plan.Restore(func() State { return newFake(s, &count) })
			worker.Unlock()
			if err != nil {
				return err
			}
			for _, chunk := range plan.Chunks() {
				worker.Lock()
				ids := p.IDs[chunk.From:chunk.To]
				m := Made{IDs: ids, Calls: []Step{{Width: len(ids)}}, Snapshots: st.(*fake).feed(ids, chunk.Captures)}
				computed += len(ids)
				err := plan.Commit(m)
				worker.Unlock()
				if err != nil {
					return err
				}
			}
			return st.(*fake).verify(plan.Calls(), p.IDs)
		}
	}
	for i := range turns {
		group.Go(func() {
			if err := turn(i); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if most := 200 + turns*25; computed > most || computed < most-turns*2 { // two more are shared, by those who find a state there
		t.Errorf("%d tokens computed, want %d at most: the 200 that are shared once", computed, most)
	}
	if err := c.Check(); err != nil {
		t.Error(err)
	}
	c.Clear(true)
	c.Sweep()
	if len(count.alive) > 0 || len(count.twice) > 0 {
		t.Errorf("%d things leaked, %d freed twice", len(count.alive), len(count.twice))
	}
}

// A turn that ends early sets those free that waited for it; one that has nothing to give is not waited for.
func TestNobodyWaitsInVain(t *testing.T) {
	r := newRig(t, shape{growing: true, recurrent: true}, Options{Budget: 1 << 40, Wait: 16})
	p := chat(system, u1)
	first, _ := r.begin(ask{Request: request("", p), answer: a1})
	_, w := r.begin(ask{Request: request("", chat(system, u2)), answer: a1})
	if w == nil {
		t.Fatal("does not wait")
	}
	first.close() // refused
	if !over(w) {
		t.Fatal("waits for a turn that is over")
	}

	first, _ = r.begin(ask{Request: request("", p), answer: a1})
	for _, x := range []struct {
		name string
		ask  ask
	}{
		{"too little in common", ask{Request: request("", chat(system[:15], u2))}},
		{"nothing in common", ask{Request: request("", chat(span(9000, 60), u2))}},
		{"no state where they part", ask{Request: request("", Prompt{Sequence: Sequence{IDs: join(system[:40], u3)}})}},
		{"no wait wanted", ask{Request: Request{Prompt: chat(system, u2), NoWait: true}}},
		{"no reuse", ask{Request: Request{Prompt: chat(system, u2), NoReuse: true}}},
	} {
		o, w := r.begin(x.ask)
		if w != nil {
			t.Fatalf("%s: waits for %d tokens of turn %s", x.name, w.Offset, w.Turn)
		}
		o.close()
	}
	first.restore()
	for first.step() {
	}
	first.commit()
	if o, w := r.begin(ask{Request: request("", chat(system, u2))}); w != nil || o.plan.Hit != 50 {
		t.Fatalf("waits for what is there")
	} else {
		o.close()
	}
	first.close()
	r.finish()
}

// What a turn has passed and could not keep is not waited for.
func TestNobodyWaitsForThePast(t *testing.T) {
	r := newRig(t, shape{growing: true, recurrent: true}, Options{Budget: 1 << 40, Wait: 16})
	first, _ := r.begin(ask{Request: request("", chat(system, u1)), answer: a1})
	first.restore()
	for range 5 {
		first.step()
	}
	first.commit()
	r.cache.SetBudget(r.cache.Stats().LiveBytes) // its snapshots go
	r.sweep()
	o, w := r.begin(ask{Request: request("", chat(system, u2))})
	if w != nil {
		t.Fatalf("waits for offset %d of a turn that is behind it", w.Offset)
	}
	if o.plan.Hit != 0 || o.plan.Miss != MissEvicted {
		t.Errorf("%+v", o.plan.Match)
	}
	o.close()
	first.close()
	r.finish()
}

// A state whose turn failed is nobody's source any more, except for who was promised a copy of what was committed.
func TestAFailedStateIsReadByNobodyElse(t *testing.T) {
	r := newRig(t, shape{growing: true}, plenty)
	first, _ := r.begin(ask{Request: request("", chat(system, u1)), answer: a1})
	first.restore()
	for first.step() {
	}
	first.commit()
	second, _ := r.begin(ask{Request: request("", chat(system, u2)), answer: a1})
	first.abort()
	m, err := r.cache.Lookup(Request{Model: r.shape.model().Fingerprint, Prompt: chat(system, u3)})
	if err != nil || m.Hit != 0 || m.Matched != 52 {
		t.Errorf("%+v, %v", m, err)
	}
	second.restore()
	r.sweep()
	if s := r.cache.Stats(); s.Lives != 1 || second.plan.Hit != 52 {
		t.Errorf("%+v", s)
	}
	second.close()
	r.finish()
}

// A second turn at the same point as a running one gets a copy, or, without a snapshot there, the nearest state.
func TestAStateInUseIsCopied(t *testing.T) {
	every(t, plenty, func(t *testing.T, r *rig) {
		r.turn(ask{Request: request("", chat(system, u1)), answer: a1})
		next := chat(system, u1, echo(a1), u2)
		first, _ := r.begin(ask{Request: request("", next), answer: a2})
		first.restore()
		first.step()
		second, _ := r.begin(ask{Request: Request{Prompt: next, NoWait: true}, answer: a2})
		second.restore()
		if second.state == first.state {
			t.Fatal("one state for two turns")
		}
		want := 73 // before the generation prompt
		if r.shape.window == 0 && !r.shape.recurrent {
			want = 87
		}
		if second.plan.Hit != want {
			t.Errorf("hit %d (%s, %s), want %d", second.plan.Hit, second.plan.Miss, second.plan.LimitedBy, want)
		}
		for _, o := range []*open{second, first} {
			for o.step() {
			}
			o.commit()
			o.close()
		}
		r.finish()
	})
}
