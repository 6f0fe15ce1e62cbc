package parse

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"reprise/model/chat"
)

// TestWhatWaits: text goes out at once unless it may begin a marker, or its line feeds may be a marker's.
func TestWhatWaits(t *testing.T) {
	c := loadCorpus(t)
	tools := toolsOf(t, c.Tools)
	for _, x := range []struct {
		dialect  string
		byText   bool
		thinking bool
		pieces   string // ¦ between them; markers are tokens, unless by text
		out      string // what is out after each, in all
	}{
		{"gemma4", false, false, "Hel¦lo <¦, {¦th", "Hel¦Hello <¦Hello <, {¦Hello <, {th"},
		{"gemma4", false, false, "th¦ought¦ful", "¦¦thoughtful"}, // a heading, perhaps
		{"gemma4", false, false, "a\n¦\n¦b", "a¦a¦a\n\nb"},
		{"qwen3.6", false, false, "a <¦b\n<¦b>", "a <¦a <b¦a <b\n<b>"}, // markers are tokens, but a function may begin a line
		{"qwen3.6", true, false, "a <¦to¦ol_¦tip", "a ¦a ¦a ¦a <tool_tip"},
		{"qwen3.6", true, true, "hm </¦thi¦s", "hm ¦hm ¦hm </this"},
		{"qwen3.6", false, false, "\n<fun¦ction=no¦pe>", "¦¦<function=nope>"}, // no tool of that name
		// Texts go out as they come, values whose type is to be found when they are whole.
		{"gemma4", false, false, `<|tool_call>¦call:write{con¦tent:¦<|"|>¦ab¦c}¦d¦<|"|>¦}¦<tool_call|>`,
			`¦write ¦write ¦write {"content":"¦write {"content":"ab¦write {"content":"abc¦write {"content":"abc}d¦write {"content":"abc}d"¦write {"content":"abc}d"}¦write {"content":"abc}d"}`},
		{"gemma4", false, false, `<|tool_call>¦call:search{limit:1¦2¦,tags:[¦<|"|>a¦<|"|>¦]¦}`,
			`¦search ¦search ¦search {"limit":12¦search {"limit":12¦search {"limit":12¦search {"limit":12,"tags":["a"]¦search {"limit":12,"tags":["a"]}`},
		{"qwen3.6", false, false, "<tool_call>\n<function=write>\n<parameter=content>\na\n¦b <¦/p>\n¦</para¦meter>\n¦<parameter=append>\ntr¦ue\n</parameter>\n¦</function>",
			`write {"content":"a¦write {"content":"a\nb ¦write {"content":"a\nb </p>¦write {"content":"a\nb </p>¦write {"content":"a\nb </p>"¦write {"content":"a\nb </p>"¦write {"content":"a\nb </p>","append":true¦write {"content":"a\nb </p>","append":true}`},
	} {
		p := c.dialect(t, x.dialect, x.byText).New(tools, x.thinking)
		out := ""
		pieces, want := strings.Split(x.pieces, "¦"), strings.Split(x.out, "¦")
		if len(want) != len(pieces) {
			t.Fatalf("%q: %d pieces, %d expectations", x.pieces, len(pieces), len(want))
		}
		for i, piece := range pieces {
			tokens := []token{{-1, piece}}
			if !x.byText {
				tokens = tokensOf(piece, c.Vocabularies[x.dialect])
			}
			for _, tok := range tokens {
				for _, e := range p.Push(tok.id, tok.text) {
					if out += e.Text; e.Kind == CallStart {
						out += e.Name + " "
					}
				}
			}
			if out != want[i] {
				t.Errorf("%s, %q: after %q is out %q, want %q", x.dialect, x.pieces, piece, out, want[i])
			}
		}
	}
}

func TestFor(t *testing.T) {
	c := loadCorpus(t)
	gemma, qwen := vocabulary{c.Vocabularies["gemma4"], true}, vocabulary{c.Vocabularies["qwen3.6"], false}
	for _, x := range []struct {
		template string
		v        Vocabulary
		want     string
	}{
		{chat.Gemma4Template, gemma, "gemma4"},
		{chat.Gemma4Template, qwen, ""}, // Gemma's markers are tokens or nothing
		{chat.Gemma4Template, vocabulary{}, ""},
		{chat.Qwen36Template, qwen, "qwen3.6"},
		{chat.Qwen36Template, gemma, "qwen3.6"}, // by text
		{chat.Qwen36Template, vocabulary{}, "qwen3.6"},
		{"{{ messages[0].content }}", qwen, ""},
		{"", gemma, ""},
	} {
		got := ""
		if d := For(x.template, x.v); d != nil {
			got = d.Name
		}
		if got != x.want {
			t.Errorf("%.40q with %d markers is %q, want %q", x.template, len(x.v.(vocabulary).ids), got, x.want)
		}
	}
}

