package anthropic

import (
	"encoding/json"

	"reprise/server/engine"
)

// events makes a stream's content blocks of a turn's events: one after the other, each begun, filled and ended.
type events struct {
	head head
	open string // the kind of the open block: thinking, text, or tool_use; "": none
	next int    // index of the block to come
}

// take are the pieces that an event brings.
func (e *events) take(ev *engine.Event) []any {
	var out []any
	if ev.Reasoning != "" {
		out = e.enter(out, "thinking", thinkingBlock{Type: "thinking"})
		out = append(out, e.delta(map[string]any{"type": "thinking_delta", "thinking": ev.Reasoning}))
	}
	if ev.Text != "" {
		out = e.enter(out, "text", textBlock{Type: "text"})
		out = append(out, e.delta(map[string]any{"type": "text_delta", "text": ev.Text}))
	}
	for _, c := range ev.Calls {
		if c.Name != "" {
			out = append(out, e.close()...)
			out = e.enter(out, "tool_use", toolBlock{"tool_use", e.head.callID(c.Index), c.Name, json.RawMessage("{}")})
		}
		if c.Arguments != "" {
			out = append(out, e.delta(map[string]any{"type": "input_json_delta", "partial_json": c.Arguments}))
		}
	}
	return out
}

// enter begins a block of that kind, unless one is open.
func (e *events) enter(out []any, kind string, block any) []any {
	if e.open == kind {
		return out
	}
	out = append(out, e.close()...)
	e.open = kind
	e.next++
	return append(out, named("content_block_start", event{"index": e.next - 1, "content_block": block}))
}

func (e *events) delta(d map[string]any) event {
	return named("content_block_delta", event{"index": e.next - 1, "delta": d})
}

// close ends the open block.
func (e *events) close() []any {
	if e.open == "" {
		return nil
	}
	var out []any
	if e.open == "thinking" {
		out = append(out, e.delta(map[string]any{"type": "signature_delta", "signature": signature}))
	}
	e.open = ""
	return append(out, named("content_block_stop", event{"index": e.next - 1}))
}
