package parse

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"reprise/model/chat"
	"reprise/model/chat/jinja"
)

// corpus is testdata/make_corpus.py's.
type corpus struct {
	Vocabularies map[string]map[string]int32
	Tools        json.RawMessage
	Cases        []corpusCase
}

type corpusCase struct {
	Name, Dialect   string
	Tools, Thinking bool
	Ended           string
	Truncated       bool
	MarkersAsText   bool `json:"markers_as_text"` // it reads the same where the vocabulary has no markers
	Pieces          []json.RawMessage
	Want            [][]string
	Repairs         []string
}

func (c *corpusCase) String() string { return c.Dialect + "/" + c.Name }

// token is what Push gets.
type token struct {
	id   int32
	text string
}

// vocabulary has markers alone, special where Gemma's are.
type vocabulary struct {
	ids     map[string]int32
	special bool
}

func (v vocabulary) ID(piece string) (int32, bool) { id, ok := v.ids[piece]; return id, ok }
func (v vocabulary) Special(int32) bool            { return v.special }

func loadCorpus(t testing.TB) *corpus {
	t.Helper()
	raw, err := os.ReadFile("testdata/corpus.json")
	if err != nil {
		t.Fatal(err)
	}
	c := &corpus{}
	if err := json.Unmarshal(raw, c); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *corpus) dialect(t testing.TB, name string, byText bool) *Dialect {
	t.Helper()
	v := vocabulary{c.Vocabularies[name], name == "gemma4"}
	if byText {
		v.ids = nil
	}
	source := map[string]string{"gemma4": chat.Gemma4Template, "qwen3.6": chat.Qwen36Template}[name]
	d := For(source, v)
	if d == nil || d.Name != name {
		t.Fatalf("the dialect of %s's template is %v", name, d)
	}
	return d
}

func toolsOf(t testing.TB, raw json.RawMessage) []chat.Value {
	t.Helper()
	v, err := chat.DecodeOrdered(raw)
	if err != nil {
		t.Fatal(err)
	}
	return v.(*jinja.List).Items
}

// tokens are a case's pieces; a piece that is a marker is that token.
func (c *corpus) tokens(t testing.TB, x *corpusCase) []token {
	t.Helper()
	var out []token
	for _, raw := range x.Pieces {
		var text string
		if json.Unmarshal(raw, &text) == nil {
			if id, ok := c.Vocabularies[x.Dialect][text]; ok {
				out = append(out, token{id, text})
				continue
			}
		} else {
			var literal struct{ Text string }
			if err := json.Unmarshal(raw, &literal); err != nil {
				t.Fatal(err)
			}
			text = literal.Text
		}
		out = append(out, token{-1, text})
	}
	return out
}

// outcome is what became of an answer, in the corpus' form.
type outcome struct {
	events  [][]string
	repairs []string
	message Message
}

// parseAll pushes tokens and checks what holds of every answer.
func parseAll(t testing.TB, d *Dialect, tools []chat.Value, thinking, truncated bool, tokens []token) outcome {
	t.Helper()
	p := d.New(tools, thinking)
	var events []Event
	for _, x := range tokens {
		events = append(events, p.Push(x.id, x.text)...)
	}
	events = append(events, p.Finish(truncated)...)
	out := outcome{message: p.Message()}
	texts := map[Kind]string{}
	var arguments []string
	for _, e := range events {
		if !utf8.ValidString(e.Text) {
			t.Fatalf("event %q is no UTF-8", e.Text)
		}
		switch e.Kind {
		case CallStart:
			if e.Call != len(arguments) {
				t.Fatalf("call %d begins where call %d is next", e.Call, len(arguments))
			}
			arguments = append(arguments, "")
			out.events = append(out.events, []string{"call", e.Name, ""})
			continue
		case CallArguments:
			if e.Call != len(arguments)-1 {
				t.Fatalf("arguments of call %d during call %d", e.Call, len(arguments)-1)
			}
			arguments[e.Call] += e.Text
			out.events[len(out.events)-1][2] += e.Text
			continue
		}
		texts[e.Kind] += e.Text
		if n := len(out.events); n > 0 && out.events[n-1][0] == e.Kind.String() {
			out.events[n-1][1] += e.Text
		} else {
			out.events = append(out.events, []string{e.Kind.String(), e.Text})
		}
	}
	m := out.message
	if texts[Reasoning] != m.Reasoning || texts[Content] != m.Content || len(arguments) != len(m.Calls) {
		t.Fatalf("the events make %q, %q and %d calls; the message is %+v", texts[Reasoning], texts[Content], len(arguments), m)
	}
	for i, c := range m.Calls {
		if c.Arguments != arguments[i] || !json.Valid([]byte(c.Arguments)) || c.Arguments[0] != '{' {
			t.Fatalf("call %d: arguments %s, joined %s", i, c.Arguments, arguments[i])
		}
	}
	for _, r := range m.Repairs {
		out.repairs = append(out.repairs, strings.TrimSpace(fmt.Sprint(r.What, " ", r.Call, " ", r.Detail)))
	}
	return out
}

