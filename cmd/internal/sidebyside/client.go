package sidebyside

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"reprise/cmd/internal/client"
	"reprise/cmd/internal/events"
)

// asker asks one server. Every server gets the same text by /v1/completions: a base model has no template.
type asker struct {
	client.Server
	model string
}

// answer is what a request came to.
type answer struct {
	text      string
	first     time.Duration // from the request to the first piece of text
	last      time.Duration // to the last
	prompt    int           // tokens; this and the next ones are the server's counts
	reused    *int          // of them; nil when the server does not say
	generated int
	ownLoad   *float64 // ms; reprise's row of its first turn has it
}

// rate is the speed of decoding, tok/s; 0 when one piece of text held everything.
func (a *answer) rate() float64 {
	if a.generated < 2 || a.last <= a.first {
		return 0
	}
	return float64(a.generated-1) / (a.last - a.first).Seconds()
}

// chunk is one event of a stream.
type chunk struct {
	Choices []struct {
		Text string `json:"text"`
	} `json:"choices"`
	Usage *struct {
		Prompt    int `json:"prompt_tokens"`
		Generated int `json:"completion_tokens"`
		Details   *struct {
			Cached int `json:"cached_tokens"`
		} `json:"prompt_tokens_details"`
		Reprise *struct {
			Row struct {
				Load *float64 `json:"weights_load_ms"`
			} `json:"row"`
		} `json:"reprise"`
	} `json:"usage"`
	Error json.RawMessage `json:"error"`
}

// find asks for the model's name when requests must have it.
func (a *asker) find(ctx context.Context) error {
	if a.model != "" {
		return nil
	}
	var list struct {
		Data []struct {
			ID string `json:"id"`
		} `json:"data"`
	}
	if err := a.Get(ctx, "/v1/models", &list); err != nil {
		return err
	}
	if len(list.Data) == 0 {
		return fmt.Errorf("%s/v1/models lists no model", a)
	}
	a.model = list.Data[0].ID
	return nil
}

// complete has a text continued by n tokens, greedily.
func (a *asker) complete(ctx context.Context, prompt string, n int) (*answer, error) {
	start := time.Now()
	res, err := a.Send(ctx, http.MethodPost, "/v1/completions", map[string]any{
		"model": a.model, "prompt": prompt, "max_tokens": n, "temperature": 0,
		"stream": true, "stream_options": map[string]any{"include_usage": true},
	}, http.Header{"X-Reprise-Ledger": {"1"}}) // the others do not know it
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	return readStream(res.Body, func() time.Duration { return time.Since(start) })
}

// readStream reads server-sent events to their end. since is the time since the request.
func readStream(body io.Reader, since func() time.Duration) (*answer, error) {
	a := &answer{}
	var text strings.Builder
	_, err := events.Read(body, 4<<20, func(data []byte) error {
		now := since()
		var c chunk
		if err := errors.Join(events.Decode(data, &c), events.Failed(c.Error)); err != nil {
			return err
		}
		if len(c.Choices) > 0 && c.Choices[0].Text != "" {
			if text.Len() == 0 {
				a.first = now
			}
			a.last = now
			text.WriteString(c.Choices[0].Text)
		}
		a.count(&c)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if a.text = text.String(); a.text == "" {
		return nil, errors.New("the answer has no text: nothing was timed")
	}
	return a, nil
}

func (a *answer) count(c *chunk) {
	u := c.Usage
	if u == nil {
		return
	}
	a.prompt, a.generated = u.Prompt, u.Generated
	if u.Details != nil {
		a.reused = &u.Details.Cached
	}
	if u.Reprise != nil {
		a.ownLoad = u.Reprise.Row.Load
	}
}
