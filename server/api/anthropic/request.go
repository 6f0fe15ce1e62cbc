package anthropic

import (
	"net/http"
	"slices"

	"reprise/model/chat"
	"reprise/model/chat/held"
	"reprise/server/api/wire"
	"reprise/server/engine"
)

// call is a turn and how it is answered.
type call struct {
	engine.Request
	own    wire.Extension
	stream bool
}

// take takes a whole request for a message.
func take(o *wire.Object, h http.Header, m *engine.Model) (*call, error) {
	c := &call{Request: engine.Request{Params: wire.Sampling(o, m.Config.Generation)}}
	n, ok := o.Count("max_tokens")
	if !ok {
		o.Missing("max_tokens", "the most tokens that the answer may have")
	}
	c.MaxTokens = n
	c.stream, _ = o.Bool("stream")
	c.Stop = stops(o)
	c.Session = wire.Session(o, h, "", "")
	c.own = wire.TakeExtension(o, h)
	c.own.Give(&c.Request)
	o.Object("metadata") // user_id: for abuse reports
	o.String("service_tier")
	conversation(o, m, &c.Request)
	return c, o.Err()
}

const maxStops = 16

func stops(o *wire.Object) []string {
	if o.Raw("stop_sequences") == nil {
		return nil
	}
	list := o.Texts("stop_sequences")
	if len(list) > maxStops {
		o.Fail("stop_sequences", wire.CodeInvalidValue, "stop_sequences has %d texts; at most %d are possible", len(list), maxStops)
	}
	if slices.Contains(list, "") {
		o.Fail("stop_sequences", wire.CodeInvalidValue, "stop_sequences holds an empty text, which would end every answer at once")
	}
	return list
}

// conversation takes what both endpoints know, and refuses the rest.
func conversation(o *wire.Object, m *engine.Model, req *engine.Request) {
	wire.Model(o, m.Name)
	in := &req.Prompt
	in.Messages = system(o)
	o.Object("cache_control") // what is cached is what was computed
	turns := o.List("messages")
	if len(turns) == 0 {
		o.Missing("messages", "the conversation to continue, a list that is not empty")
	}
	o.AtMost("messages", len(turns), wire.MaxItems)
	for _, turn := range turns[:min(len(turns), wire.MaxItems)] {
		in.Messages = append(in.Messages, message(turn)...)
	}
	in.Tools = tools(o, &req.Held.Calls)
	thinking(o, req)
	o.Only("mcp_servers", []any{}, "the server calls no other servers; leave it out")
	o.Only("container", nil, "there are no containers; leave it out")
	o.Only("context_management", nil, "the conversation is taken as it is sent; leave it out")
	o.Only("inference_geo", nil, "inference runs on this machine; leave it out")
	o.Unknown()
}

// thinking takes the switch and the effort. A budget is not kept to: the model ends its reasoning itself.
func thinking(o *wire.Object, req *engine.Request) {
	if t := o.Object("thinking"); t != nil {
		kind, _ := t.String("type")
		on := kind == "enabled" || kind == "adaptive"
		if !on && kind != "disabled" {
			t.Fail("type", wire.CodeInvalidValue, `thinking.type must be "enabled", "adaptive" or "disabled"`)
		}
		t.Count("budget_tokens")
		t.String("display")
		t.Unknown()
		req.Prompt.Thinking = &on
	}
	out := o.Object("output_config")
	if out == nil {
		return
	}
	if effort, ok := out.String("effort"); ok {
		wire.Effort(out, "effort", effort, req)
	}
	req.Held.Format, req.Held.Param = wire.Format(out, "format", wire.FormatShape{}), "output_config.format"
	out.Unknown()
}

// tools takes the declarations as templates know them, and what is asked for of calls.
func tools(o *wire.Object, calls *held.Calls) []chat.Value {
	if choice := o.Object("tool_choice"); choice != nil {
		switch kind, _ := choice.String("type"); kind {
		case "auto":
		case "none":
			calls.Choice = held.None
		case "any":
			calls.Choice = held.Required
		case "tool":
			calls.Choice, calls.Name = held.Named, choice.Required("name", "the tool to call")
		default:
			choice.Fail("type", wire.CodeInvalidValue, `tool_choice.type must be "auto", "any", "tool" or "none"`)
		}
		calls.One, _ = choice.Bool("disable_parallel_tool_use")
		choice.Unknown()
	}
	var out []chat.Value
	declared := o.List("tools")
	o.AtMost("tools", len(declared), wire.MaxTools)
	for _, t := range declared[:min(len(declared), wire.MaxTools)] {
		out = append(out, tool(t))
	}
	if len(out) == 0 && (calls.Choice == held.Required || calls.Choice == held.Named) {
		o.Fail("tool_choice", wire.CodeInvalidValue, "tool_choice asks for a call, but the request has no tools")
	}
	return out
}

func tool(t *wire.Object) chat.Value {
	if kind, ok := t.String("type"); ok && kind != "custom" {
		t.Fail("type", wire.CodeUnsupported, "a tool of type %q is not supported: the server has no tools of its own; send its name, description and input_schema", kind)
	}
	fn := chat.NewDict()
	fn.Set("name", t.Required("name", "the tool's name"))
	if text, ok := t.String("description"); ok {
		fn.Set("description", text)
	}
	if schema := t.Ordered("input_schema"); schema != nil {
		if _, ok := schema.(*chat.Dict); !ok {
			t.Fail("input_schema", wire.CodeInvalidType, "input_schema must be a JSON schema, an object")
		}
		fn.Set("parameters", schema)
	}
	t.Object("cache_control")
	t.Bool("strict")
	t.Bool("eager_input_streaming")
	t.Bool("defer_loading")
	t.Unknown()
	d := chat.NewDict()
	d.Set("type", "function")
	d.Set("function", fn)
	return d
}
