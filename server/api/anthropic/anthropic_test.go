package anthropic_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"

	"reprise/kvcache/ledger"
	"reprise/model/chat/held"
	"reprise/model/chat/parse"
	"reprise/server/api"
	"reprise/server/api/wire/wiretest"
	"reprise/server/engine"
)

// post sends a body to the whole server over an engine, without a socket.
func post(t *testing.T, e *wiretest.Engine, path, body string) (status int, answer string) {
	t.Helper()
	s, err := api.NewServer(api.Options{Engine: e})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.Host = "127.0.0.1:8000"
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

// thinksAndCalls is an answer of everything: reasoning, text, and a call in two pieces.
func thinksAndCalls(_ context.Context, e *wiretest.Engine, req engine.Request, emit func(engine.Event) error) (*engine.Result, error) {
	for _, ev := range []engine.Event{
		{Prompt: 10}, {Reasoning: "Hm"}, {Reasoning: "."}, {Text: "Let me "}, {Text: "look"},
		{Calls: []engine.CallPiece{{Name: "read"}}}, {Calls: []engine.CallPiece{{Arguments: `{"path":`}}}, {Calls: []engine.CallPiece{{Arguments: `"a"}`}}},
	} {
		if err := emit(ev); err != nil {
			return nil, err
		}
	}
	res := e.Finish(req, "Let me look", 9)
	res.Reasoning, res.Calls, res.Finish = "Hm.", []parse.Call{{Name: "read", Arguments: `{"path":"a"}`}}, ledger.FinishToolCalls
	return res, nil
}

const ask = `"model":"tiny","max_tokens":20,"messages":[{"role":"user","content":"Hi"}]`

func TestMessage(t *testing.T) {
	status, got := post(t, wiretest.New(thinksAndCalls), "/v1/messages", "{"+ask+"}")
	var m struct {
		Type, Role, Model string
		Stop              string `json:"stop_reason"`
		Content           []map[string]any
		Usage             map[string]int
	}
	if err := json.Unmarshal([]byte(got), &m); err != nil || status != 200 {
		t.Fatalf("%d %s: %v", status, got, err)
	}
	if m.Type != "message" || m.Role != "assistant" || m.Model != "tiny" || m.Stop != "tool_use" || len(m.Content) != 3 {
		t.Fatalf("%s", got)
	}
	if m.Content[0]["thinking"] != "Hm." || m.Content[1]["text"] != "Let me look" || m.Content[2]["name"] != "read" ||
		m.Content[2]["input"].(map[string]any)["path"] != "a" {
		t.Errorf("content %v", m.Content)
	}
	// The script's row: a prompt of 10, 4 of them from the cache.
	if u := m.Usage; u["cache_read_input_tokens"] != 4 || u["input_tokens"]+u["cache_creation_input_tokens"]+u["cache_read_input_tokens"] != 10 || u["output_tokens"] != 9 {
		t.Errorf("usage %v", u)
	}
}

// The stream's blocks, put together again, are the answer in one; each is begun, filled and ended before the next.
func TestStream(t *testing.T) {
	status, got := post(t, wiretest.New(thinksAndCalls), "/v1/messages", `{"stream":true,`+ask+"}")
	if status != 200 {
		t.Fatalf("%d %s", status, got)
	}
	var names []string
	var texts [3]string
	for event := range strings.SplitSeq(strings.TrimSpace(got), "\n\n") {
		name, data, ok := strings.Cut(strings.TrimPrefix(event, "event: "), "\ndata: ")
		var e struct {
			Type  string
			Index int
			Delta map[string]any
		}
		if err := json.Unmarshal([]byte(data), &e); err != nil || !ok || e.Type != name {
			t.Fatalf("event %q: %v", event, err)
		}
		names = append(names, name)
		for _, key := range []string{"thinking", "text", "partial_json"} {
			if piece, ok := e.Delta[key].(string); ok {
				texts[e.Index] += piece
			}
		}
	}
	block := func(deltas int) []string {
		return slices.Concat([]string{"content_block_start"}, slices.Repeat([]string{"content_block_delta"}, deltas), []string{"content_block_stop"})
	}
	want := slices.Concat([]string{"message_start", "ping"}, block(3), block(2), block(2), []string{"message_delta", "message_stop"})
	if !slices.Equal(names, want) {
		t.Errorf("events %v, want %v", names, want)
	}
	if texts != [3]string{"Hm.", "Let me look", `{"path":"a"}`} {
		t.Errorf("blocks %q", texts)
	}
}

// What a template is given: the order of a turn's parts, results as messages of their own, nothing that changes by itself.
func TestConversation(t *testing.T) {
	e := wiretest.New(nil)
	status, got := post(t, e, "/v1/messages", `{"model":"tiny","max_tokens":20,
		"system":[{"type":"text","text":"x-anthropic-billing-header: cch=1"},{"type":"text","text":"Be terse.","cache_control":{"type":"ephemeral"}}],
		"tools":[{"name":"read","description":"Reads","input_schema":{"type":"object"},"cache_control":{"type":"ephemeral"}}],
		"thinking":{"type":"enabled","budget_tokens":2048},"stop_sequences":["END"],"metadata":{"user_id":"u"},
		"messages":[{"role":"user","content":[{"type":"text","text":"Hi","cache_control":{"type":"ephemeral"}}]},
		{"role":"assistant","content":[{"type":"thinking","thinking":"Hm","signature":"s"},{"type":"text","text":"Ok"},{"type":"tool_use","id":"t1","name":"read","input":{"b":1, "a":2}}]},
		{"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":[{"type":"text","text":"gone"}],"is_error":true},{"type":"text","text":"So?"}]}]}`)
	if status != 200 {
		t.Fatalf("%d %s", status, got)
	}
	req := e.Requests()[0]
	var seen []string
	for _, m := range req.Prompt.Messages {
		text, _ := m.Text()
		seen = append(seen, m.Role()+": "+text)
	}
	if want := []string{"system: Be terse.", "user: Hi", "assistant: Ok", "tool: Error: gone", "user: So?"}; !slices.Equal(seen, want) {
		t.Errorf("messages %q, want %q", seen, want)
	}
	if r, _ := req.Prompt.Messages[2].Get("reasoning_content"); r != "Hm" {
		t.Errorf("reasoning %v", r)
	}
	if id, _ := req.Prompt.Messages[3].Get("tool_call_id"); id != "t1" {
		t.Errorf("the result's call is %v", id)
	}
	if len(req.Prompt.Tools) != 1 || req.Prompt.Thinking == nil || !*req.Prompt.Thinking || req.MaxTokens != 20 || !slices.Equal(req.Stop, []string{"END"}) {
		t.Errorf("%+v", req)
	}
}

// What is taken reaches the engine or the answer; the rest changes nothing.
func TestTaken(t *testing.T) {
	e := wiretest.New(nil)
	status, got := post(t, e, "/v1/messages", `{"temperature":0.5,"top_p":0.5,"top_k":3,"tools":[{"name":"f"}],"tool_choice":{"type":"tool","name":"f","disable_parallel_tool_use":true},
		"thinking":{"type":"adaptive","display":"summarized"},"output_config":{"effort":"high","format":{"type":"json_schema","schema":{"type":"object"}}},
		"service_tier":"auto","cache_control":{"type":"ephemeral"},"reprise":{"ledger":true,"ids":true,"reuse":false,"stored":true,"pd":"decode"},`+ask+"}")
	if status != 200 {
		t.Fatalf("%d %s", status, got)
	}
	r := e.Requests()[0]
	if r.Temperature != 0.5 || r.TopP != 0.5 || r.TopK != 3 || !r.NoReuse || !r.Stored || r.PD != engine.PDDecode || r.Prompt.Thinking == nil || !*r.Prompt.Thinking || r.Prompt.Extra == nil {
		t.Errorf("%+v", r)
	}
	if want := (held.Calls{Choice: held.Named, Name: "f", One: true}); !reflect.DeepEqual(r.Held.Calls, want) || r.Held.Format == nil || r.Held.Param != "output_config.format" {
		t.Errorf("held to %+v", r.Held)
	}
	if !strings.Contains(got, `"reprise":{"row":{`) || !strings.Contains(got, `"ids":{`) {
		t.Errorf("%s lacks the extension", got)
	}
}

func TestRefusals(t *testing.T) {
	for what, body := range map[string]string{
		`"type":"not_found_error"`:            `{"model":"other","max_tokens":1,"messages":[{"role":"user","content":"x"}]}`,
		"max_tokens is required":              `{"model":"tiny","messages":[{"role":"user","content":"x"}]}`,
		"messages is required":                `{"model":"tiny","max_tokens":1,"messages":[]}`,
		`block of type \"image\"`:             `{"model":"tiny","max_tokens":1,"messages":[{"role":"user","content":[{"type":"image"}]}]}`,
		"messages[0].role":                    `{"model":"tiny","max_tokens":1,"messages":[{"role":"tool","content":"x"}]}`,
		"tool_choice.type":                    `{"tool_choice":{"type":"some"},` + ask + `}`,
		"the request has no tools":            `{"tool_choice":{"type":"any"},` + ask + `}`,
		`tools[0].type`:                       `{"tools":[{"type":"web_search_20250305","name":"web_search"}],` + ask + `}`,
		"container is not supported":          `{"container":"c",` + ask + `}`,
		"context_management is not supported": `{"context_management":{},` + ask + `}`,
		"inference_geo is not supported":      `{"inference_geo":"eu",` + ask + `}`,
		"mcp_servers is not supported":        `{"mcp_servers":[{}],` + ask + `}`,
		"tp is an unknown parameter":          `{"tp":1,` + ask + `}`,
		"messages[0].content[0].extra":        `{"model":"tiny","max_tokens":1,"messages":[{"role":"user","content":[{"type":"text","text":"x","extra":1}]}]}`,
		"messages[0].content[0].text":         `{"model":"tiny","max_tokens":1,"messages":[{"role":"user","content":[{"type":"text"}]}]}`,
		"system[0].text":                      `{"system":[{"type":"text"}],` + ask + `}`,
		"the request body is not valid":       `{`,
		"output_config.effort":                `{"output_config":{"effort":"huge"},` + ask + `}`,
	} {
		status, got := post(t, wiretest.New(nil), "/v1/messages", body)
		if status < 400 || status > 404 || !strings.Contains(got, what) || !strings.HasPrefix(got, `{"type":"error","error":{`) {
			t.Errorf("%s: %d %s, want %s", body, status, got, what)
		}
	}
}

// TestCountTokens takes what makes a prompt, and refuses by name what it does not know.
func TestCountTokens(t *testing.T) {
	const path, start = "/v1/messages/count_tokens", `{"model":"tiny","system":"s","messages":[{"role":"user","content":"x"}]`
	for more, want := range map[string]string{
		``: "", `,"tools":[{"name":"f","input_schema":{}}],"tool_choice":{"type":"tool","name":"f","disable_parallel_tool_use":true}`: "",
		`,"thinking":{"type":"enabled","budget_tokens":9,"display":"summarized"}`:        "",
		`,"output_config":{"effort":"high","format":{"type":"json_schema","schema":{}}}`: "",
		`,"mcp_servers":[]`:                     "",
		`,"cache_control":{"type":"ephemeral"}`: "",
		`,"mcp_servers":[{}]`:                   "mcp_servers",
		`,"container":"c"`:                      "container",
		`,"context_management":{}`:              "context_management",
		`,"inference_geo":"us"`:                 "inference_geo",
		`,"max_tokens":1`:                       "max_tokens",
		`,"tool_choice":{"type":"any"}`:         "tool_choice",
		`,"output_config":{"effort":"endless"}`: "effort",
		`,"thinking":{"type":"sometimes"}`:      "thinking",
	} {
		status, got := post(t, wiretest.New(nil), path, start+more+"}")
		if want == "" && (status != 200 || strings.TrimSpace(got) != `{"input_tokens":20}`) || want != "" && (status != 400 || !strings.Contains(got, want)) {
			t.Errorf("%s: %d %s", more, status, got)
		}
	}
	for _, name := range []string{"model", "messages"} { // "system" is no must
		body := strings.Replace(start+"}", `"`+name+`"`, `"x`+name+`"`, 1)
		if status, got := post(t, wiretest.New(nil), path, body); status != 400 || !strings.Contains(got, name) {
			t.Errorf("without %s: %d %s", name, status, got)
		}
	}
}

// A stop sequence is named, and the end of the room has a word of its own.
func TestStopReasons(t *testing.T) {
	for want, ended := range map[string]func(*engine.Result){
		`"stop_reason":"stop_sequence","stop_sequence":"END"`: func(r *engine.Result) { r.Stop = "END" },
		`"stop_reason":"max_tokens","stop_sequence":null`:     func(r *engine.Result) { r.Finish = ledger.FinishLength },
		`"stop_reason":"end_turn","stop_sequence":null`:       func(*engine.Result) {},
	} {
		e := wiretest.New(func(_ context.Context, e *wiretest.Engine, req engine.Request, _ func(engine.Event) error) (*engine.Result, error) {
			res := e.Finish(req, "x", 2)
			ended(res)
			return res, nil
		})
		if _, got := post(t, e, "/v1/messages", "{"+ask+"}"); !strings.Contains(got, want) {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
