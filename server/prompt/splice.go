package prompt

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"reprise/model/chat"
	"reprise/model/tokenizer"
)

// Splice says what becomes of a generated message that a client sends back.
//
//   - SpliceOn: the ids that were generated take its place, reasoning included, behind the opening that they were
//     generated behind. The prompt then goes on exactly where the model was: what was fed to it is a prefix.
//   - SpliceText: the prompt's text is what the template makes of the message, to the last character; where the
//     generated ids stand for that text, they are its tokens instead of those that the tokenizer would choose.
//     Reasoning that the template drops stays dropped.
//   - SpliceOff: the message is rendered and tokenized like any other.
//
// Off is every answer that Record does not know: then the two others change nothing.
type Splice uint8

// The modes of putting back.
const (
	SpliceOn Splice = iota
	SpliceText
	SpliceOff
)

func (s Splice) String() string { return [...]string{"on", "text", "off"}[s] }

// ParseSplice reads a mode's name.
func ParseSplice(name string) (Splice, error) {
	for s := SpliceOn; s <= SpliceOff; s++ {
		if s.String() == name {
			return s, nil
		}
	}
	return 0, fmt.Errorf("splice mode %q: on, text and off are known", name)
}

// echo is a generated message that came back.
type echo struct {
	entry Entry
	// bare: it is rendered without its text, which stands before its calls in what was generated and is put back with
	// them. Gemma 4's template writes it behind the calls' results, where it would close the turn that goes on.
	bare bool

	// Set by place.
	start, end int     // the bytes of the rendering whose place the ids take
	ids        []int32 // the opening, where it is put back too, and the answer
	generated  int     // how many of them were generated
}

// echoOf looks an answer up.
func (a *Assembler) echoOf(m chat.Message, k Key) *echo {
	entry, ok := a.Record.Echo(k)
	if !ok || len(entry.IDs) == 0 || !a.valid(entry.Head) || !a.valid(entry.IDs) {
		return nil
	}
	e := &echo{entry: entry}
	content, _ := m.Get("content")
	e.bare = a.Splice == SpliceOn && len(calls(m)) > 0 && content != nil && content != ""
	return e
}

// valid tells whether all ids are the model's: those of an entry may come from a disk.
func (a *Assembler) valid(ids []int32) bool {
	return !slices.ContainsFunc(ids, func(id int32) bool { return id < 0 || int(id) >= a.Vocab })
}

// place finds where in the rendering the ids of message i go; it refuses when that is not clear.
func (a *Assembler) place(c *conversation, i int, e *echo) bool {
	part, next, ok := partOf(c.render.Parts, i)
	if !ok {
		return false
	}
	text := c.render.Text[part.Start:part.End]
	end, ok := a.bodyEnd(text, c.in.Messages, i, next)
	if !ok {
		return false
	}
	e.start, e.end = part.Start, part.Start+end
	if a.Splice == SpliceText {
		return a.placeText(e, text[:end])
	}
	return a.placeAll(e, text[:end])
}

// partOf returns the one part of a message, and what follows it.
func partOf(parts []chat.Part, i int) (part, next chat.Part, ok bool) {
	for at, p := range parts {
		if p.Kind != chat.PartMessage || p.Message != i {
			continue
		}
		if ok {
			return part, next, false // two: its text and its calls stand apart
		}
		part, ok = p, true
		if at+1 < len(parts) {
			next = parts[at+1]
		}
	}
	return part, next, ok
}

// bodyEnd finds where a message's own words end and the template's closing begins: before a token that ends a
// generation; at the end where the results of its calls follow in the same turn; else behind its text.
func (a *Assembler) bodyEnd(text string, messages []chat.Message, i int, next chat.Part) (end int, ok bool) {
	trimmed := strings.TrimRightFunc(text, unicode.IsSpace)
	for _, id := range a.ends {
		if mark := a.Tokenizer.Piece(id); a.Tokenizer.Special(id) && strings.HasSuffix(trimmed, mark) {
			return len(trimmed) - len(mark), true
		}
	}
	if next.Kind == chat.PartMessage && messages[next.Message].Role() == "tool" {
		return len(text), true
	}
	content, _ := messages[i].Text()
	content = answerText(content)
	if at := strings.LastIndex(text, content); content != "" && at >= 0 && len(calls(messages[i])) == 0 {
		return at + len(content), true
	}
	return 0, false
}

// placeAll puts the opening and the whole answer in the place of a body.
func (a *Assembler) placeAll(e *echo, body string) bool {
	head, ids := e.entry.Head, e.entry.IDs
	if len(head) > 0 && !strings.HasPrefix(body, a.Tokenizer.Decode(head[:1], false)) {
		// The template goes on without an opening here: in the turn of the calls before, when a user's message that
		// stood between is gone. The answer must then begin as the message does.
		answer := trimSpace(a.Tokenizer, without(ids, a.reasoner.ranges(ids, false)))
		if len(answer) == 0 || !strings.HasPrefix(body, strings.TrimSpace(a.Tokenizer.Decode(answer[:1], false))) || a.reasoner.open(head) {
			return false
		}
		head = nil
	}
	e.ids = slices.Concat(head, ids)
	e.generated = len(ids)
	return true
}

// placeText puts the answer's ids in the place of the very text that they stand for, at the end of a body.
func (a *Assembler) placeText(e *echo, body string) bool {
	ids := e.entry.IDs
	if reasoning := a.reasoner.ranges(ids, a.reasoner.open(e.entry.Head)); len(reasoning) > 0 {
		ids = ids[reasoning[len(reasoning)-1][1]:]
	}
	ids = trimSpace(a.Tokenizer, ids)
	text := a.Tokenizer.Decode(ids, false)
	if text == "" || !strings.HasSuffix(body, text) {
		return false
	}
	e.start = e.end - len(text)
	e.ids, e.generated = ids, len(ids)
	return true
}

// trimSpace returns ids without those at both ends that are white space.
func trimSpace(t *tokenizer.Tokenizer, ids []int32) []int32 {
	blank := func(id int32) bool { return strings.TrimSpace(string(t.Bytes(id))) == "" }
	for len(ids) > 0 && blank(ids[0]) {
		ids = ids[1:]
	}
	for len(ids) > 0 && blank(ids[len(ids)-1]) {
		ids = ids[:len(ids)-1]
	}
	return ids
}
