package engine_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"reprise/mlx"
	"reprise/server/api"
	"reprise/server/engine"
)

// agent talks to the server as an agent does.
type agent struct {
	t        *testing.T
	engine   *engine.Engine
	url      string
	stream   bool
	limit    int // max_tokens; 0: as much as fits
	messages []map[string]any
}

type call struct {
	Index    *int
	ID, Type string
	Function struct {
		Name      string
		Arguments *string
	}
}

type reply struct {
	Content   *string
	Reasoning string `json:"reasoning_content"`
	Calls     []call `json:"tool_calls"`
	Finish    string
	Row       struct {
		Spliced int    `json:"spliced_tokens"`
		Hit     int    `json:"lookup_hit_tokens"`
		Prompt  int    `json:"prompt_tokens"`
		Finish  string `json:"finish_reason"`
	}
	Prompt, Generated []int32
}

type chunk struct {
	Choices []struct {
		Message, Delta json.RawMessage
		Finish         string `json:"finish_reason"`
	}
	Usage *struct {
		Reprise struct {
			Row json.RawMessage
			IDs struct{ Prompt, Generated []int32 }
		}
	}
}

const agentTools = `[{"type":"function","function":{"name":"exec","description":"Runs a command.","parameters":{"type":"object","properties":{"command":{"type":"string"},"timeout":{"type":"number"}}}}},
	{"type":"function","function":{"name":"read","description":"Reads a file.","parameters":{"type":"object","properties":{"path":{"type":"string"},"limit":{"type":"integer"}}}}}]`

// ask sends the conversation, with says as the model's answer.
func (a *agent) ask(says string) reply {
	a.t.Helper()
	e := a.engine
	ids, err := e.Model().Tokenizer.Encode(says, false)
	if err != nil {
		a.t.Fatal(err)
	}
	engine.Say(e, ids)
	defer engine.Say(e, nil) // what a limit left of it
	fields := map[string]any{
		"model": e.Model().Name, "messages": a.messages, "tools": json.RawMessage(agentTools), "tool_choice": "auto", "enable_thinking": true,
		"temperature": 0, "stream": a.stream, "reprise": map[string]any{"ledger": true, "ids": true},
	}
	if a.limit > 0 {
		fields["max_tokens"] = a.limit
		ids = ids[:a.limit]
	}
	body, err := json.Marshal(fields)
	if err != nil {
		a.t.Fatal(err)
	}
	res, err := http.Post(a.url+"/v1/chat/completions", "application/json", bytes.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	defer res.Body.Close()
	var r reply
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		data := strings.TrimPrefix(lines.Text(), "data: ")
		if data == "" || data == "[DONE]" {
			continue
		}
		var c chunk
		if err := json.Unmarshal([]byte(data), &c); err != nil || res.StatusCode != 200 {
			a.t.Fatalf("%d, %v: %s", res.StatusCode, err, data)
		}
		r.add(a.t, c, a.stream)
	}
	if !slices.Equal(r.Generated, ids) {
		a.t.Fatalf("generated %v, the script is %v", r.Generated, ids)
	}
	return r
}

// add joins a chunk of a stream, or takes a whole answer.
func (r *reply) add(t *testing.T, c chunk, stream bool) {
	t.Helper()
	for _, choice := range c.Choices {
		if choice.Finish != "" {
			r.Finish = choice.Finish
		}
		if !stream {
			if err := json.Unmarshal(choice.Message, r); err != nil {
				t.Fatal(err)
			}
			continue
		}
		var d reply
		if err := json.Unmarshal(choice.Delta, &d); err != nil {
			t.Fatal(err)
		}
		r.Reasoning += d.Reasoning
		if d.Content != nil && *d.Content != "" {
			joined := *d.Content
			if r.Content != nil {
				joined = *r.Content + joined
			}
			r.Content = &joined
		}
		for _, piece := range d.Calls {
			r.piece(t, piece)
		}
	}
	if c.Usage != nil {
		if err := json.Unmarshal(c.Usage.Reprise.Row, &r.Row); err != nil {
			t.Fatal(err)
		}
		r.Prompt, r.Generated = c.Usage.Reprise.IDs.Prompt, c.Usage.Reprise.IDs.Generated
	}
}

