package chat

import (
	"fmt"
	"strings"

	"reprise/model/chat/jinja"
)

// Message is one message of a conversation: the client's own JSON object, with
// all its keys in their order, because a template may look at any of them.
type Message struct{ dict *Dict }

// NewMessage returns a message of a role with text, a list of parts, or nil as content.
func NewMessage(role string, content Value) Message {
	d := jinja.NewDict(2)
	d.Set("role", role)
	d.Set("content", content)
	return Message{d}
}

// MessageOf wraps a decoded JSON object.
func MessageOf(v Value) (Message, error) {
	d, ok := v.(*Dict)
	if !ok {
		return Message{}, fmt.Errorf("a message must be a JSON object")
	}
	return Message{d}, nil
}

// DecodeMessages reads a JSON array of messages.
func DecodeMessages(data []byte) ([]Message, error) {
	v, err := DecodeOrdered(data)
	if err != nil {
		return nil, err
	}
	list, ok := v.(*jinja.List)
	if !ok {
		return nil, fmt.Errorf("messages must be a JSON array")
	}
	out := make([]Message, len(list.Items))
	for i, it := range list.Items {
		if out[i], err = MessageOf(it); err != nil {
			return nil, fmt.Errorf("messages[%d]: %w", i, err)
		}
	}
	return out, nil
}

// With returns a copy of the message with key set, for content, name,
// tool_call_id, tool_calls, reasoning_content and the like.
func (m Message) With(key string, v Value) Message {
	d := copyDict(m.dict)
	d.Set(key, v)
	return Message{d}
}

// Get returns a key's value.
func (m Message) Get(key string) (Value, bool) { return m.dict.Get(key) }

// Role is the message's role, or empty.
func (m Message) Role() string {
	v, _ := m.dict.Get("role")
	s, _ := v.(string)
	return s
}

// Text is the message's text: its content, or its text parts one after the other. ok is false when there are
// parts of another kind, or the content is neither text nor a list.
func (m Message) Text() (text string, ok bool) {
	content, _ := m.Get("content")
	switch c := content.(type) {
	case nil:
		return "", true
	case string:
		return c, true
	case *jinja.List:
		var b strings.Builder
		ok = true
		for _, it := range c.Items {
			part, isDict := it.(*Dict)
			if !isDict {
				ok = false
				continue
			}
			kind, _ := part.Get("type")
			t, _ := part.Get("text")
			s, isText := t.(string)
			if !isText || kind != "text" && kind != nil {
				ok = false
				continue
			}
			b.WriteString(s)
		}
		return b.String(), ok
	}
	return "", false
}

func copyDict(d *Dict) *Dict {
	c := jinja.NewDict(d.Len() + 1)
	for i := range d.Len() {
		k, v := d.At(i)
		if s, ok := k.(string); ok {
			c.Set(s, v)
		}
	}
	return c
}

// reasoningFields are the names under which clients send an answer's reasoning,
// the standard one first.
var reasoningFields = []string{"reasoning_content", "thinking", "reasoning"}

// prepared returns what the template sees: reasoning under the names that
// templates read, as transformers aliases them, and tool-call arguments as
// objects. The message itself is untouched; it is returned as it is when
// nothing differs.
func (m Message) prepared() *Dict {
	d := m.dict
	if r, ok := reasoningOf(d); ok {
		c := jinja.NewDict(d.Len() + 2)
		c.Set("thinking", r)
		for i := range d.Len() {
			k, v := d.At(i)
			if s, ok := k.(string); ok {
				c.Set(s, v)
			}
		}
		c.Set("reasoning_content", r)
		d = c
	}
	calls, _ := d.Get("tool_calls")
	list, ok := calls.(*jinja.List)
	if !ok || len(list.Items) == 0 {
		return d
	}
	items := make([]Value, len(list.Items))
	changed := false
	for i, it := range list.Items {
		call, ok := decodedCall(it)
		items[i], changed = call, changed || ok
	}
	if !changed {
		return d
	}
	c := copyDict(d)
	c.Set("tool_calls", jinja.NewList(items...))
	return c
}

func reasoningOf(d *Dict) (Value, bool) {
	for _, k := range reasoningFields {
		if v, ok := d.Get(k); ok && v != nil {
			return v, true
		}
	}
	return nil, false
}

// decodedCall returns a tool call whose arguments, a JSON string in OpenAI's
// API, are the object that it holds; templates iterate over it. No text at all
// counts as no arguments. A string that holds anything else stays a string:
// whether to print or refuse it is the template's business.
func decodedCall(v Value) (Value, bool) {
	call, ok := v.(*Dict)
	if !ok {
		return v, false
	}
	holder := call
	fn, nested := call.Get("function")
	if nested {
		if holder, ok = fn.(*Dict); !ok {
			return v, false
		}
	}
	raw, _ := holder.Get("arguments")
	text, ok := raw.(string)
	if !ok {
		return v, false
	}
	var args Value = jinja.NewDict(0)
	if strings.TrimSpace(text) != "" {
		var err error
		if args, err = DecodeOrdered([]byte(text)); err != nil {
			return v, false
		}
		if _, ok := args.(*Dict); !ok {
			return v, false
		}
	}
	out := copyDict(holder)
	out.Set("arguments", args)
	if nested {
		outer := copyDict(call)
		outer.Set("function", out)
		out = outer
	}
	return out, true
}
