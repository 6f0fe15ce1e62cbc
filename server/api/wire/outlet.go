package wire

import (
	"context"
	"net/http"
	"sync"
	"time"
)

// outlet is an answer's way to a client that may wait long for it: the headers once, then bytes, from one goroutine at a time, and
// a sign of life whenever nothing was sent for Silence. Its lower-case methods want mu held.
type outlet struct {
	mu     sync.Mutex
	w      http.ResponseWriter
	rc     *http.ResponseController
	gone   context.CancelFunc // called when the client cannot be written to
	timer  *time.Timer
	opened bool
	closed bool
	err    error
}

// start begins the first silence. life runs after each one, on a goroutine of its own, and has to send something.
func (o *outlet) start(w http.ResponseWriter, gone context.CancelFunc, life func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.w, o.rc, o.gone = w, http.NewResponseController(w), gone
	o.timer = time.AfterFunc(Silence, life)
}

// Opened says whether the headers are out.
func (o *outlet) Opened() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.opened
}

// Close stops the timer and returns when nobody writes any more.
func (o *outlet) Close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	o.timer.Stop()
}

// begin sets the status and the headers, which are pairs; false when that was done already, or the outlet is closed. They leave
// with the next put.
func (o *outlet) begin(headers ...string) bool {
	if o.opened || o.closed {
		return false
	}
	o.opened = true
	for i := 0; i+1 < len(headers); i += 2 {
		o.w.Header().Set(headers[i], headers[i+1])
	}
	o.w.WriteHeader(http.StatusOK)
	return true
}

// put sends bytes, also none, and starts the silence anew. After a failure it does nothing.
func (o *outlet) put(b []byte) {
	if o.err != nil || o.closed {
		return
	}
	_ = o.rc.SetWriteDeadline(time.Now().Add(writeTime)) // recorders in tests have none
	if len(b) > 0 {
		_, o.err = o.w.Write(b)
	}
	if o.err == nil {
		o.err = o.rc.Flush()
	}
	_ = o.rc.SetWriteDeadline(time.Time{})
	if o.err != nil {
		o.gone()
		return
	}
	o.timer.Reset(Silence)
}
