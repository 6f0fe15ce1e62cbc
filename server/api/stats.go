package api

import (
	"net/http"

	"reprise/kvcache/ledger"
	"reprise/server/api/wire"
	"reprise/server/engine"
)

// Stats is what GET /v1/cache/stats says.
type Stats struct {
	Turns          Turns                    `json:"turns"`
	Purposes       map[ledger.Purpose]int64 `json:"purposes"` // turns of each, the clients' among them
	Cache          Cache                    `json:"cache"`
	Tiers          engine.TierStats         `json:"tiers"` // disk and remote store; null where there is none
	Memory         engine.MemoryStats       `json:"memory"`
	Audits         engine.AuditStats        `json:"audits"`
	Waiting        int                      `json:"waiting"` // turns in the queue now
	IdentityErrors int64                    `json:"identity_errors"`
	WriteErrors    int64                    `json:"write_errors"`
}

// Turns is what the clients' turns add up to since the process began; names are the row's.
type Turns struct {
	Turns         int64 `json:"turns"`
	Prompt        int64 `json:"prompt_tokens"`
	Matched       int64 `json:"matched_tokens"`
	Hit           int64 `json:"lookup_hit_tokens"`
	Recompute     int64 `json:"recompute_tokens"`
	New           int64 `json:"new_tokens"`
	Displaced     int64 `json:"displaced_tokens"`
	PaidAgain     int64 `json:"paid_again_tokens"`
	Prefill       int64 `json:"prefill_tokens"`
	Unprefilled   int64 `json:"unprefilled_tokens"`
	Spliced       int64 `json:"spliced_tokens"`
	Generated     int64 `json:"generated_tokens"`
	Stored        int64 `json:"stored_tokens"`
	Evicted       int64 `json:"evicted_tokens"`
	RestoredBytes int64 `json:"restore_bytes"`

	Finished map[ledger.FinishReason]int64 `json:"finish_reasons"`
	Misses   map[ledger.MissReason]Misses  `json:"miss_reasons"`
}

// Misses is what one reason cost.
type Misses struct {
	Turns  int64 `json:"turns"`
	Tokens int64 `json:"tokens"` // prompt − hit
}

// Cache is what the cache holds now, and, since the process began, what it had to give up.
type Cache struct {
	Budget     int64 `json:"budget_bytes"`
	Bytes      int64 `json:"kv_live_bytes"` // of the three below together: the row's field, as of now
	StateBytes int64 `json:"state_bytes"`   // whole states that a turn can go on from in place
	PieceBytes int64 `json:"piece_bytes"`   // rows of growing layers that states share
	SnapBytes  int64 `json:"snapshot_bytes"`

	States    int `json:"states"`
	Busy      int `json:"busy_states"` // of these, in a turn's hands
	Pieces    int `json:"pieces"`
	Snapshots int `json:"snapshots"`
	Nodes     int `json:"nodes"`          // of the prefix tree
	Tokens    int `json:"tokens"`         // in the prefix tree
	Ghosts    int `json:"ghost_tokens"`   // of these, with nothing held for them: they still count as matched
	Sessions  int `json:"sessions"`       // whose texts are known
	History   int `json:"history_tokens"` // in these texts, which displaced tokens are found in

	Evicted          int64 `json:"evicted_tokens"`
	SnapshotsEvicted int64 `json:"evicted_snapshots"`
}

// stats prints the totals.
func (s *Server) stats(w http.ResponseWriter, _ *http.Request) error {
	audits := s.engine.AuditStats() // before the rows: an audit is counted behind its row
	totals := s.engine.Ledger().Totals()
	out := Stats{
		Turns: turns(totals.Purposes[ledger.PurposeTurn]), Purposes: map[ledger.Purpose]int64{},
		Cache: holds(s.engine.CacheStats()), Tiers: s.engine.TierStats(), Memory: s.engine.MemoryStats(), Audits: audits,
		Waiting: s.engine.Waiting(), IdentityErrors: totals.IdentityErrors, WriteErrors: totals.WriteErrors,
	}
	for _, p := range []ledger.Purpose{ledger.PurposeTurn, ledger.PurposeAudit, ledger.PurposeWarmup} {
		out.Purposes[p] = totals.Purposes[p].Turns
	}
	return wire.WriteJSON(w, http.StatusOK, out)
}

func turns(p ledger.PurposeTotals) Turns {
	t := p.Tokens
	out := Turns{
		Turns: p.Turns, Prompt: t.Prompt, Matched: t.Matched, Hit: t.Hit, Recompute: t.Recompute, New: t.New, Displaced: t.Displaced,
		PaidAgain: t.PaidAgain, Prefill: t.Prefill, Unprefilled: t.Unprefilled, Spliced: t.Spliced, Generated: t.Generated,
		Stored: t.Stored, Evicted: t.Evicted, RestoredBytes: p.Bytes.Restored,
		Finished: p.Finished, Misses: make(map[ledger.MissReason]Misses, len(p.Misses)),
	}
	if out.Finished == nil {
		out.Finished = map[ledger.FinishReason]int64{}
	}
	for reason, m := range p.Misses {
		out.Misses[reason] = Misses(m)
	}
	return out
}

func holds(c engine.CacheStats) Cache {
	return Cache{
		Budget: c.Budget, Bytes: c.LiveBytes + c.PieceBytes + c.SnapBytes, StateBytes: c.LiveBytes, PieceBytes: c.PieceBytes, SnapBytes: c.SnapBytes,
		States: c.Lives, Busy: c.Busy, Pieces: c.Pieces, Snapshots: c.Snapshots, Nodes: c.Nodes, Tokens: c.Tokens, Ghosts: c.GhostTokens,
		Sessions: c.Sessions, History: c.HistoryTokens, Evicted: c.EvictedTokens, SnapshotsEvicted: c.SnapsEvicted,
	}
}
