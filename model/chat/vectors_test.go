package chat

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"reprise/model/chat/jinja"
)

// vectors are what Python's Jinja gave: testdata/make_vectors.py.
type vectors struct {
	Conversations []struct {
		Name    string
		Request string
		Want    map[string]outcome
	}
	Data        string
	Expressions []struct {
		Template string
		outcome
	}
}

// outcome is a text, or a Python exception's class and message.
type outcome struct {
	Text           *string
	Error, Message string
}

func loadVectors(t testing.TB) vectors {
	t.Helper()
	data, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func vectorClock() time.Time { return time.Date(2026, 3, 9, 7, 5, 2, 0, time.UTC) }

// ownWords are the exceptions whose text reaches clients: it must be equal,
// elsewhere the class is enough.
var ownWords = []string{"TemplateError", "UndefinedError"}

func (want outcome) check(t *testing.T, got string, err error) {
	t.Helper()
	if want.Text != nil {
		if err != nil {
			t.Errorf("error %v\nwant %q", err, *want.Text)
		} else if got != *want.Text {
			at := 0
			for at < len(got) && at < len(*want.Text) && got[at] == (*want.Text)[at] {
				at++
			}
			t.Errorf("differs at byte %d\n got %q\nwant %q", at, got, *want.Text)
		}
		return
	}
	if err == nil {
		t.Errorf("got %q\nwant %s: %s", got, want.Error, want.Message)
		return
	}
	var e *Error
	if !errors.As(err, &e) {
		t.Errorf("error %v is not a template error", err)
		return
	}
	if class := pythonClass(want.Error); string(e.Kind) != class {
		t.Errorf("kind %s (%s)\nwant %s: %s", e.Kind, e.Msg, class, want.Message)
	}
	if slices.Contains(ownWords, want.Error) && e.Msg != want.Message {
		t.Errorf("message %q\nwant %q", e.Msg, want.Message)
	}
}

// pythonClass maps the exceptions that this package does not tell apart.
func pythonClass(class string) string {
	switch class {
	case "FilterArgumentError", "TemplateAssertionError":
		return "TemplateRuntimeError"
	case "SyntaxError": // a break outside of a loop, found by Python itself
		return "TemplateSyntaxError"
	}
	return class
}

// kinds are the things that both templates must have been tried with; each tells whether a request has it.
var kinds = map[string]func(raw string, in Input) bool{
	"tools": func(_ string, in Input) bool { return len(in.Tools) > 0 },
	"parallel calls": func(_ string, in Input) bool {
		return anyMessage(in, func(m Message) bool { return listLen(m, "tool_calls") > 1 })
	},
	"results": func(_ string, in Input) bool {
		return anyMessage(in, func(m Message) bool { return m.Role() == "tool" })
	},
	"thinking on":  func(_ string, in Input) bool { return in.EnableThinking != nil && *in.EnableThinking },
	"thinking off": func(_ string, in Input) bool { return in.EnableThinking != nil && !*in.EnableThinking },
	"unicode": func(raw string, _ Input) bool {
		return strings.ContainsFunc(raw, func(r rune) bool { return r > 0x7f })
	},
	"escaped unicode": func(raw string, _ Input) bool { return strings.Contains(raw, `\u`) },
	"reasoning": func(_ string, in Input) bool {
		return anyMessage(in, func(m Message) bool { _, ok := reasoningOf(m.dict); return ok })
	},
	"preserve thinking": func(_ string, in Input) bool {
		if in.Extra == nil {
			return false
		}
		v, _ := in.Extra.Get("preserve_thinking")
		return v == true
	},
}

func anyMessage(in Input, has func(Message) bool) bool { return slices.ContainsFunc(in.Messages, has) }

func listLen(m Message, key string) int {
	v, _ := m.Get(key)
	if l, ok := v.(*jinja.List); ok {
		return len(l.Items)
	}
	return 0
}

// TestConversationsCoverEachKind: of each kind Python rendered 40 conversations, the two templates together, to a text.
func TestConversationsCoverEachKind(t *testing.T) {
	count := map[string]int{}
	for _, c := range loadVectors(t).Conversations {
		in := inputOf(t, []byte(c.Request))
		for kind, has := range kinds {
			for _, name := range BuiltinNames() {
				if c.Want[name].Text != nil && has(c.Request, in) {
					count[kind]++
				}
			}
		}
	}
	for kind := range kinds {
		if count[kind] < 40 {
			t.Errorf("%s: %d", kind, count[kind])
		}
	}
}

// TestTemplatesAreThePublishedOnes compares what is built in with the project's reference material, byte for byte.
func TestTemplatesAreThePublishedOnes(t *testing.T) {
	for file, built := range map[string]string{"gemma-4.jinja": Gemma4Template, "qwen3.6.jinja": Qwen36Template} {
		want, err := os.ReadFile(filepath.Join(capturesDir, "..", "templates", file))
		if err != nil {
			t.Skipf("no ../shared beside this checkout: %v", err)
		}
		if string(want) != built {
			t.Errorf("%s differs from the published one", file)
		}
		notice, err := os.ReadFile("../../third_party/NOTICE")
		if err != nil || !strings.Contains(string(notice), "model/chat/templates/"+file) {
			t.Errorf("NOTICE does not name %s: %v", file, err)
		}
	}
}

func TestConversationsEqualPython(t *testing.T) {
	v := loadVectors(t)
	if len(v.Conversations) < 40 {
		t.Fatalf("only %d conversations", len(v.Conversations))
	}
	for _, name := range BuiltinNames() {
		tmpl, err := Builtin(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range v.Conversations {
			t.Run(name+"/"+c.Name, func(t *testing.T) {
				want, ok := c.Want[name]
				if !ok {
					t.Fatal("no reference output")
				}
				got, err := tmpl.Render(inputOf(t, []byte(c.Request)))
				want.check(t, got, err)
			})
		}
	}
}

// inputOf reads a request of the vectors, or a body of /v1/chat/completions.
func inputOf(t testing.TB, request []byte) Input {
	t.Helper()
	v, err := DecodeOrdered(request)
	if err != nil {
		t.Fatal(err)
	}
	req := v.(*Dict)
	var in Input
	in.Now = vectorClock
	list := func(key string) []Value {
		l, _ := req.Get(key)
		if l, ok := l.(*jinja.List); ok {
			return l.Items
		}
		return nil
	}
	for _, it := range list("messages") {
		m, err := MessageOf(it)
		if err != nil {
			t.Fatal(err)
		}
		in.Messages = append(in.Messages, m)
	}
	in.Tools = list("tools")
	if v, _ := req.Get("add_generation_prompt"); v == true {
		in.AddGenerationPrompt = true
	}
	if v, ok := req.Get("enable_thinking"); ok {
		on := v.(bool)
		in.EnableThinking = &on
	}
	if v, ok := req.Get("bos_token"); ok {
		in.BOS = v.(string)
	}
	if v, ok := req.Get("extra"); ok {
		in.Extra = v.(*Dict)
	}
	return in
}

func TestExpressionsEqualPython(t *testing.T) {
	v := loadVectors(t)
	data, err := DecodeOrdered([]byte(v.Data))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range v.Expressions {
		t.Run(e.Template, func(t *testing.T) {
			tmpl, err := jinja.Parse(e.Template)
			got := ""
			if err == nil {
				got, err = tmpl.Render(t.Context(), data.(*Dict), jinja.Options{Now: vectorClock})
			}
			e.check(t, got, err)
		})
	}
}
