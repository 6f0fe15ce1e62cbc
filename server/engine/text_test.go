package engine

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"reprise/model/chat"
	"reprise/model/chat/parse"
	"reprise/model/tokenizer"
	"reprise/server/prompt"
)

// truncated is the definition: the text up to the stop text that is complete first; of those that end at the
// same place, the longest. It reads the text byte by byte, so that no split can matter.
func truncated(text string, stops []string) (want string, stopped bool) {
	for end := 1; end <= len(text); end++ {
		longest := -1
		for _, stop := range stops {
			if strings.HasSuffix(text[:end], stop) {
				longest = max(longest, len(stop))
			}
		}
		if longest >= 0 {
			return text[:end-longest], true
		}
	}
	return text, false
}

var stopCases = []struct {
	text  string
	stops []string
}{
	{"no stop at all", nil},
	{"nothing here", []string{"###"}},
	{"one###two", []string{"###"}},
	{"ends with it.\n\n", []string{"\n\n"}},
	{"###", []string{"###"}},
	{"almost ##", []string{"###"}}, // what was held back comes in the end
	{"a#b##c###d", []string{"###"}},
	{"aaaab", []string{"aab"}}, // the held tail begins the stop text again, one place later
	{"ababac", []string{"abac"}},
	{"xabcd", []string{"abc", "b"}},   // one inside another: the inner one is complete first
	{"xabcd", []string{"xabc", "ab"}}, // and would be missed by who looks for the first start in a long piece
	{"xabcd", []string{"bc", "abc"}},  // both end here: the longer
	{"one STOP two END", []string{"END", "STOP"}},
	{"STOPEND", []string{"END", "STOP"}},
	{"käse é", []string{"é"}},
	{"日本語の文。次", []string{"。"}},
	{"日本語の文。次", []string{"文。次の", "語"}},
	{"a👍🏽b", []string{"🏽"}}, // part of what a reader sees as one sign
	{"👍👍🏽", []string{"👍🏽"}},
	{"e\u0301x", []string{"\u0301"}},
	{"é", []string{"è"}}, // begin with the same byte
}

func TestStopTextsDoNotDependOnTheSplit(t *testing.T) {
	for _, c := range stopCases {
		t.Run(fmt.Sprintf("%q/%q", c.text, c.stops), func(t *testing.T) {
			want, stopped := truncated(c.text, c.stops)
			for pieces := range splits(c.text) {
				checkPieces(t, pieces, c.stops, want, stopped)
			}
		})
	}
}

// splits yields every way to cut text into whole characters; of a long text those with at most three cuts.
func splits(text string) func(yield func([]string) bool) {
	var places []int
	for i := range text {
		if i > 0 {
			places = append(places, i)
		}
	}
	return func(yield func([]string) bool) {
		n := len(places)
		for set := range 1 << n {
			var pieces []string
			from := 0
			for i, at := range places {
				if set>>i&1 == 1 {
					pieces = append(pieces, text[from:at])
					from = at
				}
			}
			if n > 10 && len(pieces) > 3 && len(pieces) < n {
				continue
			}
			if !yield(append(pieces, text[from:])) {
				return
			}
		}
	}
}

// checkPieces delivers pieces and checks the text, and that after each piece everything is out that cannot
// become part of a stop text, and nothing that can.
func checkPieces(t *testing.T, pieces, stops []string, want string, stopped bool) {
	t.Helper()
	a := &answer{stops: stops}
	var out strings.Builder
	fed := ""
	for _, p := range pieces {
		fed += p
		out.WriteString(a.release(p, false))
		if a.stopped {
			break
		}
		if free := settled(fed, stops); out.String() != free {
			t.Fatalf("in pieces %q: %q is out after %q, want %q", pieces, out.String(), fed, free)
		}
	}
	if !a.stopped {
		out.WriteString(a.release("", true))
	}
	if out.String() != want || a.stopped != stopped {
		t.Fatalf("in pieces %q: delivered %q, stopped %v; want %q, %v", pieces, out.String(), a.stopped, want, stopped)
	}
}

// settled is text without its longest end that begins a stop text.
func settled(text string, stops []string) string {
	for at := range text {
		for _, stop := range stops {
			if strings.HasPrefix(stop, text[at:]) {
				return text[:at]
			}
		}
	}
	return text
}

