package kvcache

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestChunksKeepTheGrid(t *testing.T) {
	r := newRig(t, shape{growing: true, recurrent: true}, plenty) // a grid of 16
	r.turn(ask{Request: Request{Prompt: Prompt{Sequence: Sequence{IDs: span(0, 21)}}}})
	p := Prompt{
		Sequence: Sequence{IDs: span(0, 70), Media: []Media{{From: 44, To: 52, Identity: "cat"}}},
		Wants:    []int{25, 32, 5, 48, 60},
	}
	o, _ := r.begin(ask{Request: Request{Prompt: p}})
	want := []Chunk{
		{21, 32, []int{25, 32}}, // from the hit to the grid
		{32, 52, nil},           // not through the image, and no state within it
		{52, 64, []int{60}},
		{64, 70, nil},
	}
	if o.plan.Hit != 21 || !reflect.DeepEqual(o.plan.Chunks(), want) {
		t.Errorf("hit %d, %+v", o.plan.Hit, o.plan.Chunks())
	}
	o.close()
	r.finish()
}

// Captures are the static prefix's end, what the prompt names, the point of divergence and a sparse grid; when bytes are
// short, in this order of worth.
func TestCaptures(t *testing.T) {
	captures := func(s shape, budget int64, sparse int) []int {
		r := newRig(t, s, Options{Budget: 1 << 40})
		m := s.model()
		m.Sparse = sparse
		r.cache.Add(m)
		r.turn(ask{Request: request("", Prompt{Sequence: Sequence{IDs: join(span(0, 30), span(500, 20))}})})
		r.cache.SetBudget(budget)
		p := Prompt{Sequence: Sequence{IDs: span(0, 100)}, Static: 40, Wants: []int{40, 90, 70, 80, 100}}
		o, _ := r.begin(ask{Request: request("", p)})
		defer o.close()
		var all []int
		for _, c := range o.plan.Chunks() {
			all = append(all, c.Captures...)
		}
		return all
	}
	recurrent := shape{growing: true, recurrent: true}
	for _, x := range []struct {
		s      shape
		budget int64
		sparse int
		want   []int
	}{
		{recurrent, 1 << 40, 0, []int{30, 40, 70, 80, 90, 100}},
		{recurrent, 1 << 40, 25, []int{30, 40, 50, 70, 80, 90, 100}},
		{recurrent, 4 * 5 * snapBytes, 25, []int{40, 70, 80, 90, 100}},
		{recurrent, 4 * 3 * snapBytes, 25, []int{40, 90, 100}},
		{recurrent, 0, 25, []int{40, 100}},
		{shape{growing: true}, 1 << 40, 25, nil},
	} {
		if got := captures(x.s, x.budget, x.sparse); !slices.Equal(got, x.want) {
			t.Errorf("%s, budget %d, sparse %d: %v, want %v", x.s, x.budget, x.sparse, got, x.want)
		}
	}
}

// A commit that does not say what happened is refused, with the arithmetic, and frees what came with it.
func TestCommitsThatCannotBe(t *testing.T) {
	r := newRig(t, shape{growing: true, recurrent: true}, plenty)
	p := chat(system, u1)
	for _, x := range []struct {
		name, says string
		made       func(f *fake) Made
	}{
		{"fewer ids than the calls fed", "3 ids, calls of 4, and the state went from 0 to 4", func(f *fake) Made {
			s := f.feed(p.IDs[:4], []int{4})
			return Made{IDs: p.IDs[:3], Calls: []Step{{Width: 4}}, Snapshots: s}
		}},
		{"a call that was dropped", "4 ids, calls of 4, and the state went from 0 to 0", func(f *fake) Made {
			return Made{IDs: p.IDs[:4], Calls: []Step{{Width: 4}}}
		}},
		{"other ids than the prompt's", "id 1001 at 0 entered the model; the prompt has 1000 there", func(f *fake) Made {
			f.feed(p.IDs[1:5], nil)
			return Made{IDs: p.IDs[1:5], Calls: []Step{{Width: 4}}}
		}},
		{"an empty call", "a call of width 0", func(f *fake) Made {
			f.feed(p.IDs[:4], nil)
			return Made{IDs: p.IDs[:4], Calls: []Step{{Width: 0}, {Width: 4}}}
		}},
		{"no id", "id -1 entered the model", func(f *fake) Made {
			ids := append(slices.Clone(p.IDs), -1)
			f.feed(ids, nil)
			return Made{IDs: ids, Calls: []Step{{Width: len(ids)}}}
		}},
	} {
		o, _ := r.begin(ask{Request: request("", p)})
		o.restore()
		if err := o.plan.Commit(x.made(o.state)); err == nil || !strings.Contains(err.Error(), x.says) {
			t.Errorf("%s: %v", x.name, err)
		}
		o.abort()
	}
	r.finish()
}

