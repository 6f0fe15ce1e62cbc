package held

import (
	"encoding/json"
	"fmt"
	"strings"

	"reprise/model/chat"
	"reprise/model/chat/parse"
)

// writer collects a grammar's rules.
type writer struct {
	d        *parse.Dialect
	out      strings.Builder
	rules    int
	wrote    bool
	patterns bool                      // texts' patterns bind
	content  string                    // the rule of the content, "" when there is none
	known    map[*chat.Dict]string     // rules of schemas' parts, so that one may refer to itself
	joined   map[*chat.Dict]*chat.Dict // parts with their allOf joined
	once     map[string]bool           // rules that several places use
}

// rule writes a rule of that name.
func (o *writer) rule(name, body string) string {
	fmt.Fprintf(&o.out, "%s: %s\n", name, body)
	o.wrote = true
	return name
}

// fresh is a new rule's name.
func (o *writer) fresh() string {
	o.rules++
	return fmt.Sprintf("r%d", o.rules)
}

// part is the rule of a schema's part, written when it is first met. Its name is known before its body is made: a part may refer to
// itself.
func (o *writer) part(d *chat.Dict, body func() string) string {
	if name, ok := o.known[d]; ok {
		return name
	}
	if o.known == nil {
		o.known = map[*chat.Dict]string{}
	}
	name := o.fresh()
	o.known[d] = name
	return o.rule(name, body())
}

// shared writes a rule once.
func (o *writer) shared(name, body string) string {
	if !o.once[name] {
		if o.once == nil {
			o.once = map[string]bool{}
		}
		o.once[name] = true
		o.rule(name, body)
	}
	return name
}

// text is a text as it stands.
func text(s string) string { return quote(s) }

func quote(s string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string always has a form
	return strings.TrimSuffix(b.String(), "\n")
}

// marker is a marker as the vocabulary has it: a token, or its text.
func (o *writer) marker(m parse.Marker) (string, error) {
	id, spelled, ok := o.d.Marker(m)
	switch {
	case !ok:
		return "", &Error{"tool_choice", "the model's vocabulary lacks a marker that its calls are written with: a call cannot be forced"}
	case id < 0:
		return text(spelled), nil
	}
	return fmt.Sprintf("<[%d]>", id), nil
}

// freeText is any text, also none; no marker is in it.
func (o *writer) freeText() string { return o.shared("free", `/(?s:.+)/`) + "?" }

// thoughts is what stands before the answer.
func (o *writer) thoughts(t Thinking) (string, error) {
	if t == NoThinking || o.d == nil {
		return "", nil
	}
	id, spelled, ok := o.d.Marker(parse.ThinkShut)
	if !ok {
		return "", nil
	}
	behind := ""
	if o.d.Family() == "qwen3.6" {
		behind = ` "\n\n"`
	}
	if id < 0 {
		if t == SkipThought {
			return text(spelled) + behind, nil
		}
		o.wrote = true
		fmt.Fprintf(&o.out, "thought[suffix=%s]: /(?s:.*)/\n", text(spelled))
		return "thought" + behind, nil
	}
	shut := fmt.Sprintf("<[%d]>", id)
	switch t {
	case SkipThought:
		return shut + behind, nil
	case IsThinking:
		return o.freeText() + " " + shut + behind, nil
	}
	open, err := o.marker(parse.ThinkOpen)
	if err != nil {
		return "", err
	}
	return "( " + open + " " + text(o.d.Heading()) + " " + o.freeText() + " " + shut + behind + " )?", nil
}

// Names are the declared functions' names.
func Names(tools []chat.Value) []string {
	var out []string
	for _, t := range chat.Declared(tools) {
		out = append(out, t.Name)
	}
	return out
}

// call is a call of a tool, with exactly the arguments when they are given.
func (o *writer) call(t chat.Tool, exact json.RawMessage) (string, error) {
	open, err := o.marker(parse.CallOpen)
	if err != nil {
		return "", err
	}
	shut, err := o.marker(parse.CallShut)
	if err != nil {
		return "", err
	}
	var args *chat.Dict
	if exact != nil {
		v, err := chat.DecodeOrdered(exact)
		d, ok := v.(*chat.Dict)
		if err != nil || !ok {
			return "", &Error{"tool_choice", "the arguments must be a JSON object"}
		}
		args = d
	}
	var inner string
	if o.d.Family() == "gemma4" {
		q, err := o.marker(parse.Quote)
		if err != nil {
			return "", err
		}
		inner = (&gemma{writer: o, quote: q}).call(t, args)
	} else {
		inner = (&qwen{writer: o}).call(t, args)
	}
	return o.rule(o.fresh(), open+" "+inner+" "+shut), nil
}

// between is what stands between two calls.
func (o *writer) between() string {
	if o.d.Family() == "gemma4" {
		return ""
	}
	return `"\n"`
}
