package openai

import (
	"strconv"
	"strings"

	"reprise/server/engine"
)

// format gives the pieces of an answer their shape.
type format interface {
	prefix() string                               // of the answer's id
	opening(h head) any                           // the stream's first event, nil for none
	pieces(h head, ev *engine.Event) []any        // what an event brings; none when it brings nothing
	ending(h head, finish *string) any            // the event that says why the answer is over; without that, a sign of life
	usage(h head, u *usage) any                   // the last event of a stream
	whole(h head, r *engine.Result, u *usage) any // the answer in one
	join(whole, next any) any                     // two answers in one; the first may be nil
}

// head is the same in every event of an answer.
type head struct {
	Index   int // of the choice
	ID      string
	Created int64 // Unix seconds
	Model   string
	Top     int // how many of the most probable tokens were asked for
}

const callType = "function"

// callID names a call of the answer: letters and digits alone, fewer than 40, because clients strip the rest.
func (h head) callID(index int) string {
	_, turn, _ := strings.Cut(h.ID, "-")
	if h.Index > 0 {
		turn += "x" + strconv.Itoa(h.Index)
	}
	return "call" + turn + "x" + strconv.Itoa(index)
}

// indexed is a shape of choices; at gives it its index.
type indexed[C any] interface{ at(index int) C }

func (c chatChoice) at(index int) chatChoice { c.Index = index; return c }
func (c chatDelta) at(index int) chatDelta   { c.Index = index; return c }
func (c textChoice) at(index int) textChoice { c.Index = index; return c }

// reply is an answer or an event of one. C is the shape of its choices.
type reply[C indexed[C]] struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Created int64  `json:"created"`
	Model   string `json:"model"`
	Choices []C    `json:"choices"`
	Usage   *usage `json:"usage,omitempty"`
}

// newReply makes a reply with the choices, which are never null.
func newReply[C indexed[C]](h head, object string, u *usage, choices ...C) reply[C] {
	r := reply[C]{h.ID, object, h.Created, h.Model, make([]C, len(choices)), u}
	for i, c := range choices {
		r.Choices[i] = c.at(h.Index)
	}
	return r
}

// joined adds the next answer's choices to those of whole, if there is one.
func joined[C indexed[C]](whole, next any) any {
	if whole == nil {
		return next
	}
	r := whole.(reply[C])
	r.Choices = append(r.Choices, next.(reply[C]).Choices...)
	return r
}

// chatFormat is that of /v1/chat/completions.
type chatFormat struct{}

type chatChoice struct {
	Index        int           `json:"index"`
	Message      chatMessage   `json:"message"`
	Logprobs     *chatLogprobs `json:"logprobs"`
	FinishReason string        `json:"finish_reason"`
}

type chatMessage struct {
	Role      string     `json:"role"`
	Content   *string    `json:"content"` // null beside calls without text
	Reasoning string     `json:"reasoning_content,omitempty"`
	Calls     []toolCall `json:"tool_calls,omitempty"`
	Refusal   *string    `json:"refusal"` // always null: the model's words are content
}

type toolCall struct {
	Index    *int         `json:"index,omitempty"` // in a stream
	ID       string       `json:"id,omitempty"`    // in a stream: of a call's first piece
	Type     string       `json:"type,omitempty"`
	Function toolFunction `json:"function"`
}

type toolFunction struct {
	Name      string `json:"name,omitempty"`
	Arguments string `json:"arguments"`
}

type chatDelta struct {
	Index        int           `json:"index"`
	Delta        delta         `json:"delta"`
	Logprobs     *chatLogprobs `json:"logprobs,omitempty"`
	FinishReason *string       `json:"finish_reason"`
}

type delta struct {
	Role      string     `json:"role,omitempty"`
	Content   *string    `json:"content,omitempty"`
	Reasoning string     `json:"reasoning_content,omitempty"`
	Calls     []toolCall `json:"tool_calls,omitempty"`
}

const chatChunk = "chat.completion.chunk"

func (chatFormat) prefix() string           { return "chatcmpl-" }
func (chatFormat) join(whole, next any) any { return joined[chatChoice](whole, next) }

func (chatFormat) opening(h head) any {
	return newReply(h, chatChunk, nil, chatDelta{Delta: delta{Role: "assistant", Content: new(string)}})
}

// pieces are a delta for each kind of what the event brings: reasoning, content, and a piece of a call, the first one
// with the call's id and name.
func (chatFormat) pieces(h head, ev *engine.Event) []any {
	var out []any
	odds := newChatLogprobs(ev.Logprobs())
	add := func(d delta) {
		out = append(out, newReply(h, chatChunk, nil, chatDelta{Delta: d, Logprobs: odds}))
		odds = nil // with the first piece
	}
	if ev.Reasoning != "" {
		add(delta{Reasoning: ev.Reasoning})
	}
	if ev.Text != "" {
		add(delta{Content: &ev.Text})
	}
	for i := range ev.Calls {
		piece := &ev.Calls[i]
		c := toolCall{Index: &piece.Index, Function: toolFunction{Name: piece.Name, Arguments: piece.Arguments}}
		if piece.Name != "" {
			c.ID, c.Type = h.callID(piece.Index), callType
		}
		add(delta{Calls: []toolCall{c}})
	}
	if odds != nil { // of a token whose text is not certain yet
		add(delta{Content: new(string)})
	}
	return out
}

func (chatFormat) ending(h head, finish *string) any {
	return newReply(h, chatChunk, nil, chatDelta{FinishReason: finish})
}

func (chatFormat) usage(h head, u *usage) any { return newReply[chatDelta](h, chatChunk, u) }

func (chatFormat) whole(h head, r *engine.Result, u *usage) any {
	m := chatMessage{Role: "assistant", Content: &r.Text, Reasoning: r.Reasoning}
	for i, c := range r.Calls {
		m.Calls = append(m.Calls, toolCall{ID: h.callID(i), Type: callType, Function: toolFunction{Name: c.Name, Arguments: c.Arguments}})
	}
	if r.Text == "" && len(r.Calls) > 0 {
		m.Content = nil
	}
	return newReply(h, "chat.completion", u, chatChoice{Message: m, Logprobs: newChatLogprobs(r.Logprobs), FinishReason: finish(r)})
}

// textFormat is that of /v1/completions.
type textFormat struct{}

type textChoice struct {
	Index        int           `json:"index"`
	Text         string        `json:"text"`
	Logprobs     *textLogprobs `json:"logprobs"`
	FinishReason *string       `json:"finish_reason"`
}

const textObject = "text_completion"

func (textFormat) prefix() string           { return "cmpl-" }
func (textFormat) opening(head) any         { return nil }
func (textFormat) join(whole, next any) any { return joined[textChoice](whole, next) }

func (textFormat) pieces(h head, ev *engine.Event) []any {
	odds := newTextLogprobs(ev.Logprobs(), h.Top)
	if ev.Text == "" && odds == nil {
		return nil
	}
	return []any{newReply(h, textObject, nil, textChoice{Text: ev.Text, Logprobs: odds})}
}

func (textFormat) ending(h head, finish *string) any {
	return newReply(h, textObject, nil, textChoice{FinishReason: finish})
}

func (textFormat) usage(h head, u *usage) any { return newReply[textChoice](h, textObject, u) }

func (textFormat) whole(h head, r *engine.Result, u *usage) any {
	reason := finish(r)
	return newReply(h, textObject, u, textChoice{Text: r.Text, Logprobs: newTextLogprobs(r.Logprobs, h.Top), FinishReason: &reason})
}
