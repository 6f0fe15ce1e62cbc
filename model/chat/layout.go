package chat

import (
	"context"
	"strings"

	"reprise/model/chat/jinja"
)

// Rendering is a prompt's text and where its pieces came from.
type Rendering struct {
	Text string
	// Parts cover Text in order and without gaps; none is empty. A message can have several (Gemma 4 writes the
	// results of tools inside the message that called them) or none.
	Parts []Part
	// Generation is where the opening of the answer begins, len(Text) when the template wrote none. Known is false
	// when the template gave no hint where that is.
	Generation      int
	GenerationKnown bool
}

// Part is a piece of a rendering, in bytes.
type Part struct {
	Start, End int
	Kind       PartKind
	Message    int // of Input.Messages, for PartMessage
}

// PartKind says what a part of a rendering was written for.
type PartKind uint8

// The kinds of parts.
const (
	PartTemplate   PartKind = iota // the template's own words, and what could not be located
	PartTools                      // tool declarations
	PartMessage                    // a message, its markup included
	PartGeneration                 // the opening of the answer
)

// Marks of the inputs in a jinja.Trace.
func messageMark(i int) int      { return i + 1 }
func toolsMark(messages int) int { return messages + 1 }

// markedTools is the list of tools with every declaration, and the list, under one mark.
func markedTools(tools []Value, mark int) Value {
	items := make([]Value, len(tools))
	for i, tool := range tools {
		items[i] = tool
		if d, ok := tool.(*Dict); ok {
			items[i] = d.Marked(mark)
		}
	}
	return jinja.NewList(items...).Marked(mark)
}

// RenderParts is RenderContext, with the parts. It renders once: the template's reading of its inputs is watched
// while it writes (jinja.Trace), nothing is put into them.
func (t *Template) RenderParts(ctx context.Context, in Input) (Rendering, error) {
	trace := &jinja.Trace{Key: "content", Name: "add_generation_prompt"}
	text, err := t.render(ctx, in, trace)
	if err != nil {
		return Rendering{}, err
	}
	r := Rendering{Text: text}
	r.Parts = partsOf(trace.Turns, len(text), len(in.Messages))
	r.findSystem(in.Messages)
	r.findGeneration(trace.NameAt, in.AddGenerationPrompt)
	return r, nil
}

// partsOf makes parts of a trace's turns.
func partsOf(turns []jinja.Turn, size, messages int) []Part {
	var parts []Part
	add := func(start, end, mark int) {
		p := Part{Start: start, End: end}
		switch {
		case mark == toolsMark(messages):
			p.Kind = PartTools
		case mark > 0:
			p.Kind, p.Message = PartMessage, mark-1
		}
		parts = appendPart(parts, p)
	}
	at, mark := 0, 0
	for _, turn := range turns {
		add(at, turn.At, mark)
		at, mark = turn.At, turn.Mark
	}
	add(at, size, mark)
	return parts
}

// appendPart adds a part unless it is empty, and joins it with the last one where they are of one kind.
func appendPart(parts []Part, p Part) []Part {
	if p.Start == p.End {
		return parts
	}
	if n := len(parts); n > 0 && parts[n-1].Kind == p.Kind && parts[n-1].Message == p.Message {
		parts[n-1].End = p.End
		return parts
	}
	return append(parts, p)
}

// findSystem looks for a system message that the template put inside another message (Gemma 3 writes it before the
// first user's text): all up to its end becomes its part.
func (r *Rendering) findSystem(messages []Message) {
	if len(messages) == 0 || !IsSystem(messages[0].Role()) {
		return
	}
	text, _ := messages[0].Text()
	text = strings.TrimSpace(text)
	for i, p := range r.Parts {
		switch {
		case p.Kind != PartMessage:
			continue
		case p.Message == 0 || text == "":
			return
		}
		at := strings.Index(r.Text[p.Start:p.End], text)
		if at < 0 {
			return
		}
		end := p.Start + at + len(text)
		parts := append([]Part{}, r.Parts[:i]...)
		parts = appendPart(parts, Part{Start: p.Start, End: end, Kind: PartMessage, Message: 0})
		parts = appendPart(parts, Part{Start: end, End: p.End, Kind: PartMessage, Message: p.Message})
		r.Parts = append(parts, r.Parts[i+1:]...)
		return
	}
}

// IsSystem says whether a role belongs to the static prefix of a conversation.
func IsSystem(role string) bool { return role == "system" || role == "developer" }

// findGeneration cuts the opening of the answer off. asked is where the template last looked whether one is wanted:
// it counts when that was behind the start of the last message, else the end of that message does.
func (r *Rendering) findGeneration(asked int, wanted bool) {
	r.Generation = len(r.Text)
	last := -1
	for i, p := range r.Parts {
		if p.Kind == PartMessage {
			last = i
		}
	}
	if !wanted || last < 0 {
		return
	}
	r.GenerationKnown = true
	r.Generation = r.Parts[last].End
	if asked > r.Parts[last].Start {
		r.Generation = asked
	}
	var parts []Part
	for _, p := range r.Parts {
		p.End = min(p.End, r.Generation)
		if p.Start < p.End {
			parts = append(parts, p)
		}
	}
	r.Parts = appendPart(parts, Part{Start: r.Generation, End: len(r.Text), Kind: PartGeneration})
}
