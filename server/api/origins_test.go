package api

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"reprise/server/api/wire/wiretest"
)

func answerTo(t *testing.T, o Options, method, path, body string, headers ...string) *http.Response {
	t.Helper()
	o.Engine = wiretest.New(nil)
	s, err := NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Host = "127.0.0.1:8000"
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	return w.Result()
}

// A page of a named origin may ask and read; others may not, and without the flag none may.
func TestOrigins(t *testing.T) {
	const chat, page, other = `{"model":"tiny","messages":[{"role":"user","content":"x"}]}`, "https://app.example", "https://evil.example"
	named := Options{Origins: []string{page}, APIKey: "k"}
	for _, c := range []struct {
		what    string
		o       Options
		method  string
		headers []string
		status  int
		allowed string
	}{
		{"its question", named, "OPTIONS", []string{"Origin", page, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization"}, 204, page},
		{"its request", named, "POST", []string{"Origin", page, "Sec-Fetch-Site", "cross-site", "Authorization", "Bearer k"}, 200, page},
		{"its request without the key", named, "POST", []string{"Origin", page}, 401, page},
		{"another's question", named, "OPTIONS", []string{"Origin", other, "Access-Control-Request-Method", "POST"}, 401, ""},
		{"another's request", named, "POST", []string{"Origin", other, "Sec-Fetch-Site", "cross-site", "Authorization", "Bearer k"}, 403, ""},
		{"any page's without the flag", Options{}, "POST", []string{"Origin", page, "Sec-Fetch-Site", "cross-site"}, 403, ""},
	} {
		res := answerTo(t, c.o, c.method, "/v1/chat/completions", chat, c.headers...)
		if got := res.Header.Get("Access-Control-Allow-Origin"); res.StatusCode != c.status || got != c.allowed {
			t.Errorf("%s: %d, allowed %q; want %d, %q", c.what, res.StatusCode, got, c.status, c.allowed)
		}
	}
	if _, err := NewServer(Options{Engine: wiretest.New(nil), Origins: []string{"app.example"}}); err == nil || !strings.Contains(err.Error(), "--cors-origin app.example") {
		t.Errorf("an origin without a scheme: %v", err)
	}
}

// Profiles are there when asked for, on loopback only.
func TestProfiles(t *testing.T) {
	if res := answerTo(t, Options{}, "GET", "/debug/pprof/", ""); res.StatusCode != 404 {
		t.Errorf("without the flag: %d", res.StatusCode)
	}
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/cmdline"} {
		if res := answerTo(t, Options{Profiles: true}, "GET", path, ""); res.StatusCode != 200 {
			t.Errorf("%s: %d", path, res.StatusCode)
		}
	}
	if _, err := NewServer(Options{Engine: wiretest.New(nil), Profiles: true, Addr: "0.0.0.0:1", APIKey: "k"}); err == nil || !strings.Contains(err.Error(), "--pprof") {
		t.Errorf("profiles for everybody: %v", err)
	}
}
