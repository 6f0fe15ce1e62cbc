package wire

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// Whole answers with the one JSON value that answer makes. Where that takes long the client has the headers after the first
// Silence, and a space then and after each further one: JSON may begin with white space, and who waits for the next byte goes on
// waiting. An error has its status until then. Afterwards it cuts the connection, as in a stream: the SDKs take a 200 with
// an error in it for an answer, and a cut one for a failure, which most of them try again.
func Whole(w http.ResponseWriter, r *http.Request, answer func(ctx context.Context) (any, error)) error {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	var o outlet
	o.start(w, cancel, func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.begin(jsonHeaders...)
		o.put([]byte(" "))
	})
	defer o.Close()
	v, err := answer(ctx)
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.opened {
		o.closed = true // the timer may be on its way
		if err != nil {
			return err
		}
		return WriteJSON(w, http.StatusOK, v)
	}
	var b bytes.Buffer
	if err == nil {
		err = appendJSON(&b, v)
	}
	if err == nil {
		o.put(b.Bytes())
		err = o.err
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrCut, err)
	}
	return nil
}

var jsonHeaders = []string{"Content-Type", "application/json", "X-Content-Type-Options", "nosniff"}

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
	for i := 0; i < len(jsonHeaders); i += 2 {
		w.Header().Set(jsonHeaders[i], jsonHeaders[i+1])
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTime))
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // a client that has left is nobody's error
	return nil
}