// TestTemplatesRoundTrip: what a template writes of a message is what the model would generate, and reads as that message.
func TestTemplatesRoundTrip(t *testing.T) {
	c := loadCorpus(t)
	tools := toolsOf(t, c.Tools)
	call := func(name, args string) string {
		return fmt.Sprintf(`{"type": "function", "function": {"name": %q, "arguments": %s}}`, name, args)
	}
	quoted := func(s string) string { b, _ := json.Marshal(s); return string(b) }
	code := "func f() {\n\tif a < b { return \"<x>\\n\" }\n}\n"
	messages := []string{
		`"content": "Hello,\n\nwörld. 🌍"`,
		`"content": "Yes.", "reasoning_content": "hm,\n\nwell {x}"`,
		`"content": null, "tool_calls": [` + call("ping", `{}`) + `]`,
		`"content": "", "reasoning_content": "look", "tool_calls": [` + call("get_weather", `{"city": "90210", "days": 3, "unit": "celsius"}`) + `]`,
		`"content": "", "tool_calls": [` + call("write", `{"append": false, "content": `+quoted(code)+`, "path": "\n true \n"}`) + `]`,
		`"content": "", "tool_calls": [` + call("search", `{"deep": true, "either": "five", "free": {"a": [1, 2.5, "x"]}, "level": 2, "limit": 1e3, "maybe_int": 7, "n": -3, "one": ["a"], "options": {"k": {}, "l": [], "m": "é"}, "query": "", "span": {"from": 1}, "tags": ["a, b", "[c]"]}`) + `]`,
		`"content": "", "reasoning_content": "both", "tool_calls": [` + call("get_weather", `{"city": "東京"}`) + "," + call("größe_🌍", `{"größe": "ö"}`) + "," + call("ping", `{}`) + `]`,
	}
	for _, name := range []string{"gemma4", "qwen3.6"} {
		tmpl, err := chat.Builtin(name)
		if err != nil {
			t.Fatal(err)
		}
		d := c.dialect(t, name, false)
		for _, m := range messages {
			if name == "gemma4" && strings.Contains(m, "Yes.") {
				continue // its template writes reasoning only beside calls
			}
			on := true
			list, err := chat.DecodeMessages([]byte(`[{"role": "user", "content": "Hi"}, {"role": "assistant", ` + m + `}]`))
			if err != nil {
				t.Fatal(err)
			}
			in := chat.Input{Messages: list[:1], Tools: tools, EnableThinking: &on, AddGenerationPrompt: true, BOS: "<bos>"}
			prompt, err := tmpl.Render(in)
			if err != nil {
				t.Fatal(err)
			}
			in.Messages, in.AddGenerationPrompt = list, false
			whole, err := tmpl.Render(in)
			if err != nil {
				t.Fatal(err)
			}
			raw, ok := strings.CutPrefix(whole, prompt)
			if !ok {
				t.Fatalf("%s: the template does not go on behind its generation prompt: %q", name, whole)
			}
			raw = strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(raw, "<|im_end|>\n"), "<turn|>\n"), "<|tool_response>")
			got := parseAll(t, d, tools, name == "qwen3.6", false, tokensOf(raw, c.Vocabularies[name]))
			if len(got.repairs) > 0 {
				t.Errorf("%s: %q: repaired %v", name, raw, got.repairs)
			}
			equalMessages(t, name+" "+raw, got.message, list[1])
		}
	}
}

// equalMessages compares a parsed message with the client's.
func equalMessages(t *testing.T, name string, got Message, want chat.Message) {
	t.Helper()
	read := func(m chat.Message) map[string]any {
		raw, err := chat.Compile("{{ m | tojson }}")
		if err != nil {
			t.Fatal(err)
		}
		extra := chat.NewDict()
		d := chat.NewDict()
		for _, key := range []string{"content", "reasoning_content", "tool_calls"} {
			if v, ok := m.Get(key); ok && v != nil && v != "" {
				d.Set(key, v)
			}
		}
		extra.Set("m", d)
		text, err := raw.Render(chat.Input{Extra: extra})
		if err != nil {
			t.Fatal(err)
		}
		var out map[string]any
		if err := json.Unmarshal([]byte(text), &out); err != nil {
			t.Fatal(err)
		}
		calls, _ := out["tool_calls"].([]any)
		for _, c := range calls {
			fn := c.(map[string]any)["function"].(map[string]any)
			if s, ok := fn["arguments"].(string); ok {
				var args any
				if err := json.Unmarshal([]byte(s), &args); err != nil {
					t.Fatal(err)
				}
				fn["arguments"] = args
			}
		}
		return out
	}
	if g, w := read(got.Chat(func(int) string { return "" })), read(want); !reflect.DeepEqual(g, w) {
		t.Errorf("%s:\n got %v\nwant %v", name, g, w)
	}
}

// TestLongAnswers reads long texts in small pieces, damaged ones too.
func TestLongAnswers(t *testing.T) {
	c := loadCorpus(t)
	tools := toolsOf(t, c.Tools)
	long := strings.Repeat("line of text, with {braces} and <tags>\n", 2000)
	for name, raw := range map[string]string{
		"gemma4":  `<|tool_call>call:write{content:<|"|>` + long + `<|"|>,path:` + long + `<tool_call|>`,
		"qwen3.6": "<tool_call>\n<function=write>\n<parameter=content>\n" + long + "</tool_call>" + long,
	} {
		d := c.dialect(t, name, false)
		var tokens []token
		for _, x := range tokensOf(raw, c.Vocabularies[name]) {
			for x.id < 0 && len(x.text) > 5 {
				tokens = append(tokens, token{-1, x.text[:5]})
				x.text = x.text[5:]
			}
			tokens = append(tokens, x)
		}
		got := parseAll(t, d, tools, false, false, tokens)
		if len(got.message.Calls) != 1 || !strings.Contains(got.message.Calls[0].Arguments, "line of text") {
			t.Errorf("%s: %d calls", name, len(got.message.Calls))
		}
	}
}
