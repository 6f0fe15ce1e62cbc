package kvcache

import (
	"fmt"
	"slices"
	"testing"
)

// A chat template's tokens.
const (
	start, end  = 90, 91
	user, model = 92, 93
)

// msg is a rendered message.
func msg(role int32, ids []int32) []int32 { return join([]int32{start, role}, ids, []int32{end}) }

// chat renders a conversation with its generation prompt, and names the offsets that design.md names: the static prefix's
// end, before and after each of the last four messages.
func chat(system []int32, messages ...[]int32) Prompt {
	p := Prompt{Sequence: Sequence{IDs: slices.Clone(system)}, Static: len(system), Wants: []int{len(system)}}
	for i, m := range messages {
		if len(messages)-i <= 4 {
			p.Wants = append(p.Wants, len(p.IDs))
		}
		p.IDs = append(p.IDs, m...)
		if i == 0 {
			p.FirstUser = len(p.IDs)
		}
	}
	p.Wants = append(p.Wants, len(p.IDs))
	p.IDs = append(p.IDs, start, model)
	return p
}

var (
	system = span(1000, 50)
	u1, u2 = msg(user, span(2000, 20)), msg(user, span(2100, 20))
	u3, u4 = msg(user, span(2200, 20)), msg(user, span(2300, 20))
	// What the model answers, its end token sampled last, and how it is rendered in the next prompt.
	a1, a2 = join(span(3000, 12), []int32{end}), join(span(3100, 12), []int32{end})
	a3     = join(span(3200, 12), []int32{end})
)

func echo(answer []int32) []int32 { return join([]int32{start, model}, answer) }

// offers turns a chat prompt into a request.
func request(session string, p Prompt) Request { return Request{Session: session, Prompt: p} }

// want is what a turn must show. hit −1: as much as matched, or all but the last token.
type want struct {
	name     string
	ask      ask
	matched  int
	atLeast  int // the hit
	miss     []Miss
	mostLost int // matched − hit
}

func run(t *testing.T, r *rig, turns []want) []Match {
	t.Helper()
	var all []Match
	for _, w := range turns {
		m := r.turn(w.ask)
		all = append(all, m)
		if m.Matched != w.matched || m.Hit < w.atLeast {
			t.Errorf("%s: matched %d, hit %d (%s, %s); want %d and at least %d", w.name, m.Matched, m.Hit, m.Miss, m.LimitedBy, w.matched, w.atLeast)
		}
		if len(w.miss) > 0 && !slices.Contains(w.miss, m.Miss) {
			t.Errorf("%s: miss %s, want one of %v", w.name, m.Miss, w.miss)
		}
		if lost := m.Matched - m.Hit; lost > w.mostLost && w.mostLost >= 0 {
			t.Errorf("%s: %d of %d matched tokens were computed again", w.name, lost, m.Matched)
		}
	}
	r.finish()
	return all
}

// every runs a timeline on every mix of layers.
func every(t *testing.T, o Options, f func(*testing.T, *rig)) {
	t.Helper()
	for _, s := range shapes {
		t.Run(s.String(), func(t *testing.T) { f(t, newRig(t, s, o)) })
	}
}

func TestAppend(t *testing.T) {
	every(t, plenty, func(t *testing.T, r *rig) {
		all := run(t, r, []want{
			{"first", ask{Request: request("", chat(system, u1)), answer: a1}, 0, 0, []Miss{MissFirst}, 0},
			{"second", ask{Request: request("", chat(system, u1, echo(a1), u2)), answer: a2}, 75 + 12, 75 + 12, []Miss{MissNone}, 0},
			{"third", ask{Request: request("", chat(system, u1, echo(a1), u2, echo(a2), u3)), answer: a3}, 87 + 26 + 12, 125, []Miss{MissNone}, 0},
			{"another one", ask{Request: request("", chat(system, u4)), answer: a3}, 50 + 2, 50, []Miss{MissChanged, MissSnapshot}, 2},
		})
		if all[1].Session != "session 1" || all[2].Session != "session 1" || all[2].Parent != "2" || all[1].Parent != "1" {
			t.Errorf("the chain: %q of %q, %q of %q", all[1].Session, all[1].Parent, all[2].Session, all[2].Parent)
		}
		if all[3].Session != "session 4" || all[3].Parent != "" || all[3].DivergedAt != 52 || !slices.Equal(all[3].Instead[:2], []int32{2000, 2001}) {
			t.Errorf("a new session: %+v", all[3])
		}
	})
}

