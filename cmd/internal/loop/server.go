package loop

import (
	"context"
	"time"

	"reprise/kvcache/ledger"
)

// Server answers turns. The one of this package speaks to reprise; those of other engines fill the row from their own
// counters and leave null what these do not tell.
type Server interface {
	Turn(ctx context.Context, p *Prompt, o *Options) (*Answer, error)
}

// Mimic plays the turns of a dry run. answer stands in for the model's.
type Mimic interface {
	Turn(ctx context.Context, p *Prompt, o *Options, answer string) (*Answer, error)
}

// Answer is a finished turn as the client saw it.
type Answer struct {
	Text       string
	FirstToken time.Duration // from the request to the first piece of text, as the client saw it; 0: none came
	Took       time.Duration // from the request to the end of the answer, as the client saw it
	Row        ledger.Row
	Prefill    *ledger.Row // of the process that computed the prompt for the one that answered; nil: the same did both
	// The ids, where the server shows them; without them there is no ceiling.
	Prompt, Generated []int32
	Computed          int
	Static            int // of the prompt: system text and tools
}
