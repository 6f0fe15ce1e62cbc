package prompt

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"reprise/model/chat"
	"reprise/model/chat/jinja"
)

// Key names a conversation up to some message: a hash over the canonical forms of all its messages, the tools and
// the template's options. What clients change when they send a message back is not part of a canonical form: ids of
// calls, reasoning, the order of keys and the spelling of numbers and strings in arguments, white space around an
// answer, null or "" for no content.
type Key [sha256.Size]byte

// step is the key of the conversation that a key names, followed by one message.
func (k Key) step(form []byte) Key {
	h := sha256.New()
	h.Write(k[:])
	h.Write(form)
	return Key(h.Sum(nil))
}

// root is the key of an empty conversation.
func (a *Assembler) root(in Input) Key {
	b := []byte("reprise conversation 1\n")
	b = appendText(b, a.Template.Source())
	b = appendText(b, a.BOS)
	b = appendText(b, a.EOS)
	switch {
	case in.Thinking == nil:
		b = append(b, '-')
	case *in.Thinking:
		b = append(b, 't')
	default:
		b = append(b, 'f')
	}
	if in.Extra != nil {
		b = appendValue(b, in.Extra)
	}
	b = append(b, '\n')
	b = append(b, toolsForm(in.Tools)...)
	return sha256.Sum256(b)
}

func toolsForm(tools []chat.Value) []byte {
	if len(tools) == 0 {
		return nil
	}
	return appendValue(nil, jinja.NewList(tools...))
}

// canonical is a message's canonical form. before are the messages that it follows: the call that a tool's message
// answers is named by its place among them, not by its id.
func canonical(m chat.Message, before []chat.Message) []byte {
	b := appendText(nil, m.Role())
	switch m.Role() {
	case "assistant":
		b = appendAnswer(b, m)
	case "tool":
		name, index := answered(m, before)
		b = appendText(b, name)
		b = strconv.AppendInt(b, int64(index), 10)
		b = appendContent(b, m)
	default:
		if name, ok := m.Get("name"); ok {
			b = appendValue(append(b, 'n'), name)
		}
		b = appendContent(b, m)
	}
	return b
}

// appendContent appends text exactly, be it a string or text parts; other content by its JSON value.
func appendContent(b []byte, m chat.Message) []byte {
	if text, ok := m.Text(); ok {
		return appendText(b, text)
	}
	content, _ := m.Get("content")
	return appendValue(append(b, 'v'), content)
}

func appendAnswer(b []byte, m chat.Message) []byte {
	if text, ok := m.Text(); ok {
		b = appendText(b, answerText(text))
	} else {
		content, _ := m.Get("content")
		b = appendValue(append(b, 'v'), content)
	}
	for _, c := range calls(m) {
		b = append(b, 'c')
		b = appendText(b, c.name)
		b = appendArguments(b, c.arguments)
	}
	for _, key := range []string{"function_call", "tool_responses"} { // older ways to say the same
		if v, ok := m.Get(key); ok && v != nil {
			b = appendValue(appendText(b, key), v)
		}
	}
	return b
}

// answerText is an answer as it is compared: without reasoning that was written into it, trimmed.
func answerText(text string) string {
	for _, d := range dialects {
		text = d.strip(text)
	}
	return strings.TrimSpace(text)
}

// call is a tool call, wherever a client puts its fields.
type call struct {
	id, name  string
	arguments chat.Value
}

func calls(m chat.Message) []call {
	v, _ := m.Get("tool_calls")
	list, ok := v.(*jinja.List)
	if !ok {
		return nil
	}
	out := make([]call, 0, len(list.Items))
	for _, item := range list.Items {
		outer, ok := item.(*chat.Dict)
		if !ok {
			out = append(out, call{arguments: item})
			continue
		}
		var c call
		id, _ := outer.Get("id")
		c.id, _ = id.(string)
		holder := outer
		if fn, _ := outer.Get("function"); fn != nil {
			if d, ok := fn.(*chat.Dict); ok {
				holder = d
			}
		}
		name, _ := holder.Get("name")
		c.name, _ = name.(string)
		c.arguments, _ = holder.Get("arguments")
		out = append(out, c)
	}
	return out
}

// answered finds the call that a tool's message answers: the nearest one before it with its id. Its name is then the
// function's, whatever the message says (Hermes leaves it out after --resume); index is the call's place in its
// message, -1 when there is none, and the name the message's own.
func answered(m chat.Message, before []chat.Message) (name string, index int) {
	own, _ := m.Get("name")
	name, _ = own.(string)
	v, _ := m.Get("tool_call_id")
	id, _ := v.(string)
	if id == "" {
		return name, -1
	}
	for _, earlier := range slices.Backward(before) {
		if earlier.Role() != "assistant" {
			continue
		}
		for i, c := range calls(earlier) {
			if c.id == id {
				return c.name, i
			}
		}
	}
	return name, -1
}

// appendArguments appends a call's arguments: the value that their JSON text holds, or text that holds none.
func appendArguments(b []byte, v chat.Value) []byte {
	text, ok := v.(string)
	if !ok {
		return appendValue(b, v)
	}
	text = strings.TrimSpace(text)
	if text == "" {
		return appendValue(b, chat.NewDict())
	}
	parsed, err := chat.DecodeOrdered([]byte(text))
	if err != nil {
		return appendText(append(b, 'r'), text)
	}
	return appendValue(b, parsed)
}

func appendText(b []byte, s string) []byte {
	b = binary.AppendUvarint(append(b, '"'), uint64(len(s)))
	return append(b, s...)
}

// appendValue appends a JSON value such that equal values give equal bytes and different ones different bytes: keys
// sorted, numbers by their value.
func appendValue(b []byte, v chat.Value) []byte {
	switch v := v.(type) {
	case nil:
		return append(b, '0')
	case bool:
		return strconv.AppendBool(b, v)
	case string:
		return appendText(b, v)
	case int64:
		return append(strconv.AppendInt(append(b, '#'), v, 10), ';')
	case *big.Int:
		return append(v.Append(append(b, '#'), 10), ';')
	case float64:
		return append(appendFloat(append(b, '#'), v), ';')
	case *jinja.List:
		b = append(b, '[')
		for _, item := range v.Items {
			b = appendValue(b, item)
		}
		return append(b, ']')
	case *chat.Dict:
		return appendDict(b, v)
	}
	return append(b, '?') // nothing that JSON can hold
}

func appendDict(b []byte, d *chat.Dict) []byte {
	order := make([]int, d.Len())
	keys := make([]string, d.Len())
	for i := range order {
		order[i] = i
		key, _ := d.At(i)
		keys[i], _ = key.(string)
	}
	slices.SortFunc(order, func(i, j int) int { return strings.Compare(keys[i], keys[j]) })
	b = append(b, '{')
	for _, i := range order {
		_, value := d.At(i)
		b = appendValue(appendText(b, keys[i]), value)
	}
	return append(b, '}')
}

// appendFloat writes a float as the int that it equals, if it does.
func appendFloat(b []byte, f float64) []byte {
	if f == math.Trunc(f) && !math.IsInf(f, 0) {
		n, _ := big.NewFloat(f).Int(nil)
		return n.Append(b, 10)
	}
	return strconv.AppendFloat(b, f, 'g', -1, 64)
}
