package prompt

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"reprise/model/chat"
)

// TestWantedOffsets compares the offsets with the places where the models' own markup closes a message.
func TestWantedOffsets(t *testing.T) {
	for _, family := range familyNames {
		a := assembler(t, family)
		for _, c := range []struct {
			name     string
			messages string
			static   int   // messages in the static prefix
			bounds   []int // numbers of messages at whose end state is wanted
		}{
			{"one", user("Hi."), 0, []int{0, 1}},
			{"system and one", `{"role":"system","content":"Be terse."},` + user("Hi."), 1, []int{1, 2}},
			{"ends with two of the user's", `{"role":"system","content":"Be terse."},` + user("Hi.") + "," + user("Note."), 1, []int{1, 2, 3}},
			{"long", `{"role":"system","content":"Be terse."},` + strings.Join([]string{user("1"), said1("2"), user("3"), said1("4"), user("5"), said1("6"), user("7"), user("8")}, ","), 1, []int{1, 5, 6, 7, 8, 9}},
			{"ends with the assistant's", user("1") + "," + said1("2") + "," + user("3") + "," + said1(""), 0, []int{0, 1, 2, 3, 4}},
		} {
			in := Input{Messages: messages(t, "[%s]", c.messages)}
			p := assemble(t, a, in)
			// A conversation of texts alone closes every message once, in order.
			closing, _ := a.Tokenizer.Encode(map[string]string{"gemma4": "<turn|>\n", "qwen3.6": "<|im_end|>\n"}[family], false)
			ends := []int{0}
			if family == "gemma4" {
				ends[0] = 1 // <bos>
			}
			for at := range p.IDs {
				if hasPrefix(p.IDs[at:], closing) {
					ends = append(ends, at+len(closing))
				}
			}
			end := func(n int) int { return ends[n] }
			var want []int
			for _, n := range c.bounds {
				want = append(want, end(n))
			}
			want = ascending(want, len(p.IDs))
			if !slices.Equal(p.Wanted, want) {
				t.Errorf("%s, %s: wanted %v, want %v", family, c.name, p.Wanted, want)
			}
			if p.Generation != want[len(want)-1] {
				t.Errorf("%s, %s: the generation prompt begins at %d, want %d", family, c.name, p.Generation, want[len(want)-1])
			}
			static := 0
			if c.static > 0 || family == "gemma4" {
				static = want[0]
			}
			if p.StaticEnd != static {
				t.Errorf("%s, %s: the static prefix ends at %d, want %d", family, c.name, p.StaticEnd, static)
			}
			if first := end(c.static + 1); p.FirstUserEnd != first {
				t.Errorf("%s, %s: the first user's message ends at %d, want %d", family, c.name, p.FirstUserEnd, first)
			}
		}
	}
}

// TestSpansReadAsTheirMessages decodes every message's span.
func TestSpansReadAsTheirMessages(t *testing.T) {
	for _, family := range familyNames {
		for name, s := range echoes(t, family) {
			a := assembler(t, family)
			if family == "gemma4" && name == "reasoning as text" {
				continue
			}
			prompts := play(t, a, family, Input{Tools: tools(t)}, s)
			p := prompts[len(prompts)-1]
			seen := map[int]string{}
			for _, span := range p.Spans {
				text := a.Tokenizer.Decode(p.IDs[span.Start:span.End], false)
				switch span.Label {
				case Message:
					seen[span.Message] += text
				case System:
					if !strings.Contains(text, "You are terse.") {
						t.Errorf("%s, %s: the system text is %q", family, name, text)
					}
				case Tools:
					if !strings.Contains(text, "Runs a command.") || strings.Contains(text, "terse") {
						t.Errorf("%s, %s: the tools are %q", family, name, text)
					}
				case Thinking:
					if !strings.Contains(text, "think") && !strings.Contains(text, "thought") && !strings.Contains(text, "channel") {
						t.Errorf("%s, %s: this is no reasoning: %q", family, name, text)
					}
				}
			}
			for i, m := range p.messages {
				text, _ := m.Text()
				if m.Role() != "system" && !strings.Contains(seen[i], answerText(text)) {
					t.Errorf("%s, %s: message %d is %q, its span reads %q", family, name, i, text, seen[i])
				}
			}
		}
	}
}

