package anthropic

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"reprise/kvcache/ledger"
	"reprise/server/api/wire"
	"reprise/server/engine"
)

// signature stands where Anthropic signs its model's reasoning; clients send it back unread.
const signature = "reprise"

// head names an answer.
type head struct{ turn, model string }

func (h head) id() string { return "msg_" + h.turn }

// callID survives clients that keep letters and digits alone, at most 40.
func (h head) callID(index int) string { return "toolu" + h.turn + "x" + strconv.Itoa(index) }

// whole is an answer in one, and what a stream begins with.
type whole struct {
	ID           string `json:"id"`
	Type         string `json:"type"`
	Role         string `json:"role"`
	Model        string `json:"model"`
	Content      []any  `json:"content"`
	StopReason   any    `json:"stop_reason"`
	StopSequence any    `json:"stop_sequence"`
	Usage        usage  `json:"usage"`
}

// usage counts tokens from the turn's row; the three of the prompt add up to it.
type usage struct {
	Input   int        `json:"input_tokens"`
	Written int        `json:"cache_creation_input_tokens"`
	Read    int        `json:"cache_read_input_tokens"`
	Output  int        `json:"output_tokens"`
	Reprise *wire.Said `json:"reprise,omitempty"`
}

type textBlock struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

type thinkingBlock struct {
	Type      string `json:"type"`
	Thinking  string `json:"thinking"`
	Signature string `json:"signature"`
}

type toolBlock struct {
	Type  string          `json:"type"`
	ID    string          `json:"id"`
	Name  string          `json:"name"`
	Input json.RawMessage `json:"input"`
}

func (h head) message(content []any, u usage) whole {
	return whole{ID: h.id(), Type: "message", Role: "assistant", Model: h.model, Content: content, Usage: u}
}

func (a *API) answer(w http.ResponseWriter, r *http.Request, c *call) error {
	c.TurnID = engine.NewTurnID()
	w.Header().Set(wire.TurnHeader, c.TurnID)
	w.Header().Set("Request-Id", c.TurnID)
	h := head{strings.TrimPrefix(c.TurnID, "turn_"), a.turns.Engine().Model().Name}
	if c.stream {
		return a.stream(w, r, c, h)
	}
	return wire.Whole(w, r, func(ctx context.Context) (any, error) {
		res, err := a.turns.Run(ctx, c.Request, nil)
		if err != nil {
			return nil, err
		}
		m := h.message(blocks(h, res), used(res, c))
		m.StopReason, m.StopSequence = stopReason(res)
		return m, nil
	})
}

func blocks(h head, res *engine.Result) []any {
	out := []any{}
	if res.Reasoning != "" {
		out = append(out, thinkingBlock{"thinking", res.Reasoning, signature})
	}
	if res.Text != "" {
		out = append(out, textBlock{"text", res.Text})
	}
	for i, c := range res.Calls {
		out = append(out, toolBlock{"tool_use", h.callID(i), c.Name, json.RawMessage(c.Arguments)})
	}
	return out
}

func stopReason(res *engine.Result) (reason, text any) {
	switch {
	case res.Finish == ledger.FinishLength:
		return "max_tokens", nil
	case res.Finish == ledger.FinishToolCalls:
		return "tool_use", nil
	case res.Stop != "":
		return "stop_sequence", res.Stop
	}
	return "end_turn", nil
}

// used splits the prompt in what the cache had, what it has now, and the rest.
func used(res *engine.Result, c *call) usage {
	row := &res.Row
	prompt, read := row.PromptTokens.Or(0), row.LookupHitTokens.Or(0)
	written := min(row.StoredTokens.Or(0), prompt-read)
	return usage{Input: prompt - read - written, Written: written, Read: read, Output: row.GeneratedTokens.Or(0), Reprise: c.own.Of(res)}
}

// stream answers while the turn runs. Until the first event an error still has a status; then it cuts the connection.
func (a *API) stream(w http.ResponseWriter, r *http.Request, c *call, h head) error {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	s := wire.NewStream(w, wire.Form{
		Opening: []any{named("message_start", event{"message": h.message([]any{}, usage{})}), ping()},
		Silent:  func() any { return ping() },
	}, cancel)
	defer s.Close()
	out := events{head: h}
	res, err := a.turns.Run(ctx, c.Request, func(ev engine.Event) error {
		pieces := out.take(&ev)
		if len(pieces) == 0 {
			return s.Open()
		}
		return s.Send(pieces...)
	})
	if err == nil {
		reason, text := stopReason(res)
		end := event{"delta": map[string]any{"stop_reason": reason, "stop_sequence": text}, "usage": used(res, c)}
		err = s.Send(append(out.close(), named("message_delta", end), named("message_stop", event{}))...)
		if err != nil {
			return fmt.Errorf("%w: %w", wire.ErrCut, err)
		}
		return nil
	}
	s.Close()
	if s.Opened() {
		return fmt.Errorf("%w: %w", wire.ErrCut, err)
	}
	return err
}

// event is an event, whose data repeats its name as its type.
type event map[string]any

// EventName is the name in the event's own line.
func (e event) EventName() string { return e["type"].(string) }

func named(name string, fields event) event {
	fields["type"] = name
	return fields
}

func ping() event { return named("ping", event{}) }
