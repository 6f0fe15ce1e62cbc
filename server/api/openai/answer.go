package openai

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"reprise/kvcache/ledger"
	"reprise/server/api/wire"
	"reprise/server/engine"
)

// answer runs the turn and answers as the request wants it.
func (a *API) answer(w http.ResponseWriter, r *http.Request, c *call, f format) error {
	c.TurnID = engine.NewTurnID()
	w.Header().Set(wire.TurnHeader, c.TurnID)
	h := head{ID: f.prefix() + strings.TrimPrefix(c.TurnID, "turn_"), Created: time.Now().Unix(), Model: a.model().Name}
	if c.stream {
		return a.stream(w, r, c, f, h)
	}
	res, err := a.turns.Run(r.Context(), c.Request, nil)
	if err != nil {
		return err
	}
	return wire.WriteJSON(w, http.StatusOK, f.whole(h, res, newUsage(res, c)))
}

// stream answers while the turn runs. Until the first event an error still has a status; then it cuts the
// connection.
func (a *API) stream(w http.ResponseWriter, r *http.Request, c *call, f format, h head) error {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	form := wire.Form{Silent: func() any { return f.ending(h, nil) }}
	if first := f.opening(h); first != nil {
		form.Opening = []any{first}
	}
	s := wire.NewStream(w, form, cancel)
	defer s.Close()
	res, err := a.turns.Run(ctx, c.Request, func(ev engine.Event) error {
		pieces := f.pieces(h, &ev)
		if len(pieces) == 0 {
			return s.Open()
		}
		return s.Send(pieces...)
	})
	if err == nil {
		return finishStream(s, c, f, h, res)
	}
	s.Close()
	if s.Opened() {
		return fmt.Errorf("%w: %w", wire.ErrCut, err)
	}
	return err
}

func finishStream(s *wire.Stream, c *call, f format, h head, res *engine.Result) error {
	reason := finish(res)
	last := []any{f.ending(h, &reason)}
	if c.usage || c.ledger || c.ids {
		last = append(last, f.usage(h, newUsage(res, c)))
	}
	if err := s.Send(last...); err != nil {
		return fmt.Errorf("%w: %w", wire.ErrCut, err)
	}
	return s.Done()
}

// finish is the row's word for a completed turn, which is OpenAI's as well.
func finish(res *engine.Result) string { return string(res.Finish) }

// usage counts tokens, from the turn's row.
type usage struct {
	Prompt     int           `json:"prompt_tokens"`
	Completion int           `json:"completion_tokens"` // what was generated, the end token included
	Total      int           `json:"total_tokens"`
	Details    promptDetails `json:"prompt_tokens_details"`
	Reprise    *extension    `json:"reprise,omitempty"`
}

type promptDetails struct {
	Cached int `json:"cached_tokens"` // not computed again
}

// extension is reprise's own addition, on request.
type extension struct {
	Row *ledger.Row   `json:"row,omitempty"`
	IDs *extensionIDs `json:"ids,omitempty"`
}

type extensionIDs struct {
	Prompt    []int32 `json:"prompt"`
	Generated []int32 `json:"generated"`
	Computed  int     `json:"computed"` // of both together, what entered the model
}

func newUsage(res *engine.Result, c *call) *usage {
	row := &res.Row
	u := &usage{Prompt: row.PromptTokens.Or(0), Completion: row.GeneratedTokens.Or(0), Details: promptDetails{row.LookupHitTokens.Or(0)}}
	u.Total = u.Prompt + u.Completion
	if c.ledger || c.ids {
		u.Reprise = &extension{}
	}
	if c.ledger {
		u.Reprise.Row = &res.Row
	}
	if c.ids {
		u.Reprise.IDs = &extensionIDs{Prompt: res.Prompt, Generated: res.IDs, Computed: res.Computed}
	}
	return u
}
