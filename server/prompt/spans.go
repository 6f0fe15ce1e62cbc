package prompt

import (
	"fmt"
	"slices"

	"reprise/model/chat"
)

// Label says what a span of a prompt is.
type Label uint8

// The labels. Template is the template's own words, and whatever could not be located.
const (
	Template Label = iota
	System
	Tools
	Message
	Thinking
	Generation
)

// Span is a run of a prompt's tokens.
type Span struct {
	Label      Label
	Message    int    // index in the request's messages, of Message and Thinking; of Generation: that of the answer to come
	Role       string // of Message and Thinking
	Start, End int    // tokens
	// Source is a hash of what the span was made from: the canonical message, the system text, the tools. Two spans of
	// one source that differ in ids differ by the template's or the tokenizer's doing. 0: made from nothing of a client's.
	Source uint64
}

// String is the span's name in diverged_in.
func (s Span) String() string {
	switch s.Label {
	case System:
		return "system"
	case Tools:
		return "tools"
	case Message:
		return fmt.Sprintf("message %d %s", s.Message, s.Role)
	case Thinking:
		return "thinking"
	}
	return "template"
}

// layOut gives a prompt its spans and offsets.
func (a *Assembler) layOut(p *Prompt, c *conversation) {
	leading := 0 // system messages that the conversation begins with
	for leading < len(c.in.Messages) && chat.IsSystem(c.in.Messages[leading].Role()) {
		leading++
	}
	tools := toolsForm(c.in.Tools)
	start := 0
	for _, part := range c.render.Parts {
		end, _ := c.text.tokenAt(part.End)
		s := Span{Start: start, End: end}
		switch part.Kind {
		case chat.PartTools:
			s.Label, s.Source = Tools, digest(tools)
		case chat.PartMessage:
			s.Label, s.Message, s.Role = Message, part.Message, c.in.Messages[part.Message].Role()
			s.Source = digest(c.forms[part.Message])
			if part.Message < leading {
				s.Label = System
			}
		case chat.PartGeneration:
			s.Label, s.Message, s.Role = Generation, len(c.in.Messages), "assistant"
		}
		p.Spans = a.reasoner.addSpan(p.Spans, s, p.IDs, false)
		start = end
	}
	p.offsets(c, leading)
}

// addSpan adds a span of ids, with the reasoning in an answer as spans of their own. inside says that it begins within
// reasoning.
func (r reasoner) addSpan(spans []Span, s Span, ids []int32, inside bool) []Span {
	if s.Role != "assistant" {
		return appendSpan(spans, s)
	}
	start := s.Start
	for _, x := range r.ranges(ids[s.Start:s.End], inside) {
		said, thought := s, s
		said.End = start + x[0]
		thought.Label, thought.Source = Thinking, 0
		thought.Start, thought.End = start+x[0], start+x[1]
		spans = appendSpan(appendSpan(spans, said), thought)
		s.Start = thought.End
	}
	return appendSpan(spans, s)
}

func appendSpan(spans []Span, s Span) []Span {
	if s.Start == s.End {
		return spans
	}
	return append(spans, s)
}

// keptMessages is around how many of the last messages state is wanted.
const keptMessages = 4

// offsets finds where state is wanted: at the end of the static prefix, before and after each of the last four
// messages, at the boundary before the opening of the answer. Where the template hides all of that, before the last
// token, as for a raw text.
func (p *Prompt) offsets(c *conversation, leading int) {
	token := func(at int) int {
		t, _ := c.text.tokenAt(at)
		return t
	}
	generation, exact := c.text.tokenAt(c.render.Generation)
	p.Generation = generation
	if exact && c.render.GenerationKnown {
		p.answerable = true
		p.head = slices.Clone(p.IDs[generation:])
	}
	var messages []chat.Part
	firstUser := -1
	for _, part := range c.render.Parts {
		if part.Kind != chat.PartMessage || part.Message < leading {
			continue
		}
		if len(messages) == 0 {
			p.StaticEnd = token(part.Start)
		}
		messages = append(messages, part)
		if c.in.Messages[part.Message].Role() == "user" && (firstUser < 0 || firstUser == part.Message) {
			firstUser = part.Message
			p.FirstUserEnd = token(part.End)
		}
	}
	if len(messages) == 0 {
		p.Generation = len(p.IDs)
		p.Wanted = ascending([]int{len(p.IDs) - 1}, len(p.IDs))
		return
	}
	wanted := []int{p.StaticEnd, p.Generation}
	for _, part := range messages[max(0, len(messages)-keptMessages):] {
		wanted = append(wanted, token(part.Start), token(part.End))
	}
	p.Wanted = ascending(wanted, len(p.IDs))
}

// ascending sorts offsets and keeps those in (0, n), once each.
func ascending(offsets []int, n int) []int {
	slices.Sort(offsets)
	offsets = slices.Compact(offsets)
	return slices.DeleteFunc(offsets, func(at int) bool { return at <= 0 || at >= n })
}
