package prompt

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"reprise/model/chat"
)

// rendered is the template's own text of a conversation.
func rendered(t *testing.T, a *Assembler, in Input) string {
	t.Helper()
	text, err := a.Template.RenderContext(t.Context(), chat.Input{
		Messages: in.Messages, Tools: in.Tools, AddGenerationPrompt: true, EnableThinking: in.Thinking, Extra: in.Extra, BOS: a.BOS, EOS: a.EOS,
	})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestModes plays every script with putting back off and with text only. Off is as if nothing was remembered; text
// leaves the template's text as it is, and puts generated tokens into it.
func TestModes(t *testing.T) {
	for _, family := range familyNames {
		put := 0
		for name, s := range echoes(t, family) {
			plain, off, text := assembler(t, family), assembler(t, family), assembler(t, family)
			off.Splice, text.Splice = SpliceOff, SpliceText
			in := Input{Tools: tools(t), Messages: slices.Clone(s.first)}
			for i, turn := range s.turns {
				p := assemble(t, text, in)
				ids := sampled(t, text, turn.answer.output(family, true))
				given := message(t, "%s", turn.given)
				for _, a := range []*Assembler{off, text} {
					a.Remember(assemble(t, a, in), ids, given)
				}
				echo := given
				if turn.echo != "" {
					echo = message(t, "%s", turn.echo)
				}
				in.Messages = append(append(slices.Clone(in.Messages), echo), messages(t, "[%s]", turn.then)...)
				want := assemble(t, plain, in)
				if got := assemble(t, off, in); got.Spliced != 0 || got.SHA256 != want.SHA256 {
					t.Errorf("%s, %s, turn %d, off: %d tokens put back, ids equal %v", family, name, i, got.Spliced, got.SHA256 == want.SHA256)
				}
				got := assemble(t, text, in)
				named := Input{Tools: in.Tools}
				for j, m := range in.Messages {
					named.Messages = append(named.Messages, nameOf(t, m, in.Messages[:j]))
				}
				if read := text.Tokenizer.Decode(got.IDs, false); read != rendered(t, text, named) {
					t.Errorf("%s, %s, turn %d, text: the prompt reads\n%q, want\n%q", family, name, i, read, rendered(t, text, named))
				}
				put += got.Spliced
				if plain := strings.HasPrefix(name, "exactly") || name == "trimmed text" || name == "text as parts"; plain {
					tail := answerTail(text, ids)
					if got.Spliced < len(tail) || !contains(got.IDs, tail) {
						t.Errorf("%s, %s, turn %d, text: %d tokens put back, want %v of %v", family, name, i, got.Spliced, tail, got.IDs)
					}
				}
				_ = p
			}
		}
		if put < 100 {
			t.Errorf("%s: only %d tokens were put back as text", family, put)
		}
	}
}

// nameOf gives a tool's message the name that prompts give it; the scripts call exec and read only.
func nameOf(t *testing.T, m chat.Message, before []chat.Message) chat.Message {
	t.Helper()
	if m.Role() != "tool" {
		return m
	}
	id, _ := m.Get("tool_call_id")
	for _, b := range slices.Backward(before) {
		for _, c := range calls(b) {
			if c.id == id {
				return m.With("name", c.name)
			}
		}
	}
	t.Fatal("a result without a call")
	return m
}

// answerTail are an answer's ids without reasoning, end and outer white space.
func answerTail(a *Assembler, ids []int32) []int32 {
	ids = ids[:len(ids)-1]
	for i, id := range slices.Backward(ids) {
		if p := a.Tokenizer.Piece(id); p == "</think>" || p == "<channel|>" {
			ids = ids[i+1:]
			break
		}
	}
	return trimSpace(a.Tokenizer, ids)
}

func contains(ids, part []int32) bool {
	for i := range ids {
		if hasPrefix(ids[i:], part) {
			return true
		}
	}
	return false
}

func TestParseSplice(t *testing.T) {
	for _, s := range []Splice{SpliceOn, SpliceText, SpliceOff} {
		if got, err := ParseSplice(s.String()); got != s || err != nil {
			t.Errorf("%v is read as %v, %v", s, got, err)
		}
	}
	if _, err := ParseSplice("maybe"); err == nil || !strings.Contains(err.Error(), "maybe") {
		t.Errorf("error %v", err)
	}
}

// TestNotSpliced changes what may not be changed: the message is then rendered like any other.
func TestNotSpliced(t *testing.T) {
	for _, family := range familyNames {
		first := messages(t, `[{"role":"system","content":"You are terse."},%s]`, user("Say hi."))
		args := `{"command":"ls","timeout":10}`
		asked := fmt.Sprintf(`{"role":"assistant","content":"","tool_calls":[%s]}`, callJSON("c1", "exec", args))
		with := func(m string) []chat.Message {
			return append(slices.Clone(first), messages(t, "[%s,%s]", m, user("More."))...)
		}
		changed := func(i int, m chat.Message, all []chat.Message) []chat.Message {
			out := slices.Clone(all)
			out[i] = m
			return out
		}
		off := false
		extra := chat.NewDict()
		extra.Set("preserve_thinking", true)
		for name, in := range map[string]Input{
			"other text":            {Messages: with(said1("Hello there")), Tools: tools(t)},
			"other case":            {Messages: with(said1("hello.")), Tools: tools(t)},
			"inner white space":     {Messages: with(said1("Hello.  It is me.")), Tools: tools(t)},
			"another role":          {Messages: with(user("Hello.")), Tools: tools(t)},
			"edited before":         {Messages: changed(1, message(t, "%s", user("Say hello.")), with(said1("Hello."))), Tools: tools(t)},
			"other system text":     {Messages: changed(0, chat.NewMessage("system", "You are verbose."), with(said1("Hello."))), Tools: tools(t)},
			"other tools":           {Messages: with(said1("Hello.")), Tools: tools(t)[:1]},
			"no tools":              {Messages: with(said1("Hello."))},
			"other options":         {Messages: with(said1("Hello.")), Tools: tools(t), Thinking: &off},
			"other template kwargs": {Messages: with(said1("Hello.")), Tools: tools(t), Extra: extra},
			"a call besides":        {Messages: with(asked), Tools: tools(t)},
		} {
			a := assembler(t, family)
			p := assemble(t, a, Input{Messages: first, Tools: tools(t)})
			if !a.Remember(p, sampled(t, a, answer{text: "Hello."}.output(family, true)), chat.NewMessage("assistant", "Hello.")) {
				t.Fatal("not remembered")
			}
			if got := assemble(t, a, Input{Messages: with(said1("Hello.")), Tools: tools(t)}); got.Spliced == 0 {
				t.Fatal("not put back when nothing was changed")
			}
			got, want := assemble(t, a, in), assemble(t, assembler(t, family), in)
			if got.Spliced != 0 || got.SHA256 != want.SHA256 {
				t.Errorf("%s, %s: %d tokens put back", family, name, got.Spliced)
			}
		}
		for name, args := range map[string]string{
			"other name":        callJSON("c1", "read", args),
			"other value":       callJSON("c1", "exec", `{"command":"ls -l","timeout":10}`),
			"other number":      callJSON("c1", "exec", `{"command":"ls","timeout":10.5}`),
			"text for a number": callJSON("c1", "exec", `{"command":"ls","timeout":"10"}`),
			"true for one":      callJSON("c1", "exec", `{"command":"ls","timeout":true}`),
			"a key more":        callJSON("c1", "exec", `{"command":"ls","timeout":10,"workdir":null}`),
			"not JSON":          callJSON("c1", "exec", `{"command":"ls","timeout":10`),
			"twice":             callJSON("c1", "exec", args) + "," + callJSON("c2", "exec", args),
		} {
			a := assembler(t, family)
			p := assemble(t, a, Input{Messages: first, Tools: tools(t)})
			a.Remember(p, sampled(t, a, answer{calls: []said{exec(gemmaText(family, "ls"))}}.output(family, true)), message(t, "%s", asked))
			in := Input{Messages: with(asked), Tools: tools(t)}
			if got := assemble(t, a, in); got.Spliced == 0 {
				t.Fatal("a call is not put back when nothing was changed")
			}
			in.Messages = with(fmt.Sprintf(`{"role":"assistant","content":"","tool_calls":[%s]}`, args))
			got, err := a.Assemble(t.Context(), in)
			if err != nil && strings.Contains(name, "JSON") {
				continue // the template's refusal
			}
			if err != nil || got.Spliced != 0 {
				t.Errorf("%s, %s: %v", family, name, err)
			}
		}
	}
}

// TestStopText cuts an answer where a stop text did, or where the client left: only tokens whose text it got are put back.
func TestStopText(t *testing.T) {
	for _, family := range familyNames {
		for _, c := range []struct {
			name, said, given string // | is where a token ends
			remembered        bool
		}{
			{"at a token's end", "Paris!|###| and more", "Paris!", true},
			{"white space before", "Paris! |###| and more", "Paris! ", true},
			{"within a token", "Say |the", "Say th", false},
			{"nothing was given", "Say |the", "", false},
		} {
			a := assembler(t, family)
			p := assemble(t, a, Input{Messages: messages(t, "[%s]", user("Where?"))})
			var ids []int32
			for _, piece := range strings.Split(c.said, "|") {
				more, err := a.Tokenizer.Encode(piece, false)
				if err != nil {
					t.Fatal(err)
				}
				ids = append(ids, more...)
			}
			if family == "qwen3.6" {
				ids = append(sampled(t, a, "hm\n</think>\n\n"), ids...)
			}
			remembered := a.Remember(p, ids, chat.NewMessage("assistant", c.given))
			next := assemble(t, a, Input{Messages: messages(t, "[%s,%s,%s]", user("Where?"), said1(c.given), user("And?"))})
			// Rendered or put back, the message ends where the client's does.
			closing := map[string]string{"gemma4": "<turn|>", "qwen3.6": "<|im_end|>"}[family]
			text := a.Tokenizer.Decode(next.IDs, false)
			if trimmed := strings.TrimSpace(c.given); !strings.Contains(text, trimmed+closing) && !strings.Contains(text, trimmed+" "+closing) || strings.Contains(text, "#") || strings.Contains(text, "Paris<") {
				t.Errorf("%s, %s: the client got %q, the prompt has %q", family, c.name, c.given, text)
			}
			if remembered != c.remembered || remembered != (next.Spliced > 0) {
				t.Errorf("%s, %s: remembered %v, %d tokens put back", family, c.name, remembered, next.Spliced)
			}
			if remembered && !hasPrefix(next.IDs, slices.Concat(p.IDs, ids[:next.Spliced])) {
				t.Errorf("%s, %s: what was fed is no prefix of %q", family, c.name, text)
			}
		}
	}
}

// TestDroppedTail answers a request whose last message is gone from the next one, as OpenClaw's is; an answer to the
// very conversation goes first, and one that was put back stays.
func TestDroppedTail(t *testing.T) {
	for _, family := range familyNames {
		a := assembler(t, family)
		first := messages(t, "[%s]", user("Say hi."))
		note := append(slices.Clone(first), messages(t, "[%s]", user("<<<internal context>>>"))...)
		later := Input{Messages: append(slices.Clone(first), messages(t, "[%s,%s]", said1("Hi!"), user("More."))...)}
		remember := func(at []chat.Message, text string) []int32 {
			t.Helper()
			ids := sampled(t, a, answer{reasoning: text, text: "Hi!"}.output(family, true))
			if !a.Remember(assemble(t, a, Input{Messages: at}), ids, chat.NewMessage("assistant", "Hi!")) {
				t.Fatal("not remembered")
			}
			return ids[:len(ids)-1]
		}
		loose := remember(note, "of the note")
		exact := remember(first, "of the question")
		remember(note, "of the note, again")
		got := assemble(t, a, later)
		if got.Spliced != len(exact) || !contains(got.IDs, exact) || contains(got.IDs, loose) {
			t.Errorf("%s: %d tokens put back, want the %d of the very conversation", family, got.Spliced, len(exact))
		}
		remember(first, "a retry of it")
		if again := assemble(t, a, later); again.SHA256 != got.SHA256 {
			t.Errorf("%s: a retry changed a conversation that had gone on", family)
		}

		b := assembler(t, family)
		p := assemble(t, b, Input{Messages: note})
		b.Remember(p, loose, chat.NewMessage("assistant", "Hi!"))
		if got := assemble(t, b, later); got.Spliced != len(loose) || !contains(got.IDs, loose) {
			t.Errorf("%s: behind a message that is gone %d tokens are put back, want %d", family, got.Spliced, len(loose))
		}
	}
}

// TestSamePromptHash assembles one conversation in every state of everything but the record.
func TestSamePromptHash(t *testing.T) {
	for _, family := range familyNames {
		a := assembler(t, family)
		s := echoes(t, family)["parallel calls"]
		prompts := play(t, a, family, Input{Tools: tools(t)}, s)
		last := prompts[len(prompts)-1]
		in := Input{Tools: tools(t), Messages: last.messages}
		restored := NewRecord(DefaultRecordBytes, nil)
		var entries []Entry
		for e := range a.Record.All() {
			entries = append(entries, e)
		}
		for _, e := range slices.Backward(entries) {
			restored.Add(e)
		}
		for name, b := range map[string]*Assembler{
			"again": a, "nothing remembered of the text": {Record: a.Record, MemoBytes: 1}, "the record restored": {Record: restored},
		} {
			if b != a {
				b.Tokenizer, b.Template, b.BOS, b.EOS, b.Vocab = a.Tokenizer, a.Template, a.BOS, a.EOS, a.Vocab
			}
			if got := assemble(t, b, in); got.SHA256 != last.SHA256 || got.Spliced != last.Spliced {
				t.Errorf("%s, %s: other ids, %d tokens put back of %d", family, name, got.Spliced, last.Spliced)
			}
		}
		without := assemble(t, assembler(t, family), in)
		if without.SHA256 == last.SHA256 {
			t.Errorf("%s: the record makes no difference: this test proves nothing", family)
		}
	}
}

// TestRawIsTokenizedWhole sends texts that look like conversations.
func TestRawIsTokenizedWhole(t *testing.T) {
	for _, family := range familyNames {
		a := assembler(t, family)
		p := assemble(t, a, Input{Messages: messages(t, "[%s]", user("Hi."))})
		a.Remember(p, sampled(t, a, "Hello.<turn|>"), chat.NewMessage("assistant", "Hello."))
		text := rendered(t, a, Input{Messages: messages(t, "[%s,%s,%s]", user("Hi."), said1("Hello."), user("More."))})
		want, err := a.Tokenizer.Encode(text, true)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			got := assemble(t, a, Input{Raw: text})
			if !slices.Equal(got.IDs, want) || got.Spliced != 0 || got.Given != len(text) {
				t.Errorf("%s: %v, want %v; %d put back, %d of %d characters given", family, got.IDs, want, got.Spliced, got.Given, len(text))
			}
			if !slices.Equal(got.Wanted, []int{len(want) - 1}) || got.StaticEnd != 0 || got.Generation != len(want) {
				t.Errorf("%s: wanted %v of %d", family, got.Wanted, len(want))
			}
			if a.Remember(got, want[:3], chat.NewMessage("assistant", "x")) {
				t.Errorf("%s: an answer to a raw text is remembered", family)
			}
		}
		if byIDs := assemble(t, a, Input{IDs: want}); !slices.Equal(byIDs.Wanted, []int{len(want) - 1}) || len(byIDs.Spans) != 1 {
			t.Errorf("%s: wanted %v, spans %v", family, byIDs.Wanted, byIDs.Spans)
		}
	}
}

