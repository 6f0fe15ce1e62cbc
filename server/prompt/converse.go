package prompt

import (
	"context"
	"time"

	"reprise/model/chat"
)

// conversation is a conversation on its way to being a prompt.
type conversation struct {
	in     Input
	forms  [][]byte // canonical, by message
	keys   []Key    // keys[i] is that of the first i messages
	echoes []*echo  // by message; nil: nothing is put back
	render chat.Rendering
	text   *joined
}

func (a *Assembler) converse(ctx context.Context, p *Prompt, in Input) error {
	switch {
	case a.Template == nil:
		return ErrNoTemplate
	case len(in.Messages) == 0:
		return ErrEmpty
	case len(in.Tools) > 0 && !a.Template.SupportsTools():
		return ErrNoTools
	}
	start := time.Now()
	c := a.identify(in)
	if err := a.render(ctx, c); err != nil {
		return err
	}
	p.Characters = contents(in)
	p.TemplateTime = time.Since(start)
	start = time.Now()
	var err error
	if c.text, err = a.join(c); err != nil {
		return err
	}
	p.TokenizeTime = time.Since(start)
	p.IDs, p.Given, p.Spliced = c.text.ids, c.text.given, c.text.spliced
	a.layOut(p, c)
	p.Thinking = leftOpen(c.render.Text[c.render.Generation:])
	p.key = c.keys[len(in.Messages)]
	if looseTail(in.Messages) {
		p.loose = c.keys[len(in.Messages)-1]
	}
	p.messages = in.Messages
	return nil
}

// identify names the conversation and all its beginnings, gives the tools' messages the names of what they answer,
// and looks for answers that were generated here.
func (a *Assembler) identify(in Input) *conversation {
	c := &conversation{in: in, keys: []Key{a.root(in)}}
	c.in.Messages = make([]chat.Message, len(in.Messages))
	c.echoes = make([]*echo, len(in.Messages))
	for i, m := range in.Messages {
		form := canonical(m, in.Messages[:i])
		c.forms = append(c.forms, form)
		c.keys = append(c.keys, c.keys[i].step(form))
		c.in.Messages[i] = named(m, in.Messages[:i])
		if m.Role() == "assistant" && a.Splice != SpliceOff {
			c.echoes[i] = a.echoOf(m, c.keys[i+1])
		}
	}
	return c
}

// named returns a tool's message with the name of the function that it answers.
func named(m chat.Message, before []chat.Message) chat.Message {
	if m.Role() != "tool" {
		return m
	}
	name, index := answered(m, before)
	if own, _ := m.Get("name"); index < 0 || own == name {
		return m
	}
	return m.With("name", name)
}

// looseTail tells whether a conversation's last message may be one of those that are gone from the next request: a
// user's that follows something else than the static prefix.
func looseTail(messages []chat.Message) bool {
	n := len(messages)
	return n > 1 && messages[n-1].Role() == "user" && !chat.IsSystem(messages[n-2].Role())
}

// render renders, once: again only when an answer that was to be put back turns out to have no clear place in the
// text and had to be rendered in a form of its own (see echo.bare).
func (a *Assembler) render(ctx context.Context, c *conversation) error {
	for {
		messages := c.in.Messages
		for i, e := range c.echoes {
			if e != nil && e.bare {
				if len(messages) > 0 && &messages[0] == &c.in.Messages[0] {
					messages = append([]chat.Message{}, messages...)
				}
				messages[i] = messages[i].With("content", "")
			}
		}
		var err error
		c.render, err = a.Template.RenderParts(ctx, chat.Input{
			Messages: messages, Tools: c.in.Tools, AddGenerationPrompt: true,
			EnableThinking: c.in.Thinking, Extra: c.in.Extra, BOS: a.BOS, EOS: a.EOS,
		})
		if err != nil {
			return err
		}
		again := false
		for i, e := range c.echoes {
			if e != nil && !a.place(c, i, e) {
				again = again || e.bare
				c.echoes[i] = nil
			}
		}
		if !again {
			return nil
		}
	}
}
