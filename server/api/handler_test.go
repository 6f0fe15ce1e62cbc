package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"reprise/kvcache/ledger"
	"reprise/server/api/wire"
	"reprise/server/api/wire/wiretest"
	"reprise/server/engine"
)

// TestEverythingElseIs404 has the paths with which Hermes looks for other servers.
func TestEverythingElseIs404(t *testing.T) {
	h := newServer(t, Options{Engine: wiretest.New(nil)}).Handler()
	for _, c := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{"GET", "/", 404, ""}, {"GET", "/api/v1/models", 404, ""}, {"GET", "/api/tags", 404, ""}, {"GET", "/v1/props", 404, ""},
		{"GET", "/props", 404, ""}, {"GET", "/version", 404, ""}, {"POST", "/api/show", 404, ""}, {"GET", "/v1", 404, ""},
		{"GET", "/v1/chat/completions/x", 404, ""}, {"GET", "/metrics", 404, ""},
		{"OPTIONS", "/nowhere", 404, ""},
		{"GET", "/v1/chat/completions", 405, "POST"}, {"OPTIONS", "/v1/chat/completions", 405, "POST"}, {"DELETE", "/v1/models/tiny", 405, "GET"},
		{"GET", "/v1/cache/clear", 405, "POST"}, {"GET", "/v1/cache/verify", 405, "POST"}, {"GET", "/v1/cache/why", 404, ""}, {"POST", "/v1/cache/why/x", 405, "GET"}, {"POST", "/health", 405, "GET"},
	} {
		w := call(h, c.method, c.path, "")
		_, message := failure(t, w)
		if w.Code != c.status || w.Header().Get("Allow") != c.allow || !strings.Contains(message, c.path) {
			t.Errorf("%s %s: %d, Allow %q, %s", c.method, c.path, w.Code, w.Header().Get("Allow"), message)
		}
	}
}

func TestBodies(t *testing.T) {
	h := newServer(t, Options{Engine: wiretest.New(nil)}).Handler()
	large := strings.Replace(goodChat, "Hi", strings.Repeat("x", wire.MaxBody), 1)
	if w := call(h, "POST", "/v1/chat/completions", large); w.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("a body beyond the limit: %d %.200s", w.Code, w.Body)
	} else {
		failure(t, w)
	}
	w := call(h, "POST", "/v1/chat/completions", goodChat, "Content-Encoding", "gzip")
	if _, message := failure(t, w); w.Code != 400 || !strings.Contains(message, "gzip") {
		t.Errorf("a compressed body: %d %s", w.Code, w.Body)
	}
	w = call(h, "POST", "/v1/chat/completions", strings.Replace(goodChat, "Hi", "\xe9t\xe9", 1))
	if _, message := failure(t, w); w.Code != 400 || !strings.Contains(message, "UTF-8") {
		t.Errorf("a body in Latin-1: %d %s", w.Code, w.Body)
	}
	if w := call(h, "POST", "/v1/chat/completions", goodChat, "Content-Type", "text/plain"); w.Code != 200 {
		t.Errorf("a good body: %d %s", w.Code, w.Body)
	}
}