// TestUnknownTemplates assembles by templates that hide where things are: nothing is claimed, nothing breaks, and
// what is put back, if it is, continues what was fed.
func TestUnknownTemplates(t *testing.T) {
	for name, c := range map[string]struct {
		source string
		puts   bool
	}{
		"plain text":   {"{% for m in messages %}### {{ m.role }}\n\n{{ m.content }}\n\n{% endfor %}{% if add_generation_prompt %}### assistant\n\n{% endif %}", true},
		"chatml":       {"{% for m in messages %}<|turn>{{ m.role }}\n{{ m.content }}<turn|>\n{% endfor %}{% if add_generation_prompt %}<|turn>assistant\n{% endif %}", true},
		"by index":     {"{% for i in range(messages|length) %}<|turn>{{ messages[i].role }}\n{{ messages[i].content }}<turn|>\n{% endfor %}{% if add_generation_prompt %}<|turn>assistant\n{% endif %}", true},
		"one macro":    {"{% macro all(ms) %}{% for m in ms %}<|turn>{{ m.role }}\n{{ m.content }}<turn|>\n{% endfor %}{% endmacro %}{{ all(messages) }}{% if add_generation_prompt %}<|turn>assistant\n{% endif %}", false},
		"upper case":   {"{% for m in messages %}{{ m.content | upper }};{% endfor %}{% if add_generation_prompt %}:{% endif %}", false},
		"content only": {"{{ messages[-1].content }}{% if add_generation_prompt %}:{% endif %}", false},
	} {
		tmpl, err := chat.Compile(c.source)
		if err != nil {
			t.Fatal(err)
		}
		a := assembler(t, "gemma4")
		a.Template = tmpl
		in := Input{Messages: messages(t, "[%s,%s,%s]", user("First question."), said1("An answer."), user("Second question?"))}
		p := assemble(t, a, in)
		whole, err := a.Tokenizer.Encode(rendered(t, a, in), false)
		if err != nil || !slices.Equal(p.IDs, whole) {
			t.Errorf("%s: ids %v, want %v, %v", name, p.IDs, whole, err)
		}
		if len(p.Wanted) == 0 {
			t.Errorf("%s: no state is wanted", name)
		}
		ids := sampled(t, a, "Indeed so.<turn|>")
		remembered := a.Remember(p, ids, chat.NewMessage("assistant", "Indeed so."))
		in.Messages = append(in.Messages, messages(t, "[%s,%s]", said1("Indeed so."), user("Third question?"))...)
		next := assemble(t, a, in)
		if c.puts != (next.Spliced > 0) {
			t.Errorf("%s: remembered %v, %d tokens put back", name, remembered, next.Spliced)
		}
		if fed := slices.Concat(p.IDs, ids[:len(ids)-1]); next.Spliced > 0 && !hasPrefix(next.IDs, fed) {
			t.Errorf("%s: what was fed is no prefix: %q, then %q", name, a.Tokenizer.Decode(fed, false), a.Tokenizer.Decode(next.IDs, false))
		}
		if next.Spliced == 0 && a.Tokenizer.Decode(next.IDs, false) != rendered(t, a, in) {
			t.Errorf("%s: the prompt reads %q", name, a.Tokenizer.Decode(next.IDs, false))
		}
	}
}

