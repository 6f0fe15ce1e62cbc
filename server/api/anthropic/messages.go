package anthropic

import (
	"strings"

	"reprise/model/chat"
	"reprise/server/api/wire"
)

// billing begins a system block of Claude Code's that differs in every request.
const billing = "x-anthropic-billing-header:"

// system takes the system text, as a message or none.
func system(o *wire.Object) []chat.Message {
	if !o.IsList("system") {
		if text, ok := o.String("system"); ok && text != "" {
			return []chat.Message{chat.NewMessage("system", text)}
		}
		return nil
	}
	var parts []chat.Value
	for _, b := range o.List("system") {
		if kind, _ := b.String("type"); kind != "text" {
			b.Fail("type", wire.CodeUnsupported, "a system block of type %q is not supported; send text", kind)
		}
		if text := block(b); !strings.HasPrefix(text, billing) {
			parts = append(parts, textPart(text))
		}
	}
	if len(parts) == 0 {
		return nil
	}
	return []chat.Message{chat.NewMessage("system", content(parts))}
}

// block is a text block's text.
func block(b *wire.Object) string {
	text, ok := b.String("text")
	if !ok {
		b.Missing("text", "the text of a block of that type")
	}
	b.Object("cache_control")
	b.Raw("citations") // of the model's own making, on texts that come back
	b.Unknown()
	return text
}

func textPart(text string) chat.Value {
	d := chat.NewDict()
	d.Set("type", "text")
	d.Set("text", text)
	return d
}

// content is one part's text, or the parts.
func content(parts []chat.Value) chat.Value {
	if len(parts) == 1 {
		text, _ := parts[0].(*chat.Dict).Get("text")
		return text
	}
	return chat.NewList(parts...)
}

// message is what templates know as one or several messages: the results of tools are messages of their own.
func message(m *wire.Object) []chat.Message {
	role, _ := m.String("role")
	if role != "user" && role != "assistant" {
		m.Fail("role", wire.CodeInvalidValue, `role must be "user" or "assistant"; system text goes into system`)
	}
	defer m.Unknown()
	if !m.IsList("content") {
		text, ok := m.String("content")
		if !ok {
			m.Missing("content", "a text or a list of blocks")
		}
		return []chat.Message{chat.NewMessage(role, text)}
	}
	blocks := m.List("content")
	if role == "assistant" {
		return []chat.Message{said(blocks)}
	}
	return asked(blocks)
}

// said is an assistant's message.
func said(blocks []*wire.Object) chat.Message {
	var parts, calls []chat.Value
	var thoughts []string
	for _, b := range blocks {
		switch kind, _ := b.String("type"); kind {
		case "text":
			parts = append(parts, textPart(block(b)))
		case "thinking":
			text, _ := b.String("thinking")
			thoughts = append(thoughts, text)
			b.String("signature")
			b.Object("cache_control")
			b.Unknown()
		case "redacted_thinking": // another server's: it cannot be read
			b.String("data")
			b.Unknown()
		case "tool_use":
			calls = append(calls, toolUse(b))
		default:
			unsupported(b, kind)
		}
	}
	m := chat.NewMessage("assistant", "")
	switch {
	case len(parts) > 0:
		m = m.With("content", content(parts))
	case len(calls) > 0:
		m = m.With("content", nil)
	}
	if len(thoughts) > 0 {
		m = m.With("reasoning_content", strings.Join(thoughts, "\n"))
	}
	if len(calls) > 0 {
		m = m.With("tool_calls", chat.NewList(calls...))
	}
	return m
}

func toolUse(b *wire.Object) chat.Value {
	fn := chat.NewDict()
	fn.Set("name", b.Required("name", "the tool's name"))
	fn.Set("arguments", b.Compact("input"))
	call := chat.NewDict()
	call.Set("id", b.Required("id", "the call's id, which its result names"))
	call.Set("type", "function")
	call.Set("function", fn)
	b.Object("cache_control")
	b.Object("caller")
	b.Unknown()
	return call
}

// asked is what a user's message holds: results first, as the API demands, then the user's own text.
func asked(blocks []*wire.Object) []chat.Message {
	var out []chat.Message
	var parts []chat.Value
	for _, b := range blocks {
		switch kind, _ := b.String("type"); kind {
		case "text":
			parts = append(parts, textPart(block(b)))
		case "tool_result":
			out = append(out, toolResult(b))
		default:
			unsupported(b, kind)
		}
	}
	if len(parts) > 0 || len(out) == 0 {
		m := chat.NewMessage("user", "")
		if len(parts) > 0 {
			m = m.With("content", content(parts))
		}
		out = append(out, m)
	}
	return out
}

// toolResult is a tool's message. That it is an error stands before its text: templates have no other place for it.
func toolResult(b *wire.Object) chat.Message {
	id := b.Required("tool_use_id", "the id of the call that this is the result of")
	var text string
	if b.IsList("content") {
		var texts []string
		for _, part := range b.List("content") {
			if kind, _ := part.String("type"); kind != "text" {
				unsupported(part, kind)
			}
			texts = append(texts, block(part))
		}
		text = strings.Join(texts, "\n")
	} else {
		text, _ = b.String("content")
	}
	if failed, _ := b.Bool("is_error"); failed {
		text = "Error: " + text
	}
	b.Object("cache_control")
	b.Unknown()
	return chat.NewMessage("tool", text).With("tool_call_id", id)
}

func unsupported(b *wire.Object, kind string) {
	switch kind {
	case "image", "document":
		b.Fail("type", wire.CodeUnsupported, "a block of type %q is not supported yet; send text", kind)
	default:
		b.Fail("type", wire.CodeUnsupported, "a block of type %q is not supported here; text, thinking, tool_use and tool_result are", kind)
	}
}
