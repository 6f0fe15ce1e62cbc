package openai_test

import (
	"encoding/json"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"reprise/model/chat"
	"reprise/model/chat/held"
	"reprise/model/sample"
	"reprise/server/api/openai"
	"reprise/server/api/wire/wiretest"
	"reprise/server/engine"
)

// sent runs one request and returns what the engine got.
func sent(t *testing.T, e *wiretest.Engine, path, body string, headers ...string) engine.Request {
	t.Helper()
	before := len(e.Requests())
	res, got := do(t, serve(t, e), request("POST", path, body, headers...))
	if res.StatusCode != 200 {
		t.Fatalf("%s %s: %d, %v", path, body, res.StatusCode, got)
	}
	all := e.Requests()
	if len(all) != before+1 {
		t.Fatalf("%d turns for one request", len(all)-before)
	}
	return all[before]
}

func ptr[T any](v T) *T { return &v }

func TestSampling(t *testing.T) {
	suggested := wiretest.New(nil)
	g := &suggested.Loaded.Config.Generation
	g.Temperature, g.TopK, g.TopP, g.MinP = ptr(0.6), ptr(20), ptr(0.95), ptr(0.05)
	plain := wiretest.New(nil)
	for _, c := range []struct {
		engine *wiretest.Engine
		fields string
		want   sample.Params
	}{
		{plain, `"seed": 1`, sample.Params{Temperature: 1, TopP: 1, Seed: 1}},
		{plain, `"seed": 1, "temperature": null, "top_p": null`, sample.Params{Temperature: 1, TopP: 1, Seed: 1}},
		{plain, `"seed": -1, "temperature": 0`, sample.Params{TopP: 1, Seed: 1<<64 - 1}},
		{plain, `"seed": 7, "temperature": 0.25, "top_p": 0.5, "top_k": 40, "min_p": 0.125`, sample.Params{Temperature: 0.25, TopP: 0.5, TopK: 40, MinP: 0.125, Seed: 7}},
		{plain, `"seed": 7, "temperature": 0.25, "top_p": 0`, sample.Params{TopP: 1, Seed: 7}}, // greedy
		{suggested, `"seed": 1`, sample.Params{Temperature: 0.6, TopP: 0.95, TopK: 20, MinP: 0.05, Seed: 1}},
		{suggested, `"seed": 1, "temperature": 1, "top_p": 1, "top_k": 0, "min_p": 0`, sample.Params{Temperature: 1, TopP: 1, Seed: 1}},
	} {
		if got := sent(t, c.engine, chatPath, with(c.fields)).Params; !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, want %+v", c.fields, got, c.want)
		}
	}
	a, b := sent(t, plain, chatPath, with(`"n": 1`)).Seed, sent(t, plain, chatPath, with(`"n": 1`)).Seed
	if a == b {
		t.Errorf("two requests without a seed have the same, %d", a)
	}
}

func TestLimitsStopsAndNames(t *testing.T) {
	e := wiretest.New(nil)
	for _, c := range []struct {
		path, body string
		headers    []string
		check      func(engine.Request) bool
	}{
		{chatPath, with(`"n": 1`), nil, func(r engine.Request) bool { return r.MaxTokens == 0 && r.Stop == nil && r.Session == "" && !r.NoReuse }},
		{chatPath, with(`"max_tokens": 65536`), nil, func(r engine.Request) bool { return r.MaxTokens == 65536 }},
		{chatPath, with(`"max_tokens": 1e15`), nil, func(r engine.Request) bool { return r.MaxTokens == 1<<31-1 }},
		{chatPath, with(`"max_completion_tokens": 1`), nil, func(r engine.Request) bool { return r.MaxTokens == 1 }},
		{chatPath, with(`"max_completion_tokens": 5, "max_tokens": 5`), nil, func(r engine.Request) bool { return r.MaxTokens == 5 }},
		{textPath, withText(`"n": 1`), nil, func(r engine.Request) bool { return r.MaxTokens == 16 }},
		{textPath, withText(`"max_tokens": 5`), nil, func(r engine.Request) bool { return r.MaxTokens == 5 }},
		{chatPath, with(`"stop": "END"`), nil, func(r engine.Request) bool { return reflect.DeepEqual(r.Stop, []string{"END"}) }},
		{chatPath, with(`"stop": ["a", "b"]`), nil, func(r engine.Request) bool { return reflect.DeepEqual(r.Stop, []string{"a", "b"}) }},
		{chatPath, with(`"prompt_cache_key": "S:0"`), nil, func(r engine.Request) bool { return r.Session == "S:0" }},
		{chatPath, with(`"prompt_cache_key": "S:0"`), []string{"X-Session-Id", "mine"}, func(r engine.Request) bool { return r.Session == "mine" }},
		{chatPath, with(`"reprise": {"reuse": false}`), nil, func(r engine.Request) bool { return r.NoReuse }},
		{chatPath, with(`"reprise": {"reuse": true}`), nil, func(r engine.Request) bool { return !r.NoReuse }},
		{chatPath, with(`"reprise": {"stored": true}`), nil, func(r engine.Request) bool { return r.Stored && r.PD == "" }},
		{chatPath, with(`"reprise": {"pd": "prefill"}`), nil, func(r engine.Request) bool { return r.PD == engine.PDPrefill }},
		{textPath, withText(`"reprise": {"pd": "decode"}`), nil, func(r engine.Request) bool { return r.PD == engine.PDDecode && !r.Stored }},
		{textPath, `{"model": "tiny", "prompt": "a b"}`, nil, func(r engine.Request) bool { return r.Prompt.Raw == "a b" && r.Prompt.IDs == nil }},
		{textPath, `{"model": "tiny", "prompt": ["a b"]}`, nil, func(r engine.Request) bool { return r.Prompt.Raw == "a b" }},
		{textPath, `{"model": "tiny", "prompt": [2, 5.0]}`, nil, func(r engine.Request) bool { return reflect.DeepEqual(r.Prompt.IDs, []int32{2, 5}) }},
		{textPath, `{"model": "tiny", "prompt": [[2, 5]]}`, nil, func(r engine.Request) bool { return reflect.DeepEqual(r.Prompt.IDs, []int32{2, 5}) }},
	} {
		if r := sent(t, e, c.path, c.body, c.headers...); !c.check(r) {
			t.Errorf("%s %s %v: the engine got %+v", c.path, c.body, c.headers, r)
		}
	}
}

