package replay

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"reprise/cmd/internal/loop"
	"reprise/cmd/internal/loop/oracle"
	"reprise/kvcache/ledger"
	"reprise/server/api"
	"reprise/server/api/wire/wiretest"
	"reprise/server/engine"
)

const key = "planted-key"

// scripted answers with the last message backwards; a row's checksum is the prompt's text.
func scripted(_ context.Context, e *wiretest.Engine, req engine.Request, _ func(engine.Event) error) (*engine.Result, error) {
	said := req.Prompt.Raw
	if n := len(req.Prompt.Messages); n > 0 {
		said, _ = req.Prompt.Messages[n-1].Text()
	}
	text := ""
	for _, r := range said {
		text = string(r) + text
	}
	res := e.Finish(req, text, len(text))
	res.Row.PromptSHA256 = ledger.Some(mustDecode(e, res.Prompt))
	return res, nil
}

func mustDecode(e *wiretest.Engine, ids []int32) string {
	text, err := e.Decode(ids)
	if err != nil {
		panic(err)
	}
	return text
}

// start serves the script until the test ends; down closes it at once. Nobody without the key is answered.
func start(t *testing.T, record io.Writer, play wiretest.Script) (client *loop.Reprise, down func()) {
	t.Helper()
	s, err := api.NewServer(api.Options{Engine: wiretest.New(play), Addr: "127.0.0.1:0", Record: record, APIKey: key})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	down = func() { _ = s.Close(context.Background()) }
	t.Cleanup(down)
	if client, err = loop.Reach(t.Context(), s.URL(), key); err != nil {
		t.Fatal(err)
	}
	return client, down
}

// requests are what clients of three APIs send: streamed, with limits and sessions of their own, the second of them refused.
var requests = []struct{ path, body string }{
	{"/v1/chat/completions", `{"model":"tiny","messages":[{"role":"user","content":"abc"}],"stream":true,"stream_options":{"include_usage":true},"max_completion_tokens":99,"temperature":0,"prompt_cache_key":"one"}`},
	{"/v1/messages", `{"model":"tiny"}`},
	{"/v1/messages", `{"model":"tiny","max_tokens":99,"temperature":0,"messages":[{"role":"user","content":"defg"}],"stream":true}`},
	{"/v1/completions", `{"model":"tiny","prompt":"xy","n":2,"reprise":{"ids":true,"reuse":true}}`},
}

