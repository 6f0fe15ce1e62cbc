package wire

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"reprise/server/engine"
)

// Error is a request that failed before its answer began. Adapters put it into their API's shape.
type Error struct {
	Status     int
	Code       string // one word for programs, "" when the status says it all
	Param      string // the field or header at fault, as a path ("messages[2].content"), "" when none is
	Message    string
	RetryAfter time.Duration // 0: not said
}

func (e *Error) Error() string { return e.Message }

// ErrCut says that the answer broke off after its first byte: the connection must be cut.
var ErrCut = errors.New("the answer broke off")

// Codes of errors that several adapters give.
const (
	CodeInvalidJSON  = "invalid_json"
	CodeInvalidType  = "invalid_type"
	CodeInvalidValue = "invalid_value"
	CodeMissing      = "missing_required_parameter"
	CodeUnknown      = "unknown_parameter"
	CodeUnsupported  = "unsupported_parameter"
	CodeNoModel      = "model_not_found"
	CodeNotFound     = "not_found"
	CodeBusy         = "rate_limit_exceeded"
	CodeTooLong      = "context_length_exceeded"
	CodeMemory       = "out_of_memory"
)

// BadRequest is a 400 about param.
func BadRequest(param, code, format string, args ...any) *Error {
	return &Error{Status: http.StatusBadRequest, Code: code, Param: param, Message: fmt.Sprintf(format, args...)}
}

// AsError gives any error a status. What the engine says of a request is the client's; everything unforeseen is a
// 500 with the error's own words, which name what failed and never quote a prompt.
func AsError(err error) *Error {
	var own *Error
	var refused *engine.RequestError
	var memory *engine.MemoryError
	switch {
	case errors.As(err, &own):
		return own
	case errors.As(err, &refused):
		status := http.StatusBadRequest
		if refused.Code == CodeNoModel {
			status = http.StatusNotFound
		}
		return &Error{Status: status, Code: refused.Code, Param: refused.Param, Message: refused.Message}
	case errors.As(err, &memory) && memory.Never:
		// Agents know the code, and shorten their prompt.
		return &Error{Status: http.StatusBadRequest, Code: CodeTooLong, Param: "messages", Message: memory.Message}
	case errors.As(err, &memory):
		return &Error{Status: http.StatusServiceUnavailable, Code: CodeMemory, Message: memory.Message, RetryAfter: memory.RetryAfter}
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		// Either the client has left and nobody reads this, or the server is being stopped.
		return &Error{Status: http.StatusServiceUnavailable, Code: "stopping", Message: "the server is stopping; try again when it is back", RetryAfter: 5 * time.Second}
	default:
		return &Error{Status: http.StatusInternalServerError, Code: "internal_error", Message: err.Error()}
	}
}
