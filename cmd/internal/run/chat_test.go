package run

import (
	"context"
	"io"
	"os"
	"strings"
	"testing"

	"reprise/server/engine"
)

func TestChatAnswersEveryLine(t *testing.T) {
	s := &script{answers: []string{"Paris.", "The Seine."}}
	var out, figures strings.Builder
	c := Chat{Conversation: NewConversation(s, Settings{}), In: strings.NewReader("Capital?\n\n  \nRiver?\n"), Out: &out, Err: &figures}
	if err := c.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	if out.String() != "Paris.\nThe Seine.\n" {
		t.Errorf("the answers read %q", out.String())
	}
	if len(s.asked) != 2 || len(s.asked[1].Prompt.Messages) != 3 {
		t.Errorf("%d turns, the last with %d messages", len(s.asked), len(s.asked[1].Prompt.Messages))
	}
	if n := strings.Count(figures.String(), "5 of 9 prompt tokens reused, 1 recomputed, 3 new"); n != 2 {
		t.Errorf("reuse is shown %d times in %q", n, figures.String())
	}
}

func TestAnInterruptCancelsTheAnswerOnly(t *testing.T) {
	interrupts := make(chan os.Signal, 1)
	lines, input := io.Pipe()
	s := &script{answers: []string{"one two three", "again"}}
	s.during = func(ctx context.Context) error {
		if len(s.asked) > 1 {
			return nil
		}
		interrupts <- os.Interrupt
		<-ctx.Done() // hangs here if the interrupt does not reach the turn
		return ctx.Err()
	}
	go func() {
		io.WriteString(input, "go\nonce more\n")
		input.Close()
	}()
	var out, figures strings.Builder
	c := Chat{Conversation: NewConversation(s, Settings{Raw: true}), In: lines, Out: &out, Err: &figures, Interrupts: interrupts}
	if err := c.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	if out.String() != "one \nagain\n" || !strings.Contains(figures.String(), "(cancelled)") {
		t.Errorf("answers %q, figures %q", out.String(), figures.String())
	}
	if got := s.asked[1].Prompt.Raw; got != "go"+"one "+"once more" {
		t.Errorf("the next turn was asked %q", got)
	}
}

func TestARefusalDoesNotEndTheChat(t *testing.T) {
	s := &script{answers: []string{"never said", "fine"}}
	s.during = func(context.Context) error {
		if len(s.asked) == 1 {
			return &engine.RequestError{Code: "context_length_exceeded", Message: "too long"}
		}
		return nil
	}
	var out, figures strings.Builder
	c := Chat{Conversation: NewConversation(s, Settings{}), In: strings.NewReader("a\nb\n"), Out: &out, Err: &figures}
	if err := c.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(figures.String(), "too long") || !strings.Contains(out.String(), "fine") || len(s.asked[1].Prompt.Messages) != 1 {
		t.Errorf("answers %q, figures %q, then %d messages", out.String(), figures.String(), len(s.asked[1].Prompt.Messages))
	}
}
