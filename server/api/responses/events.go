package responses

import (
	"reprise/server/engine"
)

// events makes a stream's items of a turn's events: one after the other, each added, filled and done.
type events struct {
	head   *head
	output []any // the items that are done
	open   *item // nil: none
}

// item is one of an answer's: its kind, and what has come of it.
type item struct {
	kind     string // reasoning, message, function_call
	id, call string
	name     string
	text     string // of all pieces: reasoning, text, or arguments
}

// event is an event, whose data repeats its name as its type.
type event map[string]any

// EventName is the name in the event's own line.
func (e event) EventName() string { return e["type"].(string) }

func named(name string, fields event) event {
	fields["type"] = name
	return fields
}

// numbers gives each event the next number, when it is written: one that only says that the server is alive may come in
// between.
func numbers() func(any) any {
	next := 0
	return func(e any) any {
		e.(event)["sequence_number"] = next
		next++
		return e
	}
}

// take are the pieces that an event brings.
func (e *events) take(ev *engine.Event) []any {
	var out []any
	if ev.Reasoning != "" {
		out = e.enter(out, item{kind: "reasoning"})
		out = append(out, e.piece("response.reasoning_summary_text.delta", ev.Reasoning, "summary_index"))
	}
	if ev.Text != "" {
		out = e.enter(out, item{kind: "message"})
		out = append(out, e.piece("response.output_text.delta", ev.Text, "content_index"))
	}
	for _, c := range ev.Calls {
		if c.Name != "" {
			out = append(out, e.close()...)
			out = e.enter(out, item{kind: "function_call", call: e.head.callID(c.Index), name: c.Name})
		}
		if c.Arguments != "" {
			out = append(out, e.piece("response.function_call_arguments.delta", c.Arguments, ""))
		}
	}
	return out
}

var prefixes = map[string]string{"reasoning": "rs_", "message": "msg_", "function_call": "fc_"}

// enter adds an item, unless one of its kind is open.
func (e *events) enter(out []any, it item) []any {
	if e.open != nil && e.open.kind == it.kind {
		return out
	}
	out = append(out, e.close()...)
	it.id = e.head.item(prefixes[it.kind], len(e.output))
	e.open = &it
	out = append(out, named("response.output_item.added", e.at(event{"item": it.shape("in_progress")}, "output_index")))
	switch it.kind {
	case "reasoning":
		out = append(out, named("response.reasoning_summary_part.added", e.at(event{"part": summary("")}, "item_id", "output_index", "summary_index")))
	case "message":
		out = append(out, named("response.content_part.added", e.at(event{"part": outputText("")}, "item_id", "output_index", "content_index")))
	}
	return out
}

// piece is more of the open item's text.
func (e *events) piece(name, text, index string) any {
	e.open.text += text
	fields := event{"delta": text}
	if e.open.kind == "message" {
		fields["logprobs"] = []any{}
	}
	return named(name, e.at(fields, "item_id", "output_index", index))
}

// close ends the open item.
func (e *events) close() []any {
	it := e.open
	if e.open = nil; it == nil {
		return nil
	}
	e.open = it // for at
	var out []any
	add := func(name string, fields event, places ...string) {
		out = append(out, named(name, e.at(fields, places...)))
	}
	switch it.kind {
	case "reasoning":
		add("response.reasoning_summary_text.done", event{"text": it.text}, "item_id", "output_index", "summary_index")
		add("response.reasoning_summary_part.done", event{"part": summary(it.text)}, "item_id", "output_index", "summary_index")
	case "message":
		add("response.output_text.done", event{"text": it.text, "logprobs": []any{}}, "item_id", "output_index", "content_index")
		add("response.content_part.done", event{"part": outputText(it.text)}, "item_id", "output_index", "content_index")
	default:
		add("response.function_call_arguments.done", event{"name": it.name, "arguments": it.text}, "item_id", "output_index")
	}
	done := it.shape("completed")
	add("response.output_item.done", event{"item": done}, "output_index")
	e.output, e.open = append(e.output, done), nil
	return out
}

// at says where in the answer an event belongs: an item has one part.
func (e *events) at(fields event, places ...string) event {
	for _, place := range places {
		switch place {
		case "item_id":
			fields[place] = e.open.id
		case "output_index":
			fields[place] = len(e.output)
		case "content_index", "summary_index":
			fields[place] = 0
		}
	}
	return fields
}

// shape is the item as JSON has it.
func (it *item) shape(status string) map[string]any {
	m := map[string]any{"id": it.id, "type": it.kind, "status": status}
	begun := status == "in_progress"
	switch it.kind {
	case "reasoning":
		m["summary"] = []any{}
		if !begun {
			m["summary"] = []any{summary(it.text)}
		}
	case "message":
		m["role"], m["content"] = "assistant", []any{}
		if !begun {
			m["content"] = []any{outputText(it.text)}
		}
	default:
		m["call_id"], m["name"], m["arguments"] = it.call, it.name, it.text
	}
	return m
}

func summary(text string) map[string]any { return map[string]any{"type": "summary_text", "text": text} }

func outputText(text string) map[string]any {
	return map[string]any{"type": "output_text", "text": text, "annotations": []any{}, "logprobs": []any{}}
}
