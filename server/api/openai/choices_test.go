package openai_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"reprise/server/api/wire/wiretest"
	"reprise/server/engine"
)

// TestChoices: n answers, each its own turn with its own seed; the prompt counts once.
func TestChoices(t *testing.T) {
	e := wiretest.New(calling)
	for _, path := range []string{chatPath, textPath} {
		body := with(`"n": 3, "seed": 7`)
		if path == textPath {
			body = withText(`"n": 3, "seed": 7`)
		}
		before := len(e.Requests())
		res, got := do(t, serve(t, e), request("POST", path, body))
		turns := e.Requests()[before:]
		if res.StatusCode != 200 || len(turns) != 3 || len(at(got, "choices").([]any)) != 3 {
			t.Fatalf("%s: %d, %d turns, %v", path, res.StatusCode, len(turns), got)
		}
		ids := map[any]bool{}
		for i, turn := range turns {
			ids[turn.TurnID] = true
			if turn.Seed != 7+uint64(i) || at(got, "choices", i, "index") != float64(i) {
				t.Errorf("%s: answer %d has seed %d, index %v", path, i, turn.Seed, at(got, "choices", i, "index"))
			}
			if call := at(got, "choices", i, "message", "tool_calls", 0, "id"); path == chatPath {
				ids[call] = true
			}
		}
		if want := map[string]int{chatPath: 6, textPath: 3}[path]; len(ids) != want || ids[nil] {
			t.Errorf("%s: %d turns' and calls' names, want %d: %v", path, len(ids), want, ids)
		}
		one := at(got, "usage", "completion_tokens").(float64)
		if at(got, "usage", "prompt_tokens") != 10.0 || at(got, "usage", "total_tokens") != 10+one || int(one)%3 != 0 || one == 0 {
			t.Errorf("%s: usage %v", path, at(got, "usage"))
		}
		if res.Header.Get("X-Reprise-Turn") != turns[0].TurnID {
			t.Errorf("%s: the header names %s, the first turn is %s", path, res.Header.Get("X-Reprise-Turn"), turns[0].TurnID)
		}
	}
}

// TestChoicesStream: one answer after the other, usage once, one end.
func TestChoicesStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := stream(t, wiretest.New(wiretest.Words("a")), chatPath, with(`"stream": true, "n": 2, "stream_options": {"include_usage": true}`))
		second := func(s string) string { return strings.Replace(s, `"index":0`, `"index":1`, 1) }
		compare(t, got, opening, piece("a"), ending, second(opening), second(piece("a")), second(ending),
			chatHead+`[],"usage":{"prompt_tokens":10,"completion_tokens":4,"total_tokens":14,"prompt_tokens_details":{"cached_tokens":4}}}`, "data: [DONE]")
	})
}

// TestChoicesBreak: an error in a later answer cuts the stream.
func TestChoicesBreak(t *testing.T) {
	e := wiretest.New(nil)
	words := wiretest.Words("a")
	turns := 0
	e.Play = func(ctx context.Context, e *wiretest.Engine, req engine.Request, emit func(engine.Event) error) (*engine.Result, error) {
		if turns++; turns == 2 {
			return nil, errors.New("broken")
		}
		return words(ctx, e, req, emit)
	}
	defer func() {
		if p := recover(); p == nil || !strings.Contains(fmt.Sprint(p), "abort") {
			t.Errorf("the connection was not cut: %v", p)
		}
	}()
	serve(t, e).ServeHTTP(httptest.NewRecorder(), request("POST", chatPath, with(`"stream": true, "n": 3`)))
}