// recording is what a server wrote of them.
func recording(t *testing.T) []byte {
	t.Helper()
	var out bytes.Buffer
	client, _ := start(t, &out, scripted)
	for _, r := range requests {
		req, err := http.NewRequest(http.MethodPost, client.URL+r.path, strings.NewReader(r.body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+key)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
	}
	return out.Bytes()
}

func file(t *testing.T, text []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "day.jsonl")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t *testing.T, text []byte) *Recording {
	t.Helper()
	r, err := Read(file(t, text))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRead(t *testing.T) {
	whole := recording(t)
	r := read(t, whole)
	if len(r.Requests) != 3 || r.Requests[1].Line != 3 || len(r.Notes) != 2 || r.Notes[0] != "line 2 was answered 400; left out" || r.Notes[1] != "line 4 has 2 answers to one prompt: the first is asked for again" {
		t.Errorf("%d requests, %q", len(r.Requests), r.Notes)
	}
	// The server was killed while it wrote the last line.
	torn := read(t, whole[:len(whole)-20])
	if len(torn.Requests) != 2 || len(torn.Notes) != 2 || torn.Notes[1] != "line 4 is cut off: the server ended while it wrote; left out" {
		t.Errorf("%d requests, %q", len(torn.Requests), torn.Notes)
	}
	lines := strings.SplitAfter(string(whole), "\n")
	for want, text := range map[string]string{
		"day.jsonl:2: not a request of `serve --record`":                lines[0] + lines[1][:30] + "\n" + lines[2],
		"day.jsonl:1: a turn of a run's trace.jsonl":                    `{"turn":1,"prompt_ids":[1]}` + "\n",
		"day.jsonl:1: not a request of `serve --record`: it has no":     `{"turn_id":"x"}` + "\n",
		"day.jsonl:1: version 9 of a recording":                         strings.Replace(lines[0], `"version":1`, `"version":9`, 1),
		`day.jsonl:1: path "/v1/files": none`:                           strings.Replace(lines[0], "/v1/chat/completions", "/v1/files", 1),
		"day.jsonl:1: its body is no JSON object (null)":                strings.Replace(lines[0], `"body":{`, `"body":null,"was":{`, 1),
		"day.jsonl:1: its body is no JSON object ([1])":                 strings.Replace(lines[0], `"body":{`, `"body":[1],"was":{`, 1),
		"day.jsonl:1: reprise in its body is no JSON object (3)":        strings.Replace(lines[0], `"body":{`, `"body":{"reprise":3,`, 1),
		"day.jsonl holds no request that was answered":                  lines[1],
		"day.jsonl holds no request that was answered: name a file of ": "",
	} {
		if _, err := Read(file(t, []byte(text))); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if _, err := Read("nosuch.jsonl"); err == nil || !strings.Contains(err.Error(), "nosuch.jsonl cannot be read") {
		t.Error(err)
	}
}

// What is sent again is what came, but for model, stream, limit and reprise's own object.
func TestAgain(t *testing.T) {
	for i, want := range []string{
		`{"max_tokens":3,"messages":[{"role":"user","content":"abc"}],"model":"other","prompt_cache_key":"one","reprise":{"ids":true,"ledger":true,"reuse":false},"temperature":0}`,
		`{"max_tokens":4,"messages":[{"role":"user","content":"defg"}],"model":"other","reprise":{"ids":true,"ledger":true,"reuse":false},"temperature":0}`,
		`{"max_tokens":2,"model":"other","prompt":"xy","reprise":{"ids":true,"ledger":true,"reuse":false}}`,
	} {
		body, err := read(t, recording(t)).Requests[i].Again("other", true)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := json.Marshal(body); string(got) != want {
			t.Errorf("%s, want\n%s", got, want)
		}
	}
	x := Request{Trace: api.Trace{Path: "/v1/responses", Body: json.RawMessage(`{"input":"a","max_output_tokens":9,"reprise":{"pd":"prefill","stored":true}}`), Answer: &api.Answer{}}}
	body, err := x.Again("m", false)
	if got, _ := json.Marshal(body); err != nil || string(got) != `{"input":"a","max_output_tokens":1,"model":"m","reprise":{"ids":true,"ledger":true}}` {
		t.Errorf("%s, %v", got, err)
	}
}

// A recording sent to a server like the one that made it: every prompt, session and answer is the recorded one, in files like a loop's,
// and the key is in none of them.
func TestReplay(t *testing.T) {
	r := read(t, recording(t))
	client, _ := start(t, nil, scripted)
	dir := t.TempDir()
	s, err := (&Run{Recording: r, Server: client, Out: dir}).Do(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if s.Status != "complete" || s.Turns != 3 || s.Same == nil || s.Same.Equal != 3 || s.Same.Turns != 3 {
		t.Errorf("%s, %d turns, %+v", s.Status, s.Turns, s.Same)
	}
	for _, p := range s.Problems { // the scripted rows are no oracle's
		if strings.Contains(p, "recorded") || strings.Contains(p, "line") {
			t.Errorf("problem: %s", p)
		}
	}
	turns, err := oracle.Read(filepath.Join(dir, loop.TraceFile))
	if err != nil || len(turns) != 3 || len(turns[1].Prompt) == 0 {
		t.Errorf("%v, %+v", err, turns)
	}
	for _, name := range []string{loop.TurnsFile, loop.TraceFile, loop.SummaryFile, loop.ClaimsFile} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || len(text) == 0 || bytes.Contains(text, []byte(key)) {
			t.Errorf("%s: %v, %d bytes, or the key is in it", name, err, len(text))
		}
		if name == loop.TraceFile && !bytes.Contains(text, []byte(`"answer":"gfed"`)) {
			t.Errorf("the answers are not in %s", text)
		}
	}
}

// What differs is named: the first prompt that does, a session that goes on as another one, an answer that is no tie.
func TestWhatDiffersIsNamed(t *testing.T) {
	request := func(line int, session, prompt, temperature string, ids ...int32) *Request {
		return &Request{line, api.Trace{Body: json.RawMessage(`{"temperature":` + temperature + `}`), Answer: &api.Answer{IDs: ids},
			Row: &ledger.Row{SessionID: session, Model: "m", PromptSHA256: ledger.Some(prompt), PromptTokens: ledger.Some(9), FinishReason: ledger.Some(ledger.FinishStop)}}}
	}
	turn := func(n int, session, prompt string, ids ...int32) *loop.Record {
		return &loop.Record{Turn: n, Prompt: []int32{1, 2}, Generated: ids, Row: ledger.Row{SessionID: session, Model: "n", PromptSHA256: ledger.Some(prompt)}}
	}
	c := comparison{with: "day.jsonl", sessions: map[string]string{}}
	c.add(request(1, "a", "p1", "0", 5, 6), turn(1, "x", "p1", 5, 6))
	c.add(request(2, "a", "p2", "0", 5, 6), turn(2, "y", "other", 5, 6))
	c.add(request(4, "a", "p3", "0", 5, 6), turn(3, "x", "other", 5, 6))
	c.add(request(5, "a", "p4", "0", 5, 6), turn(4, "x", "p4", 5, 7))
	c.add(request(6, "a", "p5", "0", 5, 6), turn(5, "x", "p5", 4, 6))
	c.add(request(7, "a", "p6", "0.7", 5, 6), turn(6, "x", "p6", 4, 6))
	cut := request(8, "a", "p7", "0", 5)
	cut.Row.FinishReason = ledger.Some(ledger.FinishCancelled)
	c.add(cut, turn(7, "x", "p7", 5, 9))
	if len(c.prompts) != 2 || c.prompts[0] != "turn 2 (line 2): the prompt has other ids than when it was recorded, 2 of them and then 9; the model is n, it was m" {
		t.Errorf("%q", c.prompts)
	}
	if len(c.parted) != 1 || c.parted[0] != "turn 2 (line 2): session a goes on as y, its earlier turns were x" {
		t.Errorf("%q", c.parted)
	}
	s, err := c.answers(t.Context(), func(_ context.Context, ids []int32) (float64, error) {
		if len(ids) == 3 {
			return 0, nil // where turn 4 parts: a tie
		}
		return 0.5, nil
	})
	if err != nil || s.Turns != 4 || s.Equal != 2 || s.Sampled != 1 || len(s.Ties) != 1 || len(s.Wrong) != 1 || !strings.HasPrefix(s.Wrong[0], "turn 5: token 1 of the answer is 4 here and 5 there") {
		t.Errorf("%v, %+v", err, s)
	}
	dir := t.TempDir()
	w, err := (&loop.Observed{Out: dir}).Begin()
	if err != nil {
		t.Fatal(err)
	}
	c.tell(w)
	w.Same(s)
	sum, err := w.Close("")
	if text := strings.Join(sum.Problems, "\n"); err != nil || !strings.Contains(text, "was m; 1 more turns like it") || !strings.Contains(text, "not the answer of day.jsonl: turn 5") {
		t.Errorf("%v, problems:\n%s", err, text)
	}
}

// Acceptance 6.7: a server that is gone in the middle. The files are whole and say that they are not all.
func TestTheServerDies(t *testing.T) {
	r := read(t, recording(t))
	var down func()
	asked := 0
	client, down := start(t, nil, func(ctx context.Context, e *wiretest.Engine, req engine.Request, emit func(engine.Event) error) (*engine.Result, error) {
		if asked++; asked > 1 {
			return nil, errors.New("the device is gone")
		}
		return scripted(ctx, e, req, emit)
	})
	defer down()
	dir := t.TempDir()
	s, err := (&Run{Recording: r, Server: client, Out: dir}).Do(t.Context())
	if err == nil || !strings.Contains(err.Error(), "request 2 of 3") || s == nil || s.Status != "incomplete" || s.Turns != 1 {
		t.Fatalf("%v, %+v", err, s)
	}
	var read loop.Summary
	raw, err := os.ReadFile(filepath.Join(dir, loop.SummaryFile))
	if err != nil || json.Unmarshal(raw, &read) != nil || read.Status != "incomplete" || !strings.Contains(read.Why, "request 2 of 3") {
		t.Errorf("%v, %s", err, raw)
	}
	csv, err := os.ReadFile(filepath.Join(dir, loop.TurnsFile))
	if err != nil || strings.Count(string(csv), "\n") != 2 {
		t.Errorf("%v, the CSV is\n%s", err, csv)
	}
}

// A server that does not say what its turns reuse is refused by name.
func TestAnOlderServer(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			fmt.Fprint(w, `{"data":[{"id":"m","owned_by":"reprise"}]}`)
			return
		}
		fmt.Fprint(w, `{"choices":[{"text":"x"}]}`)
	}))
	defer s.Close()
	client, err := loop.Reach(t.Context(), strings.Replace(s.URL, "://", "://me:"+key+"@", 1), "")
	if err != nil {
		t.Fatal(err)
	}
	_, err = (&Run{Recording: read(t, recording(t)), Server: client, Out: t.TempDir()}).Do(t.Context())
	if err == nil || !strings.Contains(err.Error(), "older than this program") || strings.Contains(err.Error(), key) {
		t.Error(err)
	}
}
