package openai_test

import (
	"reflect"
	"testing"

	"reprise/model/chat/held"
	"reprise/server/api/wire/wiretest"
)

// TestSamplerExtras: what goes to the sampler beside the usual.
func TestSamplerExtras(t *testing.T) {
	e := wiretest.New(nil)
	for path, r := range map[string]string{
		chatPath: with(`"frequency_penalty": 0.5, "presence_penalty": -1, "repetition_penalty": 1.25, "logit_bias": {"7": -100}, "logprobs": true, "top_logprobs": 3`),
		textPath: withText(`"frequency_penalty": 0.5, "presence_penalty": -1, "repetition_penalty": 1.25, "logit_bias": {"7": -100}, "logprobs": 3`),
	} {
		p := sent(t, e, path, r).Params
		if p.Frequency != 0.5 || p.Presence != -1 || p.Repetition != 1.25 || !reflect.DeepEqual(p.Bias, map[int32]float64{7: -100}) || !p.Logprobs || p.TopLogprobs != 3 {
			t.Errorf("%s: %+v", path, p)
		}
	}
}

// TestHeld: what an answer is held to.
func TestHeld(t *testing.T) {
	e := wiretest.New(nil)
	const tools = `"tools": [{"type": "function", "function": {"name": "f"}}]`
	for body, want := range map[string]held.Calls{
		with(tools + `, "tool_choice": "required"`): {Choice: held.Required},
		with(tools + `, "tool_choice": "none"`):     {Choice: held.None},
		with(tools + `, "tool_choice": {"type": "function", "function": {"name": "f"}}, "parallel_tool_calls": false`): {Choice: held.Named, Name: "f", One: true},
	} {
		if got := sent(t, e, chatPath, body).Held.Calls; !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", body, got, want)
		}
	}
	for _, r := range [][2]string{
		{chatPath, with(`"response_format": {"type": "json_object"}`)},
		{chatPath, with(`"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}`)},
		{textPath, withText(`"response_format": {"type": "regex", "regex": "[ab]+"}`)},
	} {
		if w := sent(t, e, r[0], r[1]).Held; w.Format == nil || w.Param != "response_format" {
			t.Errorf("%s: %+v", r[1], w)
		}
	}
}
