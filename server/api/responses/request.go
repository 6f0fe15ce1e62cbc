package responses

import (
	"encoding/json"
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
	store  bool
	// before is the conversation so far, the request's own input included, without instructions.
	before []chat.Message
	echo   echo
}

// echo is what an answer repeats of its request.
type echo struct {
	Instructions any             `json:"instructions"`
	MaxOutput    any             `json:"max_output_tokens"`
	Metadata     json.RawMessage `json:"metadata"`
	Parallel     bool            `json:"parallel_tool_calls"`
	Previous     any             `json:"previous_response_id"`
	Reasoning    map[string]any  `json:"reasoning"`
	Store        bool            `json:"store"`
	Temperature  float64         `json:"temperature"`
	Text         json.RawMessage `json:"text"`
	Choice       json.RawMessage `json:"tool_choice"`
	Tools        json.RawMessage `json:"tools"`
	TopP         float64         `json:"top_p"`
	Truncation   string          `json:"truncation"`
}

// take takes a whole request.
func take(o *wire.Object, h http.Header, m *engine.Model, k *kept) (*call, error) {
	wire.Model(o, m.Name)
	c := &call{Request: engine.Request{Params: wire.Sampling(o, m.Config.Generation)}, store: true}
	c.stream, _ = o.Bool("stream")
	if opts := o.Object("stream_options"); opts != nil {
		opts.Bool("include_obfuscation") // padding against eavesdroppers: there is none on loopback
		opts.Unknown()
	}
	if n, ok := o.Count("max_output_tokens"); ok {
		c.MaxTokens, c.echo.MaxOutput = n, n
	}
	if on, ok := o.Bool("store"); ok {
		c.store = on
	}
	key, _ := o.String("prompt_cache_key")
	c.Session = wire.Session(o, h, key, "prompt_cache_key")
	c.own = wire.TakeExtension(o, h)
	c.own.Give(&c.Request)
	c.conversation(o, k)
	c.Prompt.Tools = c.tools(o)
	c.reasoning(o)
	c.text(o)
	refuse(o)
	accept(o, &c.echo)
	c.echo.Store, c.echo.Temperature, c.echo.TopP, c.echo.Truncation = c.store, c.Temperature, c.TopP, "disabled"
	o.Unknown()
	return c, o.Err()
}

// conversation takes instructions, what is continued, and the input.
func (c *call) conversation(o *wire.Object, k *kept) {
	if id, ok := o.String("previous_response_id"); ok {
		earlier, known := k.get(id)
		if !known {
			o.Add(&wire.Error{Status: http.StatusNotFound, Code: wire.CodeNotFound, Param: "previous_response_id",
				Message: "previous_response_id names an answer that is not kept: it was made with store false, by another process, or too long ago; send the whole conversation"})
		}
		c.before, c.echo.Previous = slices.Clip(earlier), id
	}
	c.before = append(c.before, input(o)...)
	if text, ok := o.String("instructions"); ok {
		c.echo.Instructions = text
		c.Prompt.Messages = []chat.Message{chat.NewMessage("system", text)}
	}
	c.Prompt.Messages = append(c.Prompt.Messages, c.before...)
	if len(c.before) == 0 {
		o.Missing("input", "a text or a list of items that is not empty")
	}
}

// reasoning takes the effort; summaries are what there is of reasoning, always.
func (c *call) reasoning(o *wire.Object) {
	c.echo.Reasoning = map[string]any{"effort": nil, "summary": nil}
	r := o.Object("reasoning")
	if r == nil {
		return
	}
	if effort, ok := r.String("effort"); ok {
		wire.Effort(r, "effort", effort, &c.Request)
		c.echo.Reasoning["effort"] = effort
	}
	for _, name := range []string{"summary", "generate_summary"} {
		if s, ok := r.String(name); ok {
			c.echo.Reasoning["summary"] = s
		}
	}
	r.Unknown()
}

// text takes the answer's form.
func (c *call) text(o *wire.Object) {
	c.echo.Text = json.RawMessage(`{"format":{"type":"text"}}`)
	if raw := o.Raw("text"); raw != nil {
		c.echo.Text = raw
	}
	t := o.Object("text")
	if t == nil {
		return
	}
	c.Held.Format, c.Held.Param = wire.Format(t, "format", wire.FormatShape{}), "text.format"
	t.Only("verbosity", "medium", "templates have no place for it; leave it out")
	t.Unknown()
}

