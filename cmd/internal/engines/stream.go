package engines

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"time"

	"reprise/cmd/internal/events"
)

// usage is what an answer says of its tokens. A field that is not sent stays nil.
type usage struct {
	Prompt    *float64 `json:"prompt_tokens"`
	Generated *float64 `json:"completion_tokens"`
	Details   *struct {
		Cached *float64 `json:"cached_tokens"`
	} `json:"prompt_tokens_details"`
}

func (u *usage) number(field func(*usage) *float64) *float64 {
	if u == nil {
		return nil
	}
	return field(u)
}

// timings are llama.cpp's, behind its answers.
type timings struct {
	Cached    *float64 `json:"cache_n"`
	Prompt    *float64 `json:"prompt_n"` // without the cached
	PromptMs  *float64 `json:"prompt_ms"`
	Generated *float64 `json:"predicted_n"`
	DecodeMs  *float64 `json:"predicted_ms"`
}

// chunk is an event of a streamed answer.
type chunk struct {
	ID      string `json:"id"`
	Choices []struct {
		Delta struct {
			Content   string          `json:"content"`
			Reasoning string          `json:"reasoning_content"`
			Tools     json.RawMessage `json:"tool_calls"`
		} `json:"delta"`
		Finish string `json:"finish_reason"`
	} `json:"choices"`
	Usage   *usage          `json:"usage"`
	Timings *timings        `json:"timings"`
	Error   json.RawMessage `json:"error"`
}

// answer is a streamed answer, as it came.
type answer struct {
	id, text, finish string
	pieces           []time.Duration // from the request to each piece of the answer
	usage            *usage
	timings          *timings
}

// readStream reads server-sent events to their end. since is the time since the request.
func readStream(body io.Reader, since func() time.Duration) (*answer, error) {
	a := &answer{}
	var text strings.Builder
	ended, err := events.Read(body, 16<<20, func(data []byte) error {
		now := since()
		var c chunk
		if err := errors.Join(events.Decode(data, &c), events.Failed(c.Error)); err != nil {
			return err
		}
		a.take(&c, now, &text)
		return nil
	})
	if err == nil && !ended {
		err = errors.New("the stream broke off before its end mark")
	}
	if err != nil {
		return nil, err
	}
	a.text = text.String()
	return a, nil
}

func (a *answer) take(c *chunk, now time.Duration, text *strings.Builder) {
	if c.ID != "" {
		a.id = c.ID
	}
	for _, choice := range c.Choices {
		d := &choice.Delta
		if d.Content != "" || d.Reasoning != "" || len(d.Tools) > 0 && string(d.Tools) != "null" && string(d.Tools) != "[]" {
			a.pieces = append(a.pieces, now)
		}
		text.WriteString(d.Content)
		if choice.Finish != "" {
			a.finish = choice.Finish
		}
	}
	if c.Usage != nil {
		a.usage = c.Usage
	}
	if c.Timings != nil {
		a.timings = c.Timings
	}
}
