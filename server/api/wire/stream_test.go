package wire

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func silent() any { return "silent" }

// TestStreamIsNeverSilent runs on synctest's clock: what is sent when is exact.
func TestStreamIsNeverSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := httptest.NewRecorder()
		s := NewStream(w, Form{Opening: []any{"opening"}, Silent: silent}, func() { t.Error("the client was taken for gone") })
		seen := func(when string, want ...string) {
			t.Helper()
			synctest.Wait()
			s.mu.Lock()
			defer s.mu.Unlock()
			got := strings.Join(strings.Split(strings.TrimSpace(w.Body.String()), "\n\n"), " ")
			if got != strings.Join(want, " ") {
				t.Errorf("%s: the client has %q, want %q", when, got, want)
			}
		}
		time.Sleep(Silence - time.Millisecond)
		if seen("before the first silence"); s.Opened() {
			t.Error("opened before the first silence has passed")
		}
		time.Sleep(time.Millisecond)
		seen("after the first silence", `data: "opening"`)
		time.Sleep(3 * time.Second)
		if err := s.Send("a<b"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(Silence - time.Millisecond)
		seen("an event starts the silence anew", `data: "opening"`, `data: "a<b"`)
		time.Sleep(Silence + time.Millisecond)
		seen("two silences later", `data: "opening"`, `data: "a<b"`, `data: "silent"`, `data: "silent"`)
		s.Close()
		s.keepAlive() // as one that was on its way
		time.Sleep(time.Minute)
		seen("after Close", `data: "opening"`, `data: "a<b"`, `data: "silent"`, `data: "silent"`)
		if got := w.Header().Get("Content-Type"); got != "text/event-stream" {
			t.Errorf("Content-Type %q", got)
		}
	})
}

type deadWriter struct{ http.ResponseWriter }

func (deadWriter) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

func TestStreamTellsThatTheClientIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gone := 0
		s := NewStream(deadWriter{httptest.NewRecorder()}, Form{Opening: []any{"opening"}, Silent: silent}, func() { gone++ })
		defer s.Close()
		time.Sleep(Silence)
		synctest.Wait()
		if gone != 1 {
			t.Fatalf("gone was called %d times after the sign of life failed, want once", gone)
		}
		if err := s.Send("x"); err == nil || gone != 1 {
			t.Errorf("Send after that: %v, gone called %d times", err, gone)
		}
	})
}

type numbered struct {
	Number int    `json:"sequence_number"`
	Name   string `json:"type"`
}

func (n numbered) EventName() string { return n.Name }

// TestStreamOfNamedEvents: names in their own lines, and numbers without gaps, whoever sends.
func TestStreamOfNamedEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := httptest.NewRecorder()
		last := -1
		s := NewStream(w, Form{
			Opening: []any{"created"},
			Silent:  func() any { return "in_progress" },
			Stamp:   func(e any) any { last++; return numbered{last, e.(string)} },
		}, func() {})
		defer s.Close()
		if err := s.Send("delta"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(Silence)
		synctest.Wait()
		if err := s.Send("delta", "completed"); err != nil {
			t.Fatal(err)
		}
		if err := s.Done(); err != nil {
			t.Fatal(err)
		}
		var want strings.Builder
		for i, name := range []string{"created", "delta", "in_progress", "delta", "completed"} {
			fmt.Fprintf(&want, "event: %s\ndata: {\"sequence_number\":%d,\"type\":%q}\n\n", name, i, name)
		}
		want.WriteString("data: [DONE]\n\n")
		if got := w.Body.String(); got != want.String() {
			t.Errorf("the client has\n%s\nwant\n%s", got, want.String())
		}
	})
}
