package openai

import (
	"net/http"
	"slices"

	"reprise/model/chat"
	"reprise/server/api/wire"
)

// chat is POST /v1/chat/completions.
func (a *API) chat(w http.ResponseWriter, r *http.Request) error {
	leave, err := a.turns.Enter()
	if err != nil {
		return err
	}
	defer leave()
	o, err := wire.ReadObject(w, r)
	if err != nil {
		return err
	}
	c, err := conversation(o, r.Header, a.target())
	if err != nil {
		return err
	}
	return a.answer(w, r, c, chatFormat{})
}

// conversation takes a whole request for a chat completion.
func conversation(o *wire.Object, h http.Header, t Target) (*call, error) {
	c := common(o, h, t)
	c.messages(o)
	c.tools(o)
	c.odds(o)
	c.thinking(o)
	c.MaxTokens = maxTokens(o)
	o.Only("modalities", []any{"text"}, "answers are text")
	o.Only("verbosity", "medium", "templates have no place for it; leave it out")
	o.Only("functions", nil, "send tools instead")
	o.Only("function_call", nil, "send tool_choice instead")
	o.Only("audio", nil, "answers are text")
	o.Only("prediction", nil, "predicted outputs do not exist here; leave it out")
	o.Object("prompt_cache_options") // what is cached is what was computed
	o.Only("web_search_options", nil, "the server searches nothing; leave it out")
	o.Unknown()
	return c, o.Err()
}

// maxTokens is the newer of the two names for the limit, or the older one.
func maxTokens(o *wire.Object) int {
	old, hasOld := o.Count("max_tokens")
	n, ok := o.Count("max_completion_tokens")
	if ok && hasOld && old != n {
		o.Fail("max_tokens", wire.CodeInvalidValue, "max_tokens is %d and max_completion_tokens is %d; send one of them", old, n)
	}
	if ok {
		return n
	}
	return old
}

// messages takes the conversation, and refuses what a template could not show.
func (c *call) messages(o *wire.Object) {
	raw := o.Raw("messages")
	if raw == nil {
		o.Missing("messages", "the conversation to continue")
		return
	}
	if raw[0] != '[' {
		o.Fail("messages", wire.CodeInvalidType, "messages must be a list of messages")
		return
	}
	messages, err := chat.DecodeMessages(raw)
	if err != nil {
		o.Fail("messages", wire.CodeInvalidType, "%v", err)
		return
	}
	if len(messages) == 0 {
		o.Fail("messages", wire.CodeInvalidValue, "messages is empty: there is nothing to continue")
		return
	}
	if o.AtMost("messages", len(messages), wire.MaxItems); o.Err() != nil {
		return
	}
	for i, m := range messages {
		if messages[i], err = checked(m, i); err != nil {
			o.Add(err)
			return
		}
	}
	c.Prompt.Messages = messages
}

// efforts are the words that OpenAI knows for reasoning_effort.
var efforts = []string{"none", "minimal", "low", "medium", "high", "xhigh", "max"}

// thinking takes everything that goes to the template besides messages and tools.
func (c *call) thinking(o *wire.Object) {
	if on, ok := o.Bool("enable_thinking"); ok {
		c.Prompt.Thinking = &on
	}
	if raw := o.Raw("chat_template_kwargs"); raw != nil {
		v, err := chat.DecodeOrdered(raw)
		extra, ok := v.(*chat.Dict)
		if err != nil || !ok {
			o.Fail("chat_template_kwargs", wire.CodeInvalidType, "chat_template_kwargs must be an object")
			return
		}
		for _, name := range []string{"messages", "tools", "documents", "add_generation_prompt"} {
			if _, taken := extra.Get(name); taken {
				o.Fail("chat_template_kwargs."+name, wire.CodeInvalidValue, "chat_template_kwargs cannot set %s", name)
			}
		}
		c.Prompt.Extra = extra
	}
	effort, ok := o.String("reasoning_effort")
	if !ok {
		return
	}
	if !slices.Contains(efforts, effort) {
		o.Fail("reasoning_effort", wire.CodeInvalidValue, "reasoning_effort is %s; it must be one of %v", wire.Quoted(effort), efforts)
		return
	}
	// Some templates read the word; for those that know only on and off, "none" is off.
	if effort == "none" && c.Prompt.Thinking == nil {
		off := false
		c.Prompt.Thinking = &off
	}
	if c.Prompt.Extra == nil {
		c.Prompt.Extra = chat.NewDict()
	}
	if _, set := c.Prompt.Extra.Get("reasoning_effort"); !set {
		c.Prompt.Extra.Set("reasoning_effort", effort)
	}
}
