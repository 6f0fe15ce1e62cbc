package parse

import (
	"bytes"
	"fmt"
	"slices"

	"reprise/model/chat"
)

// Parser reads one answer. It belongs to one goroutine.
type Parser struct {
	d     *Dialect
	tools map[string]schema
	lex   lexer
	buf   []byte // lexed, and not yet read
	last  bool   // nothing follows

	state   state
	place   place
	channel bool // reasoning may begin with its heading here
	began   bool // something was read: the answer's start is over
	around
	literals int // markers of calls that were text and may be closed yet

	call   *pending // the call under way
	events []Event
	msg    Message
	texts  [2]bytes.Buffer // reasoning, content
	json   [][]byte        // the calls' arguments
}

// around is where in a stretch of text the parser is.
type around struct {
	feeds  int  // line feeds held back
	fresh  bool // it begins: its first line feeds go
	column int  // bytes since the last line feed
}

// state reads on from p.buf. It returns false when it can do nothing until more comes.
type state func(p *Parser) bool

// place is where text belongs outside of calls.
type place uint8

const (
	inContent place = iota
	inReasoning
	inResult
)

// New begins an answer. tools are the declarations that the prompt has; without any nothing is a call. thinking tells
// whether the prompt ended within reasoning.
func (d *Dialect) New(tools []chat.Value, thinking bool) *Parser {
	p := &Parser{d: d, lex: lexer{d: d}, tools: schemas(tools), state: (*Parser).text}
	p.fresh = true
	if thinking {
		p.place = inReasoning
	}
	return p
}

// Push reads the next token: its id, and the text that is complete because of it. It returns what became certain.
func (p *Parser) Push(id int32, text string) []Event {
	p.buf = p.lex.push(p.buf, id, text)
	return p.run()
}

// Finish ends the answer and returns the rest. truncated says that a limit ended it, not the model.
func (p *Parser) Finish(truncated bool) []Event {
	p.buf = p.lex.flush(p.buf)
	p.last = true
	events := p.run()
	if p.call != nil {
		p.closeCall(truncated)
		p.events = append(events, p.events...)
		events = p.run()
	}
	p.events = events
	if p.place == inReasoning && !truncated && len(p.msg.Calls) == 0 {
		p.note(ReasoningUnclosed, "")
	}
	if p.place == inContent && p.texts[Content].Len() > 0 {
		p.release()
	}
	return p.run()
}

// run reads as far as it goes, and takes the events.
func (p *Parser) run() []Event {
	for p.state(p) {
	}
	events := p.events
	p.events = nil
	return events
}

// Message is what was read so far.
func (p *Parser) Message() Message {
	m := p.msg
	m.Reasoning, m.Content = p.texts[Reasoning].String(), p.texts[Content].String()
	m.Calls, m.Repairs = slices.Clone(m.Calls), slices.Clone(m.Repairs)
	for i := range m.Calls {
		m.Calls[i].Arguments = string(p.json[i])
	}
	return m
}

// take drops the first n bytes of the buffer.
func (p *Parser) take(n int) { p.buf = p.buf[n:] }

// note keeps a repair, once.
func (p *Parser) note(what Flaw, detail string, args ...any) {
	r := Repair{What: what, Call: -1, Detail: fmt.Sprintf(detail, args...)}
	if p.call != nil && p.call.named {
		r.Call = p.call.index
	}
	if !slices.Contains(p.msg.Repairs, r) {
		p.msg.Repairs = append(p.msg.Repairs, r)
	}
}

// emit adds an event to the last one of its kind, or behind it.
func (p *Parser) emit(e Event) {
	if n := len(p.events); n > 0 && e.Kind != CallStart {
		if last := &p.events[n-1]; last.Kind == e.Kind && last.Call == e.Call {
			last.Text += e.Text
			return
		}
	}
	p.events = append(p.events, e)
}

// say adds text to reasoning or content. Line feeds at the beginning of a stretch go, those at its end wait.
func (p *Parser) say(b []byte) {
	if p.place == inResult {
		return
	}
	if p.fresh {
		b = bytes.TrimLeft(b, "\n")
	}
	text := bytes.TrimRight(b, "\n")
	if len(text) > 0 {
		if p.fresh && p.out().Len() > 0 {
			p.feeds = 1 // between two stretches
		}
		p.fresh = false
		p.release()
		p.write(string(text))
	}
	if !p.fresh {
		p.feeds += len(b) - len(text)
	}
}

// release gives out the line feeds that were held back.
func (p *Parser) release() {
	if p.feeds > 0 {
		p.write(string(bytes.Repeat([]byte("\n"), p.feeds)))
		p.feeds = 0
	}
}

// Reasons says whether what was pushed so far ends within reasoning.
func (p *Parser) Reasons() bool { return p.kind() == Reasoning }

func (p *Parser) kind() Kind {
	if p.place == inReasoning {
		return Reasoning
	}
	return Content
}

func (p *Parser) out() *bytes.Buffer { return &p.texts[p.kind()] }

func (p *Parser) write(text string) {
	p.out().WriteString(text)
	p.emit(Event{Kind: p.kind(), Text: text})
}

// stretch ends a stretch of text: the line feeds at its end are the marker's.
func (p *Parser) stretch() { p.feeds, p.fresh, p.column = 0, true, 0 }

// enter goes to another place.
func (p *Parser) enter(to place) {
	p.stretch()
	p.place, p.channel = to, false
}
