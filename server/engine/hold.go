package engine

import (
	"errors"
	"slices"
	"strings"
	"sync"

	"reprise/mlx"
	"reprise/model/chat"
	"reprise/model/chat/held"
	"reprise/model/chat/parse"
	"reprise/model/sample/grammar"
)

// hold is what a turn's answer is held to. Its mask is made on the turn's goroutine, while the device computes the logits that
// it is for.
type hold struct {
	want    held.Want
	matcher *grammar.Matcher
	ends    []int32 // that may end the answer; nil: all
	allowed []bool
}

// ForceTool makes an answer a call: when the user's messages behind the last answer contain Text and the request offers the tool
// Name, the answer is one call of it, with exactly Arguments when they are given. For debugging.
type ForceTool struct {
	Name, Text string
	Arguments  []byte // a JSON object; nil: the model's choice, by the tool's schema
}

// grammars makes the vocabulary ready for grammars, once, when the first one is asked for.
type grammars struct {
	mu  sync.Mutex
	tok *grammar.Tokenizer
}

func (m *Model) grammarTokenizer() (*grammar.Tokenizer, error) {
	g := &m.grammars
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.tok != nil {
		return g.tok, nil
	}
	var marker func(int32) bool
	if m.dialect != nil {
		marker = m.dialect.IsMark
	}
	var err error
	g.tok, err = grammar.New(m.Tokenizer, m.Info().Vocab, marker)
	return g.tok, err
}

func (g *grammars) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.tok != nil {
		g.tok.Close()
		g.tok = nil
	}
}

// bind finds out what the answer is held to and what it may not say, once the prompt is there.
func (t *turn) bind() error {
	w, thinking, tools := t.req.Held, t.thinking(), t.req.Prompt.Tools
	t.never = t.model.suppressed
	if f, ok := t.engine.forced(t.req); ok {
		w = held.Want{Calls: held.Calls{Choice: held.Named, Name: f.Name, One: true, Arguments: f.Arguments}}
		if thinking = held.NoThinking; t.prompt.Thinking {
			thinking = held.SkipThought
		}
	}
	if w.Calls.Choice == held.None && t.model.dialect != nil {
		if id, _, ok := t.model.dialect.Marker(parse.CallOpen); ok && id >= 0 && int(id) < t.model.Info().Vocab {
			t.never = append(slices.Clone(t.never), id)
		}
	}
	if w.Free(tools) {
		return nil
	}
	tok, err := t.model.grammarTokenizer()
	if err != nil {
		return err
	}
	d := t.model.dialect
	if t.req.Prompt.Messages == nil {
		d = nil // a raw text is continued as it is
	}
	h := &hold{want: w, allowed: make([]bool, t.model.Info().Vocab)}
	if h.matcher, h.ends, err = held.Compile(tok, d, tools, w, thinking); err != nil {
		return notHeld(err)
	}
	t.hold = h
	return h.next()
}

// notHeld is what the request asked for and cannot be held to, by its parameter; any other error as it is.
func notHeld(err error) error {
	var refused *held.Error
	if errors.As(err, &refused) {
		return &RequestError{Code: "invalid_value", Param: refused.Param, Message: refused.Problem}
	}
	return err
}

// thinking is what may stand before the answer.
func (t *turn) thinking() held.Thinking {
	in := t.req.Prompt
	switch {
	case t.prompt.Thinking:
		return held.IsThinking
	case in.Thinking != nil && *in.Thinking:
		return held.MayThink
	case in.Extra != nil:
		if v, _ := in.Extra.Get("enable_thinking"); v == true {
			return held.MayThink
		}
	}
	return held.NoThinking
}

// forced is the first of the forced tools that the request speaks of.
func (e *Engine) forced(req Request) (ForceTool, bool) {
	if len(e.opts.ForceTools) == 0 || len(req.Prompt.Tools) == 0 || req.Held.Calls.Choice == held.None {
		return ForceTool{}, false
	}
	said, names := lastWords(req.Prompt.Messages), held.Names(req.Prompt.Tools)
	for _, f := range e.opts.ForceTools {
		if strings.Contains(said, f.Text) && slices.Contains(names, f.Name) {
			return f, true
		}
	}
	return ForceTool{}, false
}

// lastWords are the user's messages behind the last answer.
func lastWords(messages []chat.Message) string {
	var out []string
	for _, m := range slices.Backward(messages) {
		if m.Role() == "assistant" {
			break
		}
		if m.Role() == "user" {
			text, _ := m.Text()
			out = append(out, text)
		}
	}
	return strings.Join(out, "\n")
}

// next makes the mask of what may come next. A grammar can be read and still be none to follow: one that goes round before its first
// token, or that has too much open at once, which may show only in the middle.
func (h *hold) next() error {
	if err := h.matcher.Allowed(h.allowed); err != nil {
		return notHeld(h.want.Refusal(err))
	}
	if len(h.ends) == 0 || !slices.ContainsFunc(h.ends, func(id int32) bool { return h.allowed[id] }) {
		return nil
	}
	for _, id := range h.matcher.Ends() {
		h.allowed[id] = h.allowed[id] && slices.Contains(h.ends, id)
	}
	return nil
}

// take goes on behind a token, unless it is the last one.
func (h *hold) take(id int32, last bool) error {
	if h == nil || last {
		return nil
	}
	if err := h.matcher.Take(id); err != nil { // id was allowed: see next
		return notHeld(h.want.Refusal(err))
	}
	return h.next()
}

// mask is what may come next, for the device.
func (h *hold) mask(s *mlx.Scope) mlx.Array { return mlx.New(s, h.allowed, 1, 1, len(h.allowed)) }

func (h *hold) close() {
	if h != nil {
		h.matcher.Close()
	}
}