// A snapshot that was captured where nobody asked, or twice, is freed; one that belongs to no offset of the commit, too.
func TestSnapshotsNobodyNeeds(t *testing.T) {
	r := newRig(t, shape{growing: true, recurrent: true}, plenty)
	o, _ := r.begin(ask{Request: request("", chat(system, u1))})
	o.restore()
	early := o.state.feed(system[:20], []int{10})
	late := o.state.feed(system[20:30], []int{25, 30})
	o.fed = append(o.fed, system[:30]...)
	if err := o.plan.Commit(Made{IDs: system[:30], Calls: []Step{{Width: 20}, {Width: 10}}, Snapshots: append(late, o.state.snapshot())}); err != nil {
		t.Fatal(err)
	}
	o.state.feed(system[30:40], nil)
	if err := o.plan.Commit(Made{IDs: system[30:40], Calls: []Step{{Width: 10}}, Snapshots: early}); err != nil {
		t.Fatal(err)
	}
	r.check("commit")
	if s := r.cache.Stats(); s.Snapshots != 2 {
		t.Errorf("%d snapshots kept", s.Snapshots)
	}
	o.close()
	r.finish()
}

// The order of a turn is Begin, Restore, Commit, Close; Close and Abort may come at any time, and again.
func TestOrderOfATurn(t *testing.T) {
	r := newRig(t, shape{growing: true}, plenty)
	o, _ := r.begin(ask{Request: request("", chat(system, u1)), answer: a1})
	if err := o.plan.Commit(Made{}); !errors.Is(err, errStage) {
		t.Errorf("Commit before Restore: %v", err)
	}
	o.restore()
	if _, err := o.plan.Restore(nil); !errors.Is(err, errStage) {
		t.Errorf("Restore again: %v", err)
	}
	o.step()
	o.commit()
	o.close()
	o.plan.Close()
	o.plan.Abort()
	if err := o.plan.Commit(Made{}); !errors.Is(err, errStage) {
		t.Errorf("Commit after Close: %v", err)
	}
	r.check("more than enough")
	// What was fed and not committed cannot be reused: the state is not what the ids say.
	o, _ = r.begin(ask{Request: request("", chat(system, u1)), answer: a1})
	o.restore()
	o.state.feed(u2, nil)
	o.close()
	if s := r.cache.Stats(); s.Lives != 0 {
		t.Errorf("a state that stands elsewhere than its ids is still there: %+v", s)
	}
	r.finish()
}

func TestRequestsThatCannotBe(t *testing.T) {
	c := New(plenty)
	c.Add(Model{Fingerprint: "m"})
	for _, x := range []struct {
		says string
		r    Request
	}{
		{`no model "other"`, Request{Model: "other", Prompt: Prompt{Sequence: Sequence{IDs: system}}}},
		{"empty", Request{Model: "m"}},
		{"id 0 of the sequence is -1", Request{Model: "m", Prompt: Prompt{Sequence: Sequence{IDs: []int32{-1}}}}},
		{"static prefix 60", Request{Model: "m", Prompt: Prompt{Sequence: Sequence{IDs: system}, Static: 60}}},
		{`media "cat" at [40, 60) of 50 ids`, Request{Model: "m", Prompt: Prompt{Sequence: Sequence{IDs: system, Media: []Media{{40, 60, "cat"}}}}}},
	} {
		if _, err := c.Lookup(x.r); err == nil || !strings.Contains(err.Error(), x.says) {
			t.Errorf("Lookup: %v, want %q", err, x.says)
		}
		if _, _, err := c.Begin(x.r); err == nil || !strings.Contains(err.Error(), x.says) {
			t.Errorf("Begin: %v, want %q", err, x.says)
		}
	}
}

// Calls of a batch are replayed by nobody, so that two of them are never taken for one.
func TestBatchedCallsAreTheirOwn(t *testing.T) {
	for batch, want := range map[int]int{1: 1, 2: 2} {
		r := newRig(t, shape{growing: true}, plenty)
		for range 2 {
			a := ask{Request: request("", Prompt{Sequence: Sequence{IDs: system}})}
			a.NoReuse = true
			o, _ := r.begin(a)
			o.restore()
			o.state.feed(system, nil)
			o.made = Made{IDs: system, Calls: []Step{{Width: 50, Batch: batch}}}
			o.commit()
			if calls := o.plan.Calls(); len(calls) != 1 || calls[0].Batch != batch {
				t.Errorf("%+v", calls)
			}
			o.close()
		}
		if blocks := r.cache.trees[0].walk(system).last().blocks; len(blocks) != want {
			t.Errorf("batch of %d: %d blocks, want %d", batch, len(blocks), want)
		}
		r.finish()
	}
}

