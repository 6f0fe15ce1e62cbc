package engine

import (
	"fmt"
	"time"

	"reprise/kvcache/ledger"
	"reprise/model/sample"
	"reprise/server/prompt"
)

// Request is one turn's wishes, whatever API they came through.
type Request struct {
	Prompt  prompt.Input
	Purpose ledger.Purpose
	TurnID  string // of the row; "": one is made
	Session string // the client's name for its conversation, if it gave one
	sample.Params
	MaxTokens int      // 0: as much as fits
	Stop      []string // texts that end the answer; they are not delivered
	NoReuse   bool     // look up and count, but compute everything
}

// Event is a piece of the answer, or, with no ids, progress of the prefill.
type Event struct {
	Text      string
	IDs       []int32
	Prefilled int // tokens of the prompt whose state exists
	Prompt    int // tokens of the prompt
}

// Result is a finished turn.
type Result struct {
	Text   string
	IDs    []int32 // generated, the end token included
	Prompt []int32 // the prompt's ids; shared, not to be changed
	// Computed is how many of Prompt and IDs together entered the model. The last id did not, unless the step behind it
	// was on its way already. 0: the state is gone.
	Computed int
	Finish   ledger.FinishReason
	Row      ledger.Row
	// Host is the part of decode_ms in which the worker built steps and sent them out; Wait that in which it waited
	// for a token. They overlap with what the device does.
	Host, Wait time.Duration
}

// RequestError is the client's mistake: what is wrong, in which parameter. Adapters put it into their API's shape.
type RequestError struct {
	Code    string // "context_length_exceeded", "invalid_value", "model_not_found", "unsupported"
	Param   string
	Message string
}

func (e *RequestError) Error() string { return e.Message }

func tooLong(prompt, context int) *RequestError {
	return &RequestError{Code: "context_length_exceeded", Param: "messages", Message: fmt.Sprintf(
		"This model's maximum context length is %d tokens. However, your prompt has %d tokens and at least one must be left for the answer. Please shorten the prompt.", context, prompt)}
}