// TestAnswerDeliversWholeCharacters goes through the tokenizer: characters that its pieces split, stop texts over
// several ids, special ids that are not text.
func TestAnswerDeliversWholeCharacters(t *testing.T) {
	tok := engineTokenizer(t)
	for _, c := range stopCases {
		ids, err := tok.Encode(c.text, false)
		if err != nil {
			t.Fatal(err)
		}
		a := newAnswer(tok, c.stops)
		var out strings.Builder
		for _, id := range ids {
			piece := contents(a.push(id))
			if !utf8.ValidString(piece) {
				t.Errorf("%q: the piece %q is no UTF-8", c.text, piece)
			}
			if out.WriteString(piece); a.stopped {
				break
			}
		}
		out.WriteString(contents(a.flush(true)))
		if want, stopped := truncated(c.text, c.stops); out.String() != want || a.text.String() != want || a.stopped != stopped {
			t.Errorf("%q with stops %q: delivered %q, kept %q, stopped %v; want %q, %v", c.text, c.stops, out.String(), a.text.String(), a.stopped, want, stopped)
		}
	}
}

// An answer that is cut off inside a character ends with one replacement character.
func TestAnswerCutInsideACharacter(t *testing.T) {
	tok := engineTokenizer(t)
	const sign = "\U0001FAE8" // in no vocabulary of its time: bytes
	ids, err := tok.Encode("a"+sign, false)
	if err != nil {
		t.Fatal(err)
	}
	if len(ids) < 4 {
		t.Fatalf("the vocabulary has a piece for %s: choose a newer sign", sign)
	}
	a := newAnswer(tok, nil)
	out := ""
	for _, id := range ids[:len(ids)-1] {
		out += contents(a.push(id))
	}
	if out += contents(a.flush(true)); out != "a\uFFFD" || a.text.String() != out {
		t.Errorf("delivered %q, kept %q", out, a.text.String())
	}
}

// TestStopTextsAndCalls: a stop text is looked for in calls too, where it cuts the call off, and does not reach across a
// marker.
func TestStopTextsAndCalls(t *testing.T) {
	tools, err := chat.DecodeOrdered([]byte(`{"function": {"name": "f", "parameters": {"properties": {"a": {"type": "string"}}}}}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		raw, stop, content, arguments string
		stopped                       bool
	}{
		{`a##<|tool_call>call:f{a:<|"|>#b<|"|>}<tool_call|>`, "###", "a##", `{"a":"#b"}`, false},
		{`a<|tool_call>call:f{a:<|"|>b###c<|"|>}<tool_call|>`, "###", "a", `{"a":"b"}`, true},
		{`a###<|tool_call>call:f{}<tool_call|>`, "###", "a", "", true},
	} {
		ids, err := engineTokenizer(t).Encode(c.raw, false)
		if err != nil {
			t.Fatal(err)
		}
		turn := &turn{model: real.model, prompt: &prompt.Prompt{}, req: Request{Stop: []string{c.stop}, Prompt: prompt.Input{Messages: []chat.Message{}, Tools: []chat.Value{tools}}}}
		a := turn.newAnswer()
		for _, id := range ids {
			if a.push(id); a.stopped {
				break
			}
		}
		a.flush(false)
		m := a.message()
		arguments := ""
		if len(m.Calls) == 1 {
			arguments = m.Calls[0].Arguments
		}
		if m.Content != c.content || arguments != c.arguments || a.stopped != c.stopped || m.Truncated != (c.stopped && arguments != "") {
			t.Errorf("%s: %+v, stopped %v", c.raw, m, a.stopped)
		}
	}
}

// contents joins the text of events.
func contents(events []parse.Event) string {
	var ev Event
	ev.add(events)
	return ev.Text
}

func engineTokenizer(t *testing.T) *tokenizer.Tokenizer {
	t.Helper()
	return real.Model().Tokenizer
}

// The ids of reasoning are counted from the mark that opens it to the one that closes it, or to the end.
func TestReasoningIsCounted(t *testing.T) {
	for _, c := range []struct {
		raw, end string // end: the mark that closes it
	}{
		{raw: "<|channel>thought\nHm, so and so.<channel|>Hello.", end: "<channel|>"},
		{raw: "<|channel>thought\nHm, so and so."},
		{raw: "Hello."},
	} {
		ids, err := engineTokenizer(t).Encode(c.raw, false)
		if err != nil {
			t.Fatal(err)
		}
		want := 0
		if strings.HasPrefix(c.raw, "<|channel>") {
			want = len(ids)
		}
		if c.end != "" {
			end, err := engineTokenizer(t).Encode(c.end, false)
			if err != nil {
				t.Fatal(err)
			}
			want = slices.Index(ids, end[0]) + 1
		}
		turn := &turn{model: real.model, prompt: &prompt.Prompt{}, req: Request{Prompt: prompt.Input{Messages: []chat.Message{}}}}
		a := turn.newAnswer()
		for _, id := range ids {
			a.push(id)
		}
		a.flush(false)
		var res Result
		if res.take(a); res.Thought != want {
			t.Errorf("%q of %d ids: %d of them reasoning, want %d", c.raw, len(ids), res.Thought, want)
		}
	}
}
