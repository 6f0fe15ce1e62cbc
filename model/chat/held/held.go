package held

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"reprise/model/chat"
	"reprise/model/chat/parse"
	"reprise/model/sample/grammar"
)

// Choice says whether an answer calls tools.
type Choice string

// The choices. Auto leaves it to the model.
const (
	Auto     Choice = ""
	None     Choice = "none"
	Required Choice = "required"
	Named    Choice = "named" // the one tool that Calls.Name says
)

// Calls is what is asked for of calls.
type Calls struct {
	Choice Choice
	Name   string
	One    bool // no more than one call
	// Arguments, when given, are exactly the named call's: a JSON object.
	Arguments json.RawMessage
}

// Want is what an answer is to be held to. The zero value asks for nothing.
type Want struct {
	Format *grammar.Spec // of the content; nil: free text
	Calls  Calls
	// Param names the request's parameter that asked for the format, for errors.
	Param string
}

// Free tells that nothing is asked for: the answer needs no grammar. Calls that are not to be made need none either: their
// marker is never sampled.
func (w Want) Free(tools []chat.Value) bool {
	return w.Format == nil && (w.Calls.Choice == None || w.Calls.Choice == Auto && (!w.Calls.One || len(tools) == 0))
}

// Thinking is what may stand before the answer.
type Thinking uint8

// The states of reasoning at the answer's beginning.
const (
	NoThinking  Thinking = iota
	MayThink             // the model may open it
	IsThinking           // the prompt left it open
	SkipThought          // the prompt left it open, and it is closed at once
)

// Error says which parameter asks for what cannot be held to.
type Error struct{ Param, Problem string }

func (e *Error) Error() string { return e.Problem }

// Grammar is what an answer is held to: a source to compile, and which ids may end the answer; nil: all that end one.
type Grammar struct {
	Spec grammar.Spec
	Ends []int32
}

// Compile makes a matcher of what New writes. Patterns of a tool's texts that the library cannot read do not bind.
func Compile(tok *grammar.Tokenizer, d *parse.Dialect, tools []chat.Value, w Want, thinking Thinking) (*grammar.Matcher, []int32, error) {
	var m *grammar.Matcher
	g, err := New(d, tools, w, thinking, true)
	if err == nil {
		m, err = tok.Compile(g.Spec)
	}
	if err != nil && len(tools) > 0 && g != nil {
		if g, err = New(d, tools, w, thinking, false); err == nil {
			m, err = tok.Compile(g.Spec)
		}
	}
	if err != nil {
		return nil, nil, w.Refusal(err)
	}
	return m, g.Ends, nil
}

// Refusal is an *Error that names the parameter that asked for what cannot be held to.
func (w Want) Refusal(err error) error {
	var own *Error
	if errors.As(err, &own) {
		return err
	}
	if w.Format == nil {
		return &Error{"tools", "the tools' schemas make no grammar: " + err.Error()}
	}
	param := w.Param
	if param == "" {
		param = "response_format"
	}
	return &Error{param, fmt.Sprintf("%s cannot be held to: %v", param, err)}
}

// New writes the grammar. tools are the prompt's declarations; d is nil where answers are plain text.
func New(d *parse.Dialect, tools []chat.Value, w Want, thinking Thinking, patterns bool) (*Grammar, error) {
	o := &writer{d: d, patterns: patterns}
	body, err := o.body(tools, w)
	if err != nil {
		return nil, err
	}
	before, err := o.thoughts(thinking)
	if err != nil {
		return nil, err
	}
	if before == "" && !o.wrote && w.Format != nil { // alone: in its own language, whose errors name its own places
		return &Grammar{Spec: *w.Format}, nil
	}
	o.rule("start", before+" "+body)
	g := &Grammar{Spec: grammar.Spec{Kind: grammar.Lark, Source: o.out.String(), Lenient: len(tools) > 0}}
	if w.Format != nil && o.content != "" {
		if g.Spec, err = joined(o.out.String(), *w.Format); err != nil {
			return nil, err
		}
	}
	if d != nil && d.Family() == "gemma4" && w.Format == nil && w.Calls.Choice != Auto {
		if id, _, ok := d.Marker(parse.ResultOpen); ok && id >= 0 {
			g.Ends = []int32{id} // the tool's turn
		}
	}
	return g, nil
}

// joined is the answer's grammar with the content's as a part of it.
func joined(answer string, content grammar.Spec) (grammar.Spec, error) {
	part := map[string]any{"name": contentName}
	switch content.Kind {
	case grammar.JSONSchema:
		part["json_schema"] = json.RawMessage(content.Source)
	case grammar.Regex:
		part["lark_grammar"] = "start: /" + slashed(content.Source) + "/"
	default:
		part["lark_grammar"] = content.Source
	}
	source, err := json.Marshal(map[string]any{"grammars": []any{map[string]any{"name": "answer", "lark_grammar": answer}, part}})
	return grammar.Spec{Kind: grammar.Joined, Source: string(source)}, err
}

const contentName = "content"

// slashed is a regular expression between slashes.
func slashed(rx string) string {
	var out strings.Builder
	for i := 0; i < len(rx); i++ {
		switch {
		case rx[i] == '\\' && i+1 < len(rx):
			out.WriteString(rx[i : i+2])
			i++
		case rx[i] == '/':
			out.WriteString(`\/`)
		case rx[i] == '\n':
			out.WriteString(`\n`)
		default:
			out.WriteByte(rx[i])
		}
	}
	return out.String()
}

// body is what stands behind the reasoning.
func (o *writer) body(tools []chat.Value, w Want) (string, error) {
	content := ""
	if w.Format != nil {
		content, o.content = "@"+contentName, contentName
	}
	choice := w.Calls.Choice
	if choice == None || choice == Auto && len(tools) == 0 {
		return content, nil
	}
	calls, err := o.calls(tools, w.Calls)
	switch {
	case err != nil:
		return "", err
	case choice != Auto:
		return calls, nil
	case content != "":
		return "( " + calls + " | " + content + " )", nil
	}
	return o.freeText() + " ( " + calls + " )?", nil
}

// calls is one or several calls.
func (o *writer) calls(tools []chat.Value, c Calls) (string, error) {
	refuse := func(format string, args ...any) (string, error) {
		return "", &Error{"tool_choice", fmt.Sprintf(format, args...)}
	}
	if o.d == nil {
		return refuse("the model's chat template has no form for calls: a call cannot be forced")
	}
	if len(tools) == 0 {
		return refuse("tool_choice asks for a call, but tools is empty")
	}
	var one []string
	for _, t := range chat.Declared(tools) {
		if c.Choice == Named && t.Name != c.Name {
			continue
		}
		call, err := o.call(t, c.Arguments)
		if err != nil {
			return "", err
		}
		one = append(one, call)
	}
	if len(one) == 0 {
		return refuse("tool_choice names the function %q, which tools does not declare", c.Name)
	}
	slices.Sort(one)
	alternatives := strings.Join(slices.Compact(one), " | ")
	o.rule("call", alternatives)
	if c.One || c.Choice == Named {
		return "call", nil
	}
	return "call ( " + o.between() + " call )*", nil
}
