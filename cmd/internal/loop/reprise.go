package loop

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"strings"
	"time"

	"reprise/cmd/internal/client"
	"reprise/cmd/internal/events"
	"reprise/kvcache/ledger"
)

// Reprise is a reprise server, in this process or elsewhere, spoken to over HTTP as an agent does.
type Reprise struct {
	client.Server
	Model ModelInfo
}

// ModelInfo is what /v1/models says.
type ModelInfo struct {
	ID       string  `json:"id"`
	Context  int     `json:"context_length"`
	OwnedBy  string  `json:"owned_by"`
	Template *string `json:"chat_template"`
}

// Dial asks a server for its model, which must have a chat template.
func Dial(ctx context.Context, at, key string) (*Reprise, error) {
	s, err := Reach(ctx, at, key)
	if err != nil {
		return nil, err
	}
	return s, s.Talks()
}

// Talks says what is missing for a conversation.
func (s *Reprise) Talks() error {
	if s.Model.Template == nil {
		return fmt.Errorf("the model %s has no chat template, and the loop is a conversation: serve it with --chat-template", s.Model.ID)
	}
	return nil
}

// Reach asks a server for its model, whatever that can do.
func Reach(ctx context.Context, at, key string) (*Reprise, error) {
	s := &Reprise{Server: client.Server{URL: client.Base(at), Key: key}}
	var list struct {
		Data []ModelInfo `json:"data"`
	}
	switch err := s.Get(ctx, "/v1/models", &list); {
	case errors.Is(err, client.ErrOther):
		return nil, fmt.Errorf("%w: is it an OpenAI-compatible server?", err)
	case err != nil:
		return nil, err
	}
	if len(list.Data) == 0 {
		return nil, fmt.Errorf("%s names no model in /v1/models", s)
	}
	if s.Model = list.Data[0]; s.Model.OwnedBy != "reprise" {
		return nil, fmt.Errorf("%s is not reprise's server (its model is owned by %q): say with --engine whose it is", s, s.Model.OwnedBy)
	}
	return s, nil
}

// event is a piece of a streamed answer.
type event struct {
	Choices []struct {
		Delta struct {
			Content string `json:"content"`
		} `json:"delta"`
	} `json:"choices"`
	Usage *struct {
		Reprise struct {
			Row *ledger.Row `json:"row"`
			IDs *struct {
				Prompt    []int32 `json:"prompt"`
				Generated []int32 `json:"generated"`
				Computed  int     `json:"computed"`
				Static    int     `json:"static"`
			} `json:"ids"`
		} `json:"reprise"`
	} `json:"usage"`
}

// Turn streams one answer.
func (s *Reprise) Turn(ctx context.Context, p *Prompt, o *Options) (*Answer, error) {
	return s.Ask(ctx, p, o, nil)
}

// Ask streams one answer; more are fields of the request's reprise object.
func (s *Reprise) Ask(ctx context.Context, p *Prompt, o *Options, more map[string]any) (*Answer, error) {
	start := time.Now()
	own := map[string]any{"ledger": true, "ids": true, "reuse": !o.NoReuse}
	maps.Copy(own, more)
	res, err := s.Send(ctx, http.MethodPost, "/v1/chat/completions", map[string]any{
		"model": s.Model.ID, "messages": p.Messages, "tools": p.Tools, "max_tokens": o.MaxTokens, "temperature": 0,
		"stream": true, "reprise": own,
	}, nil)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	a := &Answer{}
	var text strings.Builder
	seen := false
	done, err := events.Read(res.Body, math.MaxInt, func(data []byte) error {
		var ev event // the last one of a long prompt is a megabyte of ids
		if err := events.Decode(data, &ev); err != nil {
			return err
		}
		for _, c := range ev.Choices {
			if c.Delta.Content != "" && a.FirstToken == 0 {
				a.FirstToken = time.Since(start)
			}
			text.WriteString(c.Delta.Content)
		}
		if u := ev.Usage; u != nil && u.Reprise.Row != nil && u.Reprise.IDs != nil {
			seen = true
			ids := u.Reprise.IDs
			a.Row, a.Prompt, a.Generated, a.Computed, a.Static = *u.Reprise.Row, ids.Prompt, ids.Generated, ids.Computed, ids.Static
		}
		return nil
	})
	a.Text, a.Took = text.String(), time.Since(start)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s broke off in the middle of an answer: %w", s, err)
	case !done:
		return nil, fmt.Errorf("%s broke off in the middle of an answer", s)
	case !seen:
		return nil, fmt.Errorf("%s sent neither row nor ids of the turn: it is older than this program", s)
	}
	return a, nil
}

// Post sends a request whose answer is one object, and reads that.
func (s *Reprise) Post(ctx context.Context, path string, body, into any) error {
	return s.PostAs(ctx, path, "", body, into)
}

// PostAs names the session that the request is of, "": none.
func (s *Reprise) PostAs(ctx context.Context, path, session string, body, into any) error {
	more := http.Header{}
	if session != "" {
		more.Set("X-Session-Id", session)
	}
	return s.Call(ctx, http.MethodPost, path, body, into, more)
}
