package api

import (
	"bufio"
	"context"
	"errors"
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
		s := newServer(t, Options{Engine: e})
		l := &pipes{make(chan net.Conn), make(chan struct{})}
		go func() {
			if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				t.Error(err)
			}
		}()
		transport := &http.Transport{DialContext: l.dial}
		events, longest := impatient(t, &http.Client{Transport: transport}, strings.Replace(goodChat, "{", `{"stream": true, `, 1))
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
		transport.CloseIdleConnections()
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
