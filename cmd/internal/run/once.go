package run

import (
	"context"
	"errors"
	"fmt"
	"io"

	"reprise/cmd/internal/console"
	"reprise/server/engine"
)

// Once is one generation and perhaps a follow-up, with the figures of each.
type Once struct {
	Engine   *engine.Engine
	Settings Settings
	Note     string    // why the prompt is taken as raw text, "" when somebody chose
	Out, Err io.Writer // text, figures
	JSON     bool      // one object on Out instead of both
}

// Run answers text, and then followUp unless it is empty. It streams to Out and writes the figures to Err.
func (o *Once) Run(ctx context.Context, text, followUp string) error {
	c := NewConversation(o.Engine, o.Settings)
	if o.JSON {
		return o.object(ctx, c, text, followUp)
	}
	if o.Note != "" {
		fmt.Fprintf(o.Err, "%s continues the prompt as raw text: %s\n", o.Engine.Model().Name, o.Note)
	}
	first, err := o.turn(ctx, c, text)
	if err != nil {
		return err
	}
	fmt.Fprintln(o.Err)
	if err := WriteModel(o.Err, o.Engine.Model(), o.Engine.Worker().Device()); err != nil {
		return err
	}
	if err := WriteTurn(o.Err, &first.Row); err != nil || followUp == "" {
		return err
	}
	fmt.Fprintln(o.Err, "\nthe follow-up:")
	second, err := o.turn(ctx, c, followUp)
	if err != nil {
		return err
	}
	fmt.Fprintln(o.Err)
	return WriteTurn(o.Err, &second.Row)
}

func (o *Once) turn(ctx context.Context, c *Conversation, text string) (*engine.Result, error) {
	if o.Settings.Raw && console.IsTerminal(o.Out) && console.IsTerminal(o.Err) {
		fmt.Fprint(o.Err, console.Dim(true, text)) // a continuation reads as one with what it continues
	}
	res, err := c.Say(ctx, text, func(ev engine.Event) error { return writeEvent(o.Out, o.Err, console.IsTerminal(o.Err), ev) })
	fmt.Fprintln(o.Out)
	return res, ended(res, err)
}

func (o *Once) object(ctx context.Context, c *Conversation, text, followUp string) error {
	res, err := c.Say(ctx, text, nil)
	if err != nil {
		return ended(res, err)
	}
	out := Output{Turn: NewTurn(res)}
	if followUp != "" {
		if res, err = c.Say(ctx, followUp, nil); err != nil {
			return ended(res, err)
		}
		second := NewTurn(res)
		out.FollowUp = &second
	}
	return console.WriteJSON(o.Out, out)
}

// ended says what became of a turn that did not end well.
func ended(res *engine.Result, err error) error {
	var refused *engine.RequestError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refused) && refused.Code == "context_length_exceeded":
		return fmt.Errorf("%s Or raise --ctx", refused.Message)
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("cancelled after %d tokens", len(res.IDs))
	}
	return err
}
