package api

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"reprise/server/api/wire/wiretest"
	"reprise/server/engine"
)

// Errors that come before any adapter, and those of a handler that panics, have the shape of the API that the path belongs to.
func TestErrorsHaveTheShapeOfTheirAPI(t *testing.T) {
	e := wiretest.New(func(context.Context, *wiretest.Engine, engine.Request, func(engine.Event) error) (*engine.Result, error) {
		panic("boom")
	})
	open := newServer(t, Options{Engine: e}).Handler()
	locked := newServer(t, Options{Engine: e, APIKey: "key"}).Handler()
	const message = `{"model":"tiny","max_tokens":1,"messages":[{"role":"user","content":"x"}]}`
	for _, c := range []struct {
		to           http.Handler
		method, path string
		headers      []string
		status       int
		kind         string // Anthropic's; "": the error is in OpenAI's shape
	}{
		{locked, "POST", "/v1/messages", nil, 401, "authentication_error"},
		{locked, "POST", "/v1/messages/count_tokens", nil, 401, "authentication_error"},
		{locked, "POST", "/v1/chat/completions", nil, 401, ""},
		{open, "POST", "/v1/messages", []string{"Host", "evil.example"}, 403, "permission_error"},
		{open, "POST", "/v1/messages", []string{"Origin", "https://evil.example"}, 403, "permission_error"},
		{open, "GET", "/v1/messages", nil, 405, "invalid_request_error"},
		{open, "POST", "/v1/messages/batches", nil, 404, "not_found_error"},
		{open, "POST", "/v1/messagesx", nil, 404, ""},
		{open, "POST", "/v1/messages", nil, 500, "api_error"},
		{open, "POST", "/v1/responses", nil, 404, ""}, // the model is another
	} {
		body := message
		if c.path == "/v1/responses" {
			body = `{"model":"other","input":"x"}`
		}
		w := call(c.to, c.method, c.path, body, c.headers...)
		if w.Code != c.status {
			t.Errorf("%s %s: %d, want %d: %s", c.method, c.path, w.Code, c.status, w.Body)
		}
		if c.kind == "" {
			failure(t, w)
			continue
		}
		var v struct {
			Type  string
			Error struct{ Type, Message string }
		}
		if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil || v.Type != "error" || v.Error.Type != c.kind || v.Error.Message == "" {
			t.Errorf("%s %s: %s, want an error in Anthropic's shape of type %s (%v)", c.method, c.path, w.Body, c.kind, err)
		}
	}
}

// A body that never comes is not waited for without end, also where nobody reads it: net/http does, before the answer leaves. And
// a request without one, or whose body was read, takes as long as it takes.
func TestHalfABody(t *testing.T) {
	const limit = 300 * time.Millisecond
	e := wiretest.New(func(ctx context.Context, e *wiretest.Engine, req engine.Request, emit func(engine.Event) error) (*engine.Result, error) {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(2 * limit):
			return wiretest.New(nil).Turn(ctx, req, emit)
		}
	})
	s := newServer(t, Options{Engine: e, Addr: "127.0.0.1:0", APIKey: "key", Metrics: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-time.After(2 * limit):
			_, _ = io.WriteString(w, "all of it")
		}
	})})
	s.http.ReadTimeout = min(s.http.ReadTimeout, limit)
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(t.Context()) })
	for _, c := range [][3]string{
		{"POST /v1/chat/completions", "Content-Length: 1000\r\n", " 401 "},
		{"POST /nowhere", "X-Api-Key: key\r\nContent-Length: 1000\r\n", " 404 "},
		{"GET /v1/messages", "X-Api-Key: key\r\nTransfer-Encoding: chunked\r\n", " 405 "},
		{"GET /metrics", "X-Api-Key: key\r\nConnection: close\r\n", "all of it"},
		{"POST /v1/chat/completions", "X-Api-Key: key\r\nConnection: close\r\nContent-Length: " + strconv.Itoa(len(goodChat)) + "\r\n", " 200 "},
	} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL(), "http://"))
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second)) // only when it hangs
		body := map[string]string{"all of it": "", " 200 ": goodChat}[c[2]]
		if !strings.Contains(c[1], "close") {
			body = "{"
		}
		_, _ = io.WriteString(conn, c[0]+" HTTP/1.1\r\nHost: localhost\r\n"+c[1]+"\r\n"+body)
		answer, err := io.ReadAll(conn)
		if err != nil || !strings.Contains(string(answer), c[2]) {
			t.Errorf("%s: %q, %v; want%s", c[0], answer, err, c[2])
		}
		_ = conn.Close()
	}
}
