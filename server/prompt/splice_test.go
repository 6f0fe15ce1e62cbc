package prompt

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"reprise/model/chat"
	"reprise/model/chat/parse"
)

const toolsJSON = `[{"type":"function","function":{"name":"exec","description":"Runs a command.","parameters":{"type":"object","properties":{"command":{"type":"string"},"timeout":{"type":"number"},"workdir":{"type":"string"}},"required":["command"]}}},
	{"type":"function","function":{"name":"read","description":"Reads a file.","parameters":{"type":"object","properties":{"path":{"type":"string"},"limit":{"type":"integer"}}}}}]`

func tools(t testing.TB) []chat.Value {
	t.Helper()
	v, err := chat.DecodeOrdered([]byte(`{"tools":` + toolsJSON + `}`))
	if err != nil {
		t.Fatal(err)
	}
	return inputTools(v)
}

// script is a conversation as it really goes: what is asked, what the model says to it, what the client was given
// and what it sends back of that.
type script struct {
	first []chat.Message
	turns []scripted
}

type scripted struct {
	answer answer
	given  string // the message as the client was given it, JSON
	echo   string // as it comes back; "": as it was given
	then   string // what the client puts behind it
}

// exec is a call of exec as both models write it: keys in the model's order, numbers in its spelling.
func exec(command string) said {
	return said{"exec", [][2]string{{"timeout", "1.0e1"}, {"command", command}}}
}

// gemmaText is a string value in Gemma 4's form.
func gemmaText(family, s string) string {
	if family == "gemma4" {
		return `<|"|>` + s + `<|"|>`
	}
	return s
}

func callJSON(id, name, arguments string) string {
	return fmt.Sprintf(`{"id":%s,"type":"function","function":{"name":%s,"arguments":%s}}`, quote(id), quote(name), quote(arguments))
}

// play goes through a script and checks after every turn that what was fed is a prefix of the next prompt, and that
// every answer so far was put back. It returns the prompts.
func play(t *testing.T, a *Assembler, family string, in Input, s script) []*Prompt {
	t.Helper()
	in.Messages = slices.Clone(s.first)
	thinking := in.Thinking == nil || *in.Thinking
	p := assemble(t, a, in)
	prompts := []*Prompt{p}
	generated := 0
	for i, turn := range s.turns {
		ids := sampled(t, a, turn.answer.output(family, thinking))
		given := message(t, "%s", turn.given)
		// What the parser makes of the ids is the message that the client was given: nothing else would be found again.
		if read := parsed(a, in, p, ids, turn.answer.cut); !strings.Contains(turn.given, "</think>") && !slices.Equal(canonical(read, nil), canonical(given, nil)) {
			t.Fatalf("turn %d: the parser reads %q, the client was given %q", i, canonical(read, nil), canonical(given, nil))
		}
		if !a.Remember(p, ids, given) {
			t.Fatalf("turn %d is not remembered", i)
		}
		generated += len(ids)
		if !turn.answer.cut {
			generated--
		}
		echo := given
		if turn.echo != "" {
			echo = message(t, "%s", turn.echo)
		}
		in.Messages = append(append(in.Messages, echo), messages(t, "[%s]", turn.then)...)
		next := assemble(t, a, in)
		if fed := slices.Concat(p.IDs, ids); !hasPrefix(next.IDs, fed) {
			n := common(next.IDs, fed)
			t.Fatalf("turn %d: of the %d tokens that were fed the next prompt has %d: fed %q, then %q", i, len(fed), n,
				a.Tokenizer.Decode(fed[max(0, n-5):min(len(fed), n+20)], false), a.Tokenizer.Decode(next.IDs[max(0, n-5):min(len(next.IDs), n+20)], false))
		}
		if next.Spliced != generated {
			t.Errorf("turn %d: %d tokens put back, want %d", i, next.Spliced, generated)
		}
		p, prompts = next, append(prompts, next)
	}
	return prompts
}

// parsed is the message that generated ids make.
func parsed(a *Assembler, in Input, p *Prompt, ids []int32, cut bool) chat.Message {
	parser := parse.For(a.Template.Source(), a.Tokenizer).New(in.Tools, p.Thinking)
	stream := a.Tokenizer.NewStream(true)
	for _, id := range a.less(ids) {
		parser.Push(id, stream.Push(id))
	}
	parser.Push(-1, stream.Flush())
	parser.Finish(cut)
	m := parser.Message()
	return m.Chat(func(int) string { return "" })
}

