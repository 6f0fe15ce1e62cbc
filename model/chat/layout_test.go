package chat

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"reprise/model/chat/jinja"
)

// further are templates in the manner of other models, none of which was written with this package in mind.
var further = map[string]string{
	"chatml": "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}" +
		"{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
	"asked in the loop": "{{ bos_token }}{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% if add_generation_prompt and loop.last %}[assistant] {% endif %}{% endfor %}",
	"system taken out": "{% if messages[0].role == 'system' %}{% set sys = messages[0].content %}{% set rest = messages[1:] %}{% else %}{% set sys = 'none' %}{% set rest = messages %}{% endif %}" +
		"<s>[SYS] {{ sys }} [/SYS]{% if tools %} TOOLS {{ tools | tojson }} END{% endif %}{% for m in rest %}<{{ m.role }}>{{ m.content }}</{{ m.role }}>{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}",
	"system in the user's turn": "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{% set first = messages[0]['content'] + '\n\n' %}{% set rest = messages[1:] %}{% else %}{% set first = '' %}{% set rest = messages %}{% endif %}" +
		"{% for message in rest %}{{ '<start_of_turn>' + message['role'] + '\n' + (first if loop.first else '') }}{{ message['content'] | trim }}{{ '<end_of_turn>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}",
	"looks at its neighbours": "{% for m in messages %}{% if loop.previtem and loop.previtem.role == m.role %}+{% endif %}{% for n in messages %}{% if n.role == 'system' %}{% set x = 1 %}{% endif %}{% endfor %}({{ m.role }}: {{ m.content }}){% endfor %}{% if add_generation_prompt %}:{% endif %}",
	"by index":                "{% for i in range(messages | length) %}<{{ messages[i].role }}>{{ messages[i].content }}{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}",
}

// layoutTemplates are all templates of these tests.
func layoutTemplates(t *testing.T) map[string]*Template {
	t.Helper()
	out := map[string]*Template{}
	for _, name := range BuiltinNames() {
		tmpl, err := Builtin(name)
		if err != nil {
			t.Fatal(err)
		}
		out[name] = tmpl
	}
	for name, src := range further {
		out[name] = mustCompile(t, src)
	}
	return out
}

// renderParts renders and checks what must hold of any rendering: its parts cover the text, and nothing in the text
// is owed to the tracing.
func renderParts(t *testing.T, tmpl *Template, in Input) (Rendering, bool) {
	t.Helper()
	plain, plainErr := tmpl.Render(in)
	r, err := tmpl.RenderParts(t.Context(), in)
	if (err == nil) != (plainErr == nil) {
		t.Fatalf("error %v, without parts %v", err, plainErr)
	}
	if err != nil {
		return r, false
	}
	if r.Text != plain {
		t.Fatalf("the text is %q, without parts %q", r.Text, plain)
	}
	at := 0
	for i, p := range r.Parts {
		if p.Start != at || p.End <= p.Start {
			t.Fatalf("part %d is [%d, %d) where %d is next", i, p.Start, p.End, at)
		}
		at = p.End
		if (p.Kind == PartGeneration) != (p.Start >= r.Generation) {
			t.Fatalf("part %d, kind %d, starts at %d; the generation prompt at %d", i, p.Kind, p.Start, r.Generation)
		}
	}
	if at != len(r.Text) {
		t.Fatalf("the parts end at %d of %d", at, len(r.Text))
	}
	return r, true
}

// TestPartsHoldTheirMessages gives every message a word of its own: wherever it is printed, the part is that message's.
func TestPartsHoldTheirMessages(t *testing.T) {
	located := map[string]int{}
	for name, tmpl := range layoutTemplates(t) {
		for _, c := range loadVectors(t).Conversations {
			in := inputOf(t, []byte(c.Request))
			words := make([]string, len(in.Messages))
			for i, m := range in.Messages {
				words[i] = fmt.Sprintf("word%dof%d", i, len(in.Messages))
				if v, _ := m.Get("content"); v == nil {
					words[i] = ""
					continue
				}
				in.Messages[i] = m.With("content", words[i])
			}
			r, ok := renderParts(t, tmpl, in)
			if !ok {
				continue
			}
			for i, word := range words {
				at := strings.Index(r.Text, word)
				if word == "" || at < 0 {
					continue
				}
				p := partAt(r, at)
				if p.Kind != PartMessage || p.Message != i {
					t.Errorf("%s, %s: message %d is printed at %d, in %+v of %q", name, c.Name, i, at, p, r.Text)
				}
				located[name]++
			}
		}
	}
	for name := range layoutTemplates(t) {
		if located[name] < 30 {
			t.Errorf("%s: only %d messages were looked at", name, located[name])
		}
	}
}

func partAt(r Rendering, at int) Part {
	return r.Parts[slices.IndexFunc(r.Parts, func(p Part) bool { return p.Start <= at && at < p.End })]
}

