package run

import (
	"context"
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"reprise/cmd/internal/load"
	"reprise/kvcache/ledger"
	"reprise/model/chat"
	"reprise/model/sample"
	"reprise/server/engine"
	"reprise/server/prompt"
)

// Most tokens of one answer when nobody says: raw text has no end of its own.
const (
	rawTokens     = 64
	messageTokens = 2048
)

// Turner runs turns; *engine.Engine is one.
type Turner interface {
	Turn(ctx context.Context, req engine.Request, emit func(engine.Event) error) (*engine.Result, error)
}

// Settings are the same for every turn of a conversation.
type Settings struct {
	Raw       bool  // continue the text itself, without the chat template
	Thinking  *bool // nil: the template's default
	Sampling  sample.Params
	MaxTokens int // of one answer; 0: 64 for raw text, 2,048 for messages
}

func (s Settings) maxTokens() int {
	switch {
	case s.MaxTokens > 0:
		return s.MaxTokens
	case s.Raw:
		return rawTokens
	}
	return messageTokens
}

// TakeRaw decides between raw text and the chat template, and says why when nobody chose. explicit is --raw or
// --raw=false, or nil; a template that was asked for by name counts as a choice.
func TakeRaw(m *engine.Model, explicit *bool, namedTemplate bool) (raw bool, why string) {
	switch {
	case explicit != nil:
		return *explicit, ""
	case m.Template == nil:
		return true, "it has no chat template"
	case namedTemplate:
		return false, ""
	case load.Base(m.Config):
		return true, "it is a base model; --raw=false uses its template"
	}
	return false, ""
}

// Conversation grows by turns. One goroutine uses it.
type Conversation struct {
	turner   Turner
	settings Settings
	messages []chat.Message
	text     string // raw: everything so far
}

// NewConversation begins an empty one.
func NewConversation(t Turner, s Settings) *Conversation {
	return &Conversation{turner: t, settings: s}
}

// Say runs a turn: text is the user's message, or what is added to raw text. The answer becomes part of the
// conversation, also as far as a cancelled turn got. The Result is never nil; its row has the figures.
func (c *Conversation) Say(ctx context.Context, text string, emit func(engine.Event) error) (*engine.Result, error) {
	req := engine.Request{Params: c.settings.Sampling, MaxTokens: c.settings.maxTokens()}
	var said []chat.Message
	if c.settings.Raw {
		text = joined(c.text, text)
		req.Prompt = prompt.Input{Raw: text}
	} else {
		said = append(c.messages[:len(c.messages):len(c.messages)], chat.NewMessage("user", text))
		req.Prompt = prompt.Input{Messages: said, Thinking: c.settings.Thinking}
	}
	res, err := c.turner.Turn(ctx, req, emit)
	if err == nil || errors.Is(err, context.Canceled) && res.Text != "" {
		c.text = text + res.Text
		c.messages = append(said, res.Message(func(int) string { return "" }))
	}
	return res, err
}

// joined puts more behind text. What does not say how it continues begins a new line, so that it does not run into
// the last word.
func joined(text, more string) string {
	if text == "" || more == "" {
		return text + more
	}
	before, _ := utf8.DecodeLastRuneInString(text)
	behind, _ := utf8.DecodeRuneInString(more)
	if unicode.IsSpace(before) || unicode.IsSpace(behind) || unicode.IsPunct(behind) {
		return text + more
	}
	return text + "\n" + more
}

// Turn is what one turn gave, as --json prints it.
type Turn struct {
	Text      string     `json:"text"`
	Reasoning string     `json:"reasoning,omitempty"`
	IDs       []int32    `json:"ids"` // generated, the end token included
	Row       ledger.Row `json:"row"`
}

// NewTurn takes over a result.
func NewTurn(r *engine.Result) Turn {
	ids := r.IDs
	if ids == nil {
		ids = []int32{}
	}
	return Turn{Text: r.Text, Reasoning: r.Reasoning, IDs: ids, Row: r.Row}
}

// Output is the object that --json prints.
type Output struct {
	Turn
	FollowUp *Turn `json:"follow_up,omitempty"`
}

// OneLine is what a turn's reuse looks like in a chat.
func OneLine(r *ledger.Row) string { return strings.Join([]string{reuse(r), speed(r)}, "; ") }