// TestPanic: a 500 before the first byte, a cut behind it, a stack in the log, and a server that stays.
func TestPanic(t *testing.T) {
	var out bytes.Buffer
	e := wiretest.New(func(_ context.Context, _ *wiretest.Engine, req engine.Request, emit func(engine.Event) error) (*engine.Result, error) {
		if req.MaxTokens == 1 {
			_ = emit(engine.Event{Text: "half"})
		}
		panic("boom")
	})
	s := newServer(t, Options{Engine: e, Addr: "127.0.0.1:0", Logger: slog.New(slog.NewTextHandler(&out, nil))})
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(t.Context()) })
	post := func(body string) (*http.Response, string, error) {
		res, err := http.Post(s.URL()+"/v1/chat/completions", "", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		raw, err := io.ReadAll(res.Body)
		return res, string(raw), err
	}
	for _, body := range []string{goodChat, strings.Replace(goodChat, "{", `{"stream": true, `, 1)} {
		res, text, err := post(body)
		if err != nil || res.StatusCode != 500 || !strings.Contains(text, `"type":"server_error"`) || strings.Contains(text, "boom") {
			t.Errorf("a panic before the answer: %d %s %v", res.StatusCode, text, err)
		}
	}
	if _, text, err := post(strings.Replace(goodChat, "{", `{"stream": true, "max_tokens": 1, `, 1)); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a panic in the answer: %q, %v; want a cut", text, err)
	}
	e.Play = nil
	if res, text, err := post(goodChat); err != nil || res.StatusCode != 200 {
		t.Errorf("afterwards: %d %s %v", res.StatusCode, text, err)
	}
	if log := out.String(); strings.Count(log, "panic=\"a string, whose words may quote a request") != 3 || strings.Contains(log, "boom") || !strings.Contains(log, "handler_test.go") {
		t.Errorf("the log has not three panics with their stacks:\n%s", log)
	}
}

func TestLedger(t *testing.T) {
	e := wiretest.New(nil)
	h := newServer(t, Options{Engine: e}).Handler()
	rows := func(query string) (ids []string, gap bool) {
		t.Helper()
		w := call(h, "GET", "/v1/cache/ledger"+query, "")
		var v struct {
			Rows []ledger.Row
			Gap  bool
		}
		if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil || w.Code != 200 || v.Rows == nil {
			t.Fatalf("%s: %d %v %s", query, w.Code, err, w.Body)
		}
		for _, r := range v.Rows {
			ids = append(ids, r.TurnID)
		}
		return ids, v.Gap
	}
	if ids, _ := rows(""); ids != nil {
		t.Errorf("rows before the first turn: %v", ids)
	}
	var turns []string
	for _, session := range []string{"a", "b", "a"} {
		w := call(h, "POST", "/v1/chat/completions", goodChat, "X-Session-Id", session)
		turns = append(turns, w.Header().Get(wire.TurnHeader))
	}
	for _, c := range []struct {
		query string
		want  []string
		gap   bool
	}{
		{"", turns, false},
		{"?session=a", []string{turns[0], turns[2]}, false},
		{"?session=c", nil, false},
		{"?since=" + turns[0], turns[1:], false},
		{"?since=" + turns[0] + "&session=a", turns[2:], false},
		{"?since=" + turns[2], nil, false},
		{"?since=turn_forgotten", turns, true},
		{"?since=2000-01-01T00:00:00Z", turns, false},
		{"?since=2999-01-01T00:00:00Z", nil, false},
	} {
		ids, gap := rows(c.query)
		if strings.Join(ids, " ") != strings.Join(c.want, " ") || gap != c.gap {
			t.Errorf("%q: %v, gap %v; want %v, %v", c.query, ids, gap, c.want, c.gap)
		}
	}
	if code, message := failure(t, call(h, "GET", "/v1/cache/ledger?sesion=a", "")); code != wire.CodeUnknown || !strings.Contains(message, "sesion") {
		t.Errorf("a misspelt parameter: %s, %s", code, message)
	}
}

func TestHealthClear(t *testing.T) {
	e := wiretest.New(nil)
	h := newServer(t, Options{Engine: e}).Handler()
	if w := call(h, "GET", "/health", ""); w.Code != 200 || strings.TrimSpace(w.Body.String()) != `{"status":"ok","model":"tiny"}` {
		t.Errorf("/health: %d %s", w.Code, w.Body)
	}
	if w := call(h, "POST", "/v1/cache/clear", ""); w.Code != 200 || e.Cleared() != 1 {
		t.Errorf("/v1/cache/clear: %d %s, cleared %d times", w.Code, w.Body, e.Cleared())
	}
	e.Loaded = nil
	if w := call(h, "GET", "/health", ""); w.Code != http.StatusServiceUnavailable {
		t.Errorf("/health without a model: %d", w.Code)
	}
}
