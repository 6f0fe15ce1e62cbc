package api

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"

	"reprise/server/api/wire/wiretest"
)

// seeds are bodies of each endpoint, right ones and such as are nearly so.
var seeds = map[string][]string{
	"/v1/chat/completions": {
		`{"model":"tiny","messages":[{"role":"user","content":"Hi"}]}`,
		`{"model":"tiny","stream":true,"messages":[{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}]},{"role":"tool","tool_call_id":"c","content":[{"type":"text","text":"x"}]}],"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}],"tool_choice":{"type":"function","function":{"name":"f"}}}`,
		`{"model":"tiny","messages":[{"role":"user","content":"x"}],"n":2,"stop":["a"],"logit_bias":{"5":1},"response_format":{"type":"json_schema","json_schema":{"schema":{}}},"reprise":{"ids":true}}`,
		`{"messages":[{"role":"robot"}],"max_tokens":-1,"temperature":1e400}`,
	},
	"/v1/completions": {`{"model":"tiny","prompt":"Once","max_tokens":3}`, `{"model":"tiny","prompt":[[1,2,3]],"stream":true,"logprobs":2}`, `{"prompt":[1.5]}`},
	"/v1/responses": {
		`{"model":"tiny","input":"Hi","instructions":"Be terse."}`,
		`{"model":"tiny","stream":true,"input":[{"role":"user","content":[{"type":"input_text","text":"x"}]},{"type":"reasoning","summary":[{"type":"summary_text","text":"t"}]},{"type":"function_call","call_id":"c","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"c","output":"y"}],"tools":[{"type":"function","name":"f"}]}`,
		`{"model":"tiny","input":[{}],"previous_response_id":"resp_x","text":{"format":{"type":"json_object"}}}`,
	},
	"/v1/messages": {
		`{"model":"tiny","max_tokens":5,"messages":[{"role":"user","content":"Hi"}]}`,
		`{"model":"tiny","max_tokens":5,"stream":true,"system":[{"type":"text","text":"s","cache_control":{"type":"ephemeral"}}],"messages":[{"role":"assistant","content":[{"type":"thinking","thinking":"t","signature":"s"},{"type":"tool_use","id":"t","name":"f","input":{"a":[1]}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":"r","is_error":true}]}],"tools":[{"name":"f","input_schema":{}}],"tool_choice":{"type":"any"}}`,
		`{"max_tokens":0,"messages":[{"role":"user","content":[{"type":"image"}]}],"thinking":{"type":"enabled"}}`,
	},
	"/v1/messages/count_tokens": {`{"model":"tiny","messages":[{"role":"user","content":"Hi"}]}`},
	"/tokenize":                 {`{"prompt":"Hi"}`, `{"messages":[{"role":"user","content":"x"}]}`},
	"/detokenize":               {`{"tokens":[1,2]}`, `{"tokens":"x"}`},
}

func fuzz(f *testing.F, path string) {
	for _, body := range seeds[path] {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		e := wiretest.New(nil)
		s, err := NewServer(Options{Engine: e})
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest("POST", path, strings.NewReader(body))
		r.Host = "127.0.0.1:8000"
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, r)
		switch {
		case w.Code == 200:
			for _, req := range e.Requests() {
				if p := req.Prompt; len(p.Messages) == 0 && p.Raw == "" && len(p.IDs) == 0 && path != "/v1/completions" {
					t.Errorf("%s %q reached the engine with nothing to continue", path, body)
				}
			}
		case w.Code < 400 || w.Code >= 500:
			t.Errorf("%s %q is answered with %d: %s", path, body, w.Code, w.Body)
		case !json.Valid(w.Body.Bytes()) || !strings.Contains(w.Body.String(), `"error"`):
			t.Errorf("%s %q is refused with %s", path, body, w.Body)
		}
	})
}

// Whatever a client sends is answered, or refused in the API's shape. cmd/reprise/testdata/fuzz.sh runs these for longer.
func FuzzChat(f *testing.F)        { fuzz(f, "/v1/chat/completions") }
func FuzzCompletions(f *testing.F) { fuzz(f, "/v1/completions") }
func FuzzResponses(f *testing.F)   { fuzz(f, "/v1/responses") }
func FuzzMessages(f *testing.F)    { fuzz(f, "/v1/messages") }
func FuzzCount(f *testing.F)       { fuzz(f, "/v1/messages/count_tokens") }
func FuzzTokenize(f *testing.F)    { fuzz(f, "/tokenize") }
func FuzzDetokenize(f *testing.F)  { fuzz(f, "/detokenize") }
