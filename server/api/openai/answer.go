package openai

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"reprise/server/api/wire"
	"reprise/server/engine"
)

// answer runs the turn and answers as the request wants it.
func (a *API) answer(w http.ResponseWriter, r *http.Request, c *call, f format) error {
	c.TurnID = engine.NewTurnID()
	w.Header().Set(wire.TurnHeader, c.TurnID)
	h := head{ID: f.prefix() + strings.TrimPrefix(c.TurnID, "turn_"), Created: time.Now().Unix(), Model: a.model().Name, Top: c.TopLogprobs}
	if c.stream {
		return a.stream(w, r, c, f, h)
	}
	return wire.Whole(w, r, func(ctx context.Context) (any, error) {
		var u *usage
		var whole any
		for h.Index = range c.choices {
			res, err := a.turns.Run(ctx, c.answerAt(h.Index), nil)
			if err != nil {
				return nil, err
			}
			u = u.and(newUsage(res, c))
			whole = f.join(whole, f.whole(h, res, u))
		}
		return whole, nil
	})
}

// answerAt is the turn of one of the answers: each has a row and a seed of its own.
func (c *call) answerAt(index int) engine.Request {
	req := c.Request
	if index > 0 {
		req.TurnID = engine.NewTurnID()
		req.Seed += uint64(index)
	}
	return req
}

// stream answers while the turn runs. Until the first event an error still has a status; then it cuts the
// connection.
func (a *API) stream(w http.ResponseWriter, r *http.Request, c *call, f format, h head) error {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	life := f.ending(h, nil)
	form := wire.Form{Silent: func() any { return life }}
	if first := f.opening(h); first != nil {
		form.Opening = []any{first}
	}
	s := wire.NewStream(w, form, cancel)
	defer s.Close()
	var err error
	var u *usage
	for i := 0; i < c.choices && err == nil; i++ {
		h.Index = i
		if first := f.opening(h); i > 0 && first != nil {
			_ = s.Send(first) // an error stays, and is that of the next event as well
		}
		var res *engine.Result
		res, err = a.turns.Run(ctx, c.answerAt(i), func(ev engine.Event) error {
			pieces := f.pieces(h, &ev)
			if len(pieces) == 0 {
				return s.Open()
			}
			return s.Send(pieces...)
		})
		if err == nil {
			u = u.and(newUsage(res, c))
			reason := finish(res)
			err = s.Send(f.ending(h, &reason))
		}
	}
	if err == nil && (c.usage || c.own.Ledger || c.own.IDs) {
		err = s.Send(f.usage(h, u))
	}
	if err == nil {
		err = s.Done()
	}
	s.Close()
	if err != nil && s.Opened() {
		return fmt.Errorf("%w: %w", wire.ErrCut, err)
	}
	return err
}

// finish is the row's word for a completed turn, which is OpenAI's as well.
func finish(res *engine.Result) string { return string(res.Finish) }

// usage counts tokens, from the turn's row.
type usage struct {
	Prompt     int           `json:"prompt_tokens"`
	Completion int           `json:"completion_tokens"` // what was generated, the end token included
	Total      int           `json:"total_tokens"`
	Details    promptDetails `json:"prompt_tokens_details"`
	Parts      *parts        `json:"completion_tokens_details,omitempty"` // nil: no reasoning
	Reprise    *wire.Said    `json:"reprise,omitempty"`
}

type promptDetails struct {
	Cached int `json:"cached_tokens"` // not computed again
}

type parts struct {
	Reasoning int `json:"reasoning_tokens"` // of the completion's, the marks around it included
}

// and adds the usage of another answer to the same prompt, which counts once, as it was for the first; so do its row and ids.
func (u *usage) and(next *usage) *usage {
	if u == nil {
		return next
	}
	u.Completion += next.Completion
	if next.Parts != nil {
		sum := *next.Parts
		if u.Parts != nil {
			sum.Reasoning += u.Parts.Reasoning
		}
		u.Parts = &sum
	}
	u.Total += next.Completion
	return u
}

func newUsage(res *engine.Result, c *call) *usage {
	row := &res.Row
	u := &usage{Prompt: row.PromptTokens.Or(0), Completion: row.GeneratedTokens.Or(0), Details: promptDetails{row.LookupHitTokens.Or(0)}}
	if res.Thought > 0 {
		u.Parts = &parts{res.Thought}
	}
	u.Total = u.Prompt + u.Completion
	u.Reprise = c.own.Of(res)
	return u
}
