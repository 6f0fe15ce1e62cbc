package responses

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"reprise/kvcache/ledger"
	"reprise/server/api/wire"
	"reprise/server/engine"
)

// response is an answer, also one that is under way.
type response struct {
	ID         string `json:"id"`
	Object     string `json:"object"`
	Created    int64  `json:"created_at"`
	Status     string `json:"status"`
	Error      any    `json:"error"`
	Incomplete any    `json:"incomplete_details"`
	Model      string `json:"model"`
	Output     []any  `json:"output"`
	Usage      *usage `json:"usage"`
	echo
}

// usage counts tokens, from the turn's row.
type usage struct {
	Input   int            `json:"input_tokens"`
	Cached  map[string]int `json:"input_tokens_details"`
	Output  int            `json:"output_tokens"`
	Thought map[string]int `json:"output_tokens_details"`
	Total   int            `json:"total_tokens"`
	Reprise *wire.Said     `json:"reprise,omitempty"`
}

// head names an answer and its items.
type head struct {
	turn, model string
	created     int64
	echo        echo
}

func (h *head) id() string { return AnswerID(h.turn) }

// AnswerID is the id that a turn's answer has, for who knows the turn's.
func AnswerID(turn string) string { return "resp_" + strings.TrimPrefix(turn, "turn_") }

// item is the id of the answer's i-th item.
func (h *head) item(prefix string, i int) string { return prefix + h.turn + strconv.Itoa(i) }

// callID survives clients that keep letters and digits alone, at most 40.
func (h *head) callID(index int) string { return "call" + h.turn + "x" + strconv.Itoa(index) }

// response is the answer without what has come of it.
func (h *head) response() response {
	return response{ID: h.id(), Object: "response", Created: h.created, Status: "in_progress", Model: h.model, Output: []any{}, echo: h.echo}
}

// over is the finished answer.
func (h *head) over(res *engine.Result, c *call, output []any) response {
	r := h.response()
	r.Status, r.Output, r.Usage = "completed", output, newUsage(res, c)
	if res.Finish == ledger.FinishLength {
		r.Status, r.Incomplete = "incomplete", map[string]string{"reason": "max_output_tokens"}
	}
	return r
}

func newUsage(res *engine.Result, c *call) *usage {
	row := &res.Row
	u := &usage{Input: row.PromptTokens.Or(0), Output: row.GeneratedTokens.Or(0), Reprise: c.own.Of(res)}
	u.Total = u.Input + u.Output
	u.Cached = map[string]int{"cached_tokens": row.LookupHitTokens.Or(0)}
	u.Thought = map[string]int{"reasoning_tokens": res.Thought}
	return u
}

func (a *API) answer(w http.ResponseWriter, r *http.Request, c *call) error {
	c.TurnID = engine.NewTurnID()
	w.Header().Set(wire.TurnHeader, c.TurnID)
	h := &head{turn: strings.TrimPrefix(c.TurnID, "turn_"), model: a.turns.Engine().Model().Name, created: time.Now().Unix(), echo: c.echo}
	if c.stream {
		return a.stream(w, r, c, h)
	}
	return wire.Whole(w, r, func(ctx context.Context) (any, error) {
		res, err := a.turns.Run(ctx, c.Request, nil)
		if err != nil {
			return nil, err
		}
		a.keep(h, c, res)
		return h.over(res, c, whole(h, res)), nil
	})
}

// keep makes the conversation one that can be continued by the answer's id.
func (a *API) keep(h *head, c *call, res *engine.Result) {
	if c.store {
		a.kept.put(h.id(), append(slices.Clip(c.before), res.Message(h.callID)), res.Row.PromptTokens.Or(0)+res.Row.GeneratedTokens.Or(0))
	}
}

// stream answers while the turn runs. Until the first event an error still has a status; then it cuts the connection.
func (a *API) stream(w http.ResponseWriter, r *http.Request, c *call, h *head) error {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	e := &events{head: h}
	silent := func() any { return named("response.in_progress", event{"response": h.response()}) }
	s := wire.NewStream(w, wire.Form{
		Opening: []any{named("response.created", event{"response": h.response()}), silent()}, Silent: silent, Stamp: numbers(),
	}, cancel)
	defer s.Close()
	res, err := a.turns.Run(ctx, c.Request, func(ev engine.Event) error {
		pieces := e.take(&ev)
		if len(pieces) == 0 {
			return s.Open()
		}
		return s.Send(pieces...)
	})
	if err != nil {
		s.Close()
		if s.Opened() {
			return fmt.Errorf("%w: %w", wire.ErrCut, err)
		}
		return err
	}
	a.keep(h, c, res)
	last := e.close()
	final := h.over(res, c, e.output)
	if err := s.Send(append(last, named("response."+final.Status, event{"response": final}))...); err != nil {
		return fmt.Errorf("%w: %w", wire.ErrCut, err)
	}
	return nil
}

// whole are the items of an answer that was not streamed.
func whole(h *head, res *engine.Result) []any {
	e := &events{head: h, output: []any{}}
	ev := engine.Event{Reasoning: res.Reasoning, Text: res.Text}
	for i, c := range res.Calls {
		ev.Calls = append(ev.Calls, engine.CallPiece{Index: i, Name: c.Name, Arguments: c.Arguments})
	}
	e.take(&ev)
	e.close()
	return e.output
}
