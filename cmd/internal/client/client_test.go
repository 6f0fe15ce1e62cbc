package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

const password = "hunter2"

// served is a server that answers so, at a URL with a password.
func served(t *testing.T, status int, body string) Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}))
	t.Cleanup(s.Close)
	return Server{URL: strings.Replace(s.URL, "://", "://me:"+password+"@", 1)}
}

func TestErrorsNameTheServerAndNoPassword(t *testing.T) {
	for _, x := range []struct {
		status int
		body   string
		says   string
		is     func(error) bool
	}{
		{400, `{"error":{"message":"no such thing"}}`, "/x: 400 Bad Request: no such thing", nil},
		{400, `{"type":"error","error":{"type":"t","message":"no such thing"}}`, ": no such thing", nil},
		{404, "<html>\n", "404 Not Found: <html>: is it reprise's server?", nil},
		{401, "{}", "give its API key", nil},
		{503, "", "503 Service Unavailable: is it", nil},
		{200, "<html>", "is it reprise's server?", func(err error) bool { return errors.Is(err, ErrOther) }},
	} {
		s := served(t, x.status, x.body)
		var into map[string]any
		err := s.Get(t.Context(), "/x", &into)
		var refused *Refused
		if x.is == nil {
			x.is = func(err error) bool { return errors.As(err, &refused) && refused.Code == x.status }
		}
		if !x.is(err) {
			t.Errorf("%d %q: %T", x.status, x.body, err)
		}
		err = Mend(err)
		if !x.is(err) || !strings.Contains(err.Error(), x.says) || !strings.Contains(err.Error(), s.String()) || strings.Contains(err.Error(), password) {
			t.Errorf("%d %q: %v, want %q", x.status, x.body, err, x.says)
		}
	}
	nobody := Server{URL: "http://me:" + password + "@127.0.0.1:1"}
	err := Mend(nobody.Get(t.Context(), "/x", nil))
	if !errors.Is(err, ErrNoServer) || !strings.Contains(err.Error(), "refused): start one with `reprise serve`") || strings.Contains(err.Error(), password) {
		t.Errorf("nobody there: %v", err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := nobody.Get(gone, "/x", nil); !errors.Is(err, context.Canceled) || errors.Is(err, ErrNoServer) {
		t.Errorf("interrupted: %v", err)
	}
}

func TestAnAnswerThatBreaksOff(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100")
		fmt.Fprint(w, "{")
	}))
	defer s.Close()
	if err := (Server{URL: s.URL}).Get(t.Context(), "/x", nil); err == nil || !strings.Contains(err.Error(), "broke off") || errors.Is(err, ErrOther) {
		t.Errorf("%v", err)
	}
}

func TestWhatIsSent(t *testing.T) {
	var seen *http.Request
	var body map[string]int
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = r
		if _, err := fmt.Fscanf(r.Body, `{"a":1}`); r.Method == http.MethodPost && err != nil {
			t.Error(err)
		}
		fmt.Fprint(w, `{"b":2}`)
	}))
	defer s.Close()
	at, err := At(s.URL+"/v1/", "secret")
	if err != nil {
		t.Fatal(err)
	}
	at.Fresh = true
	if err := at.Call(t.Context(), http.MethodPost, "/x", map[string]int{"a": 1}, &body, http.Header{"X-Session-Id": {"s"}}); err != nil || body["b"] != 2 {
		t.Fatal(body, err)
	}
	if h := seen.Header; seen.URL.Path != "/x" || h.Get("Authorization") != "Bearer secret" || h.Get("X-Session-Id") != "s" || h.Get("Content-Type") != "application/json" || !seen.Close {
		t.Errorf("%s %v, closed %v", seen.URL, h, seen.Close)
	}
	if err := (Server{URL: s.URL}).Get(t.Context(), "/y", &body); err != nil || seen.Header.Get("Authorization") != "" || seen.Header.Get("Content-Type") != "" || seen.Close {
		t.Errorf("%v, %v", seen.Header, err)
	}
	for _, bad := range []string{"", "localhost:8000", "127.0.0.1", "ftp://host", "http://"} {
		if _, err := At(bad, ""); err == nil {
			t.Errorf("%q is taken for a server's URL", bad)
		}
	}
}

func TestAServerThatHangsIsLeft(t *testing.T) {
	old := getPatience
	getPatience = 50 * time.Millisecond
	t.Cleanup(func() { getPatience = old })
	hung := make(chan struct{})
	h := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hung }))
	t.Cleanup(func() { close(hung); h.Close() })
	if err := (Server{URL: h.URL}).Get(t.Context(), "/x", nil); !errors.Is(err, ErrNoServer) || !strings.Contains(err.Error(), "nothing came from /x") {
		t.Error(err)
	}
}

// What a server says is a stranger's text.
func TestARefusalMovesNoCursor(t *testing.T) {
	err := served(t, 500, "boom \x1b[31mred").Get(t.Context(), "/x", nil)
	if err == nil || strings.Contains(err.Error(), "\x1b") || !strings.Contains(err.Error(), "boom") {
		t.Errorf("%q", err)
	}
}
