package chat

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"reprise/model/chat/jinja"
)

func mustCompile(t testing.TB, src string) *Template {
	t.Helper()
	tmpl, err := Compile(src)
	if err != nil {
		t.Fatal(err)
	}
	return tmpl
}

func hello() []Message { return []Message{NewMessage("user", "Hi")} }

func TestSupportsTools(t *testing.T) {
	for _, name := range BuiltinNames() {
		tmpl, err := Builtin(name)
		if err != nil {
			t.Fatal(err)
		}
		if !tmpl.SupportsTools() {
			t.Errorf("%s: says it has no place for tools", name)
		}
	}
	for name, src := range map[string]string{
		"no place":     "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}",
		"refuses":      "{% if tools %}{{ raise_exception('no tools') }}{% endif %}",
		"counts tools": "{{ tools | length if tools }}",
	} {
		if mustCompile(t, src).SupportsTools() {
			t.Errorf("%s: says it has a place for tools", name)
		}
	}
}

func TestInputNames(t *testing.T) {
	on, extra := true, NewDict()
	extra.Set("reasoning_effort", "high")
	for _, c := range []struct {
		name, src string
		in        Input
		want      string
	}{
		{"absent is undefined", "{{ enable_thinking is defined }}{{ bos_token is defined }}{{ eos_token is defined }}", Input{}, "FalseFalseFalse"},
		{"no tools is none", "{{ tools is none }}{{ documents is none }}", Input{}, "TrueTrue"},
		{"an empty list of tools is a list", "{{ tools is none }}", Input{Tools: []Value{}}, "False"},
		{"set", "{{ enable_thinking }}{{ bos_token }}{{ eos_token }}{{ add_generation_prompt }}",
			Input{EnableThinking: &on, BOS: "<b>", EOS: "<e>", AddGenerationPrompt: true}, "True<b><e>True"},
		{"extra", "{{ reasoning_effort }}", Input{Extra: extra}, "high"},
	} {
		in := c.in
		in.Messages = hello()
		got, err := mustCompile(t, c.src).Render(in)
		if err != nil || got != c.want {
			t.Errorf("%s: got %q, %v; want %q", c.name, got, err, c.want)
		}
	}
	bad := NewDict()
	bad.Set("messages", "mine")
	if _, err := mustCompile(t, "x").Render(Input{Extra: bad}); err == nil || !strings.Contains(err.Error(), `"messages"`) {
		t.Errorf("extra may set messages: %v", err)
	}
}

func TestRefusal(t *testing.T) {
	_, err := mustCompile(t, "{{ raise_exception('Only text, please.') }}").Render(Input{Messages: hello()})
	if msg, ok := Refusal(err); !ok || msg != "Only text, please." {
		t.Errorf("Refusal(%v) = %q, %v", err, msg, ok)
	}
	_, err = mustCompile(t, "{{ x.y }}").Render(Input{Messages: hello()})
	if _, ok := Refusal(err); ok || err == nil {
		t.Errorf("%v counts as the template's refusal", err)
	}
}

