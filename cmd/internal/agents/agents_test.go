package agents

import (
	"bytes"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"reprise/cmd/internal/connect"
	"reprise/kvcache/ledger"
)

// paths are where the APIs are.
var paths = map[connect.API]string{connect.Chat: "/v1/chat/completions", connect.Responses: "/v1/responses", connect.Messages: "/v1/messages"}

// least is the part of what a request shares with the one before that must be hit: acceptance 4.2.
const least = 0.95

// Acceptance 4.1 and 4.2: the real clients, at least two turns of one session each with a tool call and its result, against the real
// server on both models.
func TestRealClients(t *testing.T) {
	at := clients(t)
	for _, model := range []string{real, small} {
		t.Run(model, func(t *testing.T) {
			s := serve(t, at, model)
			for _, api := range connect.APIs {
				if !s.speaks(t, paths[api]) {
					t.Fatalf("the server has no %s", paths[api])
				}
				t.Run("OpenClaw/"+string(api), func(t *testing.T) { s.openclaw(t, api) })
				t.Run("Hermes/"+string(api), func(t *testing.T) { s.hermes(t, api) })
				for _, k := range sdks[api] {
					t.Run(strings.ReplaceAll(k.name, " ", "_")+"/"+string(api), func(t *testing.T) { s.sdk(t, k, api) })
				}
			}
		})
	}
}

func (s *served) openclaw(t *testing.T, api connect.API) {
	o, err := s.at.OpenClaw(filepath.Join(t.TempDir(), "home"))
	if err != nil {
		t.Fatal(err)
	}
	tap := s.tap(t)
	s.connect(t, "openclaw", o.Home, tap.URL, string(api))
	tap.Take()
	texts := []string{"Please run reprise-openclaw now.", "And once more reprise-openclaw, please."}
	for i, text := range texts {
		out, err := o.Say(t.Context(), "one", text)
		if err != nil {
			t.Fatalf("turn %d: %v", i+1, err)
		}
		t.Logf("turn %d, exit code %d: %.600s", i+1, out.Code, tail(out.Text+out.Errors))
	}
	s.judge(t, "OpenClaw 2026.9.6", api, len(texts), tap.Take())
}

func (s *served) hermes(t *testing.T, api connect.API) {
	h, err := s.at.Hermes(filepath.Join(t.TempDir(), "home"))
	if err != nil {
		t.Fatal(err)
	}
	tap := s.tap(t)
	s.connect(t, "hermes", h.Home, tap.URL, string(api))
	tap.Take()
	texts := []string{"Please run reprise-hermes now.", "And once more reprise-hermes, please."}
	session := ""
	for i, text := range texts { // each in a process of its own: the second resumes the first's session
		var out *Output
		if session, out, err = h.Say(t.Context(), session, text); err != nil {
			t.Fatalf("turn %d: %v", i+1, err)
		}
		t.Logf("turn %d, exit code %d: %.600s", i+1, out.Code, tail(out.Text+out.Errors))
	}
	s.judge(t, "Hermes 0.19.0, the second turn by --resume", api, len(texts), tap.Take())
}

// kit is one SDK's script.
type kit struct{ name, script string }

var sdks = map[connect.API][]kit{
	connect.Chat:      {{"openai-python 3.54.0", "openai_sdk.py"}, {"openai-node 6.49.0", "openai_sdk.mjs"}},
	connect.Responses: {{"openai-python 3.54.0", "openai_sdk.py"}, {"openai-node 6.49.0", "openai_sdk.mjs"}},
	connect.Messages:  {{"anthropic-python 2.12.0", "anthropic_sdk.py"}, {"anthropic-node 1.12.0", "anthropic_sdk.mjs"}},
}