// TestDiverge names what differs between a turn and the next.
func TestDiverge(t *testing.T) {
	for _, family := range familyNames {
		base := func() Input {
			return Input{Tools: tools(t), Messages: messages(t, `[{"role":"system","content":"You are a terse helper of many words."},%s,%s,%s,%s,%s]`,
				user("Where is Paris?"), said1("In France, on the Seine."), user("And Rome?"), said1("In Italy, on the Tiber."), user("And Berlin?"))}
		}
		change := func(i int, text string) func(*Input) {
			return func(in *Input) { in.Messages[i] = in.Messages[i].With("content", text) }
		}
		on, off := true, false
		for name, c := range map[string]struct {
			change       func(*Input)
			in           string
			old, new     string // what the texts hold
			splice       Splice
			gemma, qwen  string // where they differ
			withGenerate bool
		}{
			"system text":                 {change: change(0, "You are a terse helper of few words."), in: "system", old: "many", new: "few"},
			"no system text":              {change: func(in *Input) { in.Messages = in.Messages[1:] }, in: "system", old: "terse"},
			"a tool's words":              {change: func(in *Input) { in.Tools = otherTools(t) }, in: "tools", old: "Run", new: "Execute"},
			"a tool less":                 {change: func(in *Input) { in.Tools = in.Tools[:1] }, in: "tools"},
			"no tools and a new question": {change: func(in *Input) { in.Tools = nil; change(1, "And Madrid?")(in) }, in: "tools"},
			"no tools":                    {change: func(in *Input) { in.Tools = nil }, in: "tools"},
			"first question":              {change: change(1, "Where is London?"), in: "message 1 user", old: "Paris", new: "London"},
			"an answer":                   {change: change(2, "In Texas, too."), in: "message 2 assistant", old: "France", new: "Texas"},
			"last question":               {change: change(5, "And Madrid?"), in: "message 5 user", old: "Berlin", new: "Madrid"},
			"a message gone":              {change: func(in *Input) { in.Messages = slices.Delete(in.Messages, 3, 5) }, in: "message 3 user", old: "Rome", new: "Berlin"},
			"a message between":           {change: func(in *Input) { in.Messages = slices.Insert(in.Messages, 3, messages(t, "[%s]", user("Hm."))...) }, in: "message 3 user", new: "Hm."},
			"last dropped":                {change: func(in *Input) { in.Messages = append(in.Messages[:5], messages(t, "[%s]", said1("In Spain?"))...) }, gemma: "message 5 assistant", qwen: "thinking"},
			"reasoning gone":              {change: func(in *Input) { in.Messages = append(in.Messages, messages(t, "[%s]", said1("On the Spree."))...) }, in: "thinking", withGenerate: true, splice: SpliceOff},
			"other tokens": {change: func(in *Input) {
				in.Messages = append(in.Messages, messages(t, "[%s]", said1("On the Spree, rather wide."))...)
			}, in: "retokenized", withGenerate: true, splice: SpliceOff},
			"thinking on":                    {change: func(in *Input) { in.Thinking = &on }, gemma: "template", qwen: "none"},
			"thinking on and a new question": {change: func(in *Input) { in.Thinking = &on; change(5, "And Madrid?")(in) }, gemma: "template", qwen: "message 5 user"},
			"thinking off":                   {change: func(in *Input) { in.Thinking = &off }, gemma: "none", qwen: "thinking"},
		} {
			a := assembler(t, family)
			a.Splice = c.splice
			in := base()
			if c.in == "retokenized" {
				a.Template = withoutThinking(t, a)
			}
			before := assemble(t, a, in)
			old := before.Side()
			if c.withGenerate {
				text := "On the Spree."
				if c.in == "retokenized" {
					text = "On the Spree, rather wide."
				}
				ids := sampled(t, a, answer{reasoning: "hm", text: text}.output(family, c.in == "thinking"))
				if c.in == "retokenized" {
					ids = sampled(t, a, text)
				}
				old = a.Answered(before, ids, chat.NewMessage("assistant", text))
			}
			c.change(&in)
			after := assemble(t, a, in)
			at := common(old.IDs, after.IDs)
			d := Diverge(a.Tokenizer, old, after.Side(), at)
			want := c.in
			if want == "" {
				want = map[string]string{"gemma4": c.gemma, "qwen3.6": c.qwen}[family]
			}
			if want == "none" {
				want = ""
			}
			if d.In != want || d.At != at || !strings.Contains(d.Old, c.old) || !strings.Contains(d.New, c.new) {
				t.Errorf("%s, %s: parted at %d in %q, want %q: %q became %q", family, name, at, d.In, want, d.Old, d.New)
			}
			if back := Diverge(a.Tokenizer, after.Side(), old, at); want == "thinking" && back.In != want {
				t.Errorf("%s, %s: the other way round it is %q", family, name, back.In)
			}
		}
	}
}

func otherTools(t *testing.T) []chat.Value {
	t.Helper()
	v, err := chat.DecodeOrdered([]byte(`{"tools":` + strings.Replace(toolsJSON, "Runs a command.", "Executes a command.", 1) + `}`))
	if err != nil {
		t.Fatal(err)
	}
	return inputTools(v)
}

// withoutThinking is a template whose opening of the answer is no reasoning.
func withoutThinking(t *testing.T, a *Assembler) *chat.Template {
	t.Helper()
	opening, closing := "<|turn>", "<turn|>"
	if _, ok := a.Tokenizer.ID("<|im_start|>"); ok {
		opening, closing = "<|im_start|>", "<|im_end|>"
	}
	tmpl, err := chat.Compile(fmt.Sprintf("{%% for t in tools %%}{{ t | tojson }}{%% endfor %%}{%% for m in messages %%}%s{{ m.role }}\n{{ m.content }}%s\n{%% endfor %%}{%% if add_generation_prompt %%}%sassistant\n{%% endif %%}", opening, closing, opening))
	if err != nil {
		t.Fatal(err)
	}
	return tmpl
}

// TestDivergeInTheOpening: the template opens an answer with words that it leaves out of the history.
func TestDivergeInTheOpening(t *testing.T) {
	tmpl, err := chat.Compile("{% for m in messages %}<|turn>{{ m.role }}\n{{ m.content }}<turn|>\n{% endfor %}{% if add_generation_prompt %}<|turn>assistant\nAnswer: {% endif %}")
	if err != nil {
		t.Fatal(err)
	}
	a := assembler(t, "gemma4")
	a.Template, a.Splice = tmpl, SpliceOff
	in := Input{Messages: messages(t, "[%s]", user("Hi."))}
	before := assemble(t, a, in)
	old := a.Answered(before, sampled(t, a, "Hello."), chat.NewMessage("assistant", "Hello."))
	in.Messages = append(in.Messages, messages(t, "[%s,%s]", said1("Hello."), user("More."))...)
	after := assemble(t, a, in)
	if d := Diverge(a.Tokenizer, old, after.Side(), common(old.IDs, after.IDs)); d.In != "template" {
		t.Errorf("parted in %q: %q became %q", d.In, d.Old, d.New)
	}
	if d := Diverge(a.Tokenizer, before.Side(), Side{IDs: before.IDs[:5]}, 5); d.In != "" {
		t.Errorf("a beginning parts in %q", d.In)
	}
}
