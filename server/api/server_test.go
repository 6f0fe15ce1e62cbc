package api

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"reprise/server/api/wire/wiretest"
	"reprise/server/engine"
)

func TestAddressesThatNeedAKey(t *testing.T) {
	for _, c := range []struct {
		addr, key string
		ok        bool
	}{
		{"", "", true}, {"127.0.0.1:0", "", true}, {"127.8.8.8:80", "", true}, {"[::1]:80", "", true}, {"localhost:80", "", true},
		{":8000", "", false}, {"0.0.0.0:80", "", false}, {"[::]:80", "", false}, {"192.168.1.5:80", "", false}, {"example.org:80", "", false},
		{":8000", "k", true}, {"192.168.1.5:80", "k", true},
		{"8000", "", false}, {"127.0.0.1", "k", false},
	} {
		_, err := NewServer(Options{Engine: wiretest.New(nil), Addr: c.addr, APIKey: c.key})
		if (err == nil) != c.ok {
			t.Errorf("%q with key %q: %v", c.addr, c.key, err)
		}
		if err != nil && !strings.Contains(err.Error(), c.addr) {
			t.Errorf("%v does not name %s", err, c.addr)
		}
	}
	if _, err := NewServer(Options{}); err == nil {
		t.Error("a server without an engine")
	}
}

func TestStartNamesAPortInUse(t *testing.T) {
	first := started(t, wiretest.New(nil))
	addr := strings.TrimPrefix(first.URL(), "http://")
	second := newServer(t, Options{Engine: wiretest.New(nil), Addr: addr})
	if err := second.Start(); err == nil || !strings.Contains(err.Error(), addr) || !strings.Contains(err.Error(), "--addr") {
		t.Errorf("a port in use: %v", err)
	}
}

// TestCloseWaits: an answer under way is finished, and nobody else is served.
func TestCloseWaits(t *testing.T) {
	began, finish := make(chan struct{}), make(chan struct{})
	e := wiretest.New(func(_ context.Context, e *wiretest.Engine, req engine.Request, _ func(engine.Event) error) (*engine.Result, error) {
		close(began)
		<-finish
		return e.Finish(req, "done", 2), nil
	})
	s := started(t, e)
	answer := make(chan string, 1)
	go func() {
		res, err := http.Post(s.URL()+"/v1/chat/completions", "", strings.NewReader(goodChat))
		if err != nil {
			answer <- err.Error()
			return
		}
		defer res.Body.Close()
		raw, _ := io.ReadAll(res.Body)
		answer <- string(raw)
	}()
	<-began
	closed := make(chan error, 1)
	go func() { closed <- s.Close(context.Background()) }()
	if err := <-s.Served(); !errors.Is(err, http.ErrServerClosed) { // no new connections from here on
		t.Error(err)
	}
	if w := call(s.Handler(), "GET", "/health", ""); w.Code != http.StatusServiceUnavailable {
		t.Errorf("/health while stopping: %d", w.Code)
	}
	close(finish)
	if got := <-answer; !strings.Contains(got, `"content":"done"`) {
		t.Errorf("the answer under way became %q", got)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
}

// TestCloseCuts: at the end of its patience Close cancels the turn, waits for it, and the client sees a cut.
func TestCloseCuts(t *testing.T) {
	began, ended := make(chan struct{}), make(chan struct{})
	e := wiretest.New(func(ctx context.Context, _ *wiretest.Engine, _ engine.Request, emit func(engine.Event) error) (*engine.Result, error) {
		if err := emit(engine.Event{Text: "half"}); err != nil {
			return nil, err
		}
		close(began)
		<-ctx.Done()
		close(ended)
		return &engine.Result{}, ctx.Err()
	})
	s := started(t, e)
	res, err := http.Post(s.URL()+"/v1/chat/completions", "", strings.NewReader(strings.Replace(goodChat, "{", `{"stream": true, `, 1)))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	<-began
	now, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Close(now); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "cut off") {
		t.Errorf("Close: %v", err)
	}
	select {
	case <-ended:
	default:
		t.Error("Close came back before the turn had ended: the engine would be closed under it")
	}
	if raw, err := io.ReadAll(res.Body); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("the client read %q, %v; want a cut", raw, err)
	}
}