// TestAcceptedWithoutEffect: what clients send and what means nothing here changes nothing.
func TestAcceptedWithoutEffect(t *testing.T) {
	e := wiretest.New(nil)
	plain := sent(t, e, chatPath, with(`"seed": 1`))
	loaded := sent(t, e, chatPath, with(`"seed": 1, "store": false, "metadata": {"a": "b"}, "user": "me", "safety_identifier": "s",
		"service_tier": "auto", "prompt_cache_retention": "24h", "prompt_cache_options": {"mode": "explicit"}, "verbosity": "medium", "parallel_tool_calls": true, "stream": false,
		"stream_options": {"include_usage": true, "include_obfuscation": false}, "n": 1, "logprobs": false, "logit_bias": {}, "frequency_penalty": 0,
		"presence_penalty": 0.0, "response_format": {"type": "text"}, "tool_choice": "auto", "tools": [], "modalities": ["text"],
		"top_logprobs": null, "function_call": null, "reprise": {}`))
	plain.TurnID, loaded.TurnID = "", ""
	if !reflect.DeepEqual(plain, loaded) {
		t.Errorf("the engine got %+v\nwant %+v", loaded, plain)
	}
}

func TestMessages(t *testing.T) {
	e := wiretest.New(nil)
	r := sent(t, e, chatPath, messages(`[
		{"role": "developer", "content": "Rules"},
		{"content": [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}], "role": "user", "name": "x"},
		{"role": "assistant", "content": null, "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{\"z\": 1.0e3, \"a\": 2}"}}]},
		{"role": "tool", "tool_call_id": "c1", "name": "f", "content": ""},
		{"role": "user", "content": null},
		{"role": "assistant"}]`))
	want := []struct {
		role    string
		content any
	}{{"system", "Rules"}, {"user", ""}, {"assistant", nil}, {"tool", ""}, {"user", ""}, {"assistant", ""}}
	if len(r.Prompt.Messages) != len(want) {
		t.Fatalf("%d messages, want %d", len(r.Prompt.Messages), len(want))
	}
	for i, m := range r.Prompt.Messages {
		content, there := m.Get("content")
		if i == 1 {
			content = "" // parts: checked below
		}
		if m.Role() != want[i].role || content != want[i].content || !there {
			t.Errorf("message %d: %s %v (there: %v), want %+v", i, m.Role(), content, there, want[i])
		}
	}
}

// TestTemplateInput: a template sees keys and numbers as the client wrote them, and what the client adds for it.
func TestTemplateInput(t *testing.T) {
	r := sent(t, wiretest.New(nil), chatPath, `{"model": "tiny", "reasoning_effort": "none", "chat_template_kwargs": {"x": 1.0}, "messages": [
		{"content": [{"type": "text", "text": "Hi"}], "role": "user", "name": "me"},
		{"role": "assistant", "content": null, "tool_calls": [{"type": "function", "function": {"name": "f", "arguments": "{\"z\": 1.0e3, \"a\": 2}"}}]}]}`)
	const template = `{% for k in messages[0] %}{{ k }} {% endfor %}{{ messages[0].content[0].text }}|` +
		`{{ messages[1].tool_calls[0].function.arguments | tojson }}|{{ reasoning_effort }} {{ enable_thinking }} {{ x }}`
	if got, want := render(t, template, r), `content role name Hi|{"z": 1000.0, "a": 2}|none False 1.0`; got != want {
		t.Errorf("the template printed %q, want %q", got, want)
	}
}

