package engines

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reprise/cmd/internal/client"
	"time"
)

const pageLimit = 16 << 20 // of a metrics page; the largest seen has 57 kB

// errNoMetrics says that a server has no metrics page, or does not show it.
type errNoMetrics struct{ *client.Refused }

// server is the one that answers.
func (c *Config) server() client.Server { return client.Server{URL: c.URL, Key: c.Key, Fresh: true} }

// scrape reads a server's metrics; an *errNoMetrics says that it shows none.
func scrape(ctx context.Context, s client.Server) (exposition, error) {
	res, err := s.Send(ctx, http.MethodGet, "/metrics", nil, nil)
	var refused *client.Refused
	if errors.As(err, &refused) {
		return nil, &errNoMetrics{refused}
	}
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	page, err := parse(io.LimitReader(res.Body, pageLimit))
	if err != nil {
		return nil, fmt.Errorf("%s/metrics is not Prometheus text (%w)", s, err)
	}
	return page, nil
}

// complete has a conversation answered.
func complete(ctx context.Context, s client.Server, body map[string]any) (*answer, error) {
	start := time.Now()
	res, err := s.Send(ctx, http.MethodPost, "/v1/chat/completions", body, nil)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	a, err := readStream(res.Body, func() time.Duration { return time.Since(start) })
	if err != nil {
		return nil, fmt.Errorf("%s broke off in the middle of an answer: %w", s, err)
	}
	return a, nil
}