// TestTwoClients: both turns are open at once, and each gets its own answer.
func TestTwoClients(t *testing.T) {
	var both sync.WaitGroup
	both.Add(2)
	e := wiretest.New(func(_ context.Context, e *wiretest.Engine, req engine.Request, _ func(engine.Event) error) (*engine.Result, error) {
		both.Done()
		both.Wait()
		return e.Finish(req, "for "+req.Prompt.Raw, 2), nil
	})
	s := started(t, e)
	var clients sync.WaitGroup
	for _, name := range []string{"Ann", "Bob"} {
		clients.Go(func() {
			res, err := http.Post(s.URL()+"/v1/completions", "", strings.NewReader(`{"model": "tiny", "prompt": "`+name+`"}`))
			if err != nil {
				t.Error(err)
				return
			}
			defer res.Body.Close()
			if raw, _ := io.ReadAll(res.Body); !strings.Contains(string(raw), `"text":"for `+name+`"`) {
				t.Errorf("%s got %s", name, raw)
			}
		})
	}
	clients.Wait()
}

// TestTooManyTurns: the place is refused, not the body read, and it is free again afterwards.
func TestTooManyTurns(t *testing.T) {
	began, finish := make(chan struct{}), make(chan struct{})
	e := wiretest.New(func(_ context.Context, e *wiretest.Engine, req engine.Request, _ func(engine.Event) error) (*engine.Result, error) {
		began <- struct{}{}
		<-finish
		return e.Finish(req, "x", 2), nil
	})
	h := newServer(t, Options{Engine: e, OpenTurns: 1}).Handler()
	first := make(chan int, 1)
	go func() { first <- call(h, "POST", "/v1/chat/completions", goodChat).Code }()
	<-began
	w := call(h, "POST", "/v1/chat/completions", goodChat)
	if code, _ := failure(t, w); w.Code != http.StatusTooManyRequests || code != "rate_limit_exceeded" || w.Header().Get("Retry-After") == "" {
		t.Errorf("the second turn: %d %v %s", w.Code, w.Header(), w.Body)
	}
	close(finish)
	if code := <-first; code != 200 {
		t.Errorf("the first turn: %d", code)
	}
	go func() { <-began }()
	if w := call(h, "POST", "/v1/chat/completions", goodChat); w.Code != 200 {
		t.Errorf("afterwards: %d %s", w.Code, w.Body)
	}
}

// TestLog: a line a turn, with counts, and nothing that the client or the model said.
func TestLog(t *testing.T) {
	var out bytes.Buffer
	e := wiretest.New(wiretest.Words("secret answer"))
	h := newServer(t, Options{Engine: e, APIKey: "secret-key", Logger: slog.New(slog.NewTextHandler(&out, nil))}).Handler()
	call(h, "POST", "/v1/chat/completions", strings.Replace(goodChat, "Hi", "secret question", 1), "X-Api-Key", "secret-key")
	e.Play = func(context.Context, *wiretest.Engine, engine.Request, func(engine.Event) error) (*engine.Result, error) {
		return nil, &engine.RequestError{Code: "invalid_value", Param: "messages", Message: "the template refuses: secret"}
	}
	call(h, "POST", "/v1/chat/completions", goodChat, "X-Api-Key", "secret-key")
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 2 || !strings.Contains(lines[0], "prompt=10 hit=4 recompute=1 new=5 generated=2") || !strings.Contains(lines[1], "param=messages") {
		t.Errorf("the log is\n%s", out.String())
	}
	if strings.Contains(out.String(), "secret") {
		t.Errorf("the log tells secrets:\n%s", out.String())
	}
}
