package cli

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"reprise/cmd/internal/compare"
	"reprise/cmd/internal/loop"
)

// A loop is recorded by a server that wants a key, and sent again: to an engine of its own everything is the recorded turns', with and
// without reuse; what was changed in the recording is named by its turn. The key is in no file.
func TestBenchReplay(t *testing.T) {
	withModel(t)
	t.Setenv("REPRISE_HOME", t.TempDir())
	t.Setenv("REPRISE_API_KEY", "planted-key")
	dir := t.TempDir()
	t.Chdir(dir)
	ready, stop := serving(t, "--ctx", "4096", "--record", "day.jsonl")
	url := regexp.MustCompile(`http://[0-9.:]+`).FindString(ready)
	run := func(want int, args ...string) loop.Summary {
		t.Helper()
		r := command(t, append([]string{"bench"}, args...)...)
		var s loop.Summary
		if err := json.Unmarshal([]byte(r.stdout), &s); err != nil || r.code != want {
			t.Fatalf("%v: exit code %d, %v\n%s%s", args, r.code, err, r.stdout, r.stderr)
		}
		return s
	}
	first := run(exitOK, "loop", "--url", url, "--turns", "2", "--layout", "moving", "--out", "runs/first", "--check", "--json")
	again := run(exitOK, "replay", "day.jsonl", "--device", "cpu", "--ctx", "4096", "--cache-mem", "0.2GB", "--cache-disk", "kv", "--out", "runs/again", "--check", "--json")
	if again.Turns != 2 || again.Same == nil || again.Same.Equal != 2 || again.Tokens != first.Tokens || again.Reuse.Displaced == nil || *again.Reuse.Displaced == 0 || *again.Reuse.Displaced != *first.Reuse.Displaced {
		t.Errorf("%d turns, %+v, tokens %+v, the first time %+v; displaced %v", again.Turns, again.Same, again.Tokens, first.Tokens, again.Reuse.Displaced)
	}
	if blocks, err := filepath.Glob("kv/*/*"); err != nil || len(blocks) == 0 {
		t.Errorf("nothing lies in the folder of --cache-disk: %v", err)
	}
	recorded, err := os.ReadFile("day.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(recorded), "\n")
	lines[1] = strings.Replace(lines[1], `"role":"system","content":"`, `"role":"system","content":"EDITED `, 1)
	if err := os.WriteFile("edited.jsonl", []byte(strings.Join(lines, "")+`{"version":1,"pa`), 0o600); err != nil {
		t.Fatal(err)
	}
	off := run(exitError, "replay", "edited.jsonl", "--url", url, "--no-reuse", "--check", "--json")
	if n, _ := off.Tokens.Hit.Get(); n != 0 || len(off.Problems) == 0 || !strings.HasPrefix(off.Problems[0], "turn 2 (line 2): the prompt has other ids") || strings.Contains(off.Problems[0], "more turns") {
		t.Errorf("%d hit, problems %q", n, off.Problems)
	}
	if off.Options.NoReuse != true || !strings.Contains(off.Recipe.Workload, "everything computed") {
		t.Errorf("%+v", off.Recipe)
	}
	talk(t, url)
	if recorded, err = os.ReadFile("day.jsonl"); err != nil {
		t.Fatal(err)
	}
	all := strings.SplitAfter(strings.TrimSuffix(string(recorded), "\n"), "\n")
	if err := os.WriteFile("talk.jsonl", []byte(strings.Join(all[len(all)-4:], "")), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := command(t, "cache", "clear", "--url", url); r.code != 0 {
		t.Fatal(r.stderr)
	}
	if s := run(exitOK, "replay", "talk.jsonl", "--url", url, "--out", "runs/talk", "--check", "--json"); s.Turns != 4 || s.Same == nil || s.Same.Equal != 4 {
		t.Errorf("a continued answer and a named session: %d turns, %+v", s.Turns, s.Same)
	}
	if err := os.WriteFile("half.jsonl", []byte(all[len(all)-3]), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := command(t, "bench", "replay", "half.jsonl", "--url", url, "--out", "runs/half"); r.code != exitError || !strings.Contains(r.stderr, "which is not in the recording") {
		t.Errorf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	if code, log := stop(); code != 0 {
		t.Errorf("serve ends with %d: %s", code, log)
	}
	files, err := filepath.Glob("runs/*/*")
	if more, bad := filepath.Glob("runs/*/*/*"); err != nil || bad != nil || len(files)+len(more) < 12 {
		t.Fatal(err, bad, files, more)
	} else {
		files = append(files, more...)
	}
	for _, file := range append(files, "day.jsonl") {
		if text, err := os.ReadFile(file); err == nil && strings.Contains(string(text), "planted-key") {
			t.Errorf("the key is in %s", file)
		}
	}
	var table compare.Table
	if r := command(t, "bench", "compare", "runs/first", "runs/again", "--json"); json.Unmarshal([]byte(r.stdout), &table) != nil || len(table.Runs) != 2 || len(table.Figures) < 15 || *table.Figures[0].Ratios[1] != 1 {
		t.Errorf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	if r := command(t, "bench", "compare", "runs/first", "runs/again"); r.code != 0 || !strings.Contains(r.stdout, "2 of its prompts are A's, id by id") {
		t.Errorf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
}

// talk has two requests of the Responses API, the second of which continues the first one's answer, and two of a session that only a
// header names.
func talk(t *testing.T, url string) {
	t.Helper()
	post := func(path, body string) (id string) {
		req, err := http.NewRequest(http.MethodPost, url+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer planted-key")
		if path == "/v1/messages" {
			req.Header.Set("X-Session-Id", "by its header")
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		var said struct{ ID string }
		if err := json.NewDecoder(res.Body).Decode(&said); err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s, %v", path, res.Status, err)
		}
		return said.ID
	}
	first := post("/v1/responses", `{"model":"gemma-3-270m","input":"The sea is","max_output_tokens":4,"temperature":0}`)
	post("/v1/responses", `{"model":"gemma-3-270m","input":"And the sky?","max_output_tokens":4,"temperature":0,"previous_response_id":"`+first+`"}`)
	for _, text := range []string{"One thing.", "Quite another matter, from its first word."} {
		post("/v1/messages", `{"model":"gemma-3-270m","max_tokens":4,"temperature":0,"messages":[{"role":"user","content":"`+text+`"}]}`)
	}
}

const oneRequest = `{"version":1,"path":"/v1/completions","status":200,"body":{"prompt":"Hi"},"row":{"turn_id":"t","prompt_sha256":"x"},"answer":{"ids":[1],"text":"a"}}` + "\n"

// A recording that is broken in the middle, and what is none, are refused with the line before a model loads.
func TestBenchReplayRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "day.jsonl")
	if err := os.WriteFile(path, []byte("{\"version\":1,\"pa\n{}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	command(t, "bench", "replay", path).refused(t, exitError, path+":1: not a request")
	command(t, "bench", "replay", path+"x").refused(t, exitError, "cannot be read")
	for _, flag := range []string{"--cache-mem=1GB", "--cache-disk=d", "--l2=redis://127.0.0.1:1/0", "--device=cpu"} {
		if err := os.WriteFile(path, []byte(oneRequest), 0o600); err != nil {
			t.Fatal(err)
		}
		name, _, _ := strings.Cut(flag, "=")
		command(t, "bench", "replay", path, "--url", "http://127.0.0.1:1", flag).refused(t, exitUsage, name+" with --url")
	}
	withModel(t)
	command(t, "bench", "replay", path, "--device", "cpu", "--out", t.TempDir(), "--l2", "redis://127.0.0.1:1/0").refused(t, exitError, "no Valkey or Redis answers at 127.0.0.1:1")
	command(t, "bench", "replay", path, "--l2", "redis://127.0.0.1:1/0?ttl=never").refused(t, exitUsage, "ttl=never")
}
