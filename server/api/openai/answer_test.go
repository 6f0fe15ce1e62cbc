package openai_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"reprise/kvcache/ledger"
	"reprise/model/chat/parse"
	"reprise/server/api/wire/wiretest"
	"reprise/server/engine"
)

var turnID = regexp.MustCompile(`turn_([0-9a-f]{16})`)

// stream sends a request inside a synctest bubble, whose clock starts at midnight of 2000-01-01, and returns the
// events with ID in place of the turn's.
func stream(t *testing.T, e *wiretest.Engine, path, body string) []string {
	t.Helper()
	w := httptest.NewRecorder()
	serve(t, e).ServeHTTP(w, request("POST", path, body))
	id := turnID.FindStringSubmatch(w.Header().Get("X-Reprise-Turn"))
	if w.Code != 200 || id == nil || w.Header().Get("Content-Type") != "text/event-stream" {
		t.Fatalf("status %d, headers %v, %s", w.Code, w.Header(), w.Body)
	}
	text := strings.ReplaceAll(w.Body.String(), id[1], "ID")
	if !strings.HasSuffix(text, "\n\n") {
		t.Errorf("the stream does not end with an empty line: %q", text)
	}
	return strings.Split(strings.TrimSuffix(text, "\n\n"), "\n\n")
}

func compare(t *testing.T, got []string, want ...string) {
	t.Helper()
	if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
		t.Errorf("got\n%s\nwant\n%s", g, w)
	}
}

const (
	chatHead = `data: {"id":"chatcmpl-ID","object":"chat.completion.chunk","created":946684800,"model":"tiny","choices":`
	textHead = `data: {"id":"cmpl-ID","object":"text_completion","created":946684800,"model":"tiny","choices":`
	opening  = chatHead + `[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}`
	silence  = chatHead + `[{"index":0,"delta":{},"finish_reason":null}]}`
	ending   = chatHead + `[{"index":0,"delta":{},"finish_reason":"stop"}]}`
	counts   = `"usage":{"prompt_tokens":10,"completion_tokens":3,"total_tokens":13,"prompt_tokens_details":{"cached_tokens":4}}}`
)

func piece(text string) string {
	return chatHead + `[{"index":0,"delta":{"content":"` + text + `"},"finish_reason":null}]}`
}

func TestChatStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := wiretest.New(wiretest.Words("<b>", " wörld & co"))
		want := []string{opening, piece("<b>"), piece(" wörld & co"), ending}
		compare(t, stream(t, e, chatPath, with(`"stream": true`)), append(want, "data: [DONE]")...)
		compare(t, stream(t, e, chatPath, with(`"stream": true, "stream_options": {"include_usage": true}`)),
			append(want, chatHead+`[],`+counts, "data: [DONE]")...)
	})
}

// calling plays an answer with reasoning, text and two calls.
func calling(_ context.Context, e *wiretest.Engine, req engine.Request, emit func(engine.Event) error) (*engine.Result, error) {
	for _, ev := range []engine.Event{
		{Reasoning: "hm"}, {Reasoning: ".", Text: "Look", Calls: []engine.CallPiece{{Name: "exec"}}},
		{Calls: []engine.CallPiece{{Arguments: `{"a":"<é`}}},
		{Calls: []engine.CallPiece{{Arguments: `"}`}, {Index: 1, Name: "ping"}, {Index: 1, Arguments: "{}"}}},
	} {
		if err := emit(ev); err != nil {
			return nil, err
		}
	}
	res := e.Finish(req, "Look", 9)
	res.Reasoning, res.Finish = "hm.", ledger.FinishToolCalls
	res.Calls = []parse.Call{{Name: "exec", Arguments: `{"a":"<é"}`}, {Name: "ping", Arguments: "{}"}}
	return res, nil
}