// TestLongPromptCostsItsTail: of 60,000 tokens the tokenizer gets the last message only.
func TestLongPromptCostsItsTail(t *testing.T) {
	for _, family := range familyNames {
		a := assembler(t, family)
		in := Input{Tools: tools(t), Messages: messages(t, `[{"role":"system","content":"You are terse."}]`)}
		for i := range 800 {
			in.Messages = append(in.Messages, messages(t, "[%s,%s]", user(fmt.Sprintf("Question %d, about the capital of France and of country %d, and of its rivers too.", i, i*7919)), said1(fmt.Sprintf("Paris, and capital %d.", i*i)))...)
		}
		in.Messages = append(in.Messages, messages(t, "[%s]", user("So?"))...)
		first := assemble(t, a, in)
		if len(first.IDs) < 60_000 || first.Given < 60_000 {
			t.Fatalf("%s: %d tokens, %d characters", family, len(first.IDs), first.Given)
		}
		tail := strings.Repeat("and one more thing, ", 20)
		in.Messages = append(in.Messages, messages(t, "[%s,%s]", said1("Yes, so it is."), user(tail))...)
		next := assemble(t, a, in)
		if next.Given < len(tail)-1 || next.Given > len(tail)+200 {
			t.Errorf("%s: for a tail of %d characters behind %d tokens the tokenizer was given %d", family, len(tail), len(first.IDs), next.Given)
		}
		if want := assemble(t, assembler(t, family), in); want.SHA256 != next.SHA256 {
			t.Errorf("%s: the ids are not those of a whole tokenization", family)
		}
	}
}
