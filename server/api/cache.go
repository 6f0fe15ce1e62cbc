package api

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"reprise/kvcache/ledger"
	"reprise/server/api/wire"
	"reprise/server/engine"
)

const (
	healthPath = "/health"
	pagePath   = "/{$}"
)

// What two of reprise's own endpoints take in their query.
var (
	rowsParams  = []string{"since", "session"}
	clearParams = []string{"tier"}
)

// routes are reprise's own endpoints.
func (s *Server) routes() []wire.Route {
	return []wire.Route{
		{Method: http.MethodGet, Path: healthPath, Handle: s.health},
		{Method: http.MethodGet, Path: "/v1/cache/ledger", Handle: s.rows},
		{Method: http.MethodGet, Path: "/v1/cache/stats", Handle: s.stats},
		{Method: http.MethodGet, Path: "/v1/cache/why/{turn_id}", Handle: s.why},
		{Method: http.MethodPost, Path: "/v1/cache/clear", Handle: s.clear},
		{Method: http.MethodPost, Path: "/v1/cache/verify", Handle: s.verify},
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
	if err := onlyParams(q, rowsParams...); err != nil {
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

// why prints where a turn's prompt left what was known, with both texts.
func (s *Server) why(w http.ResponseWriter, r *http.Request) error {
	turn := r.PathValue("turn_id")
	if why, ok := s.engine.Why(turn); ok {
		return wire.WriteJSON(w, http.StatusOK, why)
	}
	rows := s.engine.Ledger().Recent().Rows()
	i := slices.IndexFunc(rows, func(row ledger.Row) bool { return row.TurnID == turn })
	if i < 0 {
		return &wire.Error{Status: http.StatusNotFound, Code: wire.CodeNotFound, Param: "turn_id",
			Message: fmt.Sprintf("the turn %.100q is not in the ledger of this process: GET /v1/cache/ledger lists those that are", turn)}
	}
	row := &rows[i]
	if at, ok := row.DivergedAt.Get(); ok {
		return &wire.Error{Status: http.StatusNotFound, Code: "texts_forgotten", Param: "turn_id",
			Message: fmt.Sprintf("the turn %s left what was known at token %d, too many turns ago: its texts are gone, its row is in the ledger", turn, at)}
	}
	return &wire.Error{Status: http.StatusNotFound, Code: "not_diverged", Param: "turn_id",
		Message: fmt.Sprintf("the turn %s did not leave what was known (miss_reason %s, hit %s of %s prompt tokens): there are no two texts to show",
			turn, orNone(row.MissReason), orNone(row.LookupHitTokens), orNone(row.PromptTokens))}
}

// orNone prints a row's field in a sentence.
func orNone[T any](field ledger.Opt[T]) string {
	if v, ok := field.Get(); ok {
		return fmt.Sprint(v)
	}
	return "none"
}

// Verified is what POST /v1/cache/verify says.
type Verified struct {
	OK     bool     `json:"ok"`
	Broken []string `json:"broken"` // what does not add up, with the arithmetic
}

// verify counts everything again that the cache holds.
func (s *Server) verify(w http.ResponseWriter, r *http.Request) error {
	out := Verified{OK: true, Broken: []string{}}
	err := s.engine.VerifyCache(r.Context())
	var broken *engine.CacheError
	switch {
	case errors.As(err, &broken):
		out.OK, out.Broken = false, strings.Split(broken.Err.Error(), "\n")
		s.log.Error("the cache breaks its invariants", "err", broken.Err)
	case err != nil:
		return err
	}
	return wire.WriteJSON(w, http.StatusOK, out)
}

// clear forgets every state that no turn is using: in memory and on the disk, or in the tier that is named. The shared store is
// others', too: it is cleared only by its name, or with all.
func (s *Server) clear(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	if err := onlyParams(q, clearParams...); err != nil {
		return err
	}
	tier := q.Get("tier")
	if !slices.Contains([]string{"", "l0", "l1", "l2", "all"}, tier) {
		return wire.BadRequest("tier", wire.CodeInvalidValue, "%.100q is no tier: l0 (memory), l1 (disk), l2 (the shared store), all; without it, l0 and l1", tier)
	}
	if err := s.engine.ClearTiers(r.Context(), tier != "l0" && tier != "l2", tier == "l2" || tier == "all"); err != nil {
		return err
	}
	if tier == "" || tier == "l0" || tier == "all" {
		if err := s.engine.ClearCache(r.Context()); err != nil {
			return err
		}
	}
	return wire.WriteJSON(w, http.StatusOK, struct {
		Cleared bool `json:"cleared"`
	}{true})
}
