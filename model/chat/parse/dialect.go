package parse

import "strings"

// mark is a marker in lexed text: one byte that no UTF-8 has.
type mark byte

// The markers, whatever a dialect writes them as. From turnOpen on they are structure that an answer should not have.
const (
	thinkOpen mark = 0xF5 + iota
	thinkShut
	callOpen
	callShut
	quote
	resultOpen
	resultShut
	turnOpen
	turnShut
	toolOpen
	toolShut
)

func isMark(b byte) bool { return b >= byte(thinkOpen) }

// indexMark is the index of the first marker, len(b) when there is none.
func indexMark(b []byte) int {
	for i, c := range b {
		if isMark(c) {
			return i
		}
	}
	return len(b)
}

// indexOf is the index of the first marker or of the first of some ASCII characters, -1 when there is none.
func indexOf(b []byte, chars string) int {
	for i, c := range b {
		if isMark(c) || strings.IndexByte(chars, c) >= 0 {
			return i
		}
	}
	return -1
}

// Vocabulary is what For asks of a tokenizer.
type Vocabulary interface {
	ID(piece string) (int32, bool)
	Special(id int32) bool
}

// Dialect is the form in which a model writes reasoning and calls. It is immutable.
type Dialect struct {
	Name    string
	family  family
	ids     map[int32]mark
	texts   []marker        // found by their text
	written map[mark]string // how a marker reads where it turns out to be text; special tokens are not text
	spelled map[mark]string // the same, special or not: inside of a string that a model wrote
}

type marker struct {
	text string
	mark mark
}

// family is what the dialects do not have in common.
type family struct {
	name    string
	markers []marker
	byText  bool // markers that the vocabulary lacks are found by their text
	header  string
	start   state // reads what stands behind a call's marker
	end     state // reads what stands behind a call's arguments
}

var gemma4 = family{
	name: "gemma4",
	markers: []marker{
		{"<|channel>", thinkOpen}, {"<channel|>", thinkShut}, {"<|tool_call>", callOpen}, {"<tool_call|>", callShut}, {`<|"|>`, quote},
		{"<|tool_response>", resultOpen}, {"<tool_response|>", resultShut},
		{"<|turn>", turnOpen}, {"<turn|>", turnShut}, {"<|tool>", toolOpen}, {"<tool|>", toolShut},
	},
	header: "thought\n",
}

var qwen36 = family{
	name:    "qwen3.6",
	markers: []marker{{"<think>", thinkOpen}, {"</think>", thinkShut}, {"<tool_call>", callOpen}, {"</tool_call>", callShut}},
	byText:  true,
}

func init() {
	gemma4.start, gemma4.end = (*Parser).gemmaName, (*Parser).gemmaEnd
	qwen36.start, qwen36.end = (*Parser).qwenOpen, (*Parser).qwenEnd
}

// For finds the dialect of a model, by the markers that its chat template writes and its vocabulary has. nil: there is
// none that this package knows, and answers are plain text.
func For(template string, v Vocabulary) *Dialect {
	for _, f := range []family{gemma4, qwen36} {
		if d := f.in(template, v); d != nil {
			return d
		}
	}
	return nil
}

// in makes the family's dialect for a vocabulary, nil where it is not spoken: the template must write calls, or
// reasoning, in its markers.
func (f family) in(template string, v Vocabulary) *Dialect {
	d := &Dialect{Name: f.name, family: f, ids: map[int32]mark{}, written: map[mark]string{}, spelled: map[mark]string{}}
	pairs := 0
	for _, m := range f.markers {
		id, ok := v.ID(m.text)
		switch {
		case ok:
			d.ids[id] = m.mark
		case f.byText:
			d.texts = append(d.texts, m)
		default:
			continue
		}
		d.spelled[m.mark] = m.text
		if !ok || !v.Special(id) {
			d.written[m.mark] = m.text
		}
		if strings.Contains(template, m.text) && (m.mark == callOpen || m.mark == thinkOpen) {
			pairs++
		}
	}
	if pairs == 0 {
		return nil
	}
	return d
}

// IsMark tells whether an id is a marker of the dialect: what its text is does not matter then.
func (d *Dialect) IsMark(id int32) bool {
	_, ok := d.ids[id]
	return ok
}

// asText is lexed text with its markers as they read.
func asText(b []byte, marks map[mark]string) string {
	if indexMark(b) == len(b) {
		return string(b)
	}
	var out strings.Builder
	for _, c := range b {
		if isMark(c) {
			out.WriteString(marks[mark(c)])
		} else {
			out.WriteByte(c)
		}
	}
	return out.String()
}

// Marker names one of a dialect's markers for those that write in it.
type Marker mark

// The markers that an answer is written with.
const (
	ThinkOpen  Marker = Marker(thinkOpen)
	ThinkShut  Marker = Marker(thinkShut)
	CallOpen   Marker = Marker(callOpen)
	CallShut   Marker = Marker(callShut)
	Quote      Marker = Marker(quote)
	ResultOpen Marker = Marker(resultOpen)
)

// Marker is how a marker is written: its id, or where the vocabulary has none, -1 and its text. ok: the dialect has it.
func (d *Dialect) Marker(m Marker) (id int32, text string, ok bool) {
	text, ok = d.spelled[mark(m)]
	for id, is := range d.ids {
		if is == mark(m) {
			return id, text, ok
		}
	}
	return -1, text, ok
}

// Family is the dialect's family: "gemma4" or "qwen3.6".
func (d *Dialect) Family() string { return d.family.name }

// Heading is what stands behind the marker that opens reasoning.
func (d *Dialect) Heading() string { return d.family.header }
