package run

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"testing"

	"reprise/model/chat"
	"reprise/model/hub"
	"reprise/model/sample"
	"reprise/server/engine"
)

func TestRawTextGrows(t *testing.T) {
	s := &script{answers: []string{" Paris.", " Seine.", "!"}}
	c := NewConversation(s, Settings{Raw: true, Sampling: sample.Params{TopK: 3}})
	for _, text := range []string{"The capital of France is", "It lies on the", ", they say"} {
		if _, err := c.Say(context.Background(), text, nil); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{
		"The capital of France is",
		"The capital of France is Paris.\nIt lies on the",
		"The capital of France is Paris.\nIt lies on the Seine., they say",
	}
	for i, req := range s.asked {
		if req.Prompt.Raw != want[i] || req.Prompt.Messages != nil {
			t.Errorf("turn %d was asked %q, want %q", i, req.Prompt.Raw, want[i])
		}
		if req.MaxTokens != 64 || req.TopK != 3 {
			t.Errorf("turn %d: %d tokens, top_k %d", i, req.MaxTokens, req.TopK)
		}
	}
}

func TestMessagesAlternate(t *testing.T) {
	on := true
	s := &script{answers: []string{"Paris", "The Seine"}}
	c := NewConversation(s, Settings{Thinking: &on})
	for _, text := range []string{"Capital?", "River?"} {
		if _, err := c.Say(context.Background(), text, nil); err != nil {
			t.Fatal(err)
		}
	}
	for i, want := range [][]string{{"user", "Capital?"}, {"user", "Capital?", "assistant", "Paris", "user", "River?"}} {
		if got := said(s.asked[i].Prompt.Messages); !slices.Equal(got, want) {
			t.Errorf("turn %d: %q, want %q", i, got, want)
		}
		if s.asked[i].MaxTokens != 2048 || s.asked[i].Prompt.Thinking != &on {
			t.Errorf("turn %d: %d tokens, thinking %v", i, s.asked[i].MaxTokens, s.asked[i].Prompt.Thinking)
		}
	}
}

func said(messages []chat.Message) []string {
	var out []string
	for _, m := range messages {
		content, _ := m.Get("content")
		out = append(out, m.Role(), content.(string))
	}
	return out
}

func TestWhatACancelledTurnSaidStays(t *testing.T) {
	for _, tt := range []struct {
		name   string
		fails  error
		answer string
		want   string
	}{
		{"cancelled in the middle", context.Canceled, "one two", "say one more"},
		{"failed", errors.New("broken"), "one two", "more"},
	} {
		s := &script{answers: []string{tt.answer, ""}, during: func(context.Context) error { return tt.fails }}
		c := NewConversation(s, Settings{Raw: true})
		if _, err := c.Say(context.Background(), "say ", nil); !errors.Is(err, tt.fails) {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if _, err := c.Say(context.Background(), "more", nil); err != nil {
			t.Fatal(err)
		}
		if got := s.asked[1].Prompt.Raw; got != tt.want {
			t.Errorf("%s: then asked %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestTakeRaw(t *testing.T) {
	template, err := chat.Compile("{{ messages }}")
	if err != nil {
		t.Fatal(err)
	}
	yes, no := true, false
	base, plain := `{"reprise": {"base_model": true}}`, `{"reprise": {"base_model": false}}`
	for _, tt := range []struct {
		name     string
		template *chat.Template
		config   string
		explicit *bool
		named    bool
		raw, why bool
	}{
		{name: "an instructed model", template: template, config: plain},
		{name: "one of other makers", template: template, config: `{"model_type": "x"}`},
		{name: "a base model", template: template, config: base, raw: true, why: true},
		{name: "a base model, --raw=false", template: template, config: base, explicit: &no},
		{name: "a base model, --chat-template", template: template, config: base, named: true},
		{name: "without a template", config: plain, raw: true, why: true},
		{name: "--raw", template: template, config: plain, explicit: &yes, raw: true},
		{name: "without a template, --raw=false", config: plain, explicit: &no},
	} {
		m := &engine.Model{Template: tt.template, Config: &hub.Config{Raw: json.RawMessage(tt.config)}}
		raw, why := TakeRaw(m, tt.explicit, tt.named)
		if raw != tt.raw || (why != "") != tt.why {
			t.Errorf("%s: raw %v because %q", tt.name, raw, why)
		}
	}
}