func TestCallsStream(t *testing.T) {
	delta := func(d string) string { return chatHead + `[{"index":0,"delta":{` + d + `},"finish_reason":null}]}` }
	synctest.Test(t, func(t *testing.T) {
		compare(t, stream(t, wiretest.New(calling), chatPath, with(`"stream": true`)), opening,
			delta(`"reasoning_content":"hm"`), delta(`"reasoning_content":"."`), piece("Look"),
			delta(`"tool_calls":[{"index":0,"id":"callIDx0","type":"function","function":{"name":"exec","arguments":""}}]`),
			delta(`"tool_calls":[{"index":0,"function":{"arguments":"{\"a\":\"<é"}}]`),
			delta(`"tool_calls":[{"index":0,"function":{"arguments":"\"}"}}]`),
			delta(`"tool_calls":[{"index":1,"id":"callIDx1","type":"function","function":{"name":"ping","arguments":""}}]`),
			delta(`"tool_calls":[{"index":1,"function":{"arguments":"{}"}}]`),
			chatHead+`[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}`, "data: [DONE]")
	})
}

func TestCallsWhole(t *testing.T) {
	for _, text := range []string{"Look", ""} {
		e := wiretest.New(func(ctx context.Context, e *wiretest.Engine, req engine.Request, emit func(engine.Event) error) (*engine.Result, error) {
			res, err := calling(ctx, e, req, emit)
			res.Text = text
			return res, err
		})
		res, got := do(t, serve(t, e), request("POST", chatPath, with(`"n": 1`)))
		raw, err := json.Marshal(at(got, "choices"))
		if err != nil {
			t.Fatal(err)
		}
		id := strings.TrimPrefix(res.Header.Get("X-Reprise-Turn"), "turn_")
		content := `"Look"`
		if text == "" {
			content = "null"
		}
		want := `[{"finish_reason":"tool_calls","index":0,"logprobs":null,"message":{"content":` + content + `,"reasoning_content":"hm.","refusal":null,"role":"assistant","tool_calls":[` +
			`{"function":{"arguments":"{\"a\":\"\u003cé\"}","name":"exec"},"id":"call` + id + `x0","type":"function"},` +
			`{"function":{"arguments":"{}","name":"ping"},"id":"call` + id + `x1","type":"function"}]}}]`
		if string(raw) != want {
			t.Errorf("got\n%s\nwant\n%s", raw, want)
		}
	}
}

func TestTextStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := stream(t, wiretest.New(nil), textPath, withText(`"stream": true, "stream_options": {"include_usage": true}`))
		compare(t, got,
			textHead+`[{"index":0,"text":"Hello","logprobs":null,"finish_reason":null}]}`,
			textHead+`[{"index":0,"text":" world","logprobs":null,"finish_reason":null}]}`,
			textHead+`[{"index":0,"text":"","logprobs":null,"finish_reason":"stop"}]}`,
			textHead+`[],`+counts, "data: [DONE]")
	})
}

// TestKeepAlive: a turn that queues for 12 s, prefills in steps of 7 s and then pauses for 11 s between two words.
func TestKeepAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := wiretest.New(func(ctx context.Context, e *wiretest.Engine, req engine.Request, emit func(engine.Event) error) (*engine.Result, error) {
			time.Sleep(12 * time.Second)
			for _, ev := range []engine.Event{{Prefilled: 5, Prompt: 10}, {Prefilled: 10, Prompt: 10}, {Text: "a", IDs: []int32{1}}} {
				time.Sleep(7 * time.Second)
				if err := emit(ev); err != nil {
					return nil, err
				}
			}
			time.Sleep(11 * time.Second)
			return e.Finish(req, "a", 2), emit(engine.Event{Text: "b"})
		})
		// 5: headers and role; 10, 15, 20, 25, 30: silence (progress of the prefill says nothing); 33: a; 38, 43; 44: b.
		compare(t, stream(t, e, chatPath, with(`"stream": true`)),
			opening, silence, silence, silence, silence, silence, piece("a"), silence, silence, piece("b"), ending, "data: [DONE]")
	})
}

