package agents

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
)

// Exchange is one request as the client sent it, and how it was answered.
type Exchange struct {
	Method, Path string
	Body         []byte
	Status       int
	Turn         string // X-Reprise-Turn
	Refusal      string // the start of an answer that says no
}

// Tap stands between a client and the server and hands everything on as it is.
type Tap struct {
	URL  string
	srv  *http.Server
	mu   sync.Mutex
	seen []*Exchange
}

// Listen opens a tap before the server at target.
func Listen(target string) (*Tap, error) {
	u, err := url.Parse(target)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	t := &Tap{URL: "http://" + l.Addr().String()}
	proxy := &httputil.ReverseProxy{
		Rewrite:        func(r *httputil.ProxyRequest) { r.SetURL(u) },
		FlushInterval:  -1, // a stream is handed on piece by piece
		ModifyResponse: t.answered,
		ErrorHandler:   func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	t.srv = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the client left
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		x := &Exchange{Method: r.Method, Path: r.URL.Path, Body: body}
		t.mu.Lock()
		t.seen = append(t.seen, x)
		t.mu.Unlock()
		proxy.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), exchangeKey{}, x)))
	})}
	go func() { _ = t.srv.Serve(l) }() // ends with Close
	return t, nil
}

type exchangeKey struct{}

func (t *Tap) answered(res *http.Response) error {
	x, ok := res.Request.Context().Value(exchangeKey{}).(*Exchange)
	if !ok {
		return fmt.Errorf("an answer to no request")
	}
	var refusal []byte
	if res.StatusCode >= 400 {
		const most = 4096
		raw, err := io.ReadAll(res.Body)
		if err != nil {
			return err
		}
		refusal = raw[:min(len(raw), most)]
		res.Body = io.NopCloser(bytes.NewReader(raw))
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	x.Status, x.Turn, x.Refusal = res.StatusCode, res.Header.Get("X-Reprise-Turn"), string(refusal)
	return nil
}

// Take is what went through since the last Take.
func (t *Tap) Take() []Exchange {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make([]Exchange, len(t.seen))
	for i, x := range t.seen {
		out[i] = *x
	}
	t.seen = nil
	return out
}

// Close ends the tap and what still goes through it.
func (t *Tap) Close() error { return t.srv.Close() }
