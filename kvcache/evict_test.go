package kvcache

import (
	"slices"
	"testing"
)

// bytesOf runs turns under plenty and says what they hold in the end.
func bytesOf(t *testing.T, s shape, turns ...ask) int64 {
	r := newRig(t, s, plenty)
	for _, a := range turns {
		r.turn(a)
	}
	return r.sweep().Bytes
}

// Under pressure the sessions that were not heard of for longest lose their state, stay known, and are told why.
func TestEvictionUnderPressure(t *testing.T) {
	talk := func(i int) ask {
		return ask{Request: request("", Prompt{Sequence: Sequence{IDs: span(1000*i, 105)}, Wants: []int{60, 104}}), answer: a1}
	}
	for _, s := range shapes {
		t.Run(s.String(), func(t *testing.T) {
			r := newRig(t, s, Options{Budget: 2 * bytesOf(t, s, talk(1))})
			for i := range 6 {
				r.turn(talk(i))
			}
			for _, x := range []struct {
				i    int
				kept bool
			}{{5, true}, {4, true}, {0, false}} {
				a := talk(x.i)
				a.Model = s.model().Fingerprint
				m, err := r.cache.Lookup(a.Request)
				if err != nil {
					t.Fatal(err)
				}
				if n := len(a.Prompt.IDs); m.Matched != n || x.kept && m.Hit < n-2 {
					t.Errorf("session %d: %+v", x.i, m)
				} else if !x.kept && (m.Hit > 60 || m.Miss != MissEvicted || m.LimitedBy == LimitNone) {
					t.Errorf("session %d should be gone: %+v", x.i, m)
				}
			}
			if e := r.cache.Stats(); e.EvictedTokens+e.SnapsEvicted == 0 {
				t.Errorf("%+v", e)
			}
			r.finish()
		})
	}
}

// A conversation that outgrows the budget alone goes on: what runs is never evicted.
func TestABudgetOfNothing(t *testing.T) {
	every(t, Options{}, func(t *testing.T, r *rig) {
		for _, p := range []Prompt{chat(system, u1), chat(system, u1, echo(a1), u2)} {
			if m := r.turn(ask{Request: request("", p), answer: a1}); m.Hit != 0 {
				t.Errorf("%+v", m)
			}
			if s := r.cache.Stats(); s.LiveBytes+s.PieceBytes+s.SnapBytes != 0 {
				t.Errorf("%+v", s)
			}
		}
		r.finish()
	})
}

// The static prefix of a recent session goes last, also when it was used but once and long ago.
func TestTheStaticPrefixGoesLast(t *testing.T) {
	every(t, plenty, func(t *testing.T, r *rig) {
		r.turn(ask{Request: request("", chat(system, u1)), answer: a1})
		talk := [][]int32{u1}
		for i := range 6 { // the conversation goes on; nobody begins another one
			talk = append(talk, echo(a1), msg(user, span(2000+100*i, 20)))
			r.turn(ask{Request: request("", chat(system, talk...)), answer: a1})
		}
		for {
			s := r.cache.Stats()
			held := s.LiveBytes + s.PieceBytes + s.SnapBytes
			if held == 0 {
				break
			}
			m, err := r.cache.Lookup(Request{Model: r.shape.model().Fingerprint, Prompt: chat(system, u4)})
			if err != nil {
				t.Fatal(err)
			}
			prefix := int64(0)
			if r.shape.growing {
				prefix += 50 * rowBytes
			}
			if x := r.shape.model(); x.needs() {
				prefix += x.SnapshotBytes
			}
			if m.Hit < 50 && held >= prefix {
				t.Fatalf("the static prefix went before %+v", s)
			}
			r.cache.SetBudget(held - 1)
			r.sweep()
		}
		r.finish()
	})
}

