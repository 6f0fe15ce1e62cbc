package openai

import (
	"net/http"
	"strconv"

	"reprise/server/api/wire"
)

type errorBody struct {
	Error errorDetail `json:"error"`
}

type errorDetail struct {
	Message string  `json:"message"`
	Type    string  `json:"type"`
	Code    *string `json:"code"`
	Param   *string `json:"param"`
}

// WriteError answers with err in OpenAI's shape.
func WriteError(w http.ResponseWriter, err error) {
	e := wire.AsError(err)
	if e.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(e.RetryAfter.Seconds())))
	}
	body := errorBody{errorDetail{Message: e.Message, Type: errorType(e.Status), Code: orNull(e.Code), Param: orNull(e.Param)}}
	_ = wire.WriteJSON(w, e.Status, body) // strings always encode
}

// errorType is the word that OpenAI uses for a status.
func errorType(status int) string {
	switch {
	case status == http.StatusUnauthorized:
		return "authentication_error"
	case status == http.StatusForbidden:
		return "permission_error"
	case status == http.StatusTooManyRequests:
		return "rate_limit_error"
	case status >= 500:
		return "server_error"
	default:
		return "invalid_request_error"
	}
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