// TestRenderLeavesInput renders twice, also at the same time, from one input:
// the race detector and the second text would show a write.
func TestRenderLeavesInput(t *testing.T) {
	for _, name := range BuiltinNames() {
		tmpl, err := Builtin(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range loadVectors(t).Conversations {
			in := inputOf(t, []byte(c.Request))
			in.Now = vectorClock
			before := asJSON(t, in)
			first, firstErr := tmpl.Render(in)
			var wg sync.WaitGroup
			for range 2 {
				wg.Go(func() {
					again, err := tmpl.Render(in)
					if again != first || (err == nil) != (firstErr == nil) {
						t.Errorf("%s, %s: a second rendering differs: %q, %v", name, c.Name, again, err)
					}
				})
			}
			wg.Wait()
			if after := asJSON(t, in); after != before {
				t.Errorf("%s, %s: the input was\n%s\nand is\n%s", name, c.Name, before, after)
			}
		}
	}
}

// asJSON encodes the messages as they are, not as a template would see them.
func asJSON(t *testing.T, in Input) string {
	t.Helper()
	tmpl, err := jinja.Parse("{{ messages | tojson }}")
	if err != nil {
		t.Fatal(err)
	}
	items := make([]Value, len(in.Messages))
	for i, m := range in.Messages {
		items[i] = m.dict
	}
	vars := NewDict()
	vars.Set("messages", NewList(items...))
	out, err := tmpl.Render(t.Context(), vars, jinja.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestLoadFor(t *testing.T) {
	const named = `{"chat_template": [{"name": "default", "template": "plain"}, {"name": "tool_use", "template": "tools"}]}`
	for _, c := range []struct {
		name  string
		files map[string]string
		want  string // rendered without and with tools; empty: an error
		err   string
	}{
		{"own file first", map[string]string{"chat_template.jinja": "file", "tokenizer_config.json": `{"chat_template": "config"}`}, "file,file", ""},
		{"string in the config", map[string]string{"tokenizer_config.json": `{"chat_template": "config"}`}, "config,config", ""},
		{"named", map[string]string{"tokenizer_config.json": named}, "plain,tools", ""},
		{"no default", map[string]string{"tokenizer_config.json": `{"chat_template": [{"name": "rag", "template": "x"}]}`}, "", "default"},
		{"config without one", map[string]string{"tokenizer_config.json": `{}`}, "", ErrNoTemplate.Error()},
		{"nothing", nil, "", ErrNoTemplate.Error()},
		{"broken template", map[string]string{"chat_template.jinja": "{% if %}"}, "", "TemplateSyntaxError"},
		{"broken config", map[string]string{"tokenizer_config.json": `{"chat_template": `}, "", "tokenizer_config.json"},
		{"wrong type", map[string]string{"tokenizer_config.json": `{"chat_template": 3}`}, "", "neither a string nor a list"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			for f, text := range c.files {
				if err := os.WriteFile(filepath.Join(dir, f), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			tmpl, err := LoadFor(dir)
			if c.want == "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Fatalf("got %v, want an error with %q", err, c.err)
				}
				if missing := c.err == ErrNoTemplate.Error(); missing != errors.Is(err, ErrNoTemplate) {
					t.Errorf("%v is ErrNoTemplate: %v", err, !missing)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			plain, _ := tmpl.Render(Input{Messages: hello()})
			tools, _ := tmpl.Render(Input{Messages: hello(), Tools: []Value{NewDict()}})
			if got := plain + "," + tools; got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestBuiltinUnknown(t *testing.T) {
	if _, err := Builtin("llama9"); err == nil || !strings.Contains(err.Error(), "gemma4") {
		t.Errorf("got %v, want an error that lists the built-in ones", err)
	}
}

func TestMessages(t *testing.T) {
	all, err := DecodeMessages([]byte(`[{"role": "user", "content": "a", "zz": 1.0}]`))
	if err != nil || len(all) != 1 || all[0].Role() != "user" {
		t.Fatalf("got %v, %v", all, err)
	}
	changed := all[0].With("content", "b")
	if v, _ := all[0].Get("content"); v != "a" {
		t.Errorf("With changed its receiver: %v", v)
	}
	got, err := mustCompile(t, "{{ messages }}").Render(Input{Messages: []Message{changed}})
	if want := "[{'role': 'user', 'content': 'b', 'zz': 1.0}]"; err != nil || got != want {
		t.Errorf("got %s, %v; want %s", got, err, want)
	}
	for _, bad := range []string{`{}`, `[1]`, `[`} {
		if _, err := DecodeMessages([]byte(bad)); err == nil {
			t.Errorf("%s passes as messages", bad)
		}
	}
	if _, err := mustCompile(t, "x").Render(Input{Messages: []Message{{}}}); err == nil {
		t.Error("an empty message passes")
	}
}

func TestLimitsReachTheTemplate(t *testing.T) {
	tmpl := mustCompile(t, "{% for m in range(1000) %}{{ m }}{% endfor %}")
	_, err := tmpl.Render(Input{Messages: hello(), Limits: jinja.Limits{Steps: 100}})
	var e *Error
	if !errors.As(err, &e) || e.Kind != jinja.KindLimit {
		t.Errorf("got %v, want a limit error", err)
	}
}