// What side requests leave behind is given up before what older turns did.
func TestSideRequestsGoFirst(t *testing.T) {
	every(t, plenty, func(t *testing.T, r *rig) {
		main, side := Prompt{Sequence: Sequence{IDs: span(1000, 75)}, Wants: []int{74}}, Prompt{Sequence: Sequence{IDs: span(7000, 75)}, Wants: []int{74}}
		r.turn(ask{Request: request("", main), answer: a1})
		r.turn(ask{Request: Request{Prompt: side, Side: true}, answer: a1})
		hit := func(p Prompt) int {
			m, err := r.cache.Lookup(Request{Model: r.shape.model().Fingerprint, Prompt: p})
			if err != nil {
				t.Fatal(err)
			}
			return m.Hit
		}
		if hit(main) != 74 || hit(side) != 74 {
			t.Fatalf("hits of %d and %d", hit(main), hit(side))
		}
		for budget := r.sweep().Bytes; hit(side) > 0; budget-- {
			r.cache.SetBudget(budget)
			r.sweep()
		}
		if hit(main) != 74 {
			t.Errorf("the main line has %d left", hit(main))
		}
		r.finish()
	})
}

// Snapshots are thinned: those go first whose neighbours are near, and the newest boundary stays.
func TestSnapshotsAreThinned(t *testing.T) {
	s := shape{recurrent: true}
	r := newRig(t, s, plenty)
	p := Prompt{Sequence: Sequence{IDs: span(0, 400)}, Wants: []int{100, 104, 200, 203, 300, 396}}
	o, _ := r.begin(ask{Request: request("", p)})
	o.restore()
	for o.step() {
	}
	o.commit()
	o.state.feed(span(5000, 1), nil) // it goes on, and its state is lost
	o.close()
	left := func(budget int64) []int {
		r.cache.SetBudget(budget)
		r.sweep()
		var at []int
		r.cache.trees[0].base.each(func(b *block) {
			if b.snap != nil {
				at = append(at, b.end())
			}
		})
		return at
	}
	for _, x := range []struct {
		budget int64
		want   []int
	}{
		{6 * snapBytes, []int{100, 104, 200, 203, 300, 396}},
		{5 * snapBytes, []int{100, 104, 200, 300, 396}},
		{4 * snapBytes, []int{100, 200, 300, 396}},
	} {
		if got := left(x.budget); !slices.Equal(got, x.want) {
			t.Errorf("%d bytes hold the snapshots at %v, want %v", x.budget, got, x.want)
		}
	}
	// What is told from one that was never taken.
	for at, want := range map[int]struct {
		hit  int
		miss Miss
	}{206: {200, MissEvicted}, 90: {0, MissSnapshot}} {
		p := Prompt{Sequence: Sequence{IDs: join(span(0, at), span(7000, 9))}}
		m, err := r.cache.Lookup(Request{Model: s.model().Fingerprint, Prompt: p})
		if err != nil || m.Hit != want.hit || m.Miss != want.miss || m.LimitedBy != LimitRecurrent {
			t.Errorf("a prompt that leaves at %d: %+v, %v; want %v", at, m, err, want)
		}
	}
	r.finish()
}

// A live state that is evicted leaves behind what others need of it.
func TestAnEvictedStateLeavesWhatOthersNeed(t *testing.T) {
	r := newRig(t, shape{growing: true}, plenty)
	text := span(1000, 300)
	raw := func(rest []int32) Prompt { return Prompt{Sequence: Sequence{IDs: join(text, rest)}} }
	r.turn(ask{Request: request("", raw(u1)), answer: a1})
	r.turn(ask{Request: request("", raw(u2)), answer: a2}) // takes the state, after u1's rows were copied out
	if s := r.cache.Stats(); s.Lives != 1 || s.Pieces == 0 {
		t.Fatalf("%+v", s)
	}
	l := r.cache.lives[0]
	r.cache.evict(&victim{live: l, saved: r.cache.shared(l)})
	r.check("evict")
	if s := r.cache.Stats(); s.Lives != 0 || s.EvictedTokens != 33 {
		t.Errorf("%+v", s)
	}
	for _, x := range []struct {
		rest []int32
		hit  int
	}{{join(u1, a1, u3), 300 + 23 + 12}, {join(u2, a2, u3), 302}} {
		if m, err := r.cache.Lookup(Request{Model: r.shape.model().Fingerprint, Prompt: raw(x.rest)}); err != nil || m.Hit != x.hit {
			t.Errorf("%+v, %v; want a hit of %d", m, err, x.hit)
		}
	}
	r.finish()
}