// piece joins a piece of a call, as clients do it: the first has everything but arguments, the others only these.
func (r *reply) piece(t *testing.T, p call) {
	t.Helper()
	if p.Index == nil || p.Function.Arguments == nil {
		t.Fatalf("a piece without an index or arguments: %+v", p)
	}
	if *p.Index == len(r.Calls) {
		if p.ID == "" || p.Type != "function" || p.Function.Name == "" || *p.Function.Arguments != "" {
			t.Fatalf("a call begins with %+v", p)
		}
		r.Calls = append(r.Calls, p)
		return
	}
	if *p.Index != len(r.Calls)-1 || p.ID != "" || p.Type != "" || p.Function.Name != "" {
		t.Fatalf("a call goes on with %+v", p)
	}
	*r.Calls[*p.Index].Function.Arguments += *p.Function.Arguments
}

// echo puts an answer back as Hermes does: reasoning gone, text trimmed, arguments with sorted keys and other numbers.
func (a *agent) echo(r reply, results ...string) {
	a.t.Helper()
	m := map[string]any{"role": "assistant", "content": ""}
	if r.Content != nil {
		m["content"] = strings.TrimSpace(*r.Content)
	}
	var calls []any
	var answers []map[string]any
	for i, c := range r.Calls {
		var args map[string]any
		if err := json.Unmarshal([]byte(*c.Function.Arguments), &args); err != nil {
			a.t.Fatal(err)
		}
		again, _ := json.Marshal(args)
		calls = append(calls, map[string]any{"id": c.ID, "type": "function", "function": map[string]any{"name": c.Function.Name, "arguments": string(again)}})
		answers = append(answers, map[string]any{"role": "tool", "tool_call_id": c.ID, "content": results[i]})
	}
	if calls != nil {
		m["tool_calls"] = calls
	}
	a.messages = append(append(a.messages, m), answers...)
}

// served is an agent before a server over an engine.
func served(t *testing.T, e *engine.Engine, stream bool, messages ...map[string]any) *agent {
	t.Helper()
	s, err := api.NewServer(api.Options{Engine: e})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(s.Handler())
	t.Cleanup(srv.Close)
	return &agent{t: t, engine: e, url: srv.URL, stream: stream, messages: messages}
}

// answers are what a model says in the loop: first reasoning, text and two calls; then text; then a call alone.
var answers = map[string][3]string{
	"gemma4": {
		"<|channel>thought\nI look,\n\nthen I read.\n<channel|>Let me see. " +
			`<|tool_call>call:exec{timeout:1.0e1,command:<|"|>ls -l "x" {}<|"|>}<tool_call|><|tool_call>call:read{path:<|"|>a.md<|"|>,limit:2}<tool_call|><|tool_response>`,
		"It says Hello.<turn|>",
		`<|tool_call>call:exec{command:<|"|>exit<|"|>}<tool_call|><|tool_response>`,
	},
	"qwen3.6": {
		"I look,\n\nthen I read.\n</think>\n\nLet me see.\n\n<tool_call>\n<function=exec>\n<parameter=timeout>\n1.0e1\n</parameter>\n<parameter=command>\nls -l \"x\" {}\n</parameter>\n</function>\n</tool_call>\n" +
			"<tool_call>\n<function=read>\n<parameter=path>\na.md\n</parameter>\n<parameter=limit>\n2\n</parameter>\n</function>\n</tool_call><|im_end|>",
		"\n</think>\n\nIt says Hello.<|im_end|>",
		"\n</think>\n\n<tool_call>\n<function=exec>\n<parameter=command>\nexit\n</parameter>\n</function>\n</tool_call><|im_end|>",
	},
}

// TestAgentLoop: two turns of a user, the first with parallel calls and their results, against the small real weights in
// Gemma 4's dialect and a tiny random hybrid in Qwen3.6's. What the model "says" is a script; everything else is as it is
// served.
func TestAgentLoop(t *testing.T) {
	for _, dialect := range []string{"gemma4", "qwen3.6"} {
		e := engine.Real()
		if dialect == "qwen3.6" {
			e = tinyQwen(t)
		}
		for name, stream := range map[string]bool{"streamed": true, "whole": false} {
			t.Run(dialect+"/"+name, func(t *testing.T) { loop(t, e, answers[dialect], stream, name) })
		}
	}
}

