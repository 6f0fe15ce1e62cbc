package api

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"reprise/model/chat/parse"
	"reprise/server/api/wire/wiretest"
	"reprise/server/engine"
)

const plantedKey = "planted-key"

// secretive answers with planted words, and fails in the ways that a turn can, by max_tokens.
func secretive(_ context.Context, e *wiretest.Engine, req engine.Request, emit func(engine.Event) error) (*engine.Result, error) {
	res := e.Finish(req, "planted-answer", 4)
	res.Reasoning, res.Calls = "planted-reasoning", []parse.Call{{Name: "read", Arguments: `{"path":"planted-argument"}`}}
	if err := emit(engine.Event{Text: res.Text, Reasoning: res.Reasoning, IDs: []int32{1}}); err != nil {
		return res, err
	}
	switch req.MaxTokens {
	case 101:
		return res, &engine.RequestError{Code: "invalid_value", Param: "messages", Message: "planted-refusal is refused"}
	case 102:
		return res, &engine.PanicError{Turn: req.TurnID, Value: errors.New("planted-panic"), Stack: "stack"}
	case 103:
		_, err := strconv.Atoi("planted-panic")
		panic(err)
	case 104:
		return res, context.Canceled
	}
	return res, nil
}

// logged is the log of a server that was sent requests of every outcome.
func logged(t *testing.T, texts bool, handler func(*bytes.Buffer) slog.Handler) string {
	t.Helper()
	var out bytes.Buffer
	s := newServer(t, Options{Engine: wiretest.New(secretive), APIKey: plantedKey, LogPrompts: texts, Logger: slog.New(handler(&out))})
	const messages = `"messages":[{"role":"system","content":"planted-system"},{"role":"user","content":"planted-prompt"}]`
	for _, c := range [][3]string{
		{"/v1/chat/completions", `{"model":"tiny",` + messages + `}`},
		{"/v1/chat/completions", `{"model":"tiny","stream":true,` + messages + `}`},
		{"/v1/chat/completions", `{"model":"tiny","max_tokens":101,` + messages + `}`},
		{"/v1/chat/completions", `{"model":"tiny","max_tokens":102,` + messages + `}`},
		{"/v1/chat/completions", `{"model":"tiny","max_tokens":103,` + messages + `}`},
		{"/v1/chat/completions", `{"model":"tiny","max_tokens":104,"stream":true,` + messages + `}`},
		{"/v1/chat/completions", `{"model":"planted-prompt",` + messages + `}`},
		{"/v1/chat/completions", `{"planted-prompt":1,"stop":"planted-prompt","tool_choice":"planted-prompt","logit_bias":{"planted-prompt":1}}`},
		{"/v1/chat/completions", `{"planted-prompt`},
		{"/v1/completions", `{"model":"tiny","prompt":"planted-prompt","session":"planted-prompt"}`},
		{"/v1/completions", `{"model":"tiny","prompt":"planted-prompt"}`},
		{"/v1/messages", `{"model":"tiny","max_tokens":9,"system":"planted-system","messages":[{"role":"user","content":"planted-prompt"}]}`},
		{"/v1/messages/count_tokens", `{"model":"tiny","messages":[{"role":"user","content":"planted-prompt"}]}`},
		{"/v1/responses", `{"model":"tiny","instructions":"planted-system","input":"planted-prompt"}`},
		{"/tokenize", `{"prompt":"planted-prompt"}`},
		{"/planted-prompt", `planted-prompt`},
	} {
		for _, key := range []string{plantedKey, "x" + plantedKey} { // a wrong one is somebody's secret as well
			cut(s.Handler(), c[0]+"?key="+plantedKey, c[1], "Authorization", "Bearer "+key)
			cut(s.Handler(), c[0], c[1], "X-Api-Key", key)
		}
	}
	return out.String()
}

// cut is a call whose connection may be cut, as net/http does it.
func cut(h http.Handler, path, body string, headers ...string) {
	defer func() {
		if p := recover(); p != nil && p != http.ErrAbortHandler { //nolint:errorlint // a recovered value, and meant
			panic(p)
		}
	}()
	call(h, "POST", path, body, headers...)
}

// TestLogKeepsSecrets: no key, prompt or answer is in the log, in no format and at no level, however a request ends. With
// LogPrompts texts are there, keys are not.
func TestLogKeepsSecrets(t *testing.T) {
	levels := []slog.Level{slog.LevelDebug - 4, slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError}
	for _, level := range levels {
		for name, make := range map[string]func(*bytes.Buffer) slog.Handler{
			"text": func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, &slog.HandlerOptions{Level: level}) },
			"json": func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, &slog.HandlerOptions{Level: level}) },
		} {
			out := logged(t, false, make)
			if at := strings.Index(out, "planted"); at >= 0 {
				t.Errorf("%s at %v: …%.200s", name, level, out[max(0, at-100):])
			}
			if level <= slog.LevelInfo && strings.Count(out, "turn_") < 10 {
				t.Errorf("%s at %v logs next to nothing:\n%s", name, level, out)
			}
			if level > slog.LevelInfo {
				continue
			}
			out = logged(t, true, make)
			for _, word := range []string{"planted-prompt", "planted-system", "planted-answer", "planted-reasoning", "planted-argument", "planted-refusal", "planted-panic"} {
				if !strings.Contains(out, word) {
					t.Errorf("%s at %v with prompts lacks %s", name, level, word)
				}
			}
			if strings.Contains(out, plantedKey) {
				t.Errorf("%s at %v has the key", name, level)
			}
		}
	}
}
