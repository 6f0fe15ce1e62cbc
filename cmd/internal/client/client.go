package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"reprise/cmd/internal/console"
)

// What may be wrong with a server besides that it refuses.
var (
	ErrNoServer = errors.New("no server answers")
	ErrOther    = errors.New("this is not the JSON that was expected")
)

const (
	maxAnswer = 256 << 20 // bytes that are read of one: the rows in a server's memory are some ten megabytes
	maxSaid   = 64 << 10  // of a refusal
	maxShown  = 2000      // of it in an error
)

// Server is where requests go.
type Server struct {
	URL string // without /v1; it may hold a password
	Key string // "": none
	// Fresh opens a connection for each request: llama.cpp's server may close one that it has just answered on.
	Fresh bool
}

var fresh = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// At is the server at a URL with or without /v1 behind it, which nobody has checked yet.
func At(raw, key string) (Server, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return Server{}, fmt.Errorf("%q is not the URL of a server: write it like http://127.0.0.1:8000", raw)
	}
	return Server{URL: Base(raw), Key: key}, nil
}

// Base is a server's URL without the /v1 that agents write behind it.
func Base(raw string) string { return strings.TrimSuffix(strings.TrimRight(raw, "/"), "/v1") }

// String is the server's URL as texts and files have it.
func (s Server) String() string { return Redacted(s.URL) }

// Redacted is a server's URL without a password.
func Redacted(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "the server"
	}
	return u.Redacted()
}

// Refused is an answer other than 200.
type Refused struct {
	URL     string
	Code    int
	Status  string // the code and its name
	Message string // of the error that servers of the OpenAI and Anthropic kind answer; "" when it is none
	said    string
}

func (e *Refused) Error() string {
	switch {
	case e.Message != "":
		return fmt.Sprintf("%s: %s: %s", e.URL, e.Status, e.Message)
	case e.said != "":
		return fmt.Sprintf("%s: %s: %s", e.URL, e.Status, e.said)
	}
	return fmt.Sprintf("%s: %s", e.URL, e.Status)
}

// Send makes a request, with body as JSON where it is not nil, and returns the answer when its status is 200.
func (s Server) Send(ctx context.Context, method, path string, body any, more http.Header) (*http.Response, error) {
	var in io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		in = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, s.URL+path, in)
	if err != nil {
		return nil, fmt.Errorf("%s is not the URL of a server", s)
	}
	for name, values := range more {
		req.Header[name] = values
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if s.Key != "" {
		req.Header.Set("Authorization", "Bearer "+s.Key)
	}
	over := http.DefaultClient
	if s.Fresh {
		over = fresh
	}
	res, err := over.Do(req)
	var why *url.Error
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return nil, ctx.Err()
	case errors.As(err, &why):
		return nil, fmt.Errorf("%w at %s (%w)", ErrNoServer, s, why.Err)
	case err != nil:
		return nil, fmt.Errorf("%w at %s (%w)", ErrNoServer, s, err)
	case res.StatusCode == http.StatusOK:
		return res, nil
	}
	return nil, s.refusal(path, res)
}

// refusal is what the server said in place of an answer.
func (s Server) refusal(path string, res *http.Response) error {
	defer res.Body.Close()
	raw, _ := io.ReadAll(io.LimitReader(res.Body, maxSaid)) // what came of it says why
	e := &Refused{URL: s.String() + path, Code: res.StatusCode, Status: res.Status, said: console.OneLine(string(raw[:min(len(raw), maxShown)]))}
	var said struct {
		Error struct{ Message string }
	}
	if json.Unmarshal(raw, &said) == nil {
		e.Message = said.Error.Message
	}
	return e
}

// Call makes a request whose answer is one JSON value, and reads that.
func (s Server) Call(ctx context.Context, method, path string, body, into any, more http.Header) error {
	res, err := s.Send(ctx, method, path, body, more)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("%s%s broke off in the middle of an answer: %w", s, path, err)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("%s%s: %w (%w)", s, path, ErrOther, err)
	}
	return nil
}

// getPatience is how long a Get waits: nothing is computed for it.
var getPatience = 30 * time.Second

// Get is a Call that only asks. A server that does not answer is left.
func (s Server) Get(ctx context.Context, path string, into any) error {
	limit, cancel := context.WithTimeout(ctx, getPatience)
	defer cancel()
	err := s.Call(limit, http.MethodGet, path, nil, into, nil)
	if err != nil && limit.Err() != nil && ctx.Err() == nil {
		return fmt.Errorf("%w at %s: nothing came from %s within %v", ErrNoServer, s, path, getPatience)
	}
	return err
}

// Mend adds to an error of Send or Call what a user can do about it whose server is to be reprise's.
func Mend(err error) error {
	var refused *Refused
	switch {
	case errors.Is(err, ErrNoServer):
		return fmt.Errorf("%w: start one with `reprise serve`, or name another with --url", err)
	case errors.As(err, &refused) && refused.Code == http.StatusUnauthorized:
		return fmt.Errorf("%w: give its API key with --api-key or REPRISE_API_KEY", err)
	case errors.As(err, &refused) && refused.Message == "", errors.Is(err, ErrOther):
		return fmt.Errorf("%w: is it reprise's server? --url names another", err)
	}
	return err
}
