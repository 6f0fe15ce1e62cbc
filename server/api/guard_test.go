package api

import (
	"net/http"
	"testing"

	"reprise/server/api/wire/wiretest"
)

func TestGuard(t *testing.T) {
	e := wiretest.New(nil)
	open := newServer(t, Options{Engine: e}).Handler()
	locked := newServer(t, Options{Engine: e, APIKey: "key"}).Handler()
	public := newServer(t, Options{Engine: e, Addr: "0.0.0.0:0", APIKey: "key"}).Handler()
	for _, c := range []struct {
		name    string
		to      http.Handler
		path    string
		headers []string
		status  int
		code    string
	}{
		{"a name of loopback", open, "/v1/models", []string{"Host", "localhost"}, 200, ""},
		{"its address", open, "/v1/models", []string{"Host", "127.0.0.1:8000"}, 200, ""},
		{"its other address", open, "/v1/models", []string{"Host", "[::1]:8000"}, 200, ""},
		{"capitals", open, "/v1/models", []string{"Host", "LOCALHOST.:8000"}, 200, ""},
		{"a subdomain of localhost", open, "/v1/models", []string{"Host", "reprise.localhost:8000"}, 200, ""},
		{"rebinding", open, "/v1/models", []string{"Host", "evil.example:8000"}, 403, "host_not_allowed"},
		{"a name that only begins so", open, "/v1/models", []string{"Host", "localhost.evil.example"}, 403, "host_not_allowed"},
		{"another address", open, "/v1/models", []string{"Host", "192.168.1.5:8000"}, 403, "host_not_allowed"},
		{"no host", open, "/v1/models", []string{"Host", ""}, 403, "host_not_allowed"},
		{"rebinding to health", open, "/health", []string{"Host", "evil.example"}, 403, "host_not_allowed"},
		{"a name, reachable from outside", public, "/v1/models", []string{"Host", "my.server", "X-Api-Key", "key"}, 200, ""},

		{"no key", locked, "/v1/models", nil, 401, "invalid_api_key"},
		{"a wrong key", locked, "/v1/models", []string{"Authorization", "Bearer kez"}, 401, "invalid_api_key"},
		{"a key that begins so", locked, "/v1/models", []string{"Authorization", "Bearer ke"}, 401, "invalid_api_key"},
		{"an empty key", locked, "/v1/models", []string{"Authorization", "Bearer "}, 401, "invalid_api_key"},
		{"another scheme", locked, "/v1/models", []string{"Authorization", "Basic key"}, 401, "invalid_api_key"},
		{"no route either", locked, "/nowhere", nil, 401, "invalid_api_key"},
		{"the key", locked, "/v1/models", []string{"Authorization", "Bearer key"}, 200, ""},
		{"the key, in small letters", locked, "/v1/models", []string{"Authorization", "bearer key"}, 200, ""},
		{"Anthropic's header", locked, "/v1/models", []string{"X-Api-Key", "key"}, 200, ""},
		{"health needs none", locked, "/health", nil, 200, ""},
		{"a key where none is needed", open, "/v1/models", []string{"Authorization", "Bearer local"}, 200, ""},
	} {
		w := call(c.to, "GET", c.path, "", c.headers...)
		if w.Code != c.status {
			t.Errorf("%s: %d, want %d: %s", c.name, w.Code, c.status, w.Body)
		}
		if c.code != "" {
			if code, _ := failure(t, w); code != c.code {
				t.Errorf("%s: code %s, want %s", c.name, code, c.code)
			}
		}
		if w.Header().Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: a CORS header", c.name)
		}
	}
}

// TestOtherOrigins: a page on the web may send a simple POST to this machine without asking.
func TestOtherOrigins(t *testing.T) {
	e := wiretest.New(nil)
	h := newServer(t, Options{Engine: e}).Handler()
	for _, headers := range [][]string{{"Origin", "https://evil.example"}, {"Sec-Fetch-Site", "cross-site"}, {"Origin", "null"}} {
		w := call(h, "POST", "/v1/cache/clear", "", headers...)
		if code, _ := failure(t, w); w.Code != 403 || code != "origin_not_allowed" {
			t.Errorf("%v: %d %s", headers, w.Code, w.Body)
		}
	}
	if e.Cleared() != 0 {
		t.Error("another origin cleared the cache")
	}
	for _, headers := range [][]string{nil, {"Origin", "http://localhost:8000"}, {"Sec-Fetch-Site", "same-origin"}} {
		if w := call(h, "POST", "/v1/cache/clear", "", headers...); w.Code != 200 {
			t.Errorf("%v: %d %s", headers, w.Code, w.Body)
		}
	}
}
