package prompt

import (
	"bytes"
	"testing"

	"reprise/model/chat"
)

func TestCanonicalValues(t *testing.T) {
	form := func(s string) []byte {
		v, err := chat.DecodeOrdered([]byte(s))
		if err != nil {
			t.Fatalf("%s: %v", s, err)
		}
		return appendValue(nil, v)
	}
	groups := [][]string{ // equal within, different between
		{"1000", "1.0e3", "1000.0", "1e3", "10.00e2"},
		{"10", "1.0e1"},
		{"0", "-0", "-0.0", "0.0", "0e9"},
		{"0.1", "1e-1", "0.10"},
		{"123456789012345678901234567890"},
		{"10000000000000000000000", "1e22"},
		{"9007199254740993"}, {"9007199254740992", "9007199254740992.0"},
		{`"1000"`}, {"true"}, {"false"}, {"null"}, {`""`}, {"[]"}, {"{}"},
		{`"é"`, `"\u00e9"`}, {`"e\u0301"`},
		{`"😀"`, `"\ud83d\ude00"`},
		{`"a/b"`, `"a\/b"`},
		{`{"a":1,"b":[1,2,{"x":null,"y":true}]}`, "{ \"b\" : [1.0,2,{\"y\":true,\"x\":null}] , \"a\": 1e0 }"},
		{`{"a":1,"b":[2,1,{"x":null,"y":true}]}`},
		{`{"a":1}`}, {`{"a":1,"b":null}`}, {`["a",1]`}, {`[["a",1]]`}, {`[["a"],1]`}, {`["a","1"]`}, {`["a\"1"]`}, {`{"a":{"b":1}}`}, {`{"a":{"b":1},"c":{}}`}, {`{"a":{"b":1,"c":{}}}`},
	}
	for i, g := range groups {
		for j, h := range groups {
			for _, x := range g {
				for _, y := range h {
					if equal := bytes.Equal(form(x), form(y)); equal != (i == j) {
						t.Errorf("%s and %s: equal %v", x, y, equal)
					}
				}
			}
		}
	}
}

func TestCanonicalMessages(t *testing.T) {
	before := messages(t, `[{"role":"user","content":"x"},{"role":"assistant","tool_calls":[%s,%s]},{"role":"assistant","tool_calls":[%s]}]`,
		callJSON("a", "first", "{}"), callJSON("b", "second", "{}"), callJSON("a", "third", "{}"))
	groups := [][]string{
		{`{"role":"assistant","content":"Hi."}`, `{"content":" Hi.\n","role":"assistant"}`, `{"role":"assistant","content":[{"type":"text","text":"Hi."}],"id":"msg_1"}`,
			`{"role":"assistant","content":"<think>\nwell\n</think>\n\nHi.","tool_calls":[]}`, `{"role":"assistant","content":"well</think>Hi.","tool_calls":null}`, `{"role":"assistant","content":"Hi.","reasoning_content":"well","reasoning":"x"}`},
		{`{"role":"assistant","content":"Hi"}`}, {`{"role":"user","content":"Hi."}`, `{"role":"user","content":[{"type":"text","text":"Hi.","cache_control":{"type":"ephemeral"}}]}`},
		{`{"role":"user","content":" Hi."}`}, {`{"role":"user","content":"Hi.","name":"eve"}`}, {`{"role":"user","content":[{"type":"text","text":"Hi."},{"type":"image_url","image_url":{"url":"a"}}]}`},
		{`{"role":"user","content":[{"type":"text","text":"Hi."},{"type":"image_url","image_url":{"url":"b"}}]}`},
		{`{"role":"assistant","content":null}`, `{"role":"assistant","content":""}`, `{"role":"assistant"}`, `{"role":"assistant","content":"<think>never closed"}`},
		{`{"role":"tool","tool_call_id":"b","content":"r"}`, `{"role":"tool","tool_call_id":"b","content":"r","name":"second"}`, `{"role":"tool","tool_call_id":"b","content":"r","name":"wrong"}`},
		{`{"role":"tool","tool_call_id":"a","content":"r"}`}, // the nearest call with that id: third
		{`{"role":"tool","content":"r","name":"second"}`, `{"role":"tool","tool_call_id":"zz","content":"r","name":"second"}`},
		{`{"role":"tool","tool_call_id":"b","content":"other"}`},
	}
	for i, g := range groups {
		for j, h := range groups {
			for _, x := range g {
				for _, y := range h {
					if equal := bytes.Equal(canonical(message(t, "%s", x), before), canonical(message(t, "%s", y), before)); equal != (i == j) {
						t.Errorf("%s and %s: equal %v", x, y, equal)
					}
				}
			}
		}
	}
	if name, index := answered(message(t, `{"role":"tool","tool_call_id":"a"}`), before); name != "third" || index != 0 {
		t.Errorf("the result of a belongs to %s, %d", name, index)
	}
}

func TestStripReasoning(t *testing.T) {
	for text, want := range map[string]string{
		"plain": "plain", "<think>a</think>b": "b", "a</think>b": "b", "<think>a": "", "x<think>a</think>y": "xy", "a</think>b</think>c": "bc",
		"<think>a</think>b<think>c</think>d": "bd", "<|channel>thought\na<channel|>b": "b", "<think></think>": "",
	} {
		if got := answerText(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	for _, family := range familyNames {
		a := assembler(t, family)
		a.once.Do(a.setup)
		d := dialects[map[string]int{"qwen3.6": 0, "gemma4": 1}[family]]
		for _, text := range []string{"plain", "[a]b", "a]b", "[a", "x[a]y", "a]b]c", "[a]b[c]d", "[]", "a[b"} {
			var marked []byte
			for _, r := range text {
				switch r {
				case '[':
					marked = append(marked, d.open...)
				case ']':
					marked = append(marked, d.shut...)
				default:
					marked = append(marked, string(r)...)
				}
			}
			ids := sampled(t, a, string(marked))
			if got, want := a.Tokenizer.Decode(without(ids, a.reasoner.ranges(ids, false)), true), d.strip(string(marked)); got != want {
				t.Errorf("%s, %q: by tokens %q, by text %q", family, text, got, want)
			}
		}
	}
}
