package responses_test

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

func server(t *testing.T, e *wiretest.Engine) http.Handler {
	t.Helper()
	s, err := api.NewServer(api.Options{Engine: e})
	if err != nil {
		t.Fatal(err)
	}
	return s.Handler()
}

func post(h http.Handler, body string) (status int, answer string) {
	r := httptest.NewRequest(http.MethodPost, "/v1/responses", strings.NewReader(body))
	r.Host = "127.0.0.1:8000"
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
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

type response struct {
	ID, Status string
	Output     []map[string]any
	Usage      struct {
		Input   int            `json:"input_tokens"`
		Details map[string]int `json:"input_tokens_details"`
		Total   int            `json:"total_tokens"`
	}
}

func read(t *testing.T, text string) (r response) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return r
}

// The stream's last event has what an answer in one has; numbers follow each other; items come one after the other.
func TestStreamIsTheAnswer(t *testing.T) {
	h := server(t, wiretest.New(thinksAndCalls))
	_, whole := post(h, `{"model":"tiny","input":"Hi"}`)
	one := read(t, whole)
	if one.Status != "completed" || len(one.Output) != 3 || one.Usage.Input != 10 || one.Usage.Details["cached_tokens"] != 4 || one.Usage.Total != 19 {
		t.Fatalf("%s", whole)
	}
	if one.Output[2]["name"] != "read" || one.Output[2]["arguments"] != `{"path":"a"}` || one.Output[2]["call_id"] == "" {
		t.Errorf("call %v", one.Output[2])
	}
	_, stream := post(h, `{"model":"tiny","input":"Hi","stream":true}`)
	var names []string
	deltas := map[string]string{}
	var last struct{ Response response }
	for event := range strings.SplitSeq(strings.TrimSpace(stream), "\n\n") {
		name, data, _ := strings.Cut(strings.TrimPrefix(event, "event: "), "\ndata: ")
		var e struct {
			Type   string
			Number int `json:"sequence_number"`
			Delta  string
		}
		if err := json.Unmarshal([]byte(data), &e); err != nil || e.Type != name || e.Number != len(names) {
			t.Fatalf("event %d %q: %v", len(names), event, err)
		}
		names = append(names, strings.TrimPrefix(name, "response."))
		deltas[name] += e.Delta
		if name == "response.completed" {
			_ = json.Unmarshal([]byte(data), &last)
		}
	}
	want := []string{"created", "in_progress",
		"output_item.added", "reasoning_summary_part.added", "reasoning_summary_text.delta", "reasoning_summary_text.delta", "reasoning_summary_text.done", "reasoning_summary_part.done", "output_item.done",
		"output_item.added", "content_part.added", "output_text.delta", "output_text.delta", "output_text.done", "content_part.done", "output_item.done",
		"output_item.added", "function_call_arguments.delta", "function_call_arguments.delta", "function_call_arguments.done", "output_item.done", "completed"}
	if !slices.Equal(names, want) {
		t.Errorf("events %v", names)
	}
	if deltas["response.output_text.delta"] != "Let me look" || deltas["response.function_call_arguments.delta"] != `{"path":"a"}` {
		t.Errorf("deltas %v", deltas)
	}
	if len(last.Response.Output) != 3 || last.Response.Output[1]["content"] == nil {
		t.Errorf("the last event has %+v", last.Response)
	}
}

func seen(req engine.Request) (out []string) {
	for _, m := range req.Prompt.Messages {
		text, _ := m.Text()
		if calls, ok := m.Get("tool_calls"); ok && calls != nil {
			text += "+call"
		}
		if r, ok := m.Get("reasoning_content"); ok {
			text += "+" + r.(string)
		}
		out = append(out, m.Role()+": "+text)
	}
	return out
}

