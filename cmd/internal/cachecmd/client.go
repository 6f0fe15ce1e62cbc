package cachecmd

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"reprise/cmd/internal/client"
	"reprise/kvcache/ledger"
	"reprise/server/api"
	"reprise/server/engine"
)

// Client speaks to a running server.
type Client struct{ at client.Server }

// ErrNoServer says that nobody listens.
var ErrNoServer = client.ErrNoServer

// NewClient checks the URL, with or without /v1 behind it.
func NewClient(server, key string) (*Client, error) {
	at, err := client.At(server, key)
	if err != nil {
		return nil, err
	}
	return &Client{at}, nil
}

// URL is where the server is.
func (c *Client) URL() string { return c.at.String() }

// Stats asks for the totals and the cache's contents.
func (c *Client) Stats(ctx context.Context) (*api.Stats, error) {
	return ask[api.Stats](ctx, c, http.MethodGet, "/v1/cache/stats")
}

// Why asks where a turn's prompt left what was known.
func (c *Client) Why(ctx context.Context, turn string) (*engine.Why, error) {
	return ask[engine.Why](ctx, c, http.MethodGet, "/v1/cache/why/"+url.PathEscape(turn))
}

// Rows asks for the rows that the server remembers, oldest first.
func (c *Client) Rows(ctx context.Context) ([]ledger.Row, error) {
	out, err := ask[struct{ Rows []ledger.Row }](ctx, c, http.MethodGet, "/v1/cache/ledger")
	if err != nil {
		return nil, err
	}
	return out.Rows, nil
}

// Clear drops every state that no turn is using, of one tier, or with "" of memory and disk.
func (c *Client) Clear(ctx context.Context, tier string) error {
	path := "/v1/cache/clear"
	if tier != "" {
		path += "?tier=" + url.QueryEscape(tier)
	}
	_, err := ask[struct{}](ctx, c, http.MethodPost, path)
	return err
}

// Verify has the server count its cache again.
func (c *Client) Verify(ctx context.Context) (*api.Verified, error) {
	return ask[api.Verified](ctx, c, http.MethodPost, "/v1/cache/verify")
}

func ask[T any](ctx context.Context, c *Client, method, path string) (*T, error) {
	var out T
	err := c.at.Call(ctx, method, path, nil, &out, nil)
	var refused *client.Refused
	switch {
	case errors.As(err, &refused) && refused.Message != "" && refused.Code != http.StatusUnauthorized:
		return nil, errors.New(refused.Message) // of a cache's server: it says it all
	case err != nil:
		return nil, client.Mend(err)
	}
	return &out, nil
}
