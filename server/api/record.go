package api

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"reprise/kvcache/ledger"
	"reprise/server/api/wire"
	"reprise/server/engine"
)

// TraceVersion is that of Trace's fields.
const TraceVersion = 1

// Trace is one line of what `serve --record` writes: a request as it came, and what the ledger says of its turn. It has the
// prompt's texts and no header, so no key.
type Trace struct {
	Version int             `json:"version"`
	Time    time.Time       `json:"time"` // when the request arrived, UTC
	Path    string          `json:"path"`
	Status  int             `json:"status"` // of the answer; a stream that was cut has 200
	Took    float64         `json:"took_ms"`
	TurnID  string          `json:"turn_id,omitempty"` // of the first of several; none when the request was refused before
	Body    json.RawMessage `json:"body"`              // null when it is no JSON
	Row     *ledger.Row     `json:"row"`               // null without a turn
	Static  *int            `json:"static_tokens"`     // of the prompt, its static prefix: system text and tools; null without a turn
	Answer  *Answer         `json:"answer"`            // null without a turn
	More    []Answered      `json:"more,omitempty"`    // the further answers to the same prompt, when several were asked for
}

// Answer is what a turn generated, before an API's shape, also when it was cut off.
type Answer struct {
	IDs       []int32  `json:"ids"` // the end token included
	Text      string   `json:"text"`
	Reasoning string   `json:"reasoning,omitempty"`
	Calls     []Called `json:"calls,omitempty"`
}

// Called is a call of a tool.
type Called struct {
	Name      string `json:"name"`
	Arguments string `json:"arguments"` // a JSON object
}

// Answered is one turn.
type Answered struct {
	Row    *ledger.Row `json:"row"`
	Answer *Answer     `json:"answer"`
}

func answered(res *engine.Result) Answered {
	a := &Answer{IDs: res.IDs, Text: res.Text, Reasoning: res.Reasoning}
	if a.IDs == nil {
		a.IDs = []int32{}
	}
	for _, c := range res.Calls {
		a.Calls = append(a.Calls, Called{c.Name, c.Arguments})
	}
	return Answered{&res.Row, a}
}

// Recorded are the endpoints that run turns.
var Recorded = []string{"/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages"}

// recorder writes one line for each request, in one write, so that a crash leaves whole lines.
type recorder struct {
	mu     sync.Mutex
	to     io.Writer
	failed bool
}

// record notes the requests that go through next.
func (s *Server) record(next http.Handler) http.Handler {
	if s.opts.Record == nil {
		return next
	}
	rec := &recorder{to: s.opts.Record}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || !slices.Contains(Recorded, r.URL.Path) {
			next.ServeHTTP(w, r)
			return
		}
		t := Trace{Version: TraceVersion, Time: time.Now().UTC(), Path: r.URL.Path, Status: http.StatusOK}
		var body bytes.Buffer
		r.Body = struct {
			io.Reader
			io.Closer
		}{io.TeeReader(r.Body, &body), r.Body}
		ctx, turns := wire.Listen(r.Context())
		// Also when the handler ends by a panic, which is how a connection is cut.
		defer func() { s.trace(rec, &t, turns.Results(), body.Bytes()) }()
		next.ServeHTTP(&statusWriter{w, &t.Status}, r.WithContext(ctx))
	})
}

// trace completes a line and writes it. A file that cannot be written to costs the trace, not the service.
func (s *Server) trace(rec *recorder, t *Trace, turns []*engine.Result, body []byte) {
	t.Took = float64(time.Since(t.Time).Microseconds()) / 1e3
	if json.Valid(body) {
		t.Body = body
	}
	for i, res := range turns {
		x := answered(res)
		if i == 0 {
			t.TurnID, t.Row, t.Answer, t.Static = x.Row.TurnID, x.Row, x.Answer, &res.Static
		} else {
			t.More = append(t.More, x)
		}
	}
	line, err := json.Marshal(t)
	if err == nil {
		rec.mu.Lock()
		defer rec.mu.Unlock()
		_, err = rec.to.Write(append(line, '\n'))
	}
	if err != nil && !rec.failed {
		rec.failed = true
		s.log.Warn("requests are not recorded", "err", err)
	}
}

// statusWriter notes the status.
type statusWriter struct {
	http.ResponseWriter
	status *int
}

func (w *statusWriter) WriteHeader(status int) {
	*w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