func (o outcome) differs(want outcome) string {
	a, b := fmt.Sprintf("%q %v %v", o.events, o.repairs, o.message.Truncated), fmt.Sprintf("%q %v %v", want.events, want.repairs, want.message.Truncated)
	if a == b {
		return ""
	}
	return fmt.Sprintf("\n got %s\nwant %s", a, b)
}

// joined are tokens with neighbouring texts in one.
func joinedTokens(tokens []token) []token {
	var out []token
	for _, x := range tokens {
		if n := len(out); n > 0 && x.id < 0 && out[n-1].id < 0 {
			out[n-1].text += x.text
		} else {
			out = append(out, x)
		}
	}
	return out
}

// asTexts are tokens with markers written out.
func asTexts(tokens []token) []token {
	out := slices.Clone(tokens)
	for i := range out {
		out[i].id = -1
	}
	return out
}

// eachSplit gives every way to cut one of the texts in two, at every byte, and all texts byte by byte.
func eachSplit(tokens []token, try func(name string, tokens []token)) {
	tokens = joinedTokens(tokens)
	try("joined", tokens)
	var bytes []token
	for i, x := range tokens {
		if x.id >= 0 {
			bytes = append(bytes, x)
			continue
		}
		for at := range len(x.text) {
			bytes = append(bytes, token{-1, x.text[at : at+1]})
			if at > 0 {
				cut := slices.Concat(tokens[:i], []token{{-1, x.text[:at]}, {-1, x.text[at:]}}, tokens[i+1:])
				try(fmt.Sprintf("cut before byte %d of text %d", at, i), cut)
			}
		}
	}
	try("byte by byte", bytes)
}

// TestCorpus reads every output of the corpus, at every split point.
func TestCorpus(t *testing.T) {
	c := loadCorpus(t)
	tools := toolsOf(t, c.Tools)
	malformed := 0
	for i := range c.Cases {
		x := &c.Cases[i]
		if len(x.Repairs) > 0 {
			malformed++
		}
		t.Run(x.String(), func(t *testing.T) {
			want := outcome{events: x.Want, repairs: x.Repairs, message: Message{Truncated: x.Truncated}}
			declared := tools
			if !x.Tools {
				declared = nil
			}
			tokens := c.tokens(t, x)
			run := func(name string, d *Dialect, tokens []token) bool {
				got := parseAll(t, d, declared, x.Thinking, x.Ended == "length", tokens)
				if diff := got.differs(want); diff != "" {
					t.Errorf("%s: %s", name, diff)
					return false
				}
				return true
			}
			byID := c.dialect(t, x.Dialect, false)
			if !run("as cut in the corpus", byID, tokens) {
				return
			}
			eachSplit(tokens, func(name string, cut []token) { run(name, byID, cut) })
			if x.MarkersAsText {
				byText := c.dialect(t, x.Dialect, true)
				eachSplit(asTexts(tokens), func(name string, cut []token) { run("markers as text, "+name, byText, cut) })
			}
		})
	}
	if len(c.Cases) < 60 || malformed < 30 {
		t.Errorf("%d outputs, %d of them malformed", len(c.Cases), malformed)
	}
}
