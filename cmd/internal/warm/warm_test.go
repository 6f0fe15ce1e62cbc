package warm

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"reprise/kvcache/ledger"
	"reprise/server/api/openai"
	"reprise/server/api/wire/wiretest"
	"reprise/server/engine"
)

var tiny = openai.Target{Name: "tiny", Implied: true}

func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "warm.json")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestForms(t *testing.T) {
	chat := `{"messages": [{"role": "system", "content": "[}"}]}`
	for name, c := range map[string]struct {
		text  string
		lines []int
	}{
		"one":                    {chat, []int{1}},
		"one, over lines":        {"\n\n{\n \"prompt\":\n\"Hi\"}\n", []int{3}},
		"a list":                 {"\n[" + chat + ",\n\n {\"prompt\": \"a\"} , {\"prompt\": \"a\"}\n]\n", []int{2, 4, 4}},
		"lines":                  {chat + "\n" + `{"prompt": [2, 3]}` + "\n\n" + chat, []int{1, 2, 4}},
		"one behind the other":   {"{\n\"prompt\": \"x\"\n} {\"prompt\": \"y\"}\r\n{\"prompt\": \"z\"}", []int{1, 3, 4}},
		"what a client recorded": {`{"model": "tiny", "messages": [{"role": "user", "content": "x"}], "stream": true, "max_tokens": 900, "tools": [{"type": "function", "function": {"name": "f"}}]}`, []int{1}},
	} {
		list, err := Read(file(t, c.text), tiny)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var lines []int
		for _, r := range list {
			lines = append(lines, r.Line)
			if r.MaxTokens != 1 || r.Purpose != ledger.PurposeWarmup || r.Prompt.Messages == nil && r.Prompt.Raw == "" && r.Prompt.IDs == nil {
				t.Errorf("%s: %+v", name, r)
			}
		}
		if !reflect.DeepEqual(lines, c.lines) {
			t.Errorf("%s: lines %v, want %v", name, lines, c.lines)
		}
	}
}

func TestWhatCannotBeReadNamesItsLine(t *testing.T) {
	good := `{"prompt": "x"}` + "\n"
	for _, c := range []struct{ text, says string }{
		{"", "line 1: there is no request"},
		{"[]", "line 1: there is no request"},
		{good + good + `{"prompt": }`, "line 3: not valid JSON"},
		{good + "{\n\"prompt\": \"x\",\n\"seed\" 3}", "line 4: not valid JSON"},
		{good + `{"prompt": "x"`, "line 2: not valid JSON"},
		{"[\n" + good + ",\n{,}]", "line 4: not valid JSON"},
		{"[" + good + "]\n" + good, "line 3: not valid JSON"},
		{good + `"x"`, "line 2: the request body must be a JSON object"},
		{good + `{"messages": [{"role": "robot"}]}`, "line 2: messages[0].role"},
		{good + `{"prompt": "x", "temprature": 1}`, "line 2: temprature"},
		{good + `{"prompt": "x", "model": "other"}`, `line 2: the model "other"`},
		{"\n{\"seed\": 1}", "line 2: messages is required"},
	} {
		path := file(t, c.text)
		if _, err := Read(path, tiny); err == nil || !strings.HasPrefix(err.Error(), path+", "+c.says) {
			t.Errorf("%q: %v, want %q", c.text, err, c.says)
		}
	}
	if _, err := Read("nosuch.json", tiny); err == nil || !strings.Contains(err.Error(), "nosuch.json") {
		t.Errorf("a file that is not there: %v", err)
	}
}

func TestTheRestGoesOn(t *testing.T) {
	list, err := Read(file(t, `{"prompt": "one"} {"prompt": "two"}`+"\n"+`{"prompt": "three"}`), tiny)
	if err != nil {
		t.Fatal(err)
	}
	e := wiretest.New(func(_ context.Context, e *wiretest.Engine, req engine.Request, _ func(engine.Event) error) (*engine.Result, error) {
		if req.Prompt.Raw == "two" {
			return nil, &engine.RequestError{Code: "invalid_value", Param: "prompt", Message: "cannot say two"}
		}
		return e.Finish(req, "", 1), nil
	})
	var log bytes.Buffer
	<-Start(t.Context(), e, list, slog.New(slog.NewTextHandler(&log, nil))).Done()
	var asked []string
	for _, r := range e.Requests() {
		asked = append(asked, r.Prompt.Raw)
	}
	if got := strings.Join(asked, " "); got != "one two three" {
		t.Errorf("the turns were %s", got)
	}
	if rows := e.Ledger().Recent().Rows(); len(rows) != 2 || rows[0].Purpose != ledger.PurposeWarmup {
		t.Errorf("%+v", rows)
	}
	text := log.String()
	if strings.Count(text, "warmed up") != 2 || !strings.Contains(text, "refused") || !strings.Contains(text, "line=2") || strings.Contains(text, "cannot say") {
		t.Errorf("the log is\n%s", text)
	}
}

func TestCloseEndsThem(t *testing.T) {
	list, err := Read(file(t, `{"prompt": "one"} {"prompt": "two"}`), tiny)
	if err != nil {
		t.Fatal(err)
	}
	began := make(chan struct{})
	e := wiretest.New(func(ctx context.Context, _ *wiretest.Engine, _ engine.Request, _ func(engine.Event) error) (*engine.Result, error) {
		close(began)
		<-ctx.Done()
		return nil, ctx.Err()
	})
	var log bytes.Buffer
	r := Start(context.Background(), e, list, slog.New(slog.NewTextHandler(&log, nil)))
	<-began
	r.Close()
	if n := len(e.Requests()); n != 1 || log.Len() != 0 {
		t.Errorf("%d turns, log %s", n, log.String())
	}
}