func user(text string) string { return fmt.Sprintf(`{"role":"user","content":%s}`, quote(text)) }

func said1(text string) string { return fmt.Sprintf(`{"role":"assistant","content":%s}`, quote(text)) }

// echoes are the ways in which clients change what they send back, as clients.md lists them: one script each. family
// decides the form of values.
func echoes(t *testing.T, family string) map[string]script {
	first := messages(t, `[{"role":"system","content":"You are terse."},%s]`, user("Say hi."))
	text := func(c string) string { return gemmaText(family, c) }
	ask := answer{calls: []said{exec(text("echo é é"))}}
	args := `{"timeout": 1.0e1 , "command":"echo \u00e9 é"}`
	result := func(id, more string) string {
		return fmt.Sprintf(`{"role":"tool","tool_call_id":%s,"content":"é é"%s}`, quote(id), more)
	}
	call := func(content, id, arguments string) string {
		return fmt.Sprintf(`{"role":"assistant","content":%s,"tool_calls":[%s]}`, content, callJSON(id, "exec", arguments))
	}
	asked := func(echo, then string) script {
		return script{first, []scripted{{ask, call("null", "call_ab-12_XY.z", args), echo, then}, {answer{text: "Done."}, said1("Done."), "", user("Thanks.")}}}
	}
	named := `,"name":"exec"`
	return map[string]script{
		"exactly as given": {first, []scripted{{answer{text: "Mock answer 1."}, said1("Mock answer 1."), "", user("More.")}, {answer{text: "Two."}, said1("Two."), "", user("End.")}}},
		"trimmed text": {first, []scripted{{answer{text: " Two spaces  here.\n\n```\ncode\n```\n"}, said1(" Two spaces  here.\n\n```\ncode\n```\n"),
			said1("Two spaces  here.\n\n```\ncode\n```"), user("More.")}}},
		"reasoning dropped": {first, []scripted{{answer{reasoning: "hmm, well", text: "Yes."}, `{"role":"assistant","content":"Yes.","reasoning_content":"hmm, well"}`, said1("Yes."), user("More.")},
			{answer{reasoning: "again", text: "No."}, said1("No."), "", user("End.")}}},
		"reasoning echoed":      {first, []scripted{{answer{reasoning: "hmm", text: "Yes."}, said1("Yes."), `{"role":"assistant","content":"Yes.","reasoning_content":"hmm"}`, user("More.")}}},
		"reasoning as text":     {first, []scripted{{answer{reasoning: "hmm", text: "Yes."}, said1("hmm\n</think>\n\nYes."), said1("Yes."), user("More.")}}},
		"text as parts":         {first, []scripted{{answer{text: "Yes."}, said1("Yes."), `{"role":"assistant","content":[{"type":"text","text":"Yes."}]}`, user("More.")}}},
		"arguments compact":     asked(call("null", "call_ab-12_XY.z", `{"timeout":10,"command":"echo é é"}`), result("call_ab-12_XY.z", named)),
		"arguments sorted":      asked(call(`""`, "call_ab-12_XY.z", `{"command":"echo \u00e9 \u00e9","timeout":10.0}`), result("call_ab-12_XY.z", named)),
		"arguments as object":   asked(`{"role":"assistant","tool_calls":[{"id":"a","function":{"name":"exec","arguments":{"command":"echo é é","timeout":10}}}]}`, result("a", "")),
		"ids stripped":          asked(call("null", "callab12XYz", args), result("callab12XYz", "")),
		"ids of their own":      asked(call("null", "fc_1", args), result("fc_1", "")),
		"content null":          asked(call("null", "call_ab-12_XY.z", args), result("call_ab-12_XY.z", named)),
		"content empty":         asked(call(`""`, "call_ab-12_XY.z", args), result("call_ab-12_XY.z", named)),
		"name left out":         asked(call(`""`, "call_ab-12_XY.z", args), result("call_ab-12_XY.z", "")),
		"reasoning before call": {first, []scripted{{answer{reasoning: "think", calls: ask.calls}, call("null", "c1", args), "", result("c1", named)}, {answer{text: "Done."}, said1("Done."), "", user("Go on.")}}},
		"text before call": {first, []scripted{{answer{text: "Let me see. ", calls: ask.calls}, call(`"Let me see. "`, "c1", args), call(`"Let me see."`, "c1", args), result("c1", named)},
			{answer{text: "Done."}, said1("Done."), "", user("Go on.")}}},
		"parallel calls": {first, []scripted{{answer{calls: []said{exec(text("ls")), {"read", [][2]string{{"path", text("a.md")}, {"limit", "2"}}}}},
			`{"role":"assistant","content":null,"tool_calls":[` + callJSON("c-1", "exec", `{"command":"ls","timeout":1.0e1}`) + "," + callJSON("c-2", "read", `{"path":"a.md","limit":2}`) + `]}`,
			`{"role":"assistant","content":null,"tool_calls":[` + callJSON("c1", "exec", `{"command":"ls","timeout":10}`) + "," + callJSON("c2", "read", `{"limit":2,"path":"a.md"}`) + `]}`,
			`{"role":"tool","tool_call_id":"c1","content":"files"},{"role":"tool","tool_call_id":"c2","content":"text"}`},
			{answer{text: "Both."}, said1("Both."), "", user("Go on.")}}},
		"calls in a row": {first, []scripted{{ask, call("null", "c1", args), "", result("c1", "")}, {answer{calls: []said{exec(text("pwd"))}}, call("null", "c2", `{"timeout":10,"command":"pwd"}`), "", result("c2", "")},
			{answer{text: "Done."}, said1("Done."), "", user("Go on.")}}},
		"call without result": {first, []scripted{{ask, call("null", "c1", args), "", user("Never mind.")}}},
		"cut by the limit":    {first, []scripted{{answer{text: "A long story that", cut: true}, said1("A long story that"), "", user("Continue exactly where you left off.")}}},
	}
}

