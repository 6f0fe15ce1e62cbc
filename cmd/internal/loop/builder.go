package loop

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"reprise/cmd/internal/loop/fixture"
)

// Shares of the first prompt, in percent. The tool output takes what is left.
const (
	systemShare   = 30
	toolShare     = 20
	documentShare = 25
	pageShare     = 10
)

// Most characters of a document and of a note. OpenClaw's note has 276 when nothing is going on.
const (
	documentMost = 2500
	noteMost     = 276
)

// Growth of a prompt, in characters a turn: below the first there is room for a word or two of request and answer and no
// documents, above the second for paragraphs and documents in every turn.
const (
	smallGrowth = 150
	largeGrowth = 1000
)

// slack is how far beyond the line an answer may push a prompt before it is cut, as a part of the line.
const slack = 0.015

// material is what a turn adds to the conversation.
type material struct {
	items   []string // documents, pages, and the tool's output
	request string
}

// builder makes the prompts of a run, one after the other.
type builder struct {
	opts    Options
	profile *Profile
	texts   *fixture.Set
	system  string
	tools   []json.RawMessage
	fixed   int // characters of system text and tools
	noteLen int
	growth  int

	turn            int
	documents, page int // how many were used
	talk            []material
	answers         []string
	cuts            int // answers that were cut to keep the size
}

func newBuilder(o Options) (*builder, error) {
	p, err := FindProfile(o.Profile)
	if err != nil {
		return nil, err
	}
	texts, err := fixture.Open(o.Fixtures)
	if err != nil {
		return nil, err
	}
	b := &builder{opts: o, profile: p, texts: texts, growth: p.growth(o.Scale)}
	first := 4 * p.line(1, o.Scale)
	if o.Layout == Ephemeral {
		b.noteLen = min(noteMost, first/10)
	}
	first -= b.noteLen
	b.system = b.texts.System(first * systemShare / 100)
	b.tools = b.texts.Tools(first*toolShare/100, schemaSize)
	b.fixed = runes(b.system)
	for _, tool := range b.tools {
		b.fixed += schemaSize(tool)
	}
	probe := *b
	if _, err := probe.next(""); err != nil {
		return nil, err
	}
	return b, nil
}

// length is how long requests and answers are.
func (b *builder) length() fixture.Length {
	switch {
	case b.growth < smallGrowth:
		return fixture.Short
	case b.growth < largeGrowth:
		return fixture.Sentence
	}
	return fixture.Paragraph
}

// next makes the prompt of the next turn. answer is what the model said in the last one.
func (b *builder) next(answer string) (*Prompt, error) {
	b.turn++
	p := &Prompt{Turn: b.turn, Tools: b.tools, Line: b.profile.line(b.turn, b.opts.Scale), Conversation: "resumed"}
	target := 4 * p.Line
	if b.opts.Session == Fresh {
		p.Line, p.Conversation = 0, fmt.Sprintf("fresh-%d", b.turn)
		target = 4 * b.profile.line(1, b.opts.Scale)
		b.talk, b.answers = nil, nil
	} else if b.turn > 1 {
		if b.opts.Assistant == Scripted {
			answer = b.scripted()
		}
		b.answers = append(b.answers, answer)
	}
	m := material{request: b.texts.Request(b.turn, b.length())}
	b.talk = append(b.talk, m)
	room := target - b.noteLen - b.characters()
	if len(b.talk) > 1 {
		room = b.cutAnswer(room, int(slack*float64(target)))
	}
	b.talk[len(b.talk)-1].items = b.items(room)
	p.Messages = b.messages()
	p.Characters = b.characters() + b.noteLen
	if len(b.talk) == 1 && p.Characters != target {
		return nil, fmt.Errorf("--scale %v leaves no room for a prompt: its fixed parts have %d characters of %d", b.opts.Scale, p.Characters, target)
	}
	return p, nil
}

