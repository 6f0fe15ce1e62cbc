package responses

import (
	"strings"

	"reprise/model/chat"
	"reprise/server/api/wire"
)

// input takes the items as messages.
func input(o *wire.Object) []chat.Message {
	if !o.IsList("input") {
		if text, ok := o.String("input"); ok {
			return []chat.Message{chat.NewMessage("user", text)}
		}
		return nil
	}
	var out builder
	items := o.List("input")
	if o.AtMost("input", len(items), wire.MaxItems); o.Err() != nil {
		return nil
	}
	for _, item := range items {
		out.add(item)
	}
	return out.done()
}

// builder puts the items that an answer was made of into one message again: reasoning, text and calls, in that order.
type builder struct {
	messages []chat.Message
	answer   *answered // the one under way
}

type answered struct {
	thoughts []string
	content  chat.Value // nil: no text yet
	calls    []chat.Value
}

func (b *builder) add(item *wire.Object) {
	kind, ok := item.String("type")
	if !ok {
		kind = "message"
	}
	item.String("id")
	item.String("status")
	switch kind {
	case "message":
		b.message(item)
	case "reasoning":
		b.reasoning(item)
	case "function_call":
		a := b.current(false)
		a.calls = append(a.calls, functionCall(item))
	case "function_call_output":
		id := item.Required("call_id", "the id of the call that this is the output of")
		b.flush()
		b.messages = append(b.messages, chat.NewMessage("tool", text(item, "output")).With("tool_call_id", id))
	case "item_reference":
		item.Fail("type", wire.CodeUnsupported, "items are not kept one by one; send the item itself, or previous_response_id")
	default:
		item.Fail("type", wire.CodeUnsupported, "an item of type %q is not supported; message, reasoning, function_call and function_call_output are", kind)
	}
	item.Unknown()
}

func (b *builder) message(item *wire.Object) {
	role, _ := item.String("role")
	content := text(item, "content")
	item.String("phase")
	switch role {
	case "assistant":
		b.current(true).content = content
		return
	case "developer":
		role = "system"
	case "user", "system":
	default:
		item.Fail("role", wire.CodeInvalidValue, "role must be one of user, assistant, system and developer")
	}
	b.flush()
	b.messages = append(b.messages, chat.NewMessage(role, content))
}

// reasoning is what an answer began with; clients empty it later.
func (b *builder) reasoning(item *wire.Object) {
	var texts []string
	for _, name := range []string{"content", "summary"} {
		var own []string
		for _, part := range item.List(name) {
			part.String("type")
			t, _ := part.String("text")
			part.Unknown()
			own = append(own, t)
		}
		if len(own) > 0 {
			texts = own // a summary is all of it here
		}
	}
	item.Raw("encrypted_content") // another server's: it cannot be read
	if len(texts) > 0 {
		a := b.current(true)
		a.thoughts = append(a.thoughts, strings.Join(texts, "\n"))
	}
}

// current is the answer under way. What begins an answer does not follow its text or calls.
func (b *builder) current(begins bool) *answered {
	if b.answer != nil && begins && (b.answer.content != nil || len(b.answer.calls) > 0) {
		b.flush()
	}
	if b.answer == nil {
		b.answer = &answered{}
	}
	return b.answer
}

func (b *builder) flush() {
	a := b.answer
	if b.answer = nil; a == nil {
		return
	}
	if a.content == nil && len(a.calls) == 0 {
		a.content = ""
	}
	m := chat.NewMessage("assistant", a.content)
	if len(a.thoughts) > 0 {
		m = m.With("reasoning_content", strings.Join(a.thoughts, "\n"))
	}
	if len(a.calls) > 0 {
		m = m.With("tool_calls", chat.NewList(a.calls...))
	}
	b.messages = append(b.messages, m)
}

func (b *builder) done() []chat.Message {
	b.flush()
	return b.messages
}

// text takes a text or a list of parts, of which one alone is its text.
func text(item *wire.Object, field string) chat.Value {
	if !item.IsList(field) {
		s, _ := item.String(field)
		return s
	}
	var parts []chat.Value
	var last string
	for _, part := range item.List(field) {
		kind, _ := part.String("type")
		switch kind {
		case "input_text", "output_text", "text", "summary_text":
			last, _ = part.String("text")
		case "refusal":
			last, _ = part.String("refusal")
		case "input_image", "input_file", "input_audio":
			part.Fail("type", wire.CodeUnsupported, "a part of type %q is not supported yet; send text", kind)
		default:
			part.Fail("type", wire.CodeUnsupported, "a part of type %q is not supported; input_text and output_text are", kind)
		}
		part.Raw("annotations")
		part.Raw("logprobs")
		part.Unknown()
		d := chat.NewDict()
		d.Set("type", "text")
		d.Set("text", last)
		parts = append(parts, d)
	}
	if len(parts) == 1 {
		return last
	}
	return chat.NewList(parts...)
}

func functionCall(item *wire.Object) chat.Value {
	fn := chat.NewDict()
	fn.Set("name", item.Required("name", "the function's name"))
	arguments, _ := item.String("arguments")
	fn.Set("arguments", arguments)
	call := chat.NewDict()
	call.Set("id", item.Required("call_id", "the call's id, which its output names"))
	call.Set("type", "function")
	call.Set("function", fn)
	return call
}
