package openai

import (
	"reprise/model/chat"
	"reprise/model/chat/held"
	"reprise/model/chat/jinja"
	"reprise/model/sample"
	"reprise/server/api/wire"
)

// tools takes the declarations and what is asked for of calls.
func (c *call) tools(o *wire.Object) {
	c.choice(o)
	if parallel, ok := o.Bool("parallel_tool_calls"); ok {
		c.Held.Calls.One = !parallel
	}
	if raw := o.Raw("tools"); raw != nil {
		v, err := chat.DecodeOrdered(raw)
		list, ok := v.(*jinja.List)
		if err != nil || !ok {
			o.Fail("tools", wire.CodeInvalidType, "tools must be a list of tools")
			return
		}
		if o.AtMost("tools", len(list.Items), wire.MaxTools); o.Err() != nil {
			return
		}
		for i, tool := range list.Items {
			if err := checkTool(tool, i); err != nil {
				o.Add(err)
				return
			}
		}
		if len(list.Items) > 0 {
			c.Prompt.Tools = list.Items
		}
	}
	if choice := c.Held.Calls.Choice; (choice == held.Required || choice == held.Named) && len(c.Prompt.Tools) == 0 {
		o.Fail("tool_choice", wire.CodeInvalidValue, "tool_choice asks for a call, but the request has no tools")
	}
}

// choice takes tool_choice.
func (c *call) choice(o *wire.Object) {
	raw := o.Raw("tool_choice")
	if raw == nil {
		return
	}
	calls := &c.Held.Calls
	if raw[0] != '{' {
		word, _ := o.String("tool_choice")
		switch word {
		case "auto":
		case "none":
			calls.Choice = held.None
		case "required":
			calls.Choice = held.Required
		default:
			o.Fail("tool_choice", wire.CodeInvalidValue, `tool_choice is %s; it can be "auto", "none", "required", or an object that names a function`, wire.Quoted(word))
		}
		return
	}
	named := o.Object("tool_choice")
	if kind, _ := named.String("type"); kind != "function" {
		named.Fail("type", wire.CodeUnsupported, `tool_choice.type is %s; the one type supported is "function"`, wire.Quoted(kind))
		return
	}
	fn := named.Object("function")
	if fn == nil {
		named.Missing("function", "an object with the function's name")
		return
	}
	name, ok := fn.String("name")
	if !ok {
		fn.Missing("name", "the function to call")
	}
	fn.Unknown()
	named.Unknown()
	calls.Choice, calls.Name = held.Named, name
}

// odds takes a chat's logprobs and top_logprobs.
func (c *call) odds(o *wire.Object) {
	c.Logprobs, _ = o.Bool("logprobs")
	if n, ok := o.Int("top_logprobs"); ok {
		c.TopLogprobs = topLogprobs(o, "top_logprobs", n)
		if n > 0 && !c.Logprobs {
			o.Fail("top_logprobs", wire.CodeInvalidValue, "top_logprobs is %d without logprobs; set logprobs to true", n)
		}
	}
}

func topLogprobs(o *wire.Object, name string, n int64) int {
	if n < 0 || n > sample.MaxTopLogprobs {
		o.Fail(name, wire.CodeInvalidValue, "%s is %d; it must lie between 0 and %d", name, n, sample.MaxTopLogprobs)
		return 0
	}
	return int(n)
}
