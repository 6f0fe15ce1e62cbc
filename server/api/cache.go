package api

import (
	"net/http"
	"net/url"
	"slices"
	"time"

	"reprise/kvcache/ledger"
	"reprise/server/api/wire"
)

const healthPath = "/health"

// routes are reprise's own endpoints.
func (s *Server) routes() []wire.Route {
	return []wire.Route{
		{Method: http.MethodGet, Path: healthPath, Handle: s.health},
		{Method: http.MethodGet, Path: "/v1/cache/ledger", Handle: s.rows},
		{Method: http.MethodGet, Path: "/v1/cache/stats", Handle: s.stats},
		{Method: http.MethodPost, Path: "/v1/cache/clear", Handle: s.clear},
	}
}

// health is 200 while the model can answer: a Server is made with a loaded one, so until it stops.
func (s *Server) health(w http.ResponseWriter, _ *http.Request) error {
	if s.stopping.Load() || s.engine.Model() == nil {
		return &wire.Error{Status: http.StatusServiceUnavailable, Code: "not_ready", Message: "no model can answer now", RetryAfter: 5 * time.Second}
	}
	return wire.WriteJSON(w, http.StatusOK, struct {
		Status string `json:"status"`
		Model  string `json:"model"`
	}{"ok", s.engine.Model().Name})
}

// rows prints the ledger: all rows held, those after a turn id or a time (since), those of one session.
func (s *Server) rows(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	if err := onlyParams(q, "since", "session"); err != nil {
		return err
	}
	var out struct {
		Rows []ledger.Row `json:"rows"`
		Gap  bool         `json:"gap,omitempty"` // rows after since may have been forgotten
	}
	ring := s.engine.Ledger().Recent()
	if since := q.Get("since"); since != "" {
		rows, found := ring.Since(since)
		out.Rows, out.Gap = rows, !found
	} else {
		out.Rows = ring.Rows()
	}
	if session := q.Get("session"); session != "" {
		out.Rows = ledger.OfSession(out.Rows, session)
	}
	if out.Rows == nil {
		out.Rows = []ledger.Row{}
	}
	return wire.WriteJSON(w, http.StatusOK, out)
}

func onlyParams(q url.Values, known ...string) error {
	for name := range q {
		if !slices.Contains(known, name) {
			return wire.BadRequest(name, wire.CodeUnknown, "%.100q is not a parameter here; there are %v", name, known)
		}
	}
	return nil
}

// turnStats is what the clients' turns add up to since the process began; names are the row's.
type turnStats struct {
	Turns       int64 `json:"turns"`
	Prompt      int64 `json:"prompt_tokens"`
	Matched     int64 `json:"matched_tokens"`
	Hit         int64 `json:"lookup_hit_tokens"`
	Recompute   int64 `json:"recompute_tokens"`
	New         int64 `json:"new_tokens"`
	Prefill     int64 `json:"prefill_tokens"`
	Unprefilled int64 `json:"unprefilled_tokens"`
	Generated   int64 `json:"generated_tokens"`
	Stored      int64 `json:"stored_tokens"`
	Evicted     int64 `json:"evicted_tokens"`

	Finished map[ledger.FinishReason]int64      `json:"finish_reasons"`
	Misses   map[ledger.MissReason]ledgerMisses `json:"miss_reasons"`
}

type ledgerMisses struct {
	Turns  int64 `json:"turns"`
	Tokens int64 `json:"tokens"` // prompt − hit
}

// stats prints the totals.
func (s *Server) stats(w http.ResponseWriter, _ *http.Request) error {
	totals := s.engine.Ledger().Totals()
	t := totals.Purposes[ledger.PurposeTurn]
	misses := make(map[ledger.MissReason]ledgerMisses, len(t.Misses))
	for reason, m := range t.Misses {
		misses[reason] = ledgerMisses(m)
	}
	if t.Finished == nil {
		t.Finished = map[ledger.FinishReason]int64{}
	}
	return wire.WriteJSON(w, http.StatusOK, struct {
		Total          turnStats `json:"turns"`
		Waiting        int       `json:"waiting"` // turns in the queue now
		IdentityErrors int64     `json:"identity_errors"`
		WriteErrors    int64     `json:"write_errors"`
	}{
		Total: turnStats{
			Turns: t.Turns, Prompt: t.Tokens.Prompt, Matched: t.Tokens.Matched, Hit: t.Tokens.Hit,
			Recompute: t.Tokens.Recompute, New: t.Tokens.New, Prefill: t.Tokens.Prefill, Unprefilled: t.Tokens.Unprefilled,
			Generated: t.Tokens.Generated, Stored: t.Tokens.Stored, Evicted: t.Tokens.Evicted,
			Finished: t.Finished, Misses: misses,
		},
		Waiting: s.engine.Waiting(), IdentityErrors: totals.IdentityErrors, WriteErrors: totals.WriteErrors,
	})
}

// clear forgets every state that no turn is using.
func (s *Server) clear(w http.ResponseWriter, r *http.Request) error {
	if err := s.engine.ClearCache(r.Context()); err != nil {
		return err
	}
	return wire.WriteJSON(w, http.StatusOK, struct {
		Cleared bool `json:"cleared"`
	}{true})
}
