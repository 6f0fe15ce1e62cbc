package api

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"reprise/server/api/wire"
)

const goodChat = `{"model": "tiny", "messages": [{"role": "user", "content": "Hi"}]}`

func newServer(t *testing.T, opts Options) *Server {
	t.Helper()
	s, err := NewServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// started is a server on a free port of loopback, closed at the test's end.
func started(t *testing.T, e wire.Engine) *Server {
	t.Helper()
	s := newServer(t, Options{Engine: e, Addr: "127.0.0.1:0"})
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(t.Context()) }) // the context has ended: without waiting
	return s
}

// call sends a request to the handler. headers are pairs; Host is one of them.
func call(h http.Handler, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Host = "localhost:8000"
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
		} else {
			r.Header.Set(headers[i], headers[i+1])
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// failure is the error of a reply in OpenAI's shape.
func failure(t *testing.T, w *httptest.ResponseRecorder) (code, message string) {
	t.Helper()
	var v struct {
		Error struct{ Message, Type, Code string }
	}
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil || v.Error.Message == "" || v.Error.Type == "" {
		t.Errorf("status %d: not an error in OpenAI's shape (%v): %s", w.Code, err, w.Body)
	}
	return v.Error.Code, v.Error.Message
}
