package engine

import (
	"fmt"
	"time"

	"reprise/kvcache/ledger"
	"reprise/model/chat"
	"reprise/model/chat/held"
	"reprise/model/chat/parse"
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
	MaxTokens int       // 0: as much as fits
	Stop      []string  // texts that end the answer; they are not delivered
	NoReuse   bool      // look up and count, but compute everything
	Held      held.Want // what the answer is held to: its form, its calls
	Stored    bool      // the turn ends only when what it left lies in the lower tiers
	PD        PD        // which half of a turn that two processes share this is
}

// PD is a part in a turn of which one process computes the prompt and another one decodes; they share L2.
type PD string

// The halves.
const (
	// PDPrefill computes the prompt, with one token nobody reads, and ends when the state lies in L2: one that can be restored
	// before the last token of the prompt, which is computed where the answer is.
	PDPrefill PD = "prefill"
	// PDDecode takes what L2 has however little it spares: it was computed for this turn.
	PDDecode PD = "decode"
)

// Event is a piece of the answer, or, with no ids, progress of the prefill.
type Event struct {
	Text      string // of the content
	Reasoning string
	Calls     []CallPiece
	IDs       []int32
	Logprob   *Logprob // of the id, when they were asked for; not of one that ends the answer
	Prefilled int      // tokens of the prompt whose state exists
	Prompt    int      // tokens of the prompt
}

// Logprobs are those of the event's token: one or none.
func (ev *Event) Logprobs() []Logprob {
	if ev.Logprob == nil {
		return nil
	}
	return []Logprob{*ev.Logprob}
}

// Logprob is how probable a token was, and which were the most probable in its place, falling.
type Logprob struct {
	ID      int32
	Bytes   []byte // what it stands for: not always whole characters; a special token's are its name's
	Logprob float64
	Top     []Logprob
}

// CallPiece is a piece of a tool call: its beginning, with the name, or more of the arguments' JSON.
type CallPiece struct {
	Index     int
	Name      string
	Arguments string
}

// add sorts a parser's events into the event.
func (ev *Event) add(pieces []parse.Event) {
	for _, p := range pieces {
		switch p.Kind {
		case parse.Reasoning:
			ev.Reasoning += p.Text
		case parse.Content:
			ev.Text += p.Text
		default:
			ev.Calls = append(ev.Calls, CallPiece{Index: p.Call, Name: p.Name, Arguments: p.Text})
		}
	}
}

// Result is a finished turn.
type Result struct {
	Text      string // the content; of a raw text, its continuation
	Reasoning string
	Calls     []parse.Call
	// Truncated: the answer ended within the last call, whose arguments are what there was, closed.
	Truncated bool
	Repairs   []parse.Repair // what was malformed, and put right

	Thought int // generated ids that are reasoning, or open or close it

	IDs      []int32   // generated, the end token included
	Logprobs []Logprob // of the ids but the end token's, when they were asked for
	Prompt   []int32   // the prompt's ids; shared, not to be changed
	Static   int       // how many of them are the static prefix: system text and tools
	// Computed is how many of Prompt and IDs together entered the model. The last id did not, unless the step behind it
	// was on its way already. 0: the state is gone.
	Computed int
	Finish   ledger.FinishReason
	Stop     string // the stop text that ended it, if one did
	Row      ledger.Row
	// Host is the part of decode_ms in which the worker built steps and sent them out; Wait that in which it waited
	// for a token. They overlap with what the device does.
	Host, Wait time.Duration
}

// Message is the answer as a conversation has it; id names its calls.
func (r *Result) Message(id func(call int) string) chat.Message {
	m := parse.Message{Content: r.Text, Reasoning: r.Reasoning, Calls: r.Calls}
	return m.Chat(id)
}

// take takes an answer over.
func (r *Result) take(a *answer) {
	m := a.message()
	r.Thought = a.thought
	r.Text, r.Reasoning, r.Calls, r.Truncated, r.Repairs = m.Content, m.Reasoning, m.Calls, m.Truncated, m.Repairs
}

// RequestError is the client's mistake: what is wrong, in which parameter. Adapters put it into their API's shape.
type RequestError struct {
	Code    string // "context_length_exceeded", "invalid_value", "model_not_found", "unsupported"
	Param   string
	Message string
}

func (e *RequestError) Error() string { return e.Message }

// MemoryError refuses a turn that memory does not hold.
type MemoryError struct {
	Never      bool // not even with nothing else there: a shorter prompt would help, or a larger limit
	RetryAfter time.Duration
	Message    string // with the figures
}

func (e *MemoryError) Error() string { return e.Message }

func tooLong(prompt, context int) *RequestError {
	return &RequestError{Code: "context_length_exceeded", Param: "messages", Message: fmt.Sprintf(
		"This model's maximum context length is %d tokens. However, your prompt has %d tokens and at least one must be left for the answer. Please shorten the prompt.", context, prompt)}
}

// PanicError is a mistake of the program's in a turn.
type PanicError struct {
	Turn  string
	Value any
	Stack string
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic in turn %s: %v", e.Turn, e.Value) }
