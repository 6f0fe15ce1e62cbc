package connect

import (
	"context"
	"fmt"
	"reprise/cmd/internal/client"
)

// Server is a running server, as it describes itself.
type Server struct {
	URL     string // with scheme, without /v1
	Key     string // "" when it asks for none
	Model   string
	Context int // tokens
}

// Ask asks the server at base, a URL with or without /v1, what it serves.
func Ask(ctx context.Context, base, key string) (*Server, error) {
	at, err := client.At(base, key)
	if err != nil {
		return nil, err
	}
	s := &Server{URL: at.URL, Key: key}
	var list struct {
		Data []struct {
			ID      string
			OwnedBy string `json:"owned_by"`
			Context int    `json:"context_length"`
		}
	}
	err = at.Get(ctx, "/v1/models", &list)
	switch {
	case err != nil:
		return nil, client.Mend(err)
	case len(list.Data) == 0, list.Data[0].Context <= 0:
		return nil, fmt.Errorf("%s/v1/models does not tell a model and its context length: is it reprise's server? --url names another", at)
	case list.Data[0].OwnedBy != "reprise":
		return nil, fmt.Errorf("%s is the server of %q, not reprise's: --url names another", at, list.Data[0].OwnedBy)
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
