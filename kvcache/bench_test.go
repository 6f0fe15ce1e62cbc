package kvcache

import (
	"fmt"
	"testing"
)

// A lookup of 100,000 tokens, beside twenty other sessions: of a conversation of 50 turns that goes on; of one that was
// edited near its beginning, so that the rest is displaced; of a prompt that nobody ever saw, as a new conversation's and as
// that of one which is known; and of one whose static prefix was moved by a token. Acceptance asks for at most 2 ms.
func BenchmarkLookup(b *testing.B) {
	const tokens = 100_000
	r := newRig(b, shape{growing: true, recurrent: true}, plenty)
	r.seldom = 1 << 30
	commit := func(session string, ids []int32) {
		p, _, err := r.cache.Begin(Request{Model: r.shape.model().Fingerprint, Turn: fmt.Sprint(session, len(ids)), NewSession: session, Prompt: wanting(ids)})
		if err != nil {
			b.Fatal(err)
		}
		st, err := p.Restore(func() State { return newFake(r.shape, &r.counter) })
		if err != nil {
			b.Fatal(err)
		}
		f := st.(*fake)
		ids = ids[p.Hit:]
		snaps := f.feed(ids, []int{p.Requested - 20, p.Requested})
		if err := p.Commit(Made{IDs: ids, Calls: []Step{{Width: len(ids)}}, Snapshots: snaps}); err != nil {
			b.Fatal(err)
		}
		p.Close()
	}
	for i := range 20 {
		commit(fmt.Sprint("other ", i), join(span(0, 10_000), span(1_000_000*(i+1), 5_000)))
	}
	all := span(0, tokens)
	for turn := range 50 {
		commit("main", all[:(turn+1)*tokens/50-50])
	}
	edited := join(all[:12_000], span(90_000_000, 1), all[12_000:])
	unknown := span(50_000_000, tokens)
	for _, x := range []struct {
		name, session      string
		ids                []int32
		matched, displaced int
	}{
		{"warm", "", all, tokens - 50, 0},
		{"edited", "", edited, 12_000, tokens - 12_000 - 50},
		{"unknown", "", unknown, 0, 0},
		{"unknown in a known session", "main", unknown, 0, 0},
		{"moved", "", join(unknown[:1], all), 0, 9_999},
	} {
		b.Run(x.name, func(b *testing.B) {
			req := Request{Model: r.shape.model().Fingerprint, Session: x.session, NewSession: "new", Prompt: wanting(x.ids)}
			for b.Loop() {
				if m, err := r.cache.Lookup(req); err != nil || m.Matched != x.matched || m.Displaced != x.displaced {
					b.Fatalf("%+v, %v", m, err)
				}
			}
		})
	}
}

func wanting(ids []int32) Prompt {
	return Prompt{Sequence: Sequence{IDs: ids}, Static: min(10_000, len(ids)), FirstUser: min(10_100, len(ids)), Wants: []int{10_000, len(ids) - 20, len(ids)}}
}