func (s *served) sdk(t *testing.T, k kit, api connect.API) {
	h, err := NewHome(filepath.Join(t.TempDir(), "home"), filepath.Dir(s.at.Node))
	if err != nil {
		t.Fatal(err)
	}
	tap := s.tap(t)
	about, err := connect.Ask(t.Context(), tap.URL, "")
	if err != nil {
		t.Fatal(err)
	}
	script, err := filepath.Abs(filepath.Join("testdata", k.script))
	if err != nil {
		t.Fatal(err)
	}
	tap.Take()
	program, args := s.at.Python, []string{script}
	if filepath.Ext(script) == ".mjs" {
		program, args = s.at.Node, []string{script, s.at.Modules}
	}
	out, err := h.Run(t.Context(), 2*time.Minute, program, append(args, tap.URL, about.Model, string(api))...)
	if err != nil || out.Code != 0 {
		t.Fatalf("%v, exit code %d: %s%s", err, out.Code, out.Text, out.Errors)
	}
	if version := k.name[strings.LastIndex(k.name, " ")+1:]; !strings.Contains(out.Text, version) {
		t.Errorf("says %q, not %s", out.Text, version)
	}
	s.judge(t, k.name, api, 2, tap.Take())
}

// judge holds what one client sent in one session against the ledger.
func (s *served) judge(t *testing.T, client string, api connect.API, users int, seen []Exchange) {
	t.Helper()
	for _, x := range seen {
		if x.Path == paths[api] && x.Status != 200 {
			t.Errorf("%s was answered %d: %s", x.Path, x.Status, x.Refusal)
		}
	}
	turns, err := s.Turns(t.Context(), seen)
	if err != nil {
		t.Fatal(err)
	}
	l := line{client: client, api: string(api), model: s.model, turns: users, requests: len(turns), lowest: 1}
	returned, main := false, 0
	for i, turn := range turns {
		row := turn.Row
		t.Logf("request %d: %s of %d, shared %d, matched %d, hit %d, spliced %d, diverged at %d in %q, miss %s", i, row.FinishReason.Or("?"), row.PromptTokens.Or(0), turn.Shared,
			row.MatchedTokens.Or(0), row.LookupHitTokens.Or(0), row.SplicedTokens.Or(0), row.DivergedAt.Or(-1), row.DivergedIn.Or(""), row.MissReason.Or(""))
		if turn.Path != paths[api] {
			t.Errorf("request %d went to %s, not to %s", i, turn.Path, paths[api])
		}
		if why, broken := row.IdentityError.Get(); broken {
			t.Errorf("request %d: %s", i, why)
		}
		if turn.Side {
			l.side++
			continue
		}
		main++
		if row.FinishReason.Or("") == ledger.FinishToolCalls {
			l.calls++
		}
		returned = returned || holds(turn.Body, result)
		l.prompt, l.shared, l.hit = row.PromptTokens.Or(0), turn.Shared, row.LookupHitTokens.Or(0)
		if main == 1 {
			continue
		}
		l.lowest = min(l.lowest, turn.Share())
		if matched := row.MatchedTokens.Or(0); matched < turn.Shared {
			t.Errorf("request %d shares %d ids with the one before, the ledger matched %d", i, turn.Shared, matched)
		}
		if turn.Share() < least {
			t.Errorf("request %d: hit %d of %d ids that it shares with the one before, %.1f %%; at least %.0f %% should be", i, l.hit, turn.Shared, 100*turn.Share(), 100*least)
		}
	}
	table.Lock()
	table.lines = append(table.lines, l)
	table.Unlock()
	if main < users {
		t.Errorf("%d requests in %d turns", main, users)
	}
	if l.calls < users {
		t.Errorf("%d tool calls in %d turns", l.calls, users)
	}
	if !returned {
		t.Errorf("no request brought the tool's result %q", result)
	}
	if main < 2*users {
		t.Errorf("%d requests in %d turns with a call each", main, users)
	}
}

// holds says whether a JSON body has the text, as it is or in ASCII.
func holds(body []byte, text string) bool {
	ascii := strings.Trim(strconv.QuoteToASCII(text), `"`)
	return bytes.Contains(body, []byte(text)) || bytes.Contains(body, []byte(ascii))
}

// tail is the end of a program's output, on one line.
func tail(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	return text[max(0, len(text)-600):]
}