func loop(t *testing.T, e *engine.Engine, says [3]string, stream bool, name string) {
	a := served(t, e, stream, map[string]any{"role": "system", "content": "You are terse, " + name + "."}, map[string]any{"role": "user", "content": "What is here?"})
	first := a.ask(says[0])
	if first.Reasoning != "I look,\n\nthen I read." || first.Content == nil || strings.TrimSpace(*first.Content) != "Let me see." || first.Finish != "tool_calls" || first.Row.Finish != "tool_calls" || len(first.Calls) != 2 {
		t.Fatalf("the answer is %+v", first)
	}
	for i, want := range []string{`exec {"timeout":1.0e1,"command":"ls -l \"x\" {}"}`, `read {"path":"a.md","limit":2}`} {
		c := first.Calls[i]
		if got := c.Function.Name + " " + *c.Function.Arguments; got != want || !regexp.MustCompile("^[A-Za-z0-9]{1,40}$").MatchString(c.ID) || c.Type != "function" {
			t.Errorf("call %d (%s, %s) is %s, want %s", i, c.ID, c.Type, got, want)
		}
	}
	if first.Calls[0].ID == first.Calls[1].ID {
		t.Error("both calls have one id")
	}

	a.echo(first, "a.md", "Hello.")
	second := a.ask(says[1])
	fed(t, first, second)
	if second.Content == nil || *second.Content != "It says Hello." || second.Finish != "stop" || second.Calls != nil || second.Reasoning != "" {
		t.Errorf("the second answer is %+v", second)
	}

	a.echo(second)
	a.messages = append(a.messages, map[string]any{"role": "user", "content": "Thanks."})
	third := a.ask(says[2])
	fed(t, second, third)
	if third.Content != nil || third.Finish != "tool_calls" || third.Row.Spliced <= second.Row.Spliced {
		t.Errorf("the third answer is %+v", third)
	}
}

// tinyQwen is an engine on a tiny random qwen3_5 checkpoint, with a vocabulary of characters and the dialect's markers.
func tinyQwen(t *testing.T) *engine.Engine {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "tiny-qwen")
	if err := os.CopyFS(dir, os.DirFS("../../model/qwen35/testdata/tiny-f32")); err != nil {
		t.Fatal(err)
	}
	vocab := map[string]int{"\n": 0}
	for c := ' '; c <= '~'; c++ {
		if !strings.ContainsRune("~^$%@`&", c) { // 96 ids are all it has
			vocab[string(c)] = len(vocab)
		}
	}
	var added []any
	ends := 0
	for i, marker := range []string{"<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>", "<tool_call>", "</tool_call>"} {
		id := len(vocab) + i
		if i == 2 {
			ends = id
		}
		added = append(added, map[string]any{"id": id, "content": marker, "special": i < 3, "normalized": false, "single_word": false, "lstrip": false, "rstrip": false})
	}
	for name, content := range map[string]any{
		"tokenizer.json": map[string]any{"version": "1.0", "added_tokens": added, "normalizer": nil, "pre_tokenizer": nil, "post_processor": nil, "decoder": map[string]any{"type": "Fuse"},
			"model": map[string]any{"type": "BPE", "vocab": vocab, "merges": []any{}}},
		"generation_config.json": map[string]any{"eos_token_id": ends},
	} {
		raw, err := json.Marshal(content)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), raw, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	e, err := engine.Open(t.Context(), engine.Options{Model: dir, Device: mlx.CPU, Context: 8192, ChatTemplate: "qwen3.6"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

// TestCutOffInACall: an answer that the limit cuts within a call has finish_reason length and arguments that are JSON; half a
// call is not put back.
func TestCutOffInACall(t *testing.T) {
	a := served(t, engine.Real(), true, map[string]any{"role": "user", "content": "Write it."})
	a.limit = 14
	first := a.ask(`<|tool_call>call:exec{command:<|"|>echo a, b, c, d, e, f, g, h, i, j, k<|"|>}<tool_call|><|tool_response>`)
	if first.Finish != "length" || len(first.Calls) != 1 || !strings.HasPrefix(*first.Calls[0].Function.Arguments, `{"command":"echo a`) || !json.Valid([]byte(*first.Calls[0].Function.Arguments)) {
		t.Fatalf("the answer is %+v", first)
	}
	a.limit = 0
	a.echo(first, "nothing")
	if second := a.ask("Again.<turn|>"); second.Row.Spliced != 0 || second.Finish != "stop" {
		t.Errorf("%d tokens of half a call were put back", second.Row.Spliced)
	}
}

// fed checks that what was fed to the model is a prefix of the next prompt, and was reused.
func fed(t *testing.T, before, after reply) {
	t.Helper()
	whole := slices.Concat(before.Prompt, before.Generated)
	if len(after.Prompt) < len(whole) || !slices.Equal(after.Prompt[:len(whole)], whole) {
		t.Errorf("the next prompt does not begin with the last one and its answer")
	}
	if hit := after.Row.Hit; hit < len(whole)-1 || after.Row.Spliced < len(before.Generated)-1 {
		t.Errorf("of %d tokens %d were reused, %d put back", len(whole), hit, after.Row.Spliced)
	}
}
