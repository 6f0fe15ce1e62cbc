package chat

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"reprise/model/chat/jinja"
)

// Value is JSON data as a template sees it; see jinja.Value for its dynamic types.
type Value = jinja.Value

// Dict is a JSON object in the client's key order.
type Dict = jinja.Dict

// Error is why a template did not parse or render. Its Kind is
// jinja.KindRaised when the template itself refused the conversation with
// raise_exception; Msg is then its text for the client.
type Error = jinja.Error

// DecodeOrdered reads JSON as Python's json.loads does: keys keep their order,
// ints stay ints of any size, 1.0e3 is the float 1000.0.
func DecodeOrdered(data []byte) (Value, error) { return jinja.Decode(data) }

// NewDict returns an empty object.
func NewDict() *Dict { return jinja.NewDict(0) }

// NewList returns an array of the items.
func NewList(items ...Value) Value { return jinja.NewList(items...) }

// Template is a compiled chat template.
type Template struct {
	source  string
	main    *jinja.Template
	toolUse *jinja.Template // used instead of main when tools are given; nil: none

	probe     sync.Once
	takeTools bool
}

// Input is one conversation to render.
type Input struct {
	Messages            []Message
	Tools               []Value // function declarations as the client sent them; nil is none
	AddGenerationPrompt bool    // end with the opening of the assistant's turn
	EnableThinking      *bool   // nil leaves enable_thinking undefined: the template's default
	BOS, EOS            string  // the tokenizer's bos_token and eos_token; empty leaves them undefined
	Extra               *Dict   // further names (chat_template_kwargs); nil is none
	Now                 func() time.Time
	Limits              jinja.Limits // zero: jinja's defaults
}

// Compile parses a template's source.
func Compile(src string) (*Template, error) {
	t, err := jinja.Parse(src)
	if err != nil {
		return nil, fmt.Errorf("chat template: %w", err)
	}
	return &Template{source: src, main: t}, nil
}

// Source is the text that the template was compiled from.
func (t *Template) Source() string { return t.source }

// Render returns the prompt's text.
func (t *Template) Render(in Input) (string, error) {
	return t.RenderContext(context.Background(), in)
}

// RenderContext is Render, given up when ctx ends.
func (t *Template) RenderContext(ctx context.Context, in Input) (string, error) {
	return t.render(ctx, in, nil)
}

// render runs the template; trace, when given, learns which input the text came from.
func (t *Template) render(ctx context.Context, in Input, trace *jinja.Trace) (string, error) {
	vars, err := in.vars()
	if err != nil {
		return "", err
	}
	tmpl := t.main
	if t.toolUse != nil && in.Tools != nil {
		tmpl = t.toolUse
	}
	out, err := tmpl.Render(ctx, vars, jinja.Options{Limits: in.Limits, Now: in.Now, Trace: trace})
	if err != nil {
		return "", fmt.Errorf("chat template: %w", err)
	}
	return out, nil
}

// reserved are the names that Extra may not set.
var reserved = []string{"messages", "tools", "documents", "add_generation_prompt"}

// vars builds the names that apply_chat_template passes.
func (in *Input) vars() (*Dict, error) {
	messages := make([]Value, len(in.Messages))
	for i, m := range in.Messages {
		if m.dict == nil {
			return nil, fmt.Errorf("chat template: message %d is empty", i)
		}
		messages[i] = m.prepared().Marked(messageMark(i))
	}
	vars := jinja.NewDict(8)
	vars.Set("messages", jinja.NewList(messages...))
	vars.Set("tools", nil)
	if in.Tools != nil {
		vars.Set("tools", markedTools(in.Tools, toolsMark(len(in.Messages))))
	}
	vars.Set("documents", nil)
	vars.Set("add_generation_prompt", in.AddGenerationPrompt)
	if in.BOS != "" {
		vars.Set("bos_token", in.BOS)
	}
	if in.EOS != "" {
		vars.Set("eos_token", in.EOS)
	}
	if in.EnableThinking != nil {
		vars.Set("enable_thinking", *in.EnableThinking)
	}
	if in.Extra == nil {
		return vars, nil
	}
	for i := range in.Extra.Len() {
		k, v := in.Extra.At(i)
		name, _ := k.(string)
		for _, r := range reserved {
			if name == r {
				return nil, fmt.Errorf("chat template: the extra argument %q is the request's own", name)
			}
		}
		vars.Set(name, v)
	}
	return vars, nil
}

// probeName is a tool that no client declares.
const probeName = "reprise_probe_tool"

// SupportsTools says whether the template has a place for tool declarations:
// whether a declared tool's name shows up in the rendered text. It renders once
// and remembers.
func (t *Template) SupportsTools() bool {
	t.probe.Do(func() {
		tool, err := DecodeOrdered([]byte(`{"type": "function", "function": {"name": "` + probeName + `", "description": "probe",
			"parameters": {"type": "object", "properties": {"a": {"type": "string", "description": "a"}}, "required": ["a"]}}}`))
		if err != nil {
			return
		}
		out, err := t.Render(Input{
			Messages:            []Message{NewMessage("user", "probe")},
			Tools:               []Value{tool},
			AddGenerationPrompt: true,
		})
		t.takeTools = err == nil && strings.Contains(out, probeName)
	})
	return t.takeTools
}

// Refusal returns the template's own words when err comes from raise_exception.
func Refusal(err error) (msg string, ok bool) {
	var e *Error
	if errors.As(err, &e) && e.Kind == jinja.KindRaised {
		return e.Msg, true
	}
	return "", false
}