// An edited message branches: what is before it is reused, and so is the first branch when the conversation returns to it.
func TestEditBranchAndReturn(t *testing.T) {
	edited := msg(user, span(2150, 20))
	every(t, plenty, func(t *testing.T, r *rig) {
		long := chat(system, u1, echo(a1), u2, echo(a2), u3)
		run(t, r, []want{
			{"first", ask{Request: request("", chat(system, u1)), answer: a1}, 0, 0, nil, 0},
			{"second", ask{Request: request("", chat(system, u1, echo(a1), u2)), answer: a2}, 87, 87, nil, 0},
			{"third", ask{Request: request("", long), answer: a3}, 125, 125, nil, 0},
			{"edited", ask{Request: request("", chat(system, u1, echo(a1), edited)), answer: a2}, 90, 88, nil, 2},
			{"back", ask{Request: request("", long), answer: a3}, len(long.IDs), len(long.IDs) - 2, nil, 2},
			{"further", ask{Request: request("", chat(system, u1, echo(a1), u2, echo(a2), u3, echo(a3), u4)), answer: a1}, len(long.IDs) + 12, len(long.IDs) + 12, nil, 0},
			{"the edit again", ask{Request: request("", chat(system, u1, echo(a1), edited, echo(a2), u4)), answer: a1}, 88 + 23 + 2 + 12, 88 + 23, nil, 14},
		})
	})
}

// Two sessions behind one system text take turns. Each finds its own state again, and the second one the system's.
func TestTwoSessionsInterleaved(t *testing.T) {
	other := msg(user, span(4000, 30))
	every(t, plenty, func(t *testing.T, r *rig) {
		all := run(t, r, []want{
			{"a1", ask{Request: request("", chat(system, u1)), answer: a1}, 0, 0, nil, 0},
			{"b1", ask{Request: request("", chat(system, other)), answer: a2}, 52, 50, nil, 2},
			{"a2", ask{Request: request("", chat(system, u1, echo(a1), u2)), answer: a2}, 87, 87, nil, 0},
			{"b2", ask{Request: request("", chat(system, other, echo(a2), u3)), answer: a3}, 97, 97, nil, 0},
			{"a3", ask{Request: request("", chat(system, u1, echo(a1), u2, echo(a2), u3)), answer: a3}, 125, 125, nil, 0},
			{"b3", ask{Request: request("", chat(system, other, echo(a2), u3, echo(a3), u4)), answer: a3}, 135, 135, nil, 0},
		})
		for i, m := range all {
			if want := fmt.Sprint("session ", 1+i%2); m.Session != want {
				t.Errorf("turn %d is of %s, want %s", i+1, m.Session, want)
			}
		}
	})
}

// Documents that change places between turns are displaced, and most of what is new is that.
func TestMovedDocuments(t *testing.T) {
	docs := [][]int32{span(5000, 40), span(5100, 50), span(5200, 60)}
	every(t, plenty, func(t *testing.T, r *rig) {
		prompt := func(order ...int) Prompt {
			var text []int32
			for _, i := range order {
				text = append(text, docs[i]...)
			}
			return chat(system, u1, msg(user, text), u2)
		}
		all := run(t, r, []want{
			{"first", ask{Request: request("", prompt(0, 1, 2)), answer: a1}, 0, 0, nil, 0},
			{"moved", ask{Request: request("", prompt(2, 0, 1)), answer: a1}, 75, 73, []Miss{MissChanged, MissSnapshot}, 2},
			{"moved again", ask{Request: request("", prompt(2, 1, 0)), answer: a1}, 75 + 60, 73, nil, -1},
			{"as the first", ask{Request: request("", prompt(0, 1, 2)), answer: a1}, 75 + 150 + 1 + 23 + 2, 73 + 153, nil, -1},
		})
		for i, want := range []int{0, 150, 90, 0} {
			if all[i].Displaced != want {
				t.Errorf("turn %d: %d displaced, want %d", i+1, all[i].Displaced, want)
			}
		}
		if 2*all[1].Displaced <= all[1].Requested-all[1].Matched {
			t.Errorf("displaced is the smaller part of new: %+v", all[1])
		}
	})
}

