package loop

import (
	"fmt"
	"slices"

	"reprise/kvcache/ledger"
)

// What a run must show.
const (
	sizeLimit    = 0.02 // of the line
	reachedLimit = 0.99 // of the ceiling, append-only conversations
)

// problems are what does not hold in a run: identities, the oracle's findings, sizes, and for a conversation that only
// grows, how much of the ceiling was reached.
func (t *tally) problems(s *Summary) []string {
	out := append([]string{}, t.found...)
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if s.Status != "complete" {
		say("incomplete: %s", s.Why)
	}
	if s.Sizes.Worst > sizeLimit {
		say("turn %d: the prompt is %.1f %% off the profile's line", s.Sizes.WorstTurn, 100*s.Sizes.Worst)
	}
	if t.dry && t.blind {
		return out
	}
	for i := range t.records {
		for _, row := range []*ledger.Row{&t.records[i].Row, t.records[i].Prefill} {
			if row == nil {
				continue
			}
			if broken, ok := row.IdentityError.Get(); ok {
				say("turn %d: the row breaks an identity: %s", t.records[i].Turn, broken)
			}
		}
	}
	if t.blind && t.opts.Engine == Ours && (t.observed == nil || t.observed.Unknown == "") { // others do not show theirs
		say("some turns came without ids: no ceiling")
	}
	for _, v := range t.verdicts {
		if v.Prefill != nil {
			out = append(out, v.Prefill.Problems...)
		}
		out = append(out, v.Problems...)
	}
	out = append(out, t.sessions()...)
	if t.observed == nil {
		out = append(out, t.places()...)
	}
	// What an agent sends is its own affair: it need not only grow.
	if t.opts.NoReuse || t.opts.Layout != Stable || t.opts.Session != Resumed || t.observed != nil {
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

// sure is how many tokens a lower tier must spare to be asked whatever else there is.
const sure = 128

// places are what the sessions with processes of their own must show: where the state came from.
func (t *tally) places() []string {
	var out []string
	for i := range t.records {
		r := &t.records[i]
		missing := 0
		if i < len(t.verdicts) {
			missing = t.verdicts[i].Ceiling - r.Row.L0HitTokens.Or(0)
		}
		if text := t.place(r, missing); text != "" {
			out = append(out, fmt.Sprintf("turn %d: %s (%s)", r.Turn, text, r.Row.MissReason.Or("no reason")))
		}
	}
	return out
}

// place is what is wrong with where a turn's state came from; missing is what the process itself lacked of what there was.
func (t *tally) place(r *Record, missing int) string {
	l1, l2 := r.Row.L1HitTokens.Or(0), r.Row.L2HitTokens.Or(0)
	transfer, measured := r.Row.PDTransferMs.Get()
	switch n := r.Row.PromptTokens.Or(0); {
	case measured && t.opts.Session != PD:
		return fmt.Sprintf("pd_transfer_ms %v, and nothing was handed over", transfer)
	case t.opts.NoReuse:
		return ""
	case t.opts.Session == Restart && slices.Contains(Replaced, r.Turn-1) && l1 == 0 && missing >= sure:
		return "the server is new, and nothing came from the disk"
	case t.opts.Session == Remote && l2 == 0 && missing >= sure:
		return fmt.Sprintf("the other process computed %d tokens more, and nothing came from L2", missing)
	case t.opts.Session == PD && (r.Row.LookupHitTokens.Or(0) != n-1 || l2 == 0):
		return fmt.Sprintf("%d of %d tokens were handed over, %d of them through L2", r.Row.LookupHitTokens.Or(0), n, l2)
	case t.opts.Session == PD && !measured:
		return "the transfer was not measured"
	}
	return ""
}

// sessions compares the server's sessions with the conversations that were held, process by process.
func (t *tally) sessions() []string {
	var out []string
	type talk struct{ conversation, worker string }
	named := map[talk]string{}
	taken := map[string]string{} // by session
	for i := range t.records {
		r := &t.records[i]
		session := r.Row.SessionID
		if before, ok := named[talk{r.Conversation, r.Row.Worker}]; ok && before != session {
			out = append(out, fmt.Sprintf("turn %d: session %s, but its conversation was %s before", r.Turn, session, before))
		}
		if other, ok := taken[session]; ok && other != r.Conversation {
			out = append(out, fmt.Sprintf("turn %d: session %s is that of another conversation (%s)", r.Turn, session, other))
		}
		named[talk{r.Conversation, r.Row.Worker}], taken[session] = session, r.Conversation
	}
	return out
}
