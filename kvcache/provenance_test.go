package kvcache

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// Provenance against a plain list of calls with everything that they fed.
func TestProvenanceAgainstAList(t *testing.T) {
	type fed struct {
		start, batch int
		ids          []int32
		own          int
	}
	rng := rand.New(rand.NewPCG(2, 6))
	for range 300 {
		var p *provenance
		var list []fed
		var path []int32
		for range 1 + rng.IntN(12) {
			switch rng.IntN(4) {
			case 0: // back to an earlier offset: another branch
				at := rng.IntN(len(path) + 1)
				p = p.cut(at, path[at:])
				for len(list) > 0 && list[len(list)-1].start >= at {
					list = list[:len(list)-1]
				}
				if n := len(list) - 1; n >= 0 && at < list[n].start+list[n].own {
					list[n].own = at - list[n].start
				}
				path = path[:at:at]
			case 1: // decode steps
				for range 1 + rng.IntN(5) {
					ids := few(rng, 1)
					p = p.add(1, 0, "")
					list = append(list, fed{len(path), 1, ids, 1})
					path = append(path, ids...)
				}
			default:
				ids, batch := few(rng, 1+rng.IntN(9)), 1+rng.IntN(2)
				p = p.add(len(ids), batch, "")
				list = append(list, fed{len(path), batch, ids, len(ids)})
				path = append(path, ids...)
			}
			got := p.calls(&alphabet{})
			if len(got) != len(list) || p.end() != len(path) {
				t.Fatalf("%d calls for %d, want %d for %d", len(got), p.end(), len(list), len(path))
			}
			for i, c := range got {
				w := list[i]
				if c.Start != w.start || c.Width != len(w.ids) || c.Batch != w.batch || !slices.Equal(c.Beyond.IDs, w.ids[w.own:]) {
					t.Fatalf("call %d is %+v, want %+v", i, c, w)
				}
			}
		}
	}
}

// Branches share the list of what they have in common.
func TestBranchesShareTheirCalls(t *testing.T) {
	var trunk *provenance
	for range 100 {
		trunk = trunk.add(4, 1, "").add(1, 1, "")
	}
	a, b := trunk.add(7, 1, "turn"), trunk.add(8, 1, "turn")
	if a.prev != trunk || b.prev != trunk || a.same(b, trunk.end()) || !a.same(trunk.add(7, 1, "warmup"), trunk.end()) {
		t.Error("branches are not what they should be")
	}
	if x := trunk.add(7, 2, ""); x.alone(trunk.end()) || !x.alone(x.end()) || !a.alone(0) {
		t.Error("alone")
	}
}

// A digest is that of ids, media and calls, and of nothing else.
func TestDigest(t *testing.T) {
	digest := func(model string, p Prompt, widths ...int) Digest {
		c := New(plenty)
		c.Add(Model{Fingerprint: model, RowBytes: 1})
		plan, _, err := c.Begin(Request{Model: model, Prompt: p})
		if err != nil {
			t.Fatal(err)
		}
		defer plan.Close()
		var count counter
		st, err := plan.Restore(func() State { return newFake(shape{growing: true}, &count) })
		if err != nil {
			t.Fatal(err)
		}
		at := 0
		for _, w := range widths { // one commit each: how a path was committed does not matter
			ids := p.IDs[at : at+w]
			st.(*fake).feed(ids, nil)
			if err := plan.Commit(Made{IDs: ids, Calls: []Step{{Width: w}}}); err != nil {
				t.Fatal(err)
			}
			at += w
		}
		return plan.Digest()
	}
	plain := Prompt{Sequence: Sequence{IDs: span(10, 12)}}
	image := plain
	image.Media = []Media{{2, 4, "cat"}}
	dog := plain
	dog.Media = []Media{{2, 4, "dog"}}
	seen := map[Digest]string{}
	for _, x := range []struct {
		name string
		d    Digest
	}{
		{"plain", digest("m", plain, 4, 4, 4)},
		{"another model", digest("n", plain, 4, 4, 4)},
		{"other calls", digest("m", plain, 8, 4)},
		{"as many of another width", digest("m", plain, 6, 6)},
		{"shorter", digest("m", plain, 4, 4)},
		{"a cat", digest("m", image, 4, 4, 4)},
		{"a dog", digest("m", dog, 4, 4, 4)},
		{"other ids", digest("m", Prompt{Sequence: Sequence{IDs: span(11, 12)}}, 4, 4, 4)},
	} {
		if other, ok := seen[x.d]; ok {
			t.Errorf("%s has the digest of %s", x.name, other)
		}
		seen[x.d] = x.name
	}
	if first, again := digest("m", image, 4, 4, 4), digest("m", image, 4, 4, 4); first != again {
		t.Error("a digest is not always the same")
	}
}

// The alphabet gives back what it was given.
func TestAlphabet(t *testing.T) {
	var a alphabet
	s := Sequence{IDs: []int32{1, 7, 7, 7, 7, 2, 7, 7}, Media: []Media{{1, 3, "x"}, {3, 5, "x"}, {6, 8, "y"}}}
	x, err := a.atoms(s)
	if err != nil {
		t.Fatal(err)
	}
	if x[1] != x[3] || x[1] == x[6] || x[1] == 7 || fmt.Sprint(a.sequence(x)) != fmt.Sprint(s) {
		t.Errorf("%v: %v", x, a.sequence(x))
	}
	for _, bad := range []Sequence{
		{IDs: []int32{1, -1}},
		{IDs: []int32{1, 2}, Media: []Media{{1, 3, "x"}}},
		{IDs: []int32{1, 2, 3}, Media: []Media{{1, 3, "x"}, {2, 3, "y"}}},
		{IDs: []int32{1, 2}, Media: []Media{{1, 1, "x"}}},
	} {
		if _, err := a.atoms(bad); err == nil {
			t.Errorf("%v was taken", bad)
		}
	}
}
