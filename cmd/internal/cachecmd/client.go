package cachecmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"reprise/kvcache/ledger"
	"reprise/server/api"
	"reprise/server/engine"
)

// Client speaks to a running server.
type Client struct {
	base, key string
}

// ErrNoServer says that nobody listens.
var ErrNoServer = errors.New("no server answers")

// maxReply bounds what is read of an answer: the rows in a server's memory are some ten megabytes.
const maxReply = 256 << 20

// NewClient checks the URL, with or without /v1 behind it.
func NewClient(server, key string) (*Client, error) {
	u, err := url.Parse(server)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("%q is not the URL of a server: write it like http://%s", server, api.DefaultAddr)
	}
	return &Client{base: strings.TrimSuffix(strings.TrimRight(server, "/"), "/v1"), key: key}, nil
}

// URL is where the server is.
func (c *Client) URL() string { return c.base }

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
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, nil)
	if err != nil {
		return nil, err
	}
	if c.key != "" {
		req.Header.Set("Authorization", "Bearer "+c.key)
	}
	res, err := http.DefaultClient.Do(req)
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, fmt.Errorf("%w at %s: start one with `reprise serve`, or name another with --url (%w)", ErrNoServer, c.base, errors.Unwrap(err))
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxReply))
	if err != nil {
		return nil, fmt.Errorf("%s%s broke off: %w", c.base, path, err)
	}
	if res.StatusCode != http.StatusOK {
		return nil, c.refusal(path, res, raw)
	}
	var out T
	if err := json.Unmarshal(raw, &out); err != nil {
		return nil, fmt.Errorf("%s%s: not an answer of reprise's server: %w", c.base, path, err)
	}
	return &out, nil
}

// refusal is what the server said in place of an answer.
func (c *Client) refusal(path string, res *http.Response, raw []byte) error {
	var said struct {
		Error struct{ Message string }
	}
	if json.Unmarshal(raw, &said) != nil || said.Error.Message == "" {
		return fmt.Errorf("%s%s says %s: is it reprise's server? --url names another", c.base, path, res.Status)
	}
	if res.StatusCode == http.StatusUnauthorized {
		return fmt.Errorf("%s wants its API key: give it with --api-key or REPRISE_API_KEY", c.base)
	}
	return errors.New(said.Error.Message)
}