// OpenClaw's every turn ends with a message that is gone from the next. That must cost only the tail.
func TestEphemeralTail(t *testing.T) {
	every(t, plenty, func(t *testing.T, r *rig) {
		var talk [][]int32
		boundary := 0
		for turn := range 8 {
			talk = append(talk, msg(user, span(2000+100*turn, 20)))
			note := msg(user, span(8000+100*turn, 17)) // in its place the answer follows next time
			p := chat(system, append(slices.Clone(talk), note)...)
			answer := join(span(3000+100*turn, 9+turn), []int32{end})
			m := r.turn(ask{Request: request("", p), answer: answer})
			if m.Hit < boundary || turn > 0 && m.Matched-m.Hit > 4 {
				t.Errorf("turn %d: matched %d, hit %d (%s, %s), the boundary before the last message was %d", turn+1, m.Matched, m.Hit, m.Miss, m.LimitedBy, boundary)
			}
			if turn > 0 && m.Session != "session 1" {
				t.Errorf("turn %d begins %s", turn+1, m.Session)
			}
			boundary = len(p.IDs) - 2 - len(note)
			talk = append(talk, echo(answer))
		}
		r.finish()
	})
}

// Equal ids that stand for other images are not the same tokens; the same image is reused.
func TestMediaInThePrefix(t *testing.T) {
	image := slices.Repeat([]int32{7}, 16)
	with := func(identity string, rest ...[]int32) Prompt {
		p := chat(system, append([][]int32{msg(user, join(image, span(2000, 10)))}, rest...)...)
		p.Media = []Media{{From: 52, To: 68, Identity: identity}}
		return p
	}
	every(t, plenty, func(t *testing.T, r *rig) {
		last := with("cat", echo(a1), u2)
		all := run(t, r, []want{
			{"cat", ask{Request: request("", with("cat")), answer: a1}, 0, 0, []Miss{MissFirst}, 0},
			{"the cat again", ask{Request: request("", with("cat", echo(a1), u2)), answer: a2}, 81 + 12, 93, []Miss{MissNone}, 0},
			{"dog", ask{Request: request("", with("dog", echo(a1), u2)), answer: a2}, 52, 50, []Miss{MissMedia, MissSnapshot}, 2},
			{"the cat's conversation", ask{Request: request("", last), answer: a2}, len(last.IDs), len(last.IDs) - 2, nil, 2},
		})
		if m := all[3]; m.LimitedBy == LimitLast && m.Hit != m.Requested-1 {
			t.Errorf("limited by the last token at %d of %d", m.Hit, m.Requested)
		}
	})
}

// A prompt that ends within an image is restored up to its beginning: a model sees images whole.
func TestNoHitWithinMedia(t *testing.T) {
	r := newRig(t, shape{growing: true}, plenty)
	p := Prompt{Sequence: Sequence{IDs: join(system, slices.Repeat([]int32{7}, 16)), Media: []Media{{50, 66, "cat"}}}}
	r.turn(ask{Request: Request{Prompt: p}, answer: a1})
	if m := r.turn(ask{Request: Request{Prompt: p}, answer: a1}); m.Matched != 66 || m.Hit != 50 || m.LimitedBy != LimitLast || m.Miss != MissNone {
		t.Errorf("%+v", m)
	}
	wider := p
	wider.IDs = append(slices.Clone(p.IDs), slices.Repeat([]int32{7}, 16)...)
	wider.Media = []Media{{50, 82, "cat"}}
	if m := r.turn(ask{Request: Request{Prompt: wider}, answer: a1}); m.Matched != 50 || m.Miss != MissMedia {
		t.Errorf("an image twice as wide: %+v", m)
	}
	r.finish()
}

// What a cancelled prefill computed serves the retry, and a retry of a whole prompt costs little.
func TestCancelAndRetry(t *testing.T) {
	every(t, plenty, func(t *testing.T, r *rig) {
		long := chat(system, u1, echo(a1), u2, echo(a2), u3)
		n := len(long.IDs)
		run(t, r, []want{
			{"cancelled in the second chunk", ask{Request: request("", long), answer: a1, cancel: 17}, 0, 0, []Miss{MissFirst}, 0},
			{"cancelled further on", ask{Request: request("", long), answer: a1, cancel: 100}, 32, 32, []Miss{MissNone}, 0},
			{"retry", ask{Request: request("", long), answer: a1}, 112, 112, []Miss{MissNone}, 0},
			{"again", ask{Request: request("", long), answer: a1}, n, n - 2, nil, 2},
			{"rewritten", ask{Request: request("", chat(system, u1, echo(a1), u2, echo(a2), u4)), answer: a1}, n - 2 - 21, n - 2 - 23, nil, 2},
		})
	})
}

