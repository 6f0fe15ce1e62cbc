package api

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"reprise/kvcache/ledger"
	"reprise/mlx"
	"reprise/model/hub"
	"reprise/server/engine"
)

// client talks to a server on a socket.
type client struct {
	t   *testing.T
	url string
}

func (c client) post(path string, body any) (*http.Response, []byte) {
	c.t.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		c.t.Fatal(err)
	}
	res, err := http.Post(c.url+path, "application/json", bytes.NewReader(raw))
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	var out bytes.Buffer
	if _, err := out.ReadFrom(res.Body); err != nil {
		c.t.Fatal(err)
	}
	return res, out.Bytes()
}

type message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

type answer struct {
	Model   string
	Choices []struct {
		Text         string
		Message      message
		Delta        message
		FinishReason string `json:"finish_reason"`
	}
	Usage struct {
		Prompt     int `json:"prompt_tokens"`
		Completion int `json:"completion_tokens"`
		Details    struct {
			Cached int `json:"cached_tokens"`
		} `json:"prompt_tokens_details"`
		Reprise struct{ Row *ledger.Row }
	}
	Error struct{ Message, Code, Param string }
}

func (c client) ask(path string, body map[string]any) (int, answer) {
	c.t.Helper()
	res, raw := c.post(path, body)
	var a answer
	if err := json.Unmarshal(raw, &a); err != nil {
		c.t.Fatalf("%v: %s", err, raw)
	}
	return res.StatusCode, a
}

// TestRealModel has every endpoint answer on the small model: loading it costs seconds, so it is one test.
func TestRealModel(t *testing.T) {
	if testing.Short() {
		t.Skip("loads the small model")
	}
	if _, err := hub.Resolve(""); err != nil {
		t.Fatalf("the small model is not there: run `make build` (%v)", err)
	}
	e, err := engine.Open(t.Context(), engine.Options{Device: mlx.CPU, Context: 256, ChatTemplate: "gemma4"})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	s := started(t, e)
	c := client{t, s.URL()}
	name := e.Model().Name

	t.Run("completion", func(t *testing.T) {
		const want = " the capital of the country of France" // mlx-lm's: model/gemma3/testdata/real-270m.json
		status, a := client{t, c.url}.ask("/v1/completions", map[string]any{"model": name, "prompt": "The capital of France is", "temperature": 0, "max_tokens": 7})
		if status != 200 || len(a.Choices) != 1 || a.Choices[0].Text != want || a.Usage.Completion != 7 || a.Choices[0].FinishReason != "length" {
			t.Errorf("%d %+v", status, a)
		}
	})
	t.Run("two turns", func(t *testing.T) { twoTurns(t, client{t, c.url}, name) })
	t.Run("stream", func(t *testing.T) { sameAsStream(t, client{t, c.url}, name) })
	t.Run("refusals", func(t *testing.T) { refusals(t, client{t, c.url}, name) })
	t.Run("ledger", func(t *testing.T) {
		for _, row := range e.Ledger().Recent().Rows() {
			var broken *ledger.IdentityError
			if err := ledger.Check(&row); errors.As(err, &broken) {
				t.Errorf("turn %s: %v", row.TurnID, err)
			}
		}
	})
}

// twoTurns: the second one of a conversation does not compute the first one again.
func twoTurns(t *testing.T, c client, name string) {
	talk := []message{{"system", "You are terse."}, {"user", "Name three rivers."}}
	ask := func(extra string) answer {
		t.Helper()
		body := map[string]any{"model": name, "messages": talk, "temperature": 0, "max_tokens": 8, "reprise": map[string]any{"ledger": true}}
		if extra != "" {
			body["reprise"] = map[string]any{"ledger": true, extra: false}
		}
		status, a := c.ask("/v1/chat/completions", body)
		if status != 200 || a.Usage.Reprise.Row == nil {
			t.Fatalf("%d %+v", status, a)
		}
		return a
	}
	first := ask("")
	talk = append(talk, first.Choices[0].Message, message{"user", "And three lakes."})
	second := ask("")
	row := second.Usage.Reprise.Row
	if cached := second.Usage.Details.Cached; cached < first.Usage.Prompt/2 || cached != row.LookupHitTokens.Or(-1) {
		t.Errorf("the first prompt had %d tokens; of the second's %d, %d are cached, and its row says %d",
			first.Usage.Prompt, second.Usage.Prompt, cached, row.LookupHitTokens.Or(-1))
	}
	again := ask("reuse")
	if again.Usage.Details.Cached != 0 || again.Choices[0].Message != second.Choices[0].Message {
		t.Errorf("without reuse: %d cached, %q; with reuse it was %q", again.Usage.Details.Cached, again.Choices[0].Message.Content, second.Choices[0].Message.Content)
	}
}

