package api

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"reprise/server/api/wire/wiretest"
	"reprise/server/engine"
)

// pipes is a listener whose connections are in memory, so that synctest's clock is theirs.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error   { close(p.done); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8000} }

func (p *pipes) dial(context.Context, string, string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	p.conns <- theirs
	return ours, nil
}

// impatient reads a stream as agents do: it counts the lines with data, not comments, and leaves after 12 s without one.
func impatient(t *testing.T, c *http.Client, body string) (events []string, longest time.Duration) {
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	r, err := http.NewRequestWithContext(ctx, "POST", "http://localhost:8000/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	const most = 12 * time.Second
	last, timer := time.Now(), time.AfterFunc(most, leave)
	defer timer.Stop()
	res, err := c.Do(r)
	if err != nil {
		t.Errorf("no headers in %v: %v", time.Since(last), err)
		return nil, time.Since(last)
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		longest, last = max(longest, time.Since(last)), time.Now()
		timer.Reset(most)
		events = append(events, data)
	}
	if err := lines.Err(); err != nil {
		t.Errorf("the client gave up %v after the last of %d events: %v", time.Since(last), len(events), err)
	}
	return events, longest
}

// TestImpatientClient: a prefill of 60 s, and a call of a tool that takes 30 s to come whole, behind the real HTTP server
// and client, on synctest's clock.
func TestImpatientClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := wiretest.New(func(_ context.Context, e *wiretest.Engine, req engine.Request, emit func(engine.Event) error) (*engine.Result, error) {
			send := func(ev engine.Event) {
				if err := emit(ev); err != nil {
					t.Errorf("the client is gone: %v", err)
				}
			}
			send(engine.Event{Prompt: 10})
			time.Sleep(60 * time.Second)
			send(engine.Event{Prompt: 10, Prefilled: 10})
			for range 60 {
				time.Sleep(time.Second / 2)
				send(engine.Event{IDs: []int32{5}}) // a token that tells the client nothing yet
			}
			send(engine.Event{Calls: []engine.CallPiece{{Name: "exec"}, {Arguments: "{}"}}})
			return e.Finish(req, "", 61), nil
		})
		client, end := overPipes(t, e)
		defer end()
		events, longest := impatient(t, client, strings.Replace(goodChat, "{", `{"stream": true, `, 1))
		if len(events) == 0 || events[len(events)-1] != "[DONE]" {
			t.Fatalf("the stream has %d events and no end", len(events))
		}
		if longest > 5*time.Second {
			t.Errorf("%v without an event; 5 s were promised", longest)
		}
		if n := len(events); n < 1+12+5+2+1 || n > 1+12+6+2+2 {
			t.Errorf("%d events in 90 s: %s", n, events)
		}
		id, _, _ := strings.Cut(events[0], `,"object"`)
		for i, ev := range events[:len(events)-1] {
			if !strings.HasPrefix(ev, id+",") || !strings.Contains(ev, `"model":"tiny"`) {
				t.Errorf("event %d is of another answer: %s", i, ev)
			}
		}
		if !strings.Contains(events[0], `"role":"assistant"`) || !strings.Contains(events[1], `"delta":{}`) {
			t.Errorf("the stream begins with %s and then says %s", events[0], events[1])
		}
	})
}