// The items of one answer are one message again, and what is continued by its id is what would have been sent whole.
func TestConversation(t *testing.T) {
	e := wiretest.New(thinksAndCalls)
	h := server(t, e)
	_, first := post(h, `{"model":"tiny","instructions":"Be terse.","input":"Hi"}`)
	answered := read(t, first)
	items, _ := json.Marshal(answered.Output)
	result := `{"type":"function_call_output","call_id":"` + answered.Output[2]["call_id"].(string) + `","output":"text"}`
	whole := `{"model":"tiny","instructions":"Be terse.","input":[{"role":"user","content":[{"type":"input_text","text":"Hi"}]},` + string(items[1:len(items)-1]) + `,` + result + `]}`
	if status, got := post(h, whole); status != 200 {
		t.Fatalf("%d %s", status, got)
	}
	if status, got := post(h, `{"model":"tiny","instructions":"Be terse.","previous_response_id":"`+answered.ID+`","input":[`+result+`]}`); status != 200 {
		t.Fatalf("%d %s", status, got)
	}
	want := []string{"system: Be terse.", "user: Hi", "assistant: Let me look+call+Hm.", "tool: text"}
	for _, req := range e.Requests()[1:] {
		if got := seen(req); !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// An answer with store false is not kept; one emptied of its reasoning is taken.
func TestNotKept(t *testing.T) {
	e := wiretest.New(nil)
	h := server(t, e)
	_, first := post(h, `{"model":"tiny","store":false,"input":"Hi"}`)
	if status, got := post(h, `{"model":"tiny","input":"x","previous_response_id":"`+read(t, first).ID+`"}`); status != 404 || !strings.Contains(got, "previous_response_id") {
		t.Errorf("%d %s", status, got)
	}
	if status, got := post(h, `{"model":"tiny","input":[{"role":"user","content":"a"},{"type":"reasoning","id":"r","summary":[]},{"role":"assistant","content":"b"},{"role":"user","content":"c"}]}`); status != 200 {
		t.Errorf("%d %s", status, got)
	}
	if got, want := seen(e.Requests()[1]), []string{"user: a", "assistant: b", "user: c"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// What is taken reaches the engine or the answer; the rest changes nothing.
func TestTaken(t *testing.T) {
	e := wiretest.New(nil)
	status, got := post(server(t, e), `{"model":"tiny","input":"x","stream_options":{"include_obfuscation":false},"max_output_tokens":9,"temperature":0.5,"top_p":0.5,"top_k":3,
		"tools":[{"type":"function","name":"f","parameters":{"type":"object"},"strict":true}],"tool_choice":{"type":"function","name":"f"},"parallel_tool_calls":false,
		"reasoning":{"effort":"none","summary":"auto","generate_summary":null},"text":{"format":{"type":"json_schema","name":"n","schema":{"type":"object"}},"verbosity":"medium"},
		"include":["reasoning.encrypted_content"],"prompt_cache_key":"k","reprise":{"ledger":true,"ids":true,"reuse":false,"stored":true,"pd":"decode"},"metadata":{"a":"b"},
		"user":"u","safety_identifier":"s","service_tier":"auto","prompt_cache_retention":"24h","prompt_cache_options":{"mode":"implicit"}}`)
	if status != 200 {
		t.Fatalf("%d %s", status, got)
	}
	r := e.Requests()[0]
	if r.MaxTokens != 9 || r.Temperature != 0.5 || r.TopP != 0.5 || r.TopK != 3 || r.Session != "k" || !r.NoReuse || !r.Stored || r.PD != engine.PDDecode || r.Prompt.Thinking == nil || *r.Prompt.Thinking {
		t.Errorf("%+v", r)
	}
	if want := (held.Calls{Choice: held.Named, Name: "f", One: true}); !reflect.DeepEqual(r.Held.Calls, want) || r.Held.Format == nil || r.Held.Param != "text.format" {
		t.Errorf("held to %+v", r.Held)
	}
	for _, want := range []string{`"metadata":{"a":"b"}`, `"reprise":{"row":{`, `"ids":{`, `"parallel_tool_calls":false`} {
		if !strings.Contains(got, want) {
			t.Errorf("%s lacks %s", got, want)
		}
	}
}

func TestRefusals(t *testing.T) {
	h := server(t, wiretest.New(nil))
	for what, body := range map[string]string{
		"model_not_found":                     `{"model":"other","input":"x"}`,
		"input is required":                   `{"model":"tiny"}`,
		"input[0].content[0].type":            `{"model":"tiny","input":[{"role":"user","content":[{"type":"input_image"}]}]}`,
		"input[0].role":                       `{"model":"tiny","input":[{"role":"robot","content":"x"}]}`,
		"input[0].type":                       `{"model":"tiny","input":[{"type":"item_reference","id":"x"}]}`,
		"tools[0].type":                       `{"model":"tiny","input":"x","tools":[{"type":"web_search"}]}`,
		"conversation is not supported":       `{"model":"tiny","input":"x","conversation":"c"}`,
		"prompt is not supported":             `{"model":"tiny","input":"x","prompt":{"id":"p"}}`,
		"max_tool_calls is not supported":     `{"model":"tiny","input":"x","max_tool_calls":3}`,
		"top_logprobs is not supported":       `{"model":"tiny","input":"x","top_logprobs":2}`,
		"context_management is not supported": `{"model":"tiny","input":"x","context_management":[]}`,
		"background is not supported":         `{"model":"tiny","input":"x","background":true}`,
		"truncation is not supported":         `{"model":"tiny","input":"x","truncation":"auto"}`,
		"text.format.type":                    `{"model":"tiny","input":"x","text":{"format":{"type":"xml"}}}`,
		"the request has no tools":            `{"model":"tiny","input":"x","tool_choice":"required"}`,
		"include can hold":                    `{"model":"tiny","input":"x","include":["message.output_text.logprobs"]}`,
		"tp is an unknown parameter":          `{"model":"tiny","input":"x","tp":1}`,
		"reasoning.effort":                    `{"model":"tiny","input":"x","reasoning":{"effort":"huge"}}`,
	} {
		if status, got := post(h, body); status < 400 || status > 404 || !strings.Contains(got, what) {
			t.Errorf("%s: %d %s, want %s", body, status, got, what)
		}
	}
}
