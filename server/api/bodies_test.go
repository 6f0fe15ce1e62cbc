package api

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"reprise/server/api/wire"
	"reprise/server/api/wire/wiretest"
	"reprise/server/engine"
)

// Bodies that are too many together are refused with the figures, in each API's shape, and fit again when the others are answered.
func TestBodiesTogether(t *testing.T) {
	hold, held := make(chan struct{}), make(chan struct{})
	e := wiretest.New(func(_ context.Context, w *wiretest.Engine, req engine.Request, emit func(engine.Event) error) (*engine.Result, error) {
		if req.MaxTokens == 1 {
			close(held)
			<-hold
		}
		return w.Finish(req, "Hello", 1), nil
	})
	s := newServer(t, Options{Engine: e})
	s.bodies.limit = 3000
	h := s.Handler()
	padded := func(fields string, n int) string {
		return `{"model": "tiny", ` + fields + `"messages": [{"role": "user", "content": "` + strings.Repeat("x", n) + `"}]}`
	}

	first := make(chan *httptest.ResponseRecorder)
	go func() { first <- call(h, "POST", "/v1/chat/completions", padded(`"max_tokens": 1, `, 2000)) }()
	<-held
	for _, path := range []string{"/v1/chat/completions", "/v1/messages", "/tokenize"} {
		w := call(h, "POST", path, padded("", 1500))
		if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), "3000 B") {
			t.Errorf("%s beside 2,000 held of 3,000 bytes: %d %s", path, w.Code, w.Body)
		}
	}
	if w := call(h, "POST", "/v1/chat/completions", goodChat); w.Code != http.StatusOK {
		t.Errorf("a small one beside it: %d %s", w.Code, w.Body)
	}
	close(hold)
	if w := <-first; w.Code != http.StatusOK {
		t.Errorf("the one that was held: %d %s", w.Code, w.Body)
	}
	if n := s.bodies.held.Load(); n != 0 {
		t.Errorf("%d bytes are still held when nobody asks any more", n)
	}
	if w := call(h, "POST", "/v1/chat/completions", padded("", 1500)); w.Code != http.StatusOK {
		t.Errorf("afterwards: %d %s", w.Code, w.Body)
	}
}

// The share follows the process's memory, and a body of the largest size always fits.
func TestBodiesShare(t *testing.T) {
	for memory, want := range map[int64]int64{1e9: wire.MaxBody + 1, 16e9: 500e6, 1e12: mostBodies} {
		if got := newBodies(memory).limit; got != want {
			t.Errorf("of %d bytes: %d, want %d", memory, got, want)
		}
	}
}