// overPipes is a client of a real HTTP server in a synctest bubble.
func overPipes(t *testing.T, e *wiretest.Engine) (client *http.Client, end func()) {
	s := newServer(t, Options{Engine: e})
	l := &pipes{make(chan net.Conn), make(chan struct{})}
	go func() {
		if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	}()
	transport := &http.Transport{DialContext: l.dial}
	return &http.Client{Transport: transport}, func() {
		transport.CloseIdleConnections()
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// wholes are requests for an answer in one, and what the answer begins with.
var wholes = []struct{ path, body, begins string }{
	{"/v1/chat/completions", goodChat, `{"id":"chatcmpl-`},
	{"/v1/completions", `{"model": "tiny", "prompt": "Hi"}`, `{"id":"cmpl-`},
	{"/v1/responses", `{"model": "tiny", "input": "Hi"}`, `{"id":"resp_`},
	{"/v1/messages", `{"model": "tiny", "max_tokens": 8, "messages": [{"role": "user", "content": "Hi"}]}`, `{"id":"msg_`},
}

// reply is an answer in one as a client got it that gives up 12 s after the last byte.
type reply struct {
	status         int
	header         http.Header
	body           string
	first, longest time.Duration // to the headers; between two reads
	err            error         // of the body
}

func read(t *testing.T, c *http.Client, path, body string) reply {
	t.Helper()
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	const most = 12 * time.Second
	last, timer := time.Now(), time.AfterFunc(most, leave)
	defer timer.Stop()
	r, err := http.NewRequestWithContext(ctx, "POST", "http://localhost:8000"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	res, err := c.Do(r)
	if err != nil {
		t.Fatalf("%s: no headers in %v: %v", path, time.Since(last), err)
	}
	defer res.Body.Close()
	got := reply{status: res.StatusCode, header: res.Header, first: time.Since(last)}
	for piece := make([]byte, 4096); got.err == nil; {
		var n int
		last = time.Now()
		timer.Reset(most)
		n, got.err = res.Body.Read(piece)
		got.longest = max(got.longest, time.Since(last))
		got.body += string(piece[:n])
	}
	if got.err == io.EOF { //nolint:errorlint // io.Reader's own
		got.err = nil
	}
	return got
}

// TestWholeAnswersAreNeverSilent: every API's answer in one, behind a prefill of 60 s, on synctest's clock.
func TestWholeAnswersAreNeverSilent(t *testing.T) {
	for _, w := range wholes {
		synctest.Test(t, func(t *testing.T) {
			client, end := overPipes(t, wiretest.New(func(_ context.Context, e *wiretest.Engine, req engine.Request, _ func(engine.Event) error) (*engine.Result, error) {
				time.Sleep(62 * time.Second)
				return e.Finish(req, "Hello", 2), nil
			}))
			defer end()
			got := read(t, client, w.path, w.body)
			answer, isWhite := strings.CutPrefix(got.body, strings.Repeat(" ", 12))
			if got.status != 200 || got.err != nil || got.first > 5*time.Second || got.longest > 5*time.Second {
				t.Errorf("%s: status %d after %v, %v without a byte, %v", w.path, got.status, got.first, got.longest, got.err)
			}
			if !isWhite || !strings.HasPrefix(answer, w.begins) || !json.Valid([]byte(got.body)) || !strings.Contains(answer, "Hello") {
				t.Errorf("%s: the answer is %q", w.path, got.body)
			}
			if got.header.Get("Content-Type") != "application/json" || got.header.Get("X-Reprise-Turn") == "" {
				t.Errorf("%s: headers %v", w.path, got.header)
			}
		})
	}
}

// TestFailuresOfWholeAnswers: a turn that fails before the first silence has its status, one that fails later is cut off: no client
// takes it for an answer.
func TestFailuresOfWholeAnswers(t *testing.T) {
	for _, w := range wholes {
		for _, after := range []time.Duration{4900 * time.Millisecond, 33 * time.Second} {
			synctest.Test(t, func(t *testing.T) {
				client, end := overPipes(t, wiretest.New(func(context.Context, *wiretest.Engine, engine.Request, func(engine.Event) error) (*engine.Result, error) {
					time.Sleep(after)
					return nil, &engine.MemoryError{Message: "no memory", RetryAfter: 10 * time.Second}
				}))
				defer end()
				got := read(t, client, w.path, w.body)
				if early := after < 5*time.Second; early && (got.status != 503 || got.header.Get("Retry-After") != "10" || !strings.HasPrefix(got.body, "{") || got.err != nil) {
					t.Errorf("%s: a turn that failed after %v: status %d, %q, %v", w.path, after, got.status, got.body, got.err)
				} else if !early && (!errors.Is(got.err, io.ErrUnexpectedEOF) || strings.TrimSpace(got.body) != "") {
					t.Errorf("%s: a turn that failed after %v was not cut off: %q, %v", w.path, after, got.body, got.err)
				}
			})
		}
	}
}

// TestWholeAnswerOfAClientThatLeft: its turn ends with it.
func TestWholeAnswerOfAClientThatLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 1)
		client, end := overPipes(t, wiretest.New(func(ctx context.Context, _ *wiretest.Engine, _ engine.Request, _ func(engine.Event) error) (*engine.Result, error) {
			<-ctx.Done()
			ended <- ctx.Err()
			return nil, ctx.Err()
		}))
		defer end()
		ctx, leave := context.WithTimeout(t.Context(), 21*time.Second)
		defer leave()
		r, err := http.NewRequestWithContext(ctx, "POST", "http://localhost:8000"+wholes[0].path, strings.NewReader(wholes[0].body))
		if err != nil {
			t.Fatal(err)
		}
		res, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if _, err := io.ReadAll(res.Body); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the client read to the end: %v", err)
		}
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the turn ended with %v", err)
		}
	})
}
