package engine

import (
	"strings"

	"reprise/model/chat/held"
	"reprise/model/chat/parse"
	"reprise/model/tokenizer"
)

// answer turns generated ids into what is delivered: whole characters only, nothing from a stop text on, and nothing
// that could still become one; then, of a conversation's answer, reasoning, content and calls. Stop texts are looked for
// in all of it; none reaches across a marker. It runs on the turn's goroutine, while the device computes the next step.
type answer struct {
	stream  *tokenizer.Stream
	stops   []string
	held    string // decoded, not yet delivered
	stopped bool
	stop    string // the text that stopped it

	dialect *parse.Dialect // nil: the text is the content
	parser  *parse.Parser
	text    strings.Builder // the content, without a parser
	ended   bool
	thought int // ids of reasoning, its marks included
}

// newAnswer begins an answer of plain text.
func newAnswer(tok *tokenizer.Tokenizer, stops []string) *answer {
	return &answer{stream: tok.NewStream(true), stops: stops}
}

// newAnswer begins the turn's answer. A raw text is continued as it is.
func (t *turn) newAnswer() *answer {
	a := newAnswer(t.model.Tokenizer, t.req.Stop)
	if d := t.model.dialect; d != nil && t.req.Prompt.Messages != nil {
		tools := t.req.Prompt.Tools
		if t.req.Held.Calls.Choice == held.None { // declared, for the prompt's sake; nothing is a call
			tools = nil
		}
		a.dialect, a.parser = d, d.New(tools, t.prompt.Thinking)
	}
	return a
}

// push takes the next id and returns what may go out; stopped is set when a stop text is complete.
func (a *answer) push(id int32) []parse.Event {
	if a.parser == nil {
		return a.take(id)
	}
	reasoned := a.parser.Reasons()
	events := a.take(id)
	if reasoned || a.parser.Reasons() {
		a.thought++
	}
	return events
}

func (a *answer) take(id int32) []parse.Event {
	if a.dialect == nil || !a.dialect.IsMark(id) {
		return a.read(-1, a.release(a.stream.Push(id), false))
	}
	before := a.read(-1, a.release(a.stream.Flush(), true))
	if a.stopped {
		return before
	}
	return append(before, a.read(id, "")...)
}

// flush returns the rest. truncated says that the model did not end the answer.
func (a *answer) flush(truncated bool) []parse.Event {
	if a.ended {
		return nil
	}
	a.ended = true
	var out []parse.Event
	if !a.stopped {
		out = a.read(-1, a.release(a.stream.Flush(), true))
	}
	if a.parser != nil {
		out = append(out, a.parser.Finish(truncated || a.stopped)...)
	}
	return out
}

// read makes events of text or a marker.
func (a *answer) read(id int32, text string) []parse.Event {
	switch {
	case a.parser != nil:
		return a.parser.Push(id, text)
	case text == "":
		return nil
	}
	a.text.WriteString(text)
	return []parse.Event{{Kind: parse.Content, Text: text}}
}

// message is what was delivered.
func (a *answer) message() parse.Message {
	if a.parser == nil {
		return parse.Message{Content: a.text.String()}
	}
	return a.parser.Message()
}

func (a *answer) release(text string, last bool) string {
	a.held += text
	cut, end := len(a.held), len(a.held)+1
	for _, stop := range a.stops {
		// The one that is complete first wins, not the one that starts first: so pieces of any length cut alike.
		i := strings.Index(a.held, stop)
		if e := i + len(stop); i >= 0 && (e < end || e == end && i < cut) {
			cut, end, a.stopped, a.stop = i, e, true, stop
		}
	}
	if !a.stopped && !last {
		cut -= a.pending()
	}
	out := a.held[:cut]
	a.held = a.held[cut:]
	return out
}

// pending is the length of the longest tail of held that begins a stop text.
func (a *answer) pending() int {
	longest := 0
	for _, stop := range a.stops {
		for n := min(len(stop)-1, len(a.held)); n > longest; n-- {
			if strings.HasSuffix(a.held, stop[:n]) {
				longest = n
			}
		}
	}
	return longest
}
