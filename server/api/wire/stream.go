package wire

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"
)

const (
	// Silence is how long a stream may say nothing. Agents give up after 8 s to 300 s, and count data, not
	// comments.
	Silence = 5 * time.Second
	// writeTime is how long one event may take to leave; a client that reads so slowly is taken for gone.
	writeTime = 30 * time.Second
)

// Form is how an API's streams begin and how they show life. Its functions run one at a time, in the order in which
// events leave, also those that the timer sends: what they count needs no lock.
type Form struct {
	Opening []any           // events that go out with the headers
	Silent  func() any      // the event that says only that the server is alive; of data, since agents ignore comments
	Stamp   func(e any) any // makes what is sent of every event, say with its number; nil: it is sent as it is
}

// Named is an event whose name stands in its own line; others consist of data alone.
type Named interface{ EventName() string }

// Stream is an answer in server-sent events. Nothing is sent, and an error can still have a status, until Open or
// until the first Silence has passed.
type Stream struct {
	form Form
	gone context.CancelFunc // called when the client cannot be written to

	mu     sync.Mutex
	w      http.ResponseWriter
	rc     *http.ResponseController
	timer  *time.Timer
	opened bool
	closed bool
	err    error
}

// NewStream prepares a stream that says f.Silent whenever it has said nothing for Silence. gone is called when a write
// fails. The caller must Close it.
func NewStream(w http.ResponseWriter, f Form, gone context.CancelFunc) *Stream {
	s := &Stream{form: f, gone: gone, w: w, rc: http.NewResponseController(w)}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timer = time.AfterFunc(Silence, s.keepAlive)
	return s
}

// Open sends the headers and the opening event, once.
func (s *Stream) Open() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open()
	return s.err
}

// Opened says whether the headers are out.
func (s *Stream) Opened() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opened
}

// Send writes events, each as one line of JSON, and sends them off together.
func (s *Stream) Send(events ...any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open()
	s.write(events...)
	return s.err
}

// Done ends the stream with OpenAI's end mark.
func (s *Stream) Done() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open()
	s.form.Stamp = nil // what follows is no event
	s.write(json.RawMessage("[DONE]"))
	return s.err
}

// Close stops the timer and returns when nobody writes any more.
func (s *Stream) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.timer.Stop()
}

// keepAlive runs when the stream has been silent.
func (s *Stream) keepAlive() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.opened {
		s.write(s.form.Silent())
	} else {
		s.open()
	}
}

func (s *Stream) open() {
	if s.opened || s.closed {
		return
	}
	s.opened = true
	h := s.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-cache")
	h.Set("X-Accel-Buffering", "no") // a proxy in between must not collect events
	s.w.WriteHeader(http.StatusOK)
	s.write(s.form.Opening...)
}

// write sends events and starts the silence anew. After a failure it does nothing.
func (s *Stream) write(events ...any) {
	if s.err != nil || s.closed {
		return
	}
	var b bytes.Buffer
	for _, event := range events {
		if s.form.Stamp != nil {
			event = s.form.Stamp(event)
		}
		if named, ok := event.(Named); ok {
			b.WriteString("event: " + named.EventName() + "\n")
		}
		b.WriteString("data: ")
		if s.err = appendJSON(&b, event); s.err != nil {
			break
		}
		b.WriteByte('\n') // behind the encoder's own: the empty line that ends an event
	}
	_ = s.rc.SetWriteDeadline(time.Now().Add(writeTime)) // recorders in tests have none
	if s.err == nil && b.Len() > 0 {
		_, s.err = s.w.Write(b.Bytes())
	}
	if s.err == nil {
		s.err = s.rc.Flush()
	}
	_ = s.rc.SetWriteDeadline(time.Time{})
	if s.err != nil {
		s.gone()
		return
	}
	s.timer.Reset(Silence)
}

// appendJSON writes v and a line feed, with <, > and & as they are. [DONE] is not JSON and goes out as it is.
func appendJSON(b *bytes.Buffer, v any) error {
	if raw, ok := v.(json.RawMessage); ok {
		b.Write(raw)
		b.WriteByte('\n')
		return nil
	}
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// WriteJSON answers with one JSON value. The deadline of its write ends with the request: net/http clears it.
func WriteJSON(w http.ResponseWriter, status int, v any) error {
	var b bytes.Buffer
	if err := appendJSON(&b, v); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTime))
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // a client that has left is nobody's error
	return nil
}
