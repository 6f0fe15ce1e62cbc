package api

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"reprise/server/api/wire/wiretest"
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
	if x := lines[0]; x.Version != TraceVersion || x.Status != http.StatusOK || x.Row == nil || x.Row.TurnID != x.TurnID || x.TurnID == "" || !jsonEqual(body.Bytes(), []byte(chat)) {
		t.Errorf("%+v", x)
	}
	if x := lines[1]; x.Status != http.StatusBadRequest || x.Row != nil || x.TurnID != "" {
		t.Errorf("%+v", x)
	}
	if x := lines[2]; x.Status != http.StatusBadRequest || string(x.Body) != "null" {
		t.Errorf("%+v", x)
	}
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
