package engines

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
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
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data:")
		if data = strings.TrimSpace(data); !ok || data == "" {
			continue
		}
		if data == "[DONE]" {
			a.text = text.String()
			return a, nil
		}
		now := since()
		var c chunk
		if err := json.Unmarshal([]byte(data), &c); err != nil {
			return nil, fmt.Errorf("the stream holds %.200q: %w", data, err)
		}
		if len(c.Error) > 0 && string(c.Error) != "null" {
			return nil, fmt.Errorf("the stream ends with %s", c.Error)
		}
		a.take(&c, now, &text)
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	return nil, errors.New("the stream broke off before its end mark")
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