// TestPartsEndWherePrefixesEnd renders the beginnings of conversations: where one is the beginning of the whole text
// too, its end parts the earlier messages from the later ones.
func TestPartsEndWherePrefixesEnd(t *testing.T) {
	compared := map[string]int{}
	for name, tmpl := range layoutTemplates(t) {
		if name == "by index" {
			continue // its markup before a message counts as the message before
		}
		for _, c := range loadVectors(t).Conversations {
			in := inputOf(t, []byte(c.Request))
			in.AddGenerationPrompt = true
			r, ok := renderParts(t, tmpl, in)
			if !ok {
				continue
			}
			for k := 1; k < len(in.Messages); k++ {
				if in.Messages[k].Role() == "tool" {
					continue // Gemma 4 opens the results of a call before they are there
				}
				if name == "system in the user's turn" && k == 1 && IsSystem(in.Messages[0].Role()) {
					continue // it prints nothing for a system message alone
				}
				head := in
				head.Messages, head.AddGenerationPrompt = in.Messages[:k], false
				text, err := tmpl.Render(head)
				if err != nil || !strings.HasPrefix(r.Text, text) {
					continue
				}
				compared[name]++
				for _, p := range r.Parts {
					if p.Kind == PartMessage && (p.Message < k) != (p.Start < len(text)) {
						t.Errorf("%s, %s: the first %d messages end at %d, but message %d has [%d, %d) of %q", name, c.Name, k, len(text), p.Message, p.Start, p.End, r.Text)
					}
					if p.Start < len(text) && p.End > len(text) {
						t.Errorf("%s, %s: the first %d messages end at %d, inside of [%d, %d) of %q", name, c.Name, k, len(text), p.Start, p.End, r.Text)
					}
				}
			}
			whole := in
			whole.AddGenerationPrompt = false
			if len(in.Messages) == 1 && IsSystem(in.Messages[0].Role()) {
				continue
			}
			if text, err := tmpl.Render(whole); err == nil && strings.HasPrefix(r.Text, text) && r.GenerationKnown && r.Generation != len(text) {
				t.Errorf("%s, %s: the generation prompt begins at %d, want %d, in %q", name, c.Name, r.Generation, len(text), r.Text)
			}
		}
	}
	for name := range layoutTemplates(t) {
		if name != "by index" && compared[name] < 20 {
			t.Errorf("%s: only %d beginnings were compared", name, compared[name])
		}
	}
}

func TestToolParts(t *testing.T) {
	tools, err := DecodeOrdered([]byte(`[{"type":"function","function":{"name":"first_tool","description":"d","parameters":{"type":"object","properties":{"a":{"type":"string"}}}}},
		{"type":"function","function":{"name":"second_tool","description":"d","parameters":{"type":"object","properties":{}}}}]`))
	if err != nil {
		t.Fatal(err)
	}
	in := Input{Messages: []Message{NewMessage("system", "Rules."), NewMessage("user", "Hi")}, Tools: tools.(*jinja.List).Items, AddGenerationPrompt: true}
	for _, name := range []string{"gemma4", "qwen3.6", "system taken out"} {
		r, ok := renderParts(t, layoutTemplates(t)[name], in)
		if !ok {
			t.Fatal(name)
		}
		for word, want := range map[string]Part{"first_tool": {Kind: PartTools}, "second_tool": {Kind: PartTools}, "Rules.": {Kind: PartMessage}, "Hi": {Kind: PartMessage, Message: 1}} {
			if p := partAt(r, strings.Index(r.Text, word)); p.Kind != want.Kind || p.Message != want.Message {
				t.Errorf("%s: %q stands in %+v of %q", name, word, p, r.Text)
			}
		}
	}
}

// TestPartsDegrade renders what cannot be followed: nothing may be claimed then.
func TestPartsDegrade(t *testing.T) {
	for name, src := range map[string]string{
		"a macro writes everything": "{% macro all(ms) %}{% for m in ms %}<{{ m.role }}>{{ m.content }}{% endfor %}{% endmacro %}{{ all(messages) }}{% if add_generation_prompt %}<assistant>{% endif %}",
		"no messages":               "{{ bos_token }}fixed{% if add_generation_prompt %}:{% endif %}",
	} {
		in := Input{Messages: []Message{NewMessage("user", "one"), NewMessage("assistant", "two"), NewMessage("user", "three")}, AddGenerationPrompt: true, BOS: "<b>"}
		r, ok := renderParts(t, mustCompile(t, src), in)
		if !ok {
			t.Fatal(name)
		}
		for i, m := range in.Messages {
			text, _ := m.Text()
			for _, p := range r.Parts {
				if p.Kind == PartMessage && p.Message != i && strings.Contains(r.Text[p.Start:p.End], text) {
					t.Errorf("%s: message %d stands in the part of message %d", name, i, p.Message)
				}
			}
		}
	}
}

// TestCapturedParts lays out what OpenClaw and Hermes sent: every message is located.
func TestCapturedParts(t *testing.T) {
	for _, file := range captures(t) {
		request, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		in := inputOf(t, request)
		in.AddGenerationPrompt, in.BOS = true, "<bos>"
		for _, name := range BuiltinNames() {
			tmpl, _ := Builtin(name)
			r, ok := renderParts(t, tmpl, in)
			if !ok {
				t.Fatalf("%s does not render", file)
			}
			seen := make([]int, len(in.Messages))
			for _, p := range r.Parts {
				if p.Kind == PartMessage {
					seen[p.Message]++
				}
			}
			for i, m := range in.Messages {
				text, _ := m.Text()
				at := strings.LastIndex(r.Text, strings.TrimSpace(text))
				if seen[i] != 1 || at < 0 || text != "" && len(text) > 8 && partAt(r, at).Message != i {
					t.Errorf("%s, %s: message %d has %d parts, its text at %d", name, filepath.Base(file), i, seen[i], at)
				}
			}
		}
	}
}
