package cli

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"reprise/cmd/internal/cachecmd"
	"reprise/kvcache/ledger"
	"reprise/server/api"
	"reprise/server/api/wire/wiretest"
)

// until waits for something that the server does in the background.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after a minute there is still no %s", what)
		}
	}
}

const someTools = `"tools": [{"type": "function", "function": {"name": "tide", "description": "The tide at a harbour", "parameters": {"type": "object", "properties": {"harbour": {"type": "string"}}}}}]`

func conversation(rules, question string) string {
	return fmt.Sprintf(`{"model": "gemma-3-270m", "messages": [{"role": "system", "content": %q}, {"role": "user", "content": %q}], %s, "temperature": 0, "max_tokens": 3, "reprise": {"ledger": true}}`, rules, question, someTools)
}

// One server: warmed up, audited, asked, looked into, cleared. Loading it costs seconds, so it is one test.
func TestCacheOfARunningServer(t *testing.T) {
	withModel(t)
	t.Setenv("REPRISE_HOME", t.TempDir())
	t.Setenv("REPRISE_API_KEY", "secret") // for the server and for the commands
	rules := "You keep the log of a harbour. " + strings.Repeat("Write down what comes in and what goes out, with the time. ", 12)
	first := filepath.Join(t.TempDir(), "warm.jsonl")
	if err := os.WriteFile(first, []byte(conversation(rules, "Hello")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ready, stop := serving(t, "--ctx", "2048", "--cache-mem", "0.5GB", "--audit", "1", "--audit-max", "60", "--splice", "text", "--warm", first)
	url := regexp.MustCompile(`http://[0-9.:]+`).FindString(ready)
	client, err := cachecmd.NewClient(url, "secret")
	if err != nil {
		t.Fatal(err)
	}
	var warmed ledger.Row
	until(t, "warm-up", func() bool {
		rows, err := client.Rows(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(rows) > 0 {
			warmed = rows[0]
		}
		return len(rows) > 0
	})
	if warmed.Purpose != ledger.PurposeWarmup || warmed.GeneratedTokens.Or(0) != 1 || warmed.IdentityError.Known() || warmed.PrefillTokens != warmed.PromptTokens {
		t.Errorf("the warm-up's row is %+v", warmed)
	}
	ask := func(rules, question string) ledger.Row {
		t.Helper()
		status, body := post(t, url+"/v1/chat/completions", "secret", conversation(rules, question))
		var a struct {
			Usage struct{ Reprise struct{ Row *ledger.Row } }
		}
		if err := json.Unmarshal([]byte(body), &a); err != nil || status != 200 || a.Usage.Reprise.Row == nil {
			t.Fatalf("%d %v %s", status, err, body)
		}
		return *a.Usage.Reprise.Row
	}
	// The static prefix, system and tools, is most of both prompts: it is hit, and the audit finds its bits right.
	turn := ask(rules, "Which ships came in this morning?")
	if hit, all := turn.LookupHitTokens.Or(0), warmed.PromptTokens.Or(0); hit < all-12 || hit >= all || turn.IdentityError.Known() {
		t.Errorf("the warm-up had %d tokens, and the turn behind it hits %d of its %d: %+v", all, hit, turn.PromptTokens.Or(0), turn)
	}
	until(t, "audit", func() bool {
		s, err := client.Stats(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if s.Audits.Matches+s.Audits.Within+s.Audits.Mismatches+s.Audits.Failed+s.Audits.Skipped == 0 {
			return false
		}
		if s.Audits.Matches != 1 || s.Purposes[ledger.PurposeAudit] != 1 || s.Cache.Budget != 5e8 {
			t.Errorf("%+v", s)
		}
		return true
	})
	changed := ask(strings.Replace(rules, "harbour", "station", 1), "Which trains came in?")
	run := func(want int, args ...string) result {
		t.Helper()
		r := command(t, append(append([]string{"cache"}, args...), "--url", url)...)
		if r.code != want {
			t.Errorf("cache %v: exit code %d, stderr %s, stdout\n%s", args, r.code, r.stderr, r.stdout)
		}
		return r
	}
	for _, c := range []struct {
		args    []string
		pattern string
	}{
		{[]string{"why", changed.TurnID}, `(?s)^` + changed.TurnID + ` left turn_[0-9a-f]+ at token \d+, in system \(miss_reason prefix_changed\)\n\nwas  .*▸harbour.*\nnow  .*▸station`},
		{[]string{"why", changed.TurnID, "--json"}, `"diverged_in": "system"`},
		{[]string{"ls"}, `(?s)SESSION.*1 warm-up.*cache +[0-9.]+ .B of 500\.0 MB`},
		{[]string{"ls", "--json"}, `"warmups": 1`},
		{[]string{"stats"}, `(?s)^turns    2, 0 waiting; 1 warm-ups, [12] audits.*cache    [0-9.]+ .B of 500\.0 MB.*tree     [0-9,]+ tokens`},
		{[]string{"stats", "--json"}, `"ghost_tokens": 0`},
		{[]string{"verify"}, `(?s)1 files, [45] rows, 0 problems\ndisk [^\n]* 0 problems[^\n]*\ncache    http://\S+ counted it again: 0 problems`},
		{[]string{"verify", "--json"}, `"server_answers": true`},
		{[]string{"clear"}, `^cleared: 0 B are left, in the hands of 0 turns`},
		{[]string{"clear", "--json"}, `"cleared": true`},
		{[]string{"verify"}, `counted it again: 0 problems`},
	} {
		if r := run(exitOK, c.args...); !regexp.MustCompile(c.pattern).MatchString(r.stdout) || r.stderr != "" {
			t.Errorf("cache %v: %s is not in\n%s%s", c.args, c.pattern, r.stdout, r.stderr)
		}
	}
	run(exitError, "why", warmed.TurnID).refused(t, exitError, warmed.TurnID, "did not leave what was known", "first_request")
	run(exitError, "why", "turn_nobody").refused(t, exitError, "turn_nobody", "not in the ledger")
	if r := ask(rules, "And now?"); r.LookupHitTokens.Or(-1) != 0 {
		t.Errorf("a cleared cache was hit: %+v", r)
	}
	code, log := stop()
	if code != 0 || !strings.Contains(log, "warmed up") || strings.Contains(log, "harbour") {
		t.Errorf("serve ends with %d and logged\n%s", code, log)
	}
}

func TestCacheWithoutAServer(t *testing.T) {
	home := t.TempDir()
	t.Setenv("REPRISE_HOME", home)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := "http://" + l.Addr().String()
	l.Close()
	for _, args := range [][]string{{"ls"}, {"stats"}, {"why", "turn_a"}, {"clear"}, {"verify"}} {
		command(t, append(append([]string{"cache"}, args...), "--url", nobody)...).refused(t, exitError, nobody, "reprise serve", "--url")
	}
}

// A folder of blocks that is named and not there was not checked.
func TestCacheVerifyOfNoFolder(t *testing.T) {
	t.Setenv("REPRISE_HOME", t.TempDir())
	command(t, "cache", "verify", "--cache-disk", "/no/such/folder").refused(t, exitError, "--cache-disk", "/no/such/folder")
}

// The files are checked whether a server answers or not; what is wrong with them is listed, and is an error.
func TestCacheVerifyFindsABrokenLedger(t *testing.T) {
	home := t.TempDir()
	t.Setenv("REPRISE_HOME", home)
	e := wiretest.New(nil)
	s, err := api.NewServer(api.Options{Engine: e, Addr: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(t.Context()) })
	if r := command(t, "cache", "verify", "--url", s.URL()); r.code != 0 || !strings.Contains(r.stdout, "0 files, 0 rows, 0 problems") {
		t.Errorf("no ledger: %+v", r)
	}
	dir := filepath.Join(home, "ledger")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "ledger-000001.jsonl"), []byte("nonsense\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := command(t, "cache", "verify", "--url", s.URL())
	if r.code != exitError || !strings.Contains(r.stdout, "ledger-000001.jsonl:1: line is not a row") || !strings.Contains(r.stderr, "1 problems in "+dir) {
		t.Errorf("%+v", r)
	}
}

// A file of warm-ups that is wrong is told, with its line, before the model loads.
func TestServeRefusesABadWarmFile(t *testing.T) {
	withModel(t)
	path := filepath.Join(t.TempDir(), "warm.jsonl")
	if err := os.WriteFile(path, []byte(conversation("Be kind.", "Hello")+"\n{\"messages\": 3}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	command(t, "serve", "--device", "cpu", "--addr", "127.0.0.1:0", "--warm", path).refused(t, exitError, "--warm", path+", line 2", "messages must be a list")
	command(t, "serve", "--device", "cpu", "--addr", "127.0.0.1:0", "--warm", "nosuch.jsonl").refused(t, exitError, "nosuch.jsonl")
}
