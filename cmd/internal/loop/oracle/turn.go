package oracle

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// Turn is what a trace says of one turn. A trace is a JSONL file of them; other fields of a line are ignored.
type Turn struct {
	Turn         int     `json:"turn"`
	Conversation string  `json:"conversation"`
	Prompt       []int32 `json:"prompt_ids"`
	Generated    []int32 `json:"generated_ids"`
	// Computed is how many of prompt and generated together entered the model: all but the last, or all when a further
	// token was sampled and not delivered (the step behind an end token is on its way when the token is read). 0 when
	// the server did not say; then all but the last.
	Computed int `json:"computed_tokens"`
	// Static is the length of system text and tools in ids; 0: there is none that other conversations moved; less: it is not
	// known, and with it not what was displaced.
	Static int   `json:"static_tokens"`
	Row    Claim `json:"row"`
	// Prefill is the row of the process that computed the same prompt for the one that answered; nil: the same did both.
	Prefill *Claim `json:"prefill_row"`
}

// Claim is what a row says about the cache, under the ledger's names. Null is nil.
type Claim struct {
	TurnID     string `json:"turn_id"`
	Prompt     *int   `json:"prompt_tokens"`
	Matched    *int   `json:"matched_tokens"`
	Hit        *int   `json:"lookup_hit_tokens"`
	Displaced  *int   `json:"displaced_tokens"`
	MissReason string `json:"miss_reason"`
	Worker     string `json:"worker"`
}

func (t *Turn) talk() talk { return talk{t.Conversation, t.Row.Worker} }

// Held is the sequence that the turn leaves behind.
func (t *Turn) Held() []int32 {
	all := append(append(make([]int32, 0, len(t.Prompt)+len(t.Generated)), t.Prompt...), t.Generated...)
	if t.Computed > 0 {
		return all[:min(t.Computed, len(all))]
	}
	return all[:len(t.Prompt)+max(0, len(t.Generated)-1)]
}

// Read reads a trace. A last line that was cut off is no error: the run was.
func Read(path string) ([]Turn, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var turns []Turn
	in := bufio.NewReaderSize(f, 1<<20)
	for n := 1; ; n++ {
		line, err := in.ReadBytes('\n')
		torn := errors.Is(err, io.EOF)
		if err != nil && !torn {
			return turns, err
		}
		if len(bytes.TrimSpace(line)) > 0 {
			var t Turn
			if bad := json.Unmarshal(line, &t); bad == nil {
				turns = append(turns, t)
			} else if !torn {
				return turns, fmt.Errorf("%s:%d: not a turn: %w", path, n, bad)
			}
		}
		if torn {
			return turns, nil
		}
	}
}
