package loop

import "fmt"

// What a run must show.
const (
	sizeLimit    = 0.02 // of the line
	reachedLimit = 0.99 // of the ceiling, append-only conversations
)

// problems are what does not hold in a run: identities, the oracle's findings, sizes, and for a conversation that only
// grows, how much of the ceiling was reached.
func (t *tally) problems(s *Summary) []string {
	out := []string{}
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if s.Status != "complete" {
		say("incomplete: %s", s.Why)
	}
	if s.Sizes.Worst > sizeLimit {
		say("turn %d: the prompt is %.1f %% off the profile's line", s.Sizes.WorstTurn, 100*s.Sizes.Worst)
	}
	if t.dry {
		return out
	}
	for i := range t.records {
		if broken, ok := t.records[i].Row.IdentityError.Get(); ok {
			say("turn %d: the row breaks an identity: %s", t.records[i].Turn, broken)
		}
	}
	if t.blind {
		say("some turns came without ids: no ceiling")
	}
	for _, v := range t.verdicts {
		out = append(out, v.Problems...)
	}
	out = append(out, t.sessions()...)
	if t.opts.NoReuse || t.opts.Layout != Stable || t.opts.Session != Resumed {
		return out
	}
	if r := s.Reuse.OfCeiling; r != nil && *r < reachedLimit {
		say("hits are %.2f %% of the ceiling, less than %.0f %%", 100**r, 100*reachedLimit)
	}
	for _, r := range t.records {
		if n := r.Row.RecomputeTokens.Or(0); r.Turn > 1 && n > 1 {
			say("turn %d: %d tokens recomputed that were had for this prefix (%s)", r.Turn, n, r.Row.MissReason.Or("no reason"))
		}
	}
	return out
}

// sessions compares the server's sessions with the conversations that were held.
func (t *tally) sessions() []string {
	var out []string
	named := map[string]string{} // by conversation
	taken := map[string]string{} // by session
	for i := range t.records {
		r := &t.records[i]
		session := r.Row.SessionID
		if before, ok := named[r.Conversation]; ok && before != session {
			out = append(out, fmt.Sprintf("turn %d: session %s, but its conversation was %s before", r.Turn, session, before))
		}
		if other, ok := taken[session]; ok && other != r.Conversation {
			out = append(out, fmt.Sprintf("turn %d: session %s is that of another conversation (%s)", r.Turn, session, other))
		}
		named[r.Conversation], taken[session] = session, r.Conversation
	}
	return out
}