// render does what the prompt's assembler does.
func render(t *testing.T, template string, r engine.Request) string {
	t.Helper()
	tmpl, err := chat.Compile(template)
	if err != nil {
		t.Fatal(err)
	}
	text, err := tmpl.Render(chat.Input{Messages: r.Prompt.Messages, Tools: r.Prompt.Tools, EnableThinking: r.Prompt.Thinking, Extra: r.Prompt.Extra})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestTools(t *testing.T) {
	const tools = `"tools": [{"type": "function", "function": {"name": "f", "parameters": {"z": 1, "a": 2}}}]`
	e := wiretest.New(nil)
	if got := render(t, `{{ tools | tojson }}`, sent(t, e, chatPath, with(tools))); got != `[{"type": "function", "function": {"name": "f", "parameters": {"z": 1, "a": 2}}}]` {
		t.Errorf("the template got %s", got)
	}
	if r := sent(t, e, chatPath, with(tools+`, "tool_choice": "none"`)); r.Prompt.Tools == nil || r.Held.Calls.Choice != held.None {
		t.Error("tool_choice none takes the tools out of the prompt, whose state is then lost, or lets them be called")
	}
}

// TestCaptures sends what the real agents sent.
func TestCaptures(t *testing.T) {
	files, _ := filepath.Glob("../../../../shared/captures/*.json")
	if len(files) == 0 {
		t.Skip("no captures: ../shared is not beside this checkout")
	}
	e := wiretest.New(nil)
	e.Loaded.Name = "mock-model"
	h := serve(t, e)
	for i, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var want struct {
			Messages []json.RawMessage
			Tools    []json.RawMessage
		}
		if err := json.Unmarshal(body, &want); err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, request("POST", chatPath, string(body)))
		if w.Code != 200 || !strings.HasSuffix(w.Body.String(), "data: [DONE]\n\n") {
			t.Errorf("%s: %d, %s", filepath.Base(file), w.Code, w.Body)
			continue
		}
		r := e.Requests()[i]
		if len(r.Prompt.Messages) != len(want.Messages) || len(r.Prompt.Tools) != len(want.Tools) || r.MaxTokens == 0 {
			t.Errorf("%s: %d messages of %d, %d tools of %d, max_tokens %d", filepath.Base(file),
				len(r.Prompt.Messages), len(want.Messages), len(r.Prompt.Tools), len(want.Tools), r.MaxTokens)
		}
	}
}

// TestParse: a body outside a request means what it means in one, except that the model may go without saying.
func TestParse(t *testing.T) {
	target := openai.Target{Name: "tiny", Implied: true}
	for _, c := range []struct{ path, body string }{
		{chatPath, with(`"seed": 1, "stream": true, "max_tokens": 3, "tools": [{"type": "function", "function": {"name": "f"}}], "prompt_cache_key": "k", "reprise": {"reuse": false, "ids": true}`)},
		{textPath, withText(`"seed": 1, "stop": "x"`)},
	} {
		want := wiretest.New(nil)
		h := serve(t, want)
		h.ServeHTTP(httptest.NewRecorder(), request("POST", c.path, c.body))
		sent := want.Requests()[0]
		sent.TurnID = ""
		got, err := openai.Parse([]byte(c.body), target)
		if err != nil || !reflect.DeepEqual(got, sent) {
			t.Errorf("%s: %+v, %v; want %+v", c.body, got, err, sent)
		}
		implied, err := openai.Parse([]byte(strings.Replace(c.body, `"model": "tiny",`, "", 1)), target)
		if err != nil || !reflect.DeepEqual(implied, sent) {
			t.Errorf("%s without its model: %+v, %v", c.body, implied, err)
		}
	}
	for _, c := range []struct{ body, says string }{
		{`{"messages": [{"role": "user", "content": "Hi"}], "temprature": 1}`, "temprature"},
		{`{"model": "other", "prompt": "Hi"}`, `"other" is not loaded`},
		{`{"messages": [], "prompt": "Hi"}`, "messages is empty"},
		{`{}`, "messages is required"},
		{`[]`, "JSON object"},
	} {
		if _, err := openai.Parse([]byte(c.body), target); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", c.body, err, c.says)
		}
	}
	if _, err := openai.Parse([]byte(`{"prompt": "Hi"}`), openai.Target{Name: "tiny"}); err == nil || !strings.Contains(err.Error(), "model is required") {
		t.Errorf("a body without a model: %v", err)
	}
}
