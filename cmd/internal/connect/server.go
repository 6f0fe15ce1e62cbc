package connect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// Server is a running server, as it describes itself.
type Server struct {
	URL     string // with scheme, without /v1
	Key     string // "" when it asks for none
	Model   string
	Context int // tokens
}

// ErrNoServer says that nobody listens.
var ErrNoServer = errors.New("no server answers")

// maxReply bounds what is read of the list of models.
const maxReply = 1 << 20

// Ask asks the server at base, a URL with or without /v1, what it serves.
func Ask(ctx context.Context, base, key string) (*Server, error) {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("%q is not the URL of a server: write it like http://127.0.0.1:8000", base)
	}
	s := &Server{URL: strings.TrimSuffix(strings.TrimRight(base, "/"), "/v1"), Key: key}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/v1/models", nil)
	if err != nil {
		return nil, err
	}
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%w at %s: start one with `reprise serve`, or name another with --url (%w)", ErrNoServer, s.URL, err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode == http.StatusUnauthorized {
		return nil, fmt.Errorf("%s wants its API key: give it with --api-key or REPRISE_API_KEY", s.URL)
	}
	var list struct {
		Data []struct {
			ID      string
			OwnedBy string `json:"owned_by"`
			Context int    `json:"context_length"`
		}
	}
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxReply))
	if err == nil {
		err = json.Unmarshal(raw, &list)
	}
	switch {
	case err != nil, res.StatusCode != http.StatusOK, len(list.Data) == 0, list.Data[0].Context <= 0:
		return nil, fmt.Errorf("%s/v1/models does not tell a model and its context length (%s): is it reprise's server? --url names another", s.URL, res.Status)
	case list.Data[0].OwnedBy != "reprise":
		return nil, fmt.Errorf("%s is the server of %q, not reprise's: --url names another", s.URL, list.Data[0].OwnedBy)
	}
	s.Model, s.Context = list.Data[0].ID, list.Data[0].Context
	return s, nil
}

// shownKey is what agents send: they want a key even where the server asks for none.
func (s *Server) shownKey() string {
	if s.Key == "" {
		return "local"
	}
	return s.Key
}

// API is the one of the server's APIs that an agent speaks.
type API string

// The APIs.
const (
	Chat      API = "chat"      // OpenAI's chat completions
	Responses API = "responses" // OpenAI's responses
	Messages  API = "messages"  // Anthropic's messages
)

// APIs are all of them, the usual one first.
var APIs = []API{Chat, Responses, Messages}

// ParseAPI reads its name.
func ParseAPI(name string) (API, error) {
	for _, a := range APIs {
		if string(a) == name {
			return a, nil
		}
	}
	return "", fmt.Errorf("%q is not an API that agents speak here: chat, responses or messages", name)
}
