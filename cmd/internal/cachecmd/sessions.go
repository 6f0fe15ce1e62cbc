package cachecmd

import (
	"slices"
	"time"

	"reprise/kvcache/ledger"
)

// Session is what the rows of one session say.
type Session struct {
	ID         string    `json:"session_id"`
	Model      string    `json:"model"`
	Turns      int       `json:"turns"`
	WarmUps    int       `json:"warmups"`
	Tokens     int       `json:"tokens"` // of the longest prompt and its answer
	LastTurn   string    `json:"last_turn_id"`
	LastPrompt int       `json:"last_prompt_tokens"`
	LastHit    int       `json:"last_hit_tokens"`
	Last       time.Time `json:"last_time"`
}

// Sessions sums rows up by session, the latest first. Audits are nobody's turns; a turn that made no lookup is in no
// session.
func Sessions(rows []ledger.Row) []Session {
	at := map[string]int{}
	list := []Session{}
	for i := range rows {
		r := &rows[i]
		hit, looked := r.LookupHitTokens.Get()
		if !looked || r.Purpose == ledger.PurposeAudit {
			continue
		}
		n, known := at[r.SessionID]
		if !known {
			n = len(list)
			at[r.SessionID] = n
			list = append(list, Session{ID: r.SessionID, Model: r.Model})
		}
		s := &list[n]
		if r.Purpose == ledger.PurposeWarmup {
			s.WarmUps++
		} else {
			s.Turns++
		}
		s.Tokens = max(s.Tokens, r.PromptTokens.Or(0)+r.GeneratedTokens.Or(0))
		if !r.Time.Before(s.Last) {
			s.LastTurn, s.LastPrompt, s.LastHit, s.Last = r.TurnID, r.PromptTokens.Or(0), hit, r.Time
		}
	}
	slices.SortStableFunc(list, func(x, y Session) int { return y.Last.Compare(x.Last) })
	return list
}
