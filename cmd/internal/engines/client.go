package engines

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"reprise/cmd/internal/console"
	"reprise/cmd/internal/loop"
)

const (
	pageLimit = 16 << 20 // of a metrics page; the largest seen has 57 kB
	saidLimit = 2000     // of a refusal that an error shows
)

// fresh opens a connection for each request: llama.cpp's server may close one that it has just answered on.
var fresh = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// statusError is an answer other than 200.
type statusError struct {
	url    string
	status int
	said   string
}

func (e *statusError) Error() string {
	return fmt.Sprintf("%s: status %d: %s", e.url, e.status, console.OneLine(e.said))
}

// errNoMetrics says that a server has no metrics page, or does not show it.
type errNoMetrics struct{ statusError }

func (e *errNoMetrics) Error() string { return e.statusError.Error() }

// send makes a request and returns its answer when the status is 200.
func send(ctx context.Context, method, url, key string, body any) (*http.Response, error) {
	var in io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		in = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, in)
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	res, err := fresh.Do(req)
	if err != nil {
		return nil, fmt.Errorf("no answer from the server: %w", err)
	}
	if res.StatusCode == http.StatusOK {
		return res, nil
	}
	defer res.Body.Close()
	said, _ := io.ReadAll(io.LimitReader(res.Body, saidLimit)) // the status says enough
	return nil, &statusError{loop.Redacted(url), res.StatusCode, string(said)}
}

// get reads a JSON page.
func get(ctx context.Context, url, key string, into any) error {
	res, err := send(ctx, http.MethodGet, url, key, nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if err := json.NewDecoder(io.LimitReader(res.Body, pageLimit)).Decode(into); err != nil {
		return fmt.Errorf("%s is not the JSON that was expected (%w)", loop.Redacted(url), err)
	}
	return nil
}

// scrape reads a server's metrics; an *errNoMetrics says that it shows none.
func scrape(ctx context.Context, server, key string) (exposition, error) {
	url := server + "/metrics"
	res, err := send(ctx, http.MethodGet, url, key, nil)
	var refused *statusError
	if errors.As(err, &refused) {
		return nil, &errNoMetrics{*refused}
	}
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	page, err := parse(io.LimitReader(res.Body, pageLimit))
	if err != nil {
		return nil, fmt.Errorf("%s is not Prometheus text (%w)", loop.Redacted(url), err)
	}
	return page, nil
}

// complete has a conversation answered.
func complete(ctx context.Context, server, key string, body map[string]any) (*answer, error) {
	start := time.Now()
	res, err := send(ctx, http.MethodPost, server+"/v1/chat/completions", key, body)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	a, err := readStream(res.Body, func() time.Duration { return time.Since(start) })
	if err != nil {
		return nil, fmt.Errorf("%s broke off in the middle of an answer: %w", loop.Redacted(server), err)
	}
	return a, nil
}
