package connect

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var running = &Server{URL: "http://127.0.0.1:8000", Model: "small", Context: 65536}

// home is an empty home, with the agents' own variables out of the way.
func home(t *testing.T) string {
	t.Helper()
	for _, v := range []string{"OPENCLAW_CONFIG_PATH", "OPENCLAW_STATE_DIR", "OPENCLAW_HOME", "HERMES_HOME"} {
		t.Setenv(v, "")
	}
	return t.TempDir()
}

func file(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func prepare(t *testing.T, name, dir string, s *Server, api API) *Change {
	t.Helper()
	a, err := Find(name)
	if err != nil {
		t.Fatal(err)
	}
	c, err := Prepare(a, dir, s, api)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// What OpenClaw was measured to need, to the key.
func TestOpenClawFresh(t *testing.T) {
	c := prepare(t, "openclaw", home(t), running, Chat)
	var got, want any
	if err := json.Unmarshal(c.After, &got); err != nil {
		t.Fatalf("%v in\n%s", err, c.After)
	}
	if err := json.Unmarshal([]byte(`{"agents":{"defaults":{"model":{"primary":"reprise/small"}}},
		"models":{"mode":"merge","providers":{"reprise":{"baseUrl":"http://127.0.0.1:8000/v1","apiKey":"local","api":"openai-completions","timeoutSeconds":900,
		"models":[{"id":"small","name":"small","reasoning":false,"input":["text"],"contextWindow":65536,"maxTokens":4096,
		"cost":{"input":0,"output":0,"cacheRead":0,"cacheWrite":0},"compat":{"supportsPromptCacheKey":true}}]}}}}`), &want); err != nil {
		t.Fatal(err)
	}
	a, _ := json.Marshal(got)
	b, _ := json.Marshal(want)
	if !bytes.Equal(a, b) {
		t.Errorf("%s\nwant %s", a, b)
	}
}

// Other keys, their order and comments stay.
func TestOpenClawMerges(t *testing.T) {
	dir := home(t)
	old := `{
  // mine
  "channels": {"whatsapp": {"allowFrom": ["+1"]}},
  "agents": {"defaults": {"model": "other/big", "workspace": "/w", "models": {"other/big": {}}}},
  "models": {"mode": "replace", "providers": {
    "other": {"baseUrl": "http://x/v1", /* kept */ "models": []},
    "reprise": {"baseUrl": "http://old/v1", "headers": {"a": "b"}, "models": [{"id": "gone"}, {"id": "small", "contextWindow": 128000, "maxTokens": 512, "name": "My small"}]},
  }},
}`
	path := filepath.Join(dir, ".openclaw", "openclaw.json")
	file(t, path, old)
	c := prepare(t, "openclaw", dir, running, Messages)
	d, err := parseJSON(c.After)
	if err != nil {
		t.Fatalf("%v in\n%s", err, c.After)
	}
	at := []string{"models", "providers", "reprise"}
	for _, want := range []struct {
		value any
		path  []string
	}{
		{"reprise/small", []string{"agents", "defaults", "model", "primary"}},
		{"/w", []string{"agents", "defaults", "workspace"}},
		{"replace", []string{"models", "mode"}},
		{"http://x/v1", []string{"models", "providers", "other", "baseUrl"}},
		{"http://127.0.0.1:8000", under(at, "baseUrl")},
		{"anthropic-messages", under(at, "api")},
		{"b", under(at, "headers", "a")},
		{"gone", under(at, "models", "0", "id")},
		{"My small", under(at, "models", "1", "name")},
		{65536.0, under(at, "models", "1", "contextWindow")},
		{512.0, under(at, "models", "1", "maxTokens")},
	} {
		if got := d.get(want.path...); got != want.value {
			t.Errorf("%v is %v, want %v", want.path, got, want.value)
		}
	}
	if d.get("agents", "defaults", "models", "reprise/small") == nil {
		t.Error("the model is not among those allowed")
	}
	for _, comment := range []string{"// mine", "/* kept */"} {
		if !bytes.Contains(c.After, []byte(comment)) {
			t.Errorf("%q is lost:\n%s", comment, c.After)
		}
	}
	backup, err := c.Write(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if kept, err := os.ReadFile(backup); err != nil || string(kept) != old {
		t.Errorf("the copy holds %q, %v", kept, err)
	}
	if again := prepare(t, "openclaw", dir, running, Messages); again.Needed() {
		t.Errorf("a second time changes it again:\n%s\n%s", again.Before, again.After)
	}
}

func TestHermesFresh(t *testing.T) {
	c := prepare(t, "hermes", home(t), running, Chat)
	want := `model:
  provider: reprise
  default: small
  max_tokens: 4096
providers:
  reprise:
    base_url: http://127.0.0.1:8000/v1
    api_key: local
    api_mode: chat_completions
    default_model: small
    models:
      small:
        context_length: 65536
`
	if string(c.After) != want {
		t.Errorf("%s\nwant\n%s", c.After, want)
	}
}

func TestHermesMerges(t *testing.T) {
	dir := home(t)
	path := filepath.Join(dir, ".hermes", "config.yaml")
	file(t, path, `# mine
terminal: {backend: local} # kept
model:
  default: big
  base_url: http://old/v1
  context_length: 200000
  max_tokens: 1000
providers:
  other: {base_url: "http://x/v1"}
`)
	c := prepare(t, "hermes", dir, &Server{URL: "http://127.0.0.1:8000", Key: "secret", Model: "org/small:4bit", Context: 131072}, Responses)
	d, err := parseYAML(c.After)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []struct {
		value any
		path  []string
	}{
		{"reprise", []string{"model", "provider"}},
		{"org/small:4bit", []string{"model", "default"}},
		{1000, []string{"model", "max_tokens"}},
		{nil, []string{"model", "base_url"}},
		{nil, []string{"model", "context_length"}},
		{"http://x/v1", []string{"providers", "other", "base_url"}},
		{"secret", []string{"providers", "reprise", "api_key"}},
		{"codex_responses", []string{"providers", "reprise", "api_mode"}},
		{131072, []string{"providers", "reprise", "models", "org/small:4bit", "context_length"}},
		{"local", []string{"terminal", "backend"}},
	} {
		if got := d.get(want.path...); got != want.value {
			t.Errorf("%v is %v, want %v", want.path, got, want.value)
		}
	}
	for _, comment := range []string{"# mine", "# kept"} {
		if !bytes.Contains(c.After, []byte(comment)) {
			t.Errorf("%q is lost:\n%s", comment, c.After)
		}
	}
	if _, err := c.Write(time.Now()); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file with the key in it: %v, %v", info.Mode(), err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".hermes", ".reprise-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// A link to where the file is really kept stays one; a folder that cannot be written changes nothing.
func TestWriteThroughALink(t *testing.T) {
	dir := home(t)
	kept := filepath.Join(dir, "dotfiles", "config.yaml")
	file(t, kept, "a: 1\n")
	link := filepath.Join(dir, ".hermes", "config.yaml")
	if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(kept, link); err != nil {
		t.Fatal(err)
	}
	if _, err := prepare(t, "hermes", dir, running, Chat).Write(time.Now()); err != nil {
		t.Fatal(err)
	}
	if raw, err := os.ReadFile(kept); err != nil || !bytes.Contains(raw, []byte("provider: reprise")) {
		t.Errorf("%s, %v", raw, err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link became %v, %v", info.Mode(), err)
	}
}

func TestRefusals(t *testing.T) {
	for name, tt := range map[string]struct {
		agent, path, text string
		server            *Server
		says              []string
	}{
		"a file that is not JSON":  {"openclaw", ".openclaw/openclaw.json", "{agents: {}}", running, []string{"openclaw.json", "openclaw config set"}},
		"a file that is a list":    {"openclaw", ".openclaw/openclaw.json", "[]", running, []string{"openclaw.json", "not an object"}},
		"a file that is not YAML":  {"hermes", ".hermes/config.yaml", "model: [", running, []string{"config.yaml"}},
		"a context that is small":  {"hermes", "x", "", &Server{URL: "http://h", Model: "m", Context: 32768}, []string{"64000", "32768", "--ctx"}},
		"a context that is tiny":   {"openclaw", "x", "", &Server{URL: "http://h", Model: "m", Context: 4096}, []string{"8000", "4096", "--ctx"}},
		"a list in YAML, at heart": {"hermes", ".hermes/config.yaml", "- a\n", running, []string{"config.yaml", "not a mapping"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := home(t)
			file(t, filepath.Join(dir, tt.path), tt.text)
			a, _ := Find(tt.agent)
			_, err := Prepare(a, dir, tt.server, Chat)
			if err == nil {
				t.Fatal("accepted")
			}
			for _, says := range tt.says {
				if !strings.Contains(err.Error(), says) {
					t.Errorf("%q does not say %q", err, says)
				}
			}
		})
	}
}

func TestAsk(t *testing.T) {
	for name, tt := range map[string]struct {
		status int
		body   string
		says   string
	}{
		"reprise":       {200, `{"data":[{"id":"small","owned_by":"reprise","context_length":65536}]}`, ""},
		"another":       {200, `{"data":[{"id":"x","owned_by":"vllm","context_length":1}]}`, "vllm"},
		"no length":     {200, `{"data":[{"id":"x","owned_by":"reprise"}]}`, "context length"},
		"a web page":    {200, `<html>`, "is it reprise's"},
		"no such path":  {404, `{}`, "404"},
		"its key, left": {401, `{}`, "--api-key"},
	} {
		t.Run(name, func(t *testing.T) {
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/v1/models" || r.Header.Get("Authorization") != "Bearer k" {
					t.Errorf("asked %s with %v", r.URL, r.Header)
				}
				w.WriteHeader(tt.status)
				_, _ = w.Write([]byte(tt.body))
			}))
			defer srv.Close()
			s, err := Ask(t.Context(), srv.URL+"/v1/", "k")
			switch {
			case tt.says == "" && (err != nil || *s != Server{URL: srv.URL, Key: "k", Model: "small", Context: 65536}):
				t.Errorf("%+v, %v", s, err)
			case tt.says != "" && (err == nil || !strings.Contains(err.Error(), tt.says)):
				t.Errorf("%v does not say %q", err, tt.says)
			}
		})
	}
	if _, err := Ask(t.Context(), "127.0.0.1:8000", ""); err == nil {
		t.Error("a URL without a scheme is accepted")
	}
	if _, err := Ask(t.Context(), "http://127.0.0.1:1", ""); err == nil || !strings.Contains(err.Error(), "reprise serve") {
		t.Errorf("nobody there: %v", err)
	}
}

// What was written is what fits; each thing that changes afterwards is found, with what mends it.
func TestCheck(t *testing.T) {
	const base = "http://127.0.0.1:8000"
	with := func(change func(*Server)) *Server {
		s := *running
		change(&s)
		return &s
	}
	for name, tt := range map[string]struct {
		base   string
		server *Server
		edit   string // old=new in both files
		fails  bool
		says   string // "" when all is well
	}{
		"as written":          {base, running, "", false, ""},
		"as written, by name": {"http://localhost:8000", running, "", false, ""},
		"no server":           {base, nil, "", false, ""},
		"another port":        {"http://127.0.0.1:9000", running, "", true, ":9000"},
		"a longer context":    {base, with(func(s *Server) { s.Context = 131072 }), "", false, "131072"},
		"a shorter context":   {base, with(func(s *Server) { s.Context = 65000 }), "", true, "65000"},
		"too short":           {base, with(func(s *Server) { s.Context = 4096 }), "", true, "4096"},
		"told too little":     {base, nil, "65536=7000", true, "7000"},
		"another model":       {base, with(func(s *Server) { s.Model = "big" }), "", true, "big"},
		"not the default":     {base, running, "reprise/small=other/big;provider: reprise=provider: other", false, "other"},
		"not a provider":      {base, running, `"reprise": {="else": {;  reprise:=  else:`, false, "no provider"},
		"unreadable":          {base, running, `{=[;model:=model: [`, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := home(t)
			for _, a := range Agents {
				c := prepare(t, a.Name(), dir, running, Chat)
				if _, err := c.Write(time.Now()); err != nil {
					t.Fatal(err)
				}
				text := string(c.After)
				for _, step := range strings.Split(tt.edit, ";") {
					if old, now, ok := strings.Cut(step, "="); ok {
						text = strings.Replace(text, old, now, 1)
					}
				}
				file(t, c.Path, text)
			}
			found := Check(dir, tt.base, tt.server)
			if len(found) != len(Agents) {
				t.Fatalf("%d findings", len(found))
			}
			for _, f := range found {
				if f.Fails != tt.fails || (f.Mend == "") != (!tt.fails && tt.says == "") || !strings.Contains(f.Says, tt.says) {
					t.Errorf("%+v", f)
				}
			}
		})
	}
	for _, f := range Check(home(t), base, running) {
		if f.Fails || f.Mend != "" || !strings.Contains(f.Says, "no configuration") {
			t.Errorf("%+v", f)
		}
	}
}

// What Hermes's own wizard writes for a custom endpoint fits as well: it asks the server for the length.
func TestCheckHermesWizard(t *testing.T) {
	dir := home(t)
	path := filepath.Join(dir, ".hermes", "config.yaml")
	for text, says := range map[string]string{
		"model: {default: small, provider: custom, base_url: \"http://127.0.0.1:8000/v1\"}":                         "as the server says",
		"model: {default: small, provider: custom, base_url: \"http://127.0.0.1:8000/v1\", context_length: 128000}": "128000",
		"model: {default: small, provider: custom, base_url: \"http://127.0.0.1:9000/v1\"}":                         ":9000",
	} {
		file(t, path, text)
		f := Check(dir, running.URL, running)[1]
		if !strings.Contains(f.Says, says) || f.Fails != (says != "as the server says") {
			t.Errorf("%s: %+v", text, f)
		}
	}
}
