package openai_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"

	"reprise/server/api/wire"
	"reprise/server/api/wire/wiretest"
)

// TestTokenize: the ids of a text, with and without what begins a prompt, and of the body of a chat request; and back.
func TestTokenize(t *testing.T) {
	e := wiretest.New(nil)
	h := serve(t, e)
	for _, c := range []struct{ path, body, want string }{
		{"/tokenize", `{"prompt": "Hi"}`, `map[count:3 max_model_len:1024 tokens:[2 72 105]]`},
		{"/tokenize", `{"model": "tiny", "prompt": "Hi", "add_special_tokens": true}`, `map[count:3 max_model_len:1024 tokens:[2 72 105]]`},
		{"/tokenize", `{"prompt": "Hi", "add_special_tokens": false}`, `map[count:2 max_model_len:1024 tokens:[72 105]]`},
		{"/tokenize", with(`"stream": true, "max_tokens": 5`), `map[count:5 max_model_len:1024 tokens:[2 117 115 101 114]]`},
		{"/detokenize", `{"model": "tiny", "tokens": [72, 105]}`, `map[prompt:Hi]`},
		{"/detokenize", `{"tokens": []}`, `map[prompt:]`},
	} {
		if res, got := do(t, h, request("POST", c.path, c.body)); res.StatusCode != 200 || fmt.Sprint(got) != c.want {
			t.Errorf("%s %s: %d %v, want %s", c.path, c.body, res.StatusCode, got, c.want)
		}
	}
	if n := len(e.Requests()); n != 0 {
		t.Errorf("%d turns were run", n)
	}
}

// TestTokenizeTakes: what makes no prompt changes no id, and is checked as the completions check it.
func TestTokenizeTakes(t *testing.T) {
	h := serve(t, wiretest.New(nil))
	const bad = "-" // nothing is accepted
	const goodChat = `{"model": "tiny", "messages": [{"role": "user", "content": "Hi"}]}`
	for _, c := range []struct{ name, good, wrong string }{
		{"model", `"tiny"`, `"other"`}, {"stream", `true`, `1`}, {"n", `2`, `0`}, {"best_of", `1`, `2`}, {"temperature", `2`, `"hot"`}, {"top_p", `0`, `"x"`},
		{"stream_options", `{"include_usage": true, "include_obfuscation": true}`, `{"x": 1}`}, {"top_k", `3`, `-1`}, {"min_p", `0.1`, `"x"`}, {"seed", `-3`, `0.5`},
		{"frequency_penalty", `1`, `"x"`}, {"presence_penalty", `1`, `"x"`}, {"repetition_penalty", `1.1`, `0`}, {"logit_bias", `{"5": 1}`, `{"x": 1}`},
		{"response_format", `{"type": "json_object"}`, `{"type": "xml"}`}, {"stop", `["a"]`, `[""]`}, {"max_tokens", `5`, `0`}, {"prompt_cache_key", `"k"`, `1`},
		{"reprise", `{"ledger": true, "reuse": false, "ids": true, "stored": true, "pd": "decode"}`, `1`}, {"store", `true`, `1`}, {"metadata", `{"a": "b"}`, `1`}, {"user", `"u"`, `1`},
		{"safety_identifier", `"u"`, `1`}, {"service_tier", `"auto"`, `1`}, {"prompt_cache_retention", `"24h"`, `1`},
	} {
		for body, want := range map[string]string{goodChat: "[2 117 115 101 114]", `{"prompt": "Hi"}`: "[2 72 105]"} {
			takes(t, h, body, c.name, c.good, c.wrong, want)
		}
	}
	for _, c := range []struct{ name, good, wrong string }{ // a chat's
		{"messages", bad, `[]`}, {"max_completion_tokens", `5`, `0`}, {"tools", `[{"type": "function", "function": {"name": "f"}}]`, `1`}, {"tool_choice", `"none"`, `"required"`},
		{"parallel_tool_calls", `false`, `1`}, {"enable_thinking", `true`, `1`}, {"chat_template_kwargs", `{"a": 1}`, `1`}, {"reasoning_effort", `"max"`, `"endless"`},
		{"modalities", `["text"]`, `["audio"]`}, {"verbosity", `"medium"`, `"low"`}, {"prompt_cache_options", `{"mode": "implicit"}`, `1`}, {"functions", bad, `[]`}, {"function_call", bad, `"auto"`}, {"audio", bad, `{}`}, {"prediction", bad, `{}`}, {"web_search_options", bad, `{}`},
		{"logprobs", `true`, `3`}, {"top_logprobs", `0`, `21`}, {"add_special_tokens", `true`, `false`},
	} {
		takes(t, h, goodChat, c.name, c.good, c.wrong, "[2 117 115 101 114]")
	}
	for _, c := range []struct{ name, good, wrong string }{ // a text's
		{"prompt", bad, `3`}, {"echo", `false`, `true`}, {"suffix", `""`, `"x"`}, {"logprobs", `3`, `21`}, {"add_special_tokens", `true`, `1`},
	} {
		takes(t, h, `{"prompt": "Hi"}`, c.name, c.good, c.wrong, "[2 72 105]")
	}
}

// takes adds a parameter to a body: with the good value the ids are as without, the wrong one is refused by its name.
func takes(t *testing.T, h http.Handler, body, name, good, wrong, want string) {
	t.Helper()
	var fields map[string]json.RawMessage
	if err := json.Unmarshal([]byte(body), &fields); err != nil {
		t.Fatal(err)
	}
	send := func(value string) (int, any, any) {
		own := maps.Clone(fields)
		own[name] = json.RawMessage(value)
		raw, _ := json.Marshal(own)
		res, got := do(t, h, request("POST", "/tokenize", string(raw)))
		return res.StatusCode, got, at(got, "error", "message")
	}
	if good != "-" {
		if status, got, _ := send(good); status != 200 || fmt.Sprint(at(got, "tokens")) != want {
			t.Errorf("%s with %s %s: %d %v", body, name, good, status, got)
		}
	}
	if status, got, message := send(wrong); status < 400 || status > 404 || !strings.Contains(fmt.Sprint(message), name) {
		t.Errorf("%s with %s %s: %d %v", body, name, wrong, status, got)
	}
}

// TestEmbeddings: each wrong field is named; a good request is refused for the model's sake.
func TestEmbeddings(t *testing.T) {
	h := serve(t, wiretest.New(nil))
	const good = `{"model": "tiny", "input": "Hi", "dimensions": 8, "encoding_format": "float", "user": "u"}`
	for _, c := range []struct{ old, new, param string }{
		{"", "", "model"}, {`"tiny"`, `"other"`, "model"}, {`"Hi"`, `null`, "input"}, {`8`, `-8`, "dimensions"}, {`"float"`, `3`, "encoding_format"},
		{`"u"`, `3`, "user"}, {`"user"`, `"users"`, "users"},
	} {
		res, got := do(t, h, request("POST", "/v1/embeddings", strings.Replace(good, c.old, c.new, 1)))
		if res.StatusCode != 400 && res.StatusCode != 404 || at(got, "error", "param") != c.param {
			t.Errorf("%s for %s: %d %v", c.new, c.old, res.StatusCode, got)
		}
		if c.old == "" && at(got, "error", "code") != wire.CodeUnsupported {
			t.Errorf("%v", got)
		}
	}
}
