package wire

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
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
	outlet
	form Form
}

// NewStream prepares a stream that says f.Silent whenever it has said nothing for Silence. gone is called when a write
// fails. The caller must Close it.
func NewStream(w http.ResponseWriter, f Form, gone context.CancelFunc) *Stream {
	s := &Stream{form: f}
	s.start(w, gone, s.keepAlive)
	return s
}

// Open sends the headers and the opening event, once.
func (s *Stream) Open() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open()
	return s.err
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
	if s.begin("Content-Type", "text/event-stream", "Cache-Control", "no-cache", "X-Accel-Buffering", "no") { // a proxy in between must not collect events
		s.write(s.form.Opening...)
	}
}

// write sends events. After a failure it does nothing.
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
			s.gone()
			return
		}
		b.WriteByte('\n') // behind the encoder's own: the empty line that ends an event
	}
	s.put(b.Bytes())
}