// A turn whose forward call failed leaves nothing that could be reused, and says so to the next.
func TestAbort(t *testing.T) {
	every(t, plenty, func(t *testing.T, r *rig) {
		r.turn(ask{Request: request("", chat(system, u1)), answer: a1})
		o, _ := r.begin(ask{Request: request("", chat(system, u2)), answer: a2})
		o.restore()
		o.step()
		o.commit()
		o.step()
		o.abort()
		m := r.turn(ask{Request: request("", chat(system, u2)), answer: a2})
		if m.Hit > 52 || m.Matched < 64 || m.Miss != MissSnapshot {
			t.Errorf("after a failed turn: %+v", m)
		}
		r.finish()
	})
}

// An audit found a state wrong: nothing that shares a computation with it is used again.
func TestDistrust(t *testing.T) {
	every(t, plenty, func(t *testing.T, r *rig) {
		fp := r.shape.model().Fingerprint
		r.turn(ask{Request: request("", chat(system, u1)), answer: a1})
		r.turn(ask{Request: request("", chat(system, u2)), answer: a1})
		r.turn(ask{Request: request("", chat(span(9000, 50), u2)), answer: a1})
		running, _ := r.begin(ask{Request: request("", chat(system, u1, echo(a1), u2)), answer: a2})
		running.restore()
		running.step()
		running.commit()
		paths, err := r.cache.Distrust(fp, Sequence{IDs: system[:10]})
		if err != nil {
			t.Fatal(err)
		}
		ended, err := r.cache.Spell(Sequence{IDs: slices.Concat(chat(system, u2).IDs, a1[:len(a1)-1])})
		if err != nil {
			t.Fatal(err)
		}
		same := func(p Spelling) bool { return bytes.Equal(p.Slice(0, p.Len()), ended.Slice(0, ended.Len())) }
		if len(paths) != 2 || !slices.ContainsFunc(paths, same) {
			t.Errorf("%d paths went through there, want two: that of the turn that ended, %v, and the one under way", len(paths), slices.ContainsFunc(paths, same))
		}
		r.check("distrust")
		m, err := r.cache.Lookup(Request{Model: fp, Prompt: chat(system, u1)})
		if err != nil || m.Hit != 0 || m.Matched != 75 || m.Miss != MissSnapshot {
			t.Errorf("while a turn is using it: %+v, %v", m, err)
		}
		for running.step() {
		}
		running.commit()
		running.close()
		if m, _ = r.cache.Lookup(Request{Model: fp, Prompt: chat(system, u1)}); m.Hit != 0 {
			t.Errorf("after that turn: %+v", m)
		}
		if m, _ = r.cache.Lookup(Request{Model: fp, Prompt: chat(span(9000, 50), u2)}); m.Hit == 0 {
			t.Errorf("what has nothing to do with it: %+v", m)
		}
		if s := r.cache.Stats(); s.Lives != 1 {
			t.Errorf("%d states are left", s.Lives)
		}
		r.finish()
	})
}

func TestStatsCount(t *testing.T) {
	r := newRig(t, shape{growing: true, window: 9}, plenty)
	r.turn(ask{Request: request("", chat(system, u1)), answer: a1})
	r.turn(ask{Request: request("", chat(system, u1, echo(a1), u2)), answer: a2})
	s := r.cache.Stats()
	want := Stats{
		Budget: 1 << 40, LiveBytes: 1280 + 120, SnapBytes: 80 * int64(s.Snapshots), Lives: 1, Snapshots: s.Snapshots, Nodes: s.Nodes,
		Tokens: 125, HistoryTokens: 125 + 1, Sessions: 1, Turns: 2, RequestedTokens: 75 + 113, Matched: 87, HitTokens: 87,
	}
	if s != want || s.Snapshots < 4 {
		t.Errorf("%+v\nwant %+v", s, want)
	}
	if fmt.Sprint(s.LiveBytes+s.SnapBytes) != fmt.Sprint(r.sweep().Bytes) {
		t.Error("Sweep counts otherwise")
	}
	r.finish()
}
