package openai_test

import (
	"net/http"
	"strings"
	"testing"

	"reprise/server/api/wire"
	"reprise/server/api/wire/wiretest"
)

const (
	chatPath = "/v1/chat/completions"
	textPath = "/v1/completions"
)

// with is a good chat request with more fields, or other ones.
func with(fields string) string {
	return `{"model": "tiny", "messages": [{"role": "user", "content": "Hi"}], ` + fields + `}`
}

// withText is the same for completions.
func withText(fields string) string { return `{"model": "tiny", "prompt": "Hi", ` + fields + `}` }

// messages is a chat request of these messages.
func messages(list string) string { return `{"model": "tiny", "messages": ` + list + `}` }

// TestBadRequests: each is refused before a turn begins, with the parameter named, and the server stays.
func TestBadRequests(t *testing.T) {
	play := wiretest.New(nil)
	h := serve(t, play)
	for _, c := range []struct {
		path, body string
		param      string // "": none can be named
		code       string
		status     int // 0: 400
	}{
		{chatPath, `{"model": "tiny", `, "", wire.CodeInvalidJSON, 0},
		{chatPath, ``, "", wire.CodeInvalidJSON, 0},
		{chatPath, `[]`, "", wire.CodeInvalidJSON, 0},
		{chatPath, `{"messages": []}`, "model", wire.CodeMissing, 0},
		{chatPath, `{"model": 5, "messages": []}`, "model", wire.CodeInvalidType, 0},
		{chatPath, `{"model": "other", "messages": []}`, "model", wire.CodeNoModel, http.StatusNotFound},
		{chatPath, `{"model": "tiny"}`, "messages", wire.CodeMissing, 0},
		{chatPath, messages(`null`), "messages", wire.CodeMissing, 0},
		{chatPath, messages(`"Hi"`), "messages", wire.CodeInvalidType, 0},
		{chatPath, messages(`[]`), "messages", wire.CodeInvalidValue, 0},
		{chatPath, messages(`["Hi"]`), "messages", wire.CodeInvalidType, 0},
		{chatPath, messages(`[{"content": "Hi"}]`), "messages[0].role", wire.CodeInvalidValue, 0},
		{chatPath, messages(`[{"role": "user", "content": ""}, {"role": "robot", "content": "Hi"}]`), "messages[1].role", wire.CodeInvalidValue, 0},
		{chatPath, messages(`[{"role": ["user"], "content": "Hi"}]`), "messages[0].role", wire.CodeInvalidValue, 0},
		{chatPath, messages(`[{"role": "function", "name": "f", "content": "Hi"}]`), "messages[0].role", wire.CodeInvalidValue, 0},
		{chatPath, messages(`[{"role": "user", "content": 5}]`), "messages[0].content", wire.CodeInvalidType, 0},
		{chatPath, messages(`[{"role": "user", "content": {"type": "text", "text": "Hi"}}]`), "messages[0].content", wire.CodeInvalidType, 0},
		{chatPath, messages(`[{"role": "user", "content": ["Hi"]}]`), "messages[0].content[0]", wire.CodeInvalidType, 0},
		{chatPath, messages(`[{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "x"}}]}]`), "messages[0].content[1].type", wire.CodeUnsupported, 0},
		{chatPath, messages(`[{"role": "user", "content": [{"type": "input_audio"}]}]`), "messages[0].content[0].type", wire.CodeUnsupported, 0},
		{chatPath, messages(`[{"role": "user", "content": [{"text": "a"}]}]`), "messages[0].content[0].type", wire.CodeUnsupported, 0},
		{chatPath, messages(`[{"role": "user", "content": [{"type": "text", "text": null}]}]`), "messages[0].content[0].text", wire.CodeInvalidType, 0},
		{chatPath, messages(`[{"role": "user", "content": "Hi", "name": 3}]`), "messages[0].name", wire.CodeInvalidType, 0},
		{chatPath, messages(`[{"role": "tool", "content": "Hi", "tool_call_id": 3}]`), "messages[0].tool_call_id", wire.CodeInvalidType, 0},
		{chatPath, messages(`[{"role": "assistant", "tool_calls": {}}]`), "messages[0].tool_calls", wire.CodeInvalidType, 0},
		{chatPath, messages(`[{"role": "assistant", "tool_calls": [{"function": {"arguments": "{}"}}]}]`), "messages[0].tool_calls[0].function.name", wire.CodeInvalidType, 0},
		{chatPath, messages(`[{"role": "assistant", "tool_calls": [{"type": "function", "function": {"name": "f", "arguments": 5}}]}]`), "messages[0].tool_calls[0].function.arguments", wire.CodeInvalidType, 0},

		{chatPath, with(`"max_tokens": 0`), "max_tokens", wire.CodeInvalidValue, 0},
		{chatPath, with(`"max_tokens": -1`), "max_tokens", wire.CodeInvalidValue, 0},
		{chatPath, with(`"max_tokens": "5"`), "max_tokens", wire.CodeInvalidType, 0},
		{chatPath, with(`"max_tokens": 1.5`), "max_tokens", wire.CodeInvalidType, 0},
		{chatPath, with(`"max_completion_tokens": 0`), "max_completion_tokens", wire.CodeInvalidValue, 0},
		{chatPath, with(`"max_completion_tokens": 5, "max_tokens": 6`), "max_tokens", wire.CodeInvalidValue, 0},
		{chatPath, with(`"temperature": "hot"`), "temperature", wire.CodeInvalidType, 0},
		{chatPath, with(`"temperature": 1e999`), "temperature", wire.CodeInvalidValue, 0},
		{chatPath, with(`"top_p": []`), "top_p", wire.CodeInvalidType, 0},
		{chatPath, with(`"min_p": {}`), "min_p", wire.CodeInvalidType, 0},
		{chatPath, with(`"top_k": 0.5`), "top_k", wire.CodeInvalidType, 0},
		{chatPath, with(`"top_k": -1`), "top_k", wire.CodeInvalidValue, 0},
		{chatPath, with(`"seed": "x"`), "seed", wire.CodeInvalidType, 0},
		{chatPath, with(`"stop": 5`), "stop", wire.CodeInvalidType, 0},
		{chatPath, with(`"stop": ["a", 5]`), "stop", wire.CodeInvalidType, 0},
		{chatPath, with(`"stop": ["a", ""]`), "stop", wire.CodeInvalidValue, 0},
		{chatPath, with(`"stop": [` + strings.Repeat(`"a",`, 16) + `"a"]`), "stop", wire.CodeInvalidValue, 0},
		{chatPath, with(`"stream": "yes"`), "stream", wire.CodeInvalidType, 0},
		{chatPath, with(`"stream_options": true`), "stream_options", wire.CodeInvalidType, 0},
		{chatPath, with(`"stream_options": {"include_usage": 1}`), "stream_options.include_usage", wire.CodeInvalidType, 0},
		{chatPath, with(`"stream_options": {"other": 1}`), "stream_options.other", wire.CodeUnknown, 0},
		{chatPath, with(`"reprise": 1`), "reprise", wire.CodeInvalidType, 0},
		{chatPath, with(`"reprise": {"ledger": 1}`), "reprise.ledger", wire.CodeInvalidType, 0},
		{chatPath, with(`"reprise": {"row": true}`), "reprise.row", wire.CodeUnknown, 0},
		{chatPath, with(`"prompt_cache_key": 1`), "prompt_cache_key", wire.CodeInvalidType, 0},
		{chatPath, with(`"prompt_cache_key": "` + strings.Repeat("k", 257) + `"`), "prompt_cache_key", wire.CodeInvalidValue, 0},

		{chatPath, with(`"n": 0`), "n", wire.CodeInvalidValue, 0},
		{chatPath, with(`"n": 17`), "n", wire.CodeInvalidValue, 0},
		{chatPath, with(`"n": "2"`), "n", wire.CodeInvalidType, 0},
		{chatPath, with(`"function_call": "auto"`), "function_call", wire.CodeUnsupported, 0},
		{chatPath, with(`"audio": {}`), "audio", wire.CodeUnsupported, 0},
		{chatPath, with(`"prediction": {}`), "prediction", wire.CodeUnsupported, 0},
		{chatPath, with(`"web_search_options": {}`), "web_search_options", wire.CodeUnsupported, 0},
		{chatPath, with(`"top_logprobs": 3`), "top_logprobs", wire.CodeInvalidValue, 0},
		{chatPath, with(`"logprobs": true, "top_logprobs": 21`), "top_logprobs", wire.CodeInvalidValue, 0},
		{chatPath, with(`"logprobs": 3`), "logprobs", wire.CodeInvalidType, 0},
		{chatPath, with(`"logit_bias": {"x": 1}`), "logit_bias", wire.CodeInvalidValue, 0},
		{chatPath, with(`"logit_bias": {"5": null}`), "logit_bias", wire.CodeInvalidType, 0},
		{chatPath, with(`"verbosity": "low"`), "verbosity", wire.CodeUnsupported, 0},
		{chatPath, `{"model": "tiny", "messages": [{"role": "assistant", "content": null, "function_call": {"name": "f", "arguments": "{}"}}]}`, "messages[0].function_call", wire.CodeUnsupported, 0},
		{chatPath, `{"model": "tiny", "messages": [{"role": "assistant", "content": null, "function_call": null, "audio": {"id": "x"}}]}`, "messages[0].audio", wire.CodeUnsupported, 0},
		{chatPath, with(`"logit_bias": {"5": "a"}`), "logit_bias", wire.CodeInvalidType, 0},
		{chatPath, with(`"response_format": {"type": "yaml"}`), "response_format.type", wire.CodeUnsupported, 0},
		{chatPath, with(`"response_format": {"type": "json_schema"}`), "response_format.json_schema", wire.CodeMissing, 0},
		{chatPath, with(`"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}`), "response_format.json_schema.schema", wire.CodeMissing, 0},
		{chatPath, with(`"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": [1]}}`), "response_format.json_schema.schema", wire.CodeInvalidType, 0},
		{chatPath, with(`"response_format": {"type": "json_object", "mode": 1}`), "response_format.mode", wire.CodeUnknown, 0},
		{chatPath, with(`"response_format": {"type": "regex"}`), "response_format.regex", wire.CodeMissing, 0},
		{chatPath, with(`"response_format": {"type": "grammar", "grammar": 5}`), "response_format.grammar", wire.CodeInvalidType, 0},
		{chatPath, with(`"response_format": "json"`), "response_format", wire.CodeInvalidType, 0},
		{textPath, withText(`"logprobs": 21`), "logprobs", wire.CodeInvalidValue, 0},
		{textPath, withText(`"logprobs": true`), "logprobs", wire.CodeInvalidType, 0},
		{chatPath, with(`"tool_choice": "required"`), "tool_choice", wire.CodeInvalidValue, 0},
		{chatPath, with(`"tool_choice": "any"`), "tool_choice", wire.CodeInvalidValue, 0},
		{chatPath, with(`"tool_choice": {"type": "allowed_tools"}`), "tool_choice.type", wire.CodeUnsupported, 0},
		{chatPath, with(`"tool_choice": {"type": "function", "function": {"name": "f"}}`), "tool_choice", wire.CodeInvalidValue, 0},
		{chatPath, with(`"functions": []`), "functions", wire.CodeUnsupported, 0},
		{chatPath, with(`"modalities": ["text", "audio"]`), "modalities", wire.CodeUnsupported, 0},
		{chatPath, with(`"tools": {}`), "tools", wire.CodeInvalidType, 0},
		{chatPath, with(`"tools": ["f"]`), "tools[0]", wire.CodeInvalidType, 0},
		{chatPath, with(`"tools": [{"type": "web_search"}]`), "tools[0].type", wire.CodeUnsupported, 0},
		{chatPath, with(`"tools": [{"type": "function"}]`), "tools[0].function", wire.CodeInvalidType, 0},
		{chatPath, with(`"tools": [{"type": "function", "function": {"name": ""}}]`), "tools[0].function.name", wire.CodeInvalidType, 0},
		{chatPath, with(`"tools": [{"type": "function", "function": {"name": "f", "parameters": []}}]`), "tools[0].function.parameters", wire.CodeInvalidType, 0},
		{chatPath, with(`"enable_thinking": 1`), "enable_thinking", wire.CodeInvalidType, 0},
		{chatPath, with(`"reasoning_effort": "huge"`), "reasoning_effort", wire.CodeInvalidValue, 0},
		{chatPath, with(`"chat_template_kwargs": []`), "chat_template_kwargs", wire.CodeInvalidType, 0},
		{chatPath, with(`"chat_template_kwargs": {"messages": []}`), "chat_template_kwargs.messages", wire.CodeInvalidValue, 0},
		{chatPath, with(`"store": 1`), "store", wire.CodeInvalidType, 0},
		{chatPath, with(`"Temperature": 1`), "Temperature", wire.CodeUnknown, 0},
		{chatPath, with(`"made_up": null`), "made_up", wire.CodeUnknown, 0},

		{textPath, `{"model": "tiny"}`, "prompt", wire.CodeMissing, 0},
		{textPath, `{"model": "tiny", "prompt": 5}`, "prompt", wire.CodeInvalidType, 0},
		{textPath, `{"model": "tiny", "prompt": []}`, "prompt", wire.CodeInvalidValue, 0},
		{textPath, `{"model": "tiny", "prompt": [[]]}`, "prompt", wire.CodeInvalidValue, 0},
		{textPath, `{"model": "tiny", "prompt": ["a", "b"]}`, "prompt", wire.CodeUnsupported, 0},
		{textPath, `{"model": "tiny", "prompt": [[1], [2]]}`, "prompt", wire.CodeUnsupported, 0},
		{textPath, `{"model": "tiny", "prompt": [1, "a"]}`, "prompt", wire.CodeInvalidType, 0},
		{textPath, `{"model": "tiny", "prompt": [1, null]}`, "prompt", wire.CodeInvalidType, 0},
		{textPath, `{"model": "tiny", "prompt": [1.5]}`, "prompt", wire.CodeInvalidType, 0},
		{textPath, `{"model": "tiny", "prompt": [3000000000]}`, "prompt", wire.CodeInvalidType, 0},
		{textPath, withText(`"echo": true`), "echo", wire.CodeUnsupported, 0},
		{textPath, withText(`"suffix": "x"`), "suffix", wire.CodeUnsupported, 0},
		{textPath, withText(`"best_of": 2`), "best_of", wire.CodeUnsupported, 0},
		{textPath, withText(`"max_tokens": 0`), "max_tokens", wire.CodeInvalidValue, 0},
		{textPath, withText(`"messages": []`), "messages", wire.CodeUnknown, 0},

		{"/tokenize", `{}`, "prompt", wire.CodeMissing, 0},
		{"/tokenize", `{"prompt": "Hi", "model": "other"}`, "model", wire.CodeNoModel, http.StatusNotFound},
		{"/tokenize", `{"prompt": "Hi", "add_special_tokens": 1}`, "add_special_tokens", wire.CodeInvalidType, 0},
		{"/tokenize", strings.Replace(messages(`[{"role": "user", "content": "Hi"}]`), "{", `{"add_special_tokens": false, `, 1), "add_special_tokens", wire.CodeUnsupported, 0},
		{"/tokenize", `{"prompt": "Hi", "return_token_strs": true}`, "return_token_strs", wire.CodeUnknown, 0},
		{"/detokenize", `{}`, "tokens", wire.CodeMissing, 0},
		{"/detokenize", `{"tokens": "Hi"}`, "tokens", wire.CodeInvalidType, 0},
		{"/detokenize", `{"tokens": [1.5]}`, "tokens", wire.CodeInvalidType, 0},
		{"/detokenize", `{"tokens": [72, 300]}`, "tokens", wire.CodeInvalidValue, 0},
		{"/detokenize", `{"tokens": [], "model": "other"}`, "model", wire.CodeNoModel, http.StatusNotFound},
		{"/detokenize", `{"tokens": [], "x": 1}`, "x", wire.CodeUnknown, 0},

		{"/v1/embeddings", `{"model": "tiny", "input": "Hi"}`, "model", wire.CodeUnsupported, 0},
	} {
		res, got := do(t, h, request("POST", c.path, c.body))
		status := c.status
		if status == 0 {
			status = http.StatusBadRequest
		}
		var param any
		if c.param != "" {
			param = c.param
		}
		if res.StatusCode != status || at(got, "error", "param") != param || at(got, "error", "code") != c.code {
			t.Errorf("%s %.200s\n got %d, %v\nwant %d, param %v, code %s", c.path, c.body, res.StatusCode, got, status, c.param, c.code)
		}
		message, _ := at(got, "error", "message").(string)
		if leaf := c.param[strings.LastIndex(c.param, ".")+1:]; !strings.Contains(message, leaf) && c.path != "/v1/embeddings" {
			t.Errorf("%s %.200s: the message %q does not name %s", c.path, c.body, message, leaf)
		}
		if at(got, "error", "type") != "invalid_request_error" {
			t.Errorf("%s %.200s: type %v", c.path, c.body, at(got, "error", "type"))
		}
	}
	for _, header := range []string{"X-Reprise-Ledger", "X-Session-Id"} {
		_, got := do(t, h, request("POST", chatPath, with(`"n": 1`), header, strings.Repeat("x", 300)))
		if at(got, "error", "param") != header {
			t.Errorf("a bad %s gives %v", header, got)
		}
	}
	if n := len(play.Requests()); n != 0 {
		t.Errorf("%d turns were run for bad requests", n)
	}
	if res, got := do(t, h, request("POST", chatPath, with(`"n": 1`))); res.StatusCode != 200 {
		t.Errorf("a good request afterwards: %d, %v", res.StatusCode, got)
	}
}
