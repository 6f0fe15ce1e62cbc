package openai_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"reprise/server/api"
	"reprise/server/api/wire"
)

// serve is the whole server over an engine, without a socket.
func serve(t *testing.T, e wire.Engine) http.Handler {
	t.Helper()
	s, err := api.NewServer(api.Options{Engine: e})
	if err != nil {
		t.Fatal(err)
	}
	return s.Handler()
}

// request makes a request as a client on this machine would. headers are pairs.
func request(method, path, body string, headers ...string) *http.Request {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Host = "127.0.0.1:8000"
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

// do sends a request and decodes the JSON answer.
func do(t *testing.T, h http.Handler, r *http.Request) (*http.Response, map[string]any) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	res := w.Result()
	raw, _ := io.ReadAll(res.Body)
	var v map[string]any
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatalf("%s %s: status %d, not a JSON object: %v\n%s", r.Method, r.URL, res.StatusCode, err, raw)
	}
	return res, v
}

// at follows keys and indexes into decoded JSON; nil where there is nothing.
func at(v any, path ...any) any {
	for _, p := range path {
		switch p := p.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[p]
		case int:
			l, _ := v.([]any)
			if p >= len(l) {
				return nil
			}
			v = l[p]
		}
	}
	return v
}