func TestEchoesSplice(t *testing.T) {
	on, off := true, false
	for _, family := range familyNames {
		for mode, thinking := range map[string]*bool{"default": nil, "thinking": &on, "no thinking": &off} {
			for name, s := range echoes(t, family) {
				if strings.HasPrefix(name, "reasoning") && (family == "qwen3.6" && thinking == &off || name == "reasoning as text" && family == "gemma4") {
					continue // nothing to reason with, or no way to say it
				}
				t.Run(strings.Join([]string{family, mode, name}, "/"), func(t *testing.T) {
					play(t, assembler(t, family), family, Input{Tools: tools(t), Thinking: thinking}, s)
				})
			}
		}
	}
}

// A template that prints the name on a tool's message prints the called function's, whether the client sent it, left
// it out, or changed ids on the way.
func TestToolNamesAreLookedUp(t *testing.T) {
	tmpl, err := chat.Compile("{% for m in messages %}<|turn>{{ m.role }}{% if m.role == 'tool' %} {{ m.name }}{% endif %}\n{{ m.content }}<turn|>\n{% endfor %}{% if add_generation_prompt %}<|turn>assistant\n{% endif %}{{ '' if tools }}")
	if err != nil {
		t.Fatal(err)
	}
	a := assembler(t, "gemma4")
	a.Template = tmpl
	prompt := func(id, more string) *Prompt {
		t.Helper()
		in := Input{Messages: messages(t, `[%s,{"role":"assistant","content":"","tool_calls":[%s,%s]},{"role":"tool","tool_call_id":%s,"content":"r"%s}]`,
			user("Hi."), callJSON("other", "read", "{}"), callJSON(id, "exec", "{}"), quote(id), more)}
		p := assemble(t, a, in)
		if v, ok := in.Messages[2].Get("name"); ok && !strings.Contains(more, fmt.Sprint(v)) {
			t.Errorf("the client's message was changed")
		}
		return p
	}
	want := prompt("call_ab-12_XY.z", `,"name":"exec"`)
	if text := a.Tokenizer.Decode(want.IDs, false); !strings.Contains(text, "tool exec") {
		t.Fatalf("the prompt reads %q", text)
	}
	for name, got := range map[string]*Prompt{"left out": prompt("call_ab-12_XY.z", ""), "another id": prompt("callab12XYz", ""), "another name": prompt("x", `,"name":"read"`)} {
		if got.SHA256 != want.SHA256 || got.key != want.key {
			t.Errorf("%s: the prompt reads %q", name, a.Tokenizer.Decode(got.IDs, false))
		}
	}
}