// A raw prompt wants state before its last token, so that a retry computes only that.
func TestRawPrompts(t *testing.T) {
	every(t, plenty, func(t *testing.T, r *rig) {
		p := func(ids []int32) Prompt {
			return Prompt{Sequence: Sequence{IDs: ids}, Wants: []int{len(ids) - 1}}
		}
		all := run(t, r, []want{
			{"first", ask{Request: request("", p(system)), answer: a1}, 0, 0, nil, 0},
			{"again", ask{Request: request("", p(system)), answer: a1}, 50, 49, []Miss{MissNone}, 1},
			{"continued", ask{Request: request("", p(join(system, a1, u2))), answer: a2}, 62, 62, []Miss{MissNone}, 0},
			{"a beginning only", ask{Request: request("", p(join(system[:30], u3))), answer: a1}, 30, 0, []Miss{MissSnapshot, MissChanged}, 30},
			{"one id", ask{Request: request("", p(system[:1])), answer: a1}, 1, 0, []Miss{MissNone}, 1},
		})
		if all[1].LimitedBy != LimitLast || all[1].Session != "session 1" || all[2].Parent != "2" && all[2].Parent != "1" || all[3].Parent != "" || all[4].Parent == "" {
			t.Errorf("%+v", all)
		}
	})
}

// Another model begins anew and says why; the first one finds its own again.
func TestModelSwap(t *testing.T) {
	for _, drop := range []bool{false, true} {
		every(t, plenty, func(t *testing.T, r *rig) {
			second := r.shape.model()
			first := second.Fingerprint
			second.Fingerprint = "another"
			r.cache.Add(second)
			p := chat(system, u1)
			on := func(model string) ask {
				a := ask{Request: request("", p), answer: a1}
				a.Model = model
				return a
			}
			r.turn(on(first))
			if drop {
				r.cache.Remove(first)
			}
			if m := r.turn(on("another")); m.Matched != 0 || m.Miss != MissModel {
				t.Errorf("on the second model: %+v", m)
			}
			m := r.turn(on(first))
			if drop && (m.Matched != len(p.IDs) || m.Hit != 0 || m.Miss != MissEvicted || m.LimitedBy == LimitNone) {
				t.Errorf("back, dropped: %+v", m)
			}
			if !drop && (m.Matched != len(p.IDs) || m.Hit < len(p.IDs)-2) {
				t.Errorf("back: %+v", m)
			}
			r.finish()
		})
	}
}

// Where a prompt diverged is told by the turn that it continues: a prompt that only goes on has not diverged, whatever
// others did, and one that changes its parent's end has.
func TestDivergence(t *testing.T) {
	r := newRig(t, shape{growing: true}, plenty)
	raw := func(session string, ids ...[]int32) ask {
		return ask{Request: request(session, Prompt{Sequence: Sequence{IDs: join(ids...)}})}
	}
	for i, x := range []struct {
		ask     ask
		at      int
		parent  string
		instead []int32
	}{
		{raw("", system), -1, "", nil},
		{raw("", system, u1), -1, "1", nil},
		{raw("", system, span(7000, 5)), -1, "1", nil},
		{raw("", system, u2), 52, "", u1[2:]}, // past no parent's whole prompt but the first one's
		{raw("", system, u1, u2), -1, "2", nil},
		{raw("", system, u1, u3), 75, "", u2[2:]},
		{raw("", u3, u4), 0, "", nil},
	} {
		m := r.turn(x.ask)
		if m.Parent != x.parent {
			t.Errorf("turn %d: parent %q, want %q", i+1, m.Parent, x.parent)
		}
		if m.DivergedAt != x.at || len(x.instead) > 0 && !slices.Equal(m.Instead, x.instead) {
			t.Errorf("turn %d: diverged at %d, where %v stood; want %d, %v", i+1, m.DivergedAt, m.Instead, x.at, x.instead)
		}
		if (m.Miss == MissChanged) != (x.at >= 0) {
			t.Errorf("turn %d: %s", i+1, m.Miss)
		}
	}
	r.finish()
}

// With reuse off everything is counted as if, and computed.
func TestNoReuse(t *testing.T) {
	every(t, plenty, func(t *testing.T, r *rig) {
		off := request("", chat(system, u1, echo(a1), u2))
		off.NoReuse = true
		run(t, r, []want{
			{"first", ask{Request: request("", chat(system, u1)), answer: a1}, 0, 0, nil, 0},
			{"off", ask{Request: off, answer: a2}, 87, 0, []Miss{MissReuse}, 87},
			{"on", ask{Request: request("", chat(system, u1, echo(a1), u2, echo(a2), u3)), answer: a2}, 125, 125, []Miss{MissNone}, 0},
		})
	})
}