// Room for a prefill is made before it begins, in a new state and in one that goes on.
func TestRoomIsMade(t *testing.T) {
	for _, ids := range [][]int32{span(9000, 100), span(3000, 200)} {
		every(t, plenty, func(t *testing.T, r *rig) {
			for i := range 4 {
				r.turn(ask{Request: request("", Prompt{Sequence: Sequence{IDs: span(1000*i, 100)}, Wants: []int{99}})})
			}
			held := r.sweep().Bytes
			r.cache.SetBudget(held)
			a := ask{Request: request("", Prompt{Sequence: Sequence{IDs: ids}})}
			a.Expect = 20
			o, _ := r.begin(a)
			grown := int64(0)
			if l := o.plan.live; l != nil {
				grown = l.bytes
			}
			o.restore()
			s := r.cache.Stats()
			need := int64(len(ids)-o.plan.Hit+20)*r.shape.model().RowBytes - (o.state.Bytes() - grown)
			if free := held - s.LiveBytes - s.PieceBytes - s.SnapBytes; free < need {
				t.Errorf("%d of %d bytes are free, %d are needed", free, held, need)
			}
			o.close()
			r.finish()
		})
	}
}

// Who gets a copy, who moves a state: what copies least. With room, a short conversation behind a long system text takes
// over the state of another and swaps the tails; a long one gets a state of its own. Without room nothing is copied
// for a new state.
func TestMoveOrCopy(t *testing.T) {
	s := shape{growing: true}
	long := span(1000, 300)
	for _, x := range []struct {
		name   string
		tail   int // of the first session
		budget int64
		lives  int
	}{
		{"a short tail is moved out of the way", 20, 1 << 40, 1},
		{"a long tail stays, the prefix is copied", 600, 1 << 40, 2},
		{"no room for a copy", 600, 10_500, 1},
	} {
		r := newRig(t, s, Options{Budget: x.budget})
		first := chat(long, msg(user, span(10_000, x.tail)))
		r.turn(ask{Request: request("", first), answer: a1})
		o, _ := r.begin(ask{Request: request("", chat(long, u2)), answer: a2})
		o.restore()
		if got := r.cache.Stats().Lives; got != x.lives || o.plan.Hit != 302 {
			t.Errorf("%s: %d live states, hit %d; want %d", x.name, got, o.plan.Hit, x.lives)
		}
		if copied := o.plan.Copied() > 0; copied != (x.budget == 1<<40) {
			t.Errorf("%s: %d bytes copied", x.name, o.plan.Copied())
		}
		for o.step() {
		}
		o.commit()
		o.close()
		m := r.turn(ask{Request: request("", chat(long, msg(user, span(10_000, x.tail)), echo(a1), u2)), answer: a1})
		if x.budget == 1<<40 && m.Hit != len(first.IDs)+12 {
			t.Errorf("%s: back at the first session, %+v", x.name, m)
		}
		r.finish()
	}
}

// In place nothing is copied, however long the conversation.
func TestContinuingCopiesNothing(t *testing.T) {
	every(t, plenty, func(t *testing.T, r *rig) {
		r.turn(ask{Request: request("", chat(system, u1)), answer: a1})
		o, _ := r.begin(ask{Request: request("", chat(system, u1, echo(a1), u2)), answer: a2})
		o.restore()
		if o.plan.Copied() != 0 || r.cache.Stats().Lives != 1 {
			t.Errorf("%d bytes copied", o.plan.Copied())
		}
		o.close()
		r.finish()
	})
}

// Memory that cannot be had limits a hit, and the reason says so.
func TestLimitedByMemory(t *testing.T) {
	s := shape{growing: true}
	r := newRig(t, s, plenty)
	first, _ := r.begin(ask{Request: request("", chat(system, u1)), answer: a1})
	first.restore()
	for first.step() {
	}
	first.commit()
	r.cache.SetBudget(r.cache.Stats().LiveBytes + 10*rowBytes) // no room for a copy of 52 rows beside the running turn
	m, err := r.cache.Lookup(Request{Model: s.model().Fingerprint, Prompt: chat(system, u2), NoWait: true})
	if err != nil || m.Hit != 0 || m.Matched != 52 || m.Miss != MissEvicted || m.LimitedBy != LimitMemory {
		t.Errorf("%+v, %v", m, err)
	}
	first.close()
	r.finish()
}