// sameAsStream: the pieces of a stream make the answer of the same request that is not streamed. Both compute the whole
// prompt: one that reused the other's state would get other low bits, and a sampled answer may turn on them.
func sameAsStream(t *testing.T, c client, name string) {
	body := map[string]any{"model": name, "messages": []message{{"user", "Tell me about the sea."}}, "seed": 5, "max_tokens": 8, "stop": []string{"\n\n"}, "reprise": map[string]any{"reuse": false}}
	_, whole := c.ask("/v1/chat/completions", body)
	body["stream"], body["stream_options"] = true, map[string]any{"include_usage": true}
	res, raw := c.post("/v1/chat/completions", body)
	var text strings.Builder
	var last answer
	var finish string
	lines := bufio.NewScanner(bytes.NewReader(raw))
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok || data == "[DONE]" {
			continue
		}
		last = answer{}
		if err := json.Unmarshal([]byte(data), &last); err != nil {
			t.Fatalf("%v: %s", err, data)
		}
		for _, choice := range last.Choices {
			text.WriteString(choice.Delta.Content)
			if choice.FinishReason != "" {
				finish = choice.FinishReason
			}
		}
	}
	want := whole.Choices[0]
	if text.String() != want.Message.Content || finish != want.FinishReason || last.Usage.Completion != whole.Usage.Completion || last.Usage.Prompt != whole.Usage.Prompt {
		t.Errorf("streamed %q, %s, %+v; whole %+v", text.String(), finish, last.Usage, whole)
	}
	if !bytes.HasSuffix(raw, []byte("data: [DONE]\n\n")) || res.Header.Get("X-Reprise-Turn") == "" {
		t.Errorf("the stream ends with %q, headers %v", raw[max(0, len(raw)-40):], res.Header)
	}
}

// refusals that only the engine can give.
func refusals(t *testing.T, c client, name string) {
	long := strings.Repeat("word ", 500)
	chat := func(fields map[string]any) map[string]any {
		body := map[string]any{"model": name, "messages": []message{{"user", "Hi"}}, "max_tokens": 1}
		for k, v := range fields {
			body[k] = v
		}
		return body
	}
	for _, x := range []struct {
		path        string
		body        map[string]any
		param, code string
		says        string
	}{
		{"/v1/chat/completions", chat(map[string]any{"messages": []message{{"user", long}}}), "messages", "context_length_exceeded", "maximum context length is 256 tokens"},
		{"/v1/chat/completions", chat(map[string]any{"messages": []message{{"user", long}}, "stream": true}), "messages", "context_length_exceeded", "maximum context length is 256 tokens"},
		{"/v1/completions", map[string]any{"model": name, "prompt": long}, "prompt", "context_length_exceeded", "maximum context length is 256 tokens"},
		{"/v1/completions", map[string]any{"model": name, "prompt": []int{2, 1 << 30}}, "prompt", "invalid_value", "1073741824"},
		{"/v1/chat/completions", chat(map[string]any{"temperature": -1}), "temperature", "invalid_value", "temperature"},
		{"/v1/chat/completions", chat(map[string]any{"top_p": 1.5}), "top_p", "invalid_value", "top_p"},
		{"/v1/chat/completions", chat(map[string]any{"min_p": -0.5}), "min_p", "invalid_value", "min_p"},
	} {
		status, a := c.ask(x.path, x.body)
		if status != 400 || a.Error.Param != x.param || a.Error.Code != x.code || !strings.Contains(a.Error.Message, x.says) {
			t.Errorf("%s: %d %+v", x.path, status, a.Error)
		}
	}
	// A limit beyond the room is cut to it.
	status, a := c.ask("/v1/completions", map[string]any{"model": name, "prompt": strings.Repeat("word ", 245), "max_tokens": 65536, "temperature": 0})
	if status != 200 || a.Usage.Prompt+a.Usage.Completion != 256 {
		t.Errorf("max_tokens beyond the room: %d %+v", status, a.Usage)
	}
}
