package openai

import (
	"net/http"
	"time"

	"reprise/server/api/wire"
	"reprise/server/engine"
)

// API is OpenAI's endpoints over one engine.
type API struct {
	turns   *wire.Turns
	created int64 // Unix seconds
}

// New makes the endpoints.
func New(turns *wire.Turns) *API { return &API{turns: turns, created: time.Now().Unix()} }

// Routes are the endpoints; errors that they return are for WriteError.
func (a *API) Routes() []wire.Route {
	return []wire.Route{
		{Method: http.MethodGet, Path: "/v1/models", Handle: a.listModels},
		{Method: http.MethodGet, Path: "/v1/models/{id...}", Handle: a.getModel}, // ids of the hub have a slash
		{Method: http.MethodPost, Path: "/v1/chat/completions", Handle: a.chat},
		{Method: http.MethodPost, Path: "/v1/completions", Handle: a.complete},
		{Method: http.MethodPost, Path: "/v1/embeddings", Handle: a.embeddings},
		{Method: http.MethodPost, Path: "/tokenize", Handle: a.tokenize},
		{Method: http.MethodPost, Path: "/detokenize", Handle: a.detokenize},
	}
}

func (a *API) model() *engine.Model { return a.turns.Engine().Model() }
