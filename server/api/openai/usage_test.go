package openai

import (
	"encoding/json"
	"strings"
	"testing"

	"reprise/server/engine"
)

// Reasoning is counted apart, over all answers to a prompt; where there is none the field is not there.
func TestReasoningInTheUsage(t *testing.T) {
	with := func(thought int) *usage { return newUsage(&engine.Result{Thought: thought}, &call{}) }
	for want, u := range map[string]*usage{
		`"completion_tokens_details":{"reasoning_tokens":5}`: with(2).and(with(0)).and(with(3)),
		`"prompt_tokens_details":{"cached_tokens":0}}`:       with(0).and(with(0)),
	} {
		if got, err := json.Marshal(u); err != nil || !strings.Contains(string(got), want) {
			t.Errorf("%s, %v; want %s", got, err, want)
		}
	}
}
