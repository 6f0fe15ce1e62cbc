package anthropic

import (
	"net/http"
	"strconv"
	"strings"

	"reprise/server/api/wire"
	"reprise/server/engine"
)

// API is the endpoints over one engine.
type API struct{ turns *wire.Turns }

// Path is where the endpoints are, and what lies below it. Errors there are for WriteError.
const Path = "/v1/messages"

// New makes the endpoints.
func New(turns *wire.Turns) *API { return &API{turns} }

// Routes are the endpoints.
func (a *API) Routes() []wire.Route {
	return []wire.Route{
		{Method: http.MethodPost, Path: Path, Handle: a.create},
		{Method: http.MethodPost, Path: Path + "/count_tokens", Handle: a.count},
	}
}

// create is POST /v1/messages.
func (a *API) create(w http.ResponseWriter, r *http.Request) error {
	leave, err := a.turns.Enter()
	if err != nil {
		return err
	}
	defer leave()
	o, err := wire.ReadObject(w, r)
	if err != nil {
		return err
	}
	c, err := take(o, r.Header, a.turns.Engine().Model())
	if err != nil {
		return err
	}
	return a.answer(w, r, c)
}

// count is POST /v1/messages/count_tokens.
func (a *API) count(w http.ResponseWriter, r *http.Request) error {
	o, err := wire.ReadObject(w, r)
	if err != nil {
		return err
	}
	var req engine.Request
	if conversation(o, a.turns.Engine().Model(), &req); o.Err() != nil {
		return o.Err()
	}
	n, err := a.turns.Engine().Count(r.Context(), req)
	if err != nil {
		return err
	}
	return wire.WriteJSON(w, http.StatusOK, struct {
		Tokens int `json:"input_tokens"`
	}{n})
}

type errorBody struct {
	Type  string      `json:"type"`
	Error errorDetail `json:"error"`
}

type errorDetail struct {
	Type    string `json:"type"`
	Message string `json:"message"`
}

// WriteError answers with err in Anthropic's shape. Clients know a prompt that is too long by the message's first words.
func WriteError(w http.ResponseWriter, err error) {
	e := wire.AsError(err)
	if e.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(e.RetryAfter.Seconds())))
	}
	message := e.Message
	switch {
	case e.Code == "context_length_exceeded":
		message = "prompt is too long: " + message
	case e.Param != "" && !strings.Contains(message, e.Param):
		message = e.Param + ": " + message
	}
	_ = wire.WriteJSON(w, e.Status, errorBody{"error", errorDetail{errorType(e.Status), message}}) // strings always encode
}

// errorType is the word that Anthropic uses for a status.
func errorType(status int) string {
	switch {
	case status == http.StatusUnauthorized:
		return "authentication_error"
	case status == http.StatusForbidden:
		return "permission_error"
	case status == http.StatusNotFound:
		return "not_found_error"
	case status == http.StatusRequestEntityTooLarge:
		return "request_too_large"
	case status == http.StatusTooManyRequests:
		return "rate_limit_error"
	case status == http.StatusServiceUnavailable:
		return "overloaded_error"
	case status >= 500:
		return "api_error"
	}
	return "invalid_request_error"
}
