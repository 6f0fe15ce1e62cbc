package run

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"reprise/cmd/internal/console"
	"reprise/server/engine"
)

// maxLine bounds one line of input, in bytes.
const maxLine = 16 << 20

// Chat is a conversation in a terminal.
type Chat struct {
	Conversation *Conversation
	In           io.Reader
	Out, Err     io.Writer
	Interrupts   <-chan os.Signal // Ctrl-C
	Dim          bool             // Err is a terminal
}

// Run reads lines and answers them until the input ends or ctx does. An interrupt cancels the answer under way.
func (c *Chat) Run(ctx context.Context) error {
	lines, stop := readLines(c.In)
	defer stop()
	for {
		fmt.Fprint(c.Err, "> ")
		select {
		case <-ctx.Done():
			fmt.Fprintln(c.Err)
			return nil
		case <-c.Interrupts:
			fmt.Fprintln(c.Err, console.Dim(c.Dim, "(Ctrl-D ends the chat)"))
		case l, ok := <-lines:
			if !ok {
				fmt.Fprintln(c.Err)
				return nil
			}
			if l.err != nil {
				return fmt.Errorf("reading your line: %w", l.err)
			}
			if strings.TrimSpace(l.text) == "" {
				continue
			}
			if err := c.answer(ctx, l.text); err != nil {
				return err
			}
		}
	}
}

// answer runs one turn. What the user can mend (a conversation that has grown too long) is said and not fatal.
func (c *Chat) answer(ctx context.Context, text string) error {
	turn, cancel := context.WithCancel(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-c.Interrupts:
			cancel()
		case <-turn.Done():
		}
	}()
	res, err := c.Conversation.Say(turn, text, func(ev engine.Event) error { return writeEvent(c.Out, c.Err, c.Dim, ev) })
	cancel()
	<-watched
	fmt.Fprintln(c.Out)
	var refused *engine.RequestError
	switch {
	case errors.As(err, &refused):
		fmt.Fprintln(c.Err, refused.Message)
		return nil
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(c.Err, console.Dim(c.Dim, "(cancelled) "+OneLine(&res.Row)))
		return nil
	case err != nil:
		return err
	}
	fmt.Fprintln(c.Err, console.Dim(c.Dim, OneLine(&res.Row)))
	return nil
}

// writeEvent writes an answer's text to out, and its reasoning to err.
func writeEvent(out, err io.Writer, dim bool, ev engine.Event) error {
	if ev.Reasoning != "" {
		fmt.Fprint(err, console.Dim(dim, ev.Reasoning))
	}
	_, failed := io.WriteString(out, ev.Text)
	return failed
}

type line struct {
	text string
	err  error
}

// readLines reads lines in a goroutine, because a terminal's read cannot be given up. It ends with the input, or with
// the first line after stop.
func readLines(in io.Reader) (<-chan line, func()) {
	lines, done := make(chan line), make(chan struct{})
	go func() {
		defer close(lines)
		sc := bufio.NewScanner(in)
		sc.Buffer(nil, maxLine)
		for sc.Scan() {
			select {
			case lines <- line{text: sc.Text()}:
			case <-done:
				return
			}
		}
		if err := sc.Err(); err != nil {
			select {
			case lines <- line{err: err}:
			case <-done:
			}
		}
	}()
	return lines, func() { close(done) }
}