func TestWhole(t *testing.T) {
	h := serve(t, wiretest.New(nil))
	res, got := do(t, h, request("POST", chatPath, with(`"n": 1`)))
	id := res.Header.Get("X-Reprise-Turn")
	if at(got, "object") != "chat.completion" || at(got, "id") != "chatcmpl-"+strings.TrimPrefix(id, "turn_") || !turnID.MatchString(id) ||
		at(got, "choices", 0, "message", "content") != "Hello world" || at(got, "choices", 0, "message", "role") != "assistant" ||
		at(got, "choices", 0, "finish_reason") != "stop" || at(got, "choices", 0, "index") != 0.0 {
		t.Errorf("turn %q, answer %v", id, got)
	}
	usage := map[string]float64{"prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 13}
	for name, want := range usage {
		if at(got, "usage", name) != want {
			t.Errorf("usage.%s is %v, want %v", name, at(got, "usage", name), want)
		}
	}
	if at(got, "usage", "prompt_tokens_details", "cached_tokens") != 4.0 {
		t.Errorf("usage is %v, want 4 cached tokens", at(got, "usage"))
	}
	_, got = do(t, h, request("POST", textPath, withText(`"n": 1`)))
	if at(got, "object") != "text_completion" || at(got, "choices", 0, "text") != "Hello world" || at(got, "choices", 0, "finish_reason") != "stop" {
		t.Errorf("completion %v", got)
	}
}

// TestRowOnRequest asks for the row in each way, and in a stream without usage.
func TestRowOnRequest(t *testing.T) {
	h := serve(t, wiretest.New(nil))
	for _, c := range []struct {
		fields, header string
		want           bool
	}{
		{`"reprise": {"ledger": true}`, "", true}, {`"n": 1`, "1", true}, {`"n": 1`, "0", false}, {`"n": 1`, "", false},
		{`"reprise": {"ledger": false}`, "1", false}, {`"reprise": {"reuse": false}`, "1", true},
	} {
		res, got := do(t, h, request("POST", chatPath, with(c.fields), "X-Reprise-Ledger", c.header))
		row := at(got, "usage", "reprise", "row", "turn_id")
		if c.want && row != res.Header.Get("X-Reprise-Turn") || !c.want && at(got, "usage", "reprise") != nil {
			t.Errorf("%s, header %q: usage %v", c.fields, c.header, at(got, "usage"))
		}
	}
	synctest.Test(t, func(t *testing.T) {
		got := stream(t, wiretest.New(nil), chatPath, with(`"stream": true, "reprise": {"ledger": true}`))
		if n := len(got); n < 2 || !strings.Contains(got[n-2], `"reprise":{"row":{"turn_id":"turn_ID"`) {
			t.Errorf("the last events are %v", got)
		}
	})
}

// TestIDsOnRequest asks for the ids: with them, without them, and without the row.
func TestIDsOnRequest(t *testing.T) {
	e := wiretest.New(func(_ context.Context, e *wiretest.Engine, req engine.Request, _ func(engine.Event) error) (*engine.Result, error) {
		res := e.Finish(req, "Hi", 2)
		res.Prompt, res.IDs, res.Computed, res.Static = []int32{2, 70, 71}, []int32{72, 1}, 4, 2
		return res, nil
	})
	h := serve(t, e)
	for fields, want := range map[string]string{
		`"reprise": {"ids": true}`:                 `{"computed":4,"generated":[72,1],"prompt":[2,70,71],"static":2}`,
		`"reprise": {"ids": true, "ledger": true}`: `{"computed":4,"generated":[72,1],"prompt":[2,70,71],"static":2}`,
		`"reprise": {"ledger": true}`:              `null`,
	} {
		_, got := do(t, h, request("POST", chatPath, with(fields)))
		ids, err := json.Marshal(at(got, "usage", "reprise", "ids"))
		if err != nil || string(ids) != want {
			t.Errorf("%s: ids %s, want %s", fields, ids, want)
		}
		if row := at(got, "usage", "reprise", "row"); (row != nil) != strings.Contains(fields, "ledger") {
			t.Errorf("%s: row %v", fields, row)
		}
	}
}

// TestErrorBeforeTheStream: until an event is out, the status tells.
func TestErrorBeforeTheStream(t *testing.T) {
	for _, c := range []struct {
		path, body  string
		err         error
		status      int
		kind, param string
	}{
		{chatPath, with(`"stream": true`), &engine.RequestError{Code: "context_length_exceeded", Param: "messages", Message: "maximum context length is 1024 tokens"}, 400, "invalid_request_error", "messages"},
		{textPath, withText(`"stream": true`), &engine.RequestError{Code: "context_length_exceeded", Param: "messages", Message: "maximum context length is 1024 tokens"}, 400, "invalid_request_error", "prompt"},
		{chatPath, with(`"stream": false`), &engine.RequestError{Code: "unsupported", Param: "tools", Message: "no place for tools"}, 400, "invalid_request_error", "tools"},
		{chatPath, with(`"stream": true`), errors.New("mlx: out of memory"), 500, "server_error", ""},
		{chatPath, with(`"stream": true`), context.Canceled, 503, "server_error", ""},
	} {
		e := wiretest.New(func(context.Context, *wiretest.Engine, engine.Request, func(engine.Event) error) (*engine.Result, error) {
			return &engine.Result{}, c.err
		})
		res, got := do(t, serve(t, e), request("POST", c.path, c.body))
		param, _ := at(got, "error", "param").(string)
		if res.StatusCode != c.status || at(got, "error", "type") != c.kind || param != c.param || res.Header.Get("X-Reprise-Turn") == "" {
			t.Errorf("%s: %v gives %d, %v", c.path, c.err, res.StatusCode, got)
		}
		if retry := res.Header.Get("Retry-After"); (retry != "") != (c.status == 503) {
			t.Errorf("%v: Retry-After is %q", c.err, retry)
		}
	}
}

// TestErrorInTheStream: clients take a clean end for a whole answer, so the connection must break.
func TestErrorInTheStream(t *testing.T) {
	for _, path := range []string{chatPath, textPath} {
		e := wiretest.New(func(_ context.Context, _ *wiretest.Engine, _ engine.Request, emit func(engine.Event) error) (*engine.Result, error) {
			if err := emit(engine.Event{Text: "half an ans"}); err != nil {
				return nil, err
			}
			return &engine.Result{}, &engine.RequestError{Code: "x", Param: "messages", Message: "mlx: out of memory"}
		})
		srv := httptest.NewServer(serve(t, e))
		body := with(`"stream": true`)
		if path == textPath {
			body = withText(`"stream": true`)
		}
		res, err := http.Post(srv.URL+path, "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		raw, err := io.ReadAll(res.Body)
		if !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(string(raw), "half an ans") || strings.Contains(string(raw), "DONE") {
			t.Errorf("%s: read %q, error %v; want half an answer and %v", path, raw, err, io.ErrUnexpectedEOF)
		}
		res.Body.Close()
		srv.Close()
	}
}

// TestClientLeaves: the turn's context ends when the client closes the connection, streamed or not.
func TestClientLeaves(t *testing.T) {
	for _, body := range []string{with(`"stream": true`), with(`"stream": false`)} {
		began, ended := make(chan struct{}), make(chan error, 1)
		e := wiretest.New(func(ctx context.Context, _ *wiretest.Engine, _ engine.Request, emit func(engine.Event) error) (*engine.Result, error) {
			err := emit(engine.Event{Prefilled: 5, Prompt: 10})
			close(began)
			<-ctx.Done()
			ended <- ctx.Err()
			return &engine.Result{}, errors.Join(ctx.Err(), err)
		})
		srv := httptest.NewServer(serve(t, e))
		ctx, leave := context.WithCancel(context.Background())
		r, _ := http.NewRequestWithContext(ctx, "POST", srv.URL+chatPath, strings.NewReader(body))
		go func() { <-began; leave() }()
		if res, err := http.DefaultClient.Do(r); err == nil {
			_, err = io.ReadAll(res.Body)
			if res.Body.Close(); err == nil {
				t.Errorf("%s: a client that left has an answer", body)
			}
		}
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("%s: the turn ended with %v", body, err)
		}
		srv.Close()
	}
}