// tools takes the declarations as templates know them, and what is asked for of calls.
func (c *call) tools(o *wire.Object) []chat.Value {
	e, calls := &c.echo, &c.Held.Calls
	e.Choice, e.Parallel, e.Tools = json.RawMessage(`"auto"`), true, json.RawMessage("[]")
	if on, ok := o.Bool("parallel_tool_calls"); ok {
		e.Parallel, calls.One = on, !on
	}
	if raw := o.Raw("tool_choice"); raw != nil {
		e.Choice = raw
		choice(o, raw, calls)
	}
	if raw := o.Raw("tools"); raw != nil {
		e.Tools = raw
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

// choice takes tool_choice: a word, or an object that names a function.
func choice(o *wire.Object, raw json.RawMessage, calls *held.Calls) {
	if raw[0] == '{' {
		named := o.Object("tool_choice")
		if kind, _ := named.String("type"); kind != "function" {
			named.Fail("type", wire.CodeUnsupported, `tool_choice.type is %q; the one type supported is "function"`, kind)
		}
		calls.Choice, calls.Name = held.Named, named.Required("name", "the function to call")
		named.Unknown()
		return
	}
	word, _ := o.String("tool_choice")
	switch word {
	case "auto":
	case "none":
		calls.Choice = held.None
	case "required":
		calls.Choice = held.Required
	default:
		o.Fail("tool_choice", wire.CodeInvalidValue, `tool_choice can be "auto", "none", "required", or an object that names a function`)
	}
}

func tool(t *wire.Object) chat.Value {
	if kind, _ := t.String("type"); kind != "function" {
		t.Fail("type", wire.CodeUnsupported, `a tool of type %q is not supported: the one type supported is "function"`, kind)
	}
	fn := chat.NewDict()
	fn.Set("name", t.Required("name", "the function's name"))
	if text, ok := t.String("description"); ok {
		fn.Set("description", text)
	}
	if schema := t.Ordered("parameters"); schema != nil {
		if _, ok := schema.(*chat.Dict); !ok {
			t.Fail("parameters", wire.CodeInvalidType, "parameters must be a JSON schema, an object")
		}
		fn.Set("parameters", schema)
	}
	t.Bool("strict")
	t.Unknown()
	d := chat.NewDict()
	d.Set("type", "function")
	d.Set("function", fn)
	return d
}

// refuse lets the fields pass whose effect does not exist here only with the value that means no effect.
func refuse(o *wire.Object) {
	o.Only("background", false, "answers are not made in the background; leave it out")
	o.Only("truncation", "disabled", `a conversation that is too long is refused, not cut; leave it out or send "disabled"`)
	o.Only("conversation", nil, "the server keeps no conversations; use previous_response_id or send the input whole")
	o.Only("prompt", nil, "the server keeps no prompt templates; send instructions and input")
	o.Only("max_tool_calls", nil, "the server has no tools of its own; leave it out")
	o.Only("top_logprobs", 0.0, "log-probabilities are not delivered; leave it out")
	o.Only("context_management", nil, "the conversation is taken as it is sent; leave it out")
}

// includable are what clients ask to be included that is there anyway, or that no answer here has: no images, no searches,
// no reasoning that only the server can read.
var includable = []string{"reasoning.encrypted_content", "message.input_image.image_url", "file_search_call.results",
	"web_search_call.results", "web_search_call.action.sources", "code_interpreter_call.outputs", "computer_call_output.output.image_url"}

// accept takes the fields that clients send and that change nothing on one local model.
func accept(o *wire.Object, e *echo) {
	for _, what := range o.Texts("include") {
		if !slices.Contains(includable, what) {
			o.Fail("include", wire.CodeUnsupported, "include can hold %v, not %q", includable, what)
		}
	}
	e.Metadata = json.RawMessage("{}")
	if raw := o.Raw("metadata"); raw != nil {
		e.Metadata = raw
	}
	o.Object("metadata")
	o.String("user")
	o.String("safety_identifier")
	o.String("service_tier")
	o.String("prompt_cache_retention")
	o.Object("prompt_cache_options") // what is cached is what was computed
}
