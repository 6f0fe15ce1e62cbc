package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"reprise/model/chat/parse"
	"reprise/server/api/wire/wiretest"
	"reprise/server/engine"
)

// What is recorded is what came, with the row of its turn, and no key; only what runs turns is.
func TestRecord(t *testing.T) {
	var trace bytes.Buffer
	s, err := NewServer(Options{Engine: wiretest.New(nil), Record: &trace, APIKey: "planted-key"})
	if err != nil {
		t.Fatal(err)
	}
	send := func(method, path, body string) {
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		r.Host = "127.0.0.1:8000"
		r.Header.Set("Authorization", "Bearer planted-key")
		s.Handler().ServeHTTP(httptest.NewRecorder(), r)
	}
	const chat = `{"model":"tiny","messages":[{"role":"user","content":"Hi <b>"}],"stream":true}`
	send("POST", "/v1/chat/completions", chat)
	send("POST", "/v1/messages", `{"model":"tiny"}`)
	send("POST", "/v1/responses", `{`)
	send("GET", "/v1/models", "")
	if strings.Contains(trace.String(), "planted-key") {
		t.Error("the key is in the trace")
	}
	var lines []Trace
	for line := range strings.Lines(trace.String()) {
		var x Trace
		if err := json.Unmarshal([]byte(line), &x); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		lines = append(lines, x)
	}
	if len(lines) != 3 {
		t.Fatalf("%d lines, want 3: %s", len(lines), &trace)
	}
	var body bytes.Buffer
	_ = json.Compact(&body, lines[0].Body)
	if x := lines[0]; x.Version != TraceVersion || x.Status != http.StatusOK || x.Row == nil || x.Row.TurnID != x.TurnID || x.TurnID == "" || x.Answer == nil || x.Answer.Text != "Hello world" || string(bytesOf(x.Answer.IDs)) != "Hello world" || x.More != nil || !jsonEqual(body.Bytes(), []byte(chat)) {
		t.Errorf("%+v", x)
	}
	if x := lines[1]; x.Status != http.StatusBadRequest || x.Row != nil || x.TurnID != "" || x.Answer != nil {
		t.Errorf("%+v", x)
	}
	if x := lines[2]; x.Status != http.StatusBadRequest || string(x.Body) != "null" {
		t.Errorf("%+v", x)
	}
}

// Of several answers to one prompt each is there, with its row; so is one that was cut off.
func TestRecordSeveralAndCut(t *testing.T) {
	var trace bytes.Buffer
	e := wiretest.New(nil)
	s := newServer(t, Options{Engine: e, Record: &trace})
	call(s.Handler(), "POST", "/v1/chat/completions", strings.Replace(goodChat, "{", `{"n": 2, `, 1))
	e.Play = func(_ context.Context, e *wiretest.Engine, req engine.Request, _ func(engine.Event) error) (*engine.Result, error) {
		res := e.Finish(req, "half", 2)
		res.Reasoning, res.Calls = "why", []parse.Call{{Name: "read", Arguments: `{"path":"/x"}`}}
		return res, errors.New("the device is gone")
	}
	call(s.Handler(), "POST", "/v1/messages", `{"model":"tiny","max_tokens":9,"messages":[{"role":"user","content":"Hi"}]}`)
	several, cut, _ := strings.Cut(trace.String(), "\n")
	var a, b Trace
	if err := errors.Join(json.Unmarshal([]byte(several), &a), json.Unmarshal([]byte(cut), &b)); err != nil {
		t.Fatal(err)
	}
	if len(a.More) != 1 || a.Row.TurnID == a.More[0].Row.TurnID || a.More[0].Answer.Text != "Hello world" {
		t.Errorf("%s", several)
	}
	if x := b.Answer; b.Status != 500 || x == nil || x.Text != "half" || x.Reasoning != "why" || len(x.Calls) != 1 || x.Calls[0] != (Called{"read", `{"path":"/x"}`}) {
		t.Errorf("%s", cut)
	}
}

func bytesOf(ids []int32) (out []byte) {
	for _, id := range ids {
		out = append(out, byte(id))
	}
	return out
}

func jsonEqual(a, b []byte) bool {
	var x, y any
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
		return false
	}
	p, _ := json.Marshal(x)
	q, _ := json.Marshal(y)
	return bytes.Equal(p, q)
}