// scripted is the fixture's answer to the turn before.
func (b *builder) scripted() string { return b.texts.Answer(b.turn-1, b.length()) }

// standIn is an answer to the present turn where no model gives one.
func (b *builder) standIn() string { return b.texts.Answer(b.turn, b.length()) }

// cutAnswer shortens the last answer when it would push the prompt too far beyond its line, and returns the room that
// is left then. Nothing earlier can give way: the prompt must not change where it was computed.
func (b *builder) cutAnswer(room, over int) int {
	if room >= -over {
		return room
	}
	last := &b.answers[len(b.answers)-1]
	r := []rune(*last)
	keep := max(0, len(r)-(-over-room))
	*last = strings.TrimRightFunc(string(r[:keep]), unicode.IsSpace)
	b.cuts++
	return room + len(r) - runes(*last)
}

// items are this turn's documents, pages and tool output, of room characters with what separates them.
func (b *builder) items(room int) []string {
	if len(b.talk) == 1 {
		room++ // the first item begins its message
	}
	var items []string
	for _, item := range b.planned() {
		if n := runes(item) + 1; n < room {
			items, room = append(items, item), room-n
		}
	}
	if room > 1 {
		items = append(items, fixture.Output(b.turn, room-1))
	}
	return items
}

// planned are the documents and pages that the turn brings, whatever the model answered before.
func (b *builder) planned() []string {
	if len(b.talk) == 1 {
		first := 4*b.profile.line(1, b.opts.Scale) - b.noteLen
		return append(b.retrieve(first*documentShare/100), b.browse(first*pageShare/100))
	}
	switch {
	case b.growth >= largeGrowth:
		return append(b.retrieve(b.growth*30/100), b.browse(b.growth*15/100))
	case b.growth >= smallGrowth && b.turn%3 == 0:
		return b.retrieve(b.growth / 4)
	case b.growth >= smallGrowth && b.turn%3 == 1:
		return []string{b.browse(b.growth / 4)}
	}
	return nil
}

// retrieve is the next documents, of n characters together at most.
func (b *builder) retrieve(n int) []string {
	var out []string
	for n > 0 {
		size := min(n, documentMost)
		n -= size
		b.documents++
		out = append(out, b.texts.Document(b.documents, size))
	}
	return out
}

// browse is the next page's summary.
func (b *builder) browse(n int) string {
	b.page++
	return b.texts.Page(b.page, n)
}

// messages lays the conversation out. The first user message is the bare request, so that what moves behind it leaves
// the session the same one.
func (b *builder) messages() []Message {
	out := []Message{{"system", b.system}, {"user", b.talk[0].request}}
	context := b.talk[0].items
	if b.opts.Layout == Moving {
		context = b.moved()
	}
	out = append(out, Message{"user", strings.Join(context, "\n")})
	for i, m := range b.talk[1:] {
		content := m.request
		if b.opts.Layout != Moving {
			content = strings.Join(append(slices.Clone(m.items), m.request), "\n")
		}
		out = append(out, Message{"assistant", b.answers[i]}, Message{"user", content})
	}
	if b.noteLen > 0 {
		out = append(out, Message{"user", fixture.Note(b.turn, b.noteLen)})
	}
	return out
}

// moved is every item of the conversation in one place, begun with another one each turn.
func (b *builder) moved() []string {
	var all []string
	for _, m := range b.talk {
		all = append(all, m.items...)
	}
	if len(all) == 0 {
		return nil
	}
	at := (b.turn - 1) % len(all)
	return append(slices.Clone(all[at:]), all[:at]...)
}

// characters are those of the conversation without its note. They are the same in every layout.
func (b *builder) characters() int {
	n := b.fixed
	for i, m := range b.talk {
		n += runes(m.request)
		for _, item := range m.items {
			n += runes(item) + 1 // and the line feed behind it
		}
		if i == 0 && len(m.items) > 0 {
			n--
		}
	}
	for _, a := range b.answers {
		n += runes(a)
	}
	return n
}
