package agents

import (
	"bytes"
	"context"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"reprise/cmd/internal/connect"
)

// Acceptance 4.8: the agents' own set-ups accept the endpoint as it is, and what they write works.
func TestWizards(t *testing.T) {
	at := clients(t)
	s := serve(t, at, small)
	t.Run("openclaw onboard", func(t *testing.T) { s.onboard(t) })
	for _, command := range []string{"model", "setup model"} {
		t.Run("hermes "+command, func(t *testing.T) { s.hermesWizard(t, strings.Fields(command)...) })
	}
	t.Run("hermes config set", func(t *testing.T) { s.hermesConfig(t) })
}

// onboard lets OpenClaw set itself up, takes a turn with what it wrote, and has `reprise connect` mend the context that it made up.
func (s *served) onboard(t *testing.T) {
	o, err := s.at.OpenClaw(filepath.Join(t.TempDir(), "home"))
	if err != nil {
		t.Fatal(err)
	}
	tap := s.tap(t)
	about, err := connect.Ask(t.Context(), tap.URL, "")
	if err != nil {
		t.Fatal(err)
	}
	tap.Take()
	out, err := o.Do(t.Context(), "onboard", "--non-interactive", "--accept-risk", "--mode", "local", "--auth-choice", "custom-api-key",
		"--custom-base-url", tap.URL+"/v1", "--custom-model-id", about.Model, "--custom-provider-id", "reprise", "--skip-channels", "--skip-health",
		"--skip-hooks", "--skip-search", "--skip-skills", "--skip-ui", "--no-install-daemon")
	if err != nil || out.Code != 0 {
		t.Fatalf("onboard: %v, %+v", err, out)
	}
	s.turn(t, "OpenClaw", tap, func() (*Output, error) { return o.Say(t.Context(), "one", "Please run reprise-openclaw now.") })
	s.fits(t, o.Home, tap.URL, "openclaw", false, "128000")
	s.connect(t, "openclaw", o.Home, tap.URL, "chat")
	s.fits(t, o.Home, tap.URL, "openclaw", true, "65536")
}

// hermesWizard answers the questions of Hermes's wizard and takes a turn with what it wrote.
func (s *served) hermesWizard(t *testing.T, command ...string) {
	h, err := s.at.Hermes(filepath.Join(t.TempDir(), "home"))
	if err != nil {
		t.Fatal(err)
	}
	tap := s.tap(t)
	said := s.answer(t, h, [][2]string{
		{`Choice \[default`, "@Custom endpoint"},
		{`API base URL`, tap.URL + "/v1"},
		{`API key`, ""},
		{`Verified endpoint`, ""}, // and the API: what it finds out
		{`Use this model`, ""},
		{`Context length`, ""},
		{`Display name`, "reprise"},
	}, command...)
	if !strings.Contains(said, "Default model set to") {
		t.Errorf("hermes %v said %s", command, said)
	}
	asked := false
	for _, x := range tap.Take() {
		asked = asked || x.Path == "/v1/models" && x.Status == 200
	}
	if !asked {
		t.Error("the wizard did not ask for the models")
	}
	s.hermesWorks(t, h, tap)
}

// hermesConfig takes the commands that `hermes setup` names where there is no terminal.
func (s *served) hermesConfig(t *testing.T) {
	h, err := s.at.Hermes(filepath.Join(t.TempDir(), "home"))
	if err != nil {
		t.Fatal(err)
	}
	tap := s.tap(t)
	about, err := connect.Ask(t.Context(), tap.URL, "")
	if err != nil {
		t.Fatal(err)
	}
	out, err := h.Do(t.Context(), "setup", "--non-interactive")
	if err != nil || out.Code != 0 {
		t.Fatalf("setup: %v, %+v", err, out)
	}
	for key, value := range map[string]string{"model.provider": "custom", "model.base_url": tap.URL + "/v1", "model.default": about.Model} {
		if !strings.Contains(out.Text, "hermes config set "+key) {
			t.Errorf("setup does not name %s: %s", key, out.Text)
		}
		if set, err := h.Do(t.Context(), "config", "set", key, value); err != nil || set.Code != 0 {
			t.Fatalf("config set %s: %v, %+v", key, err, set)
		}
	}
	s.hermesWorks(t, h, tap)
}

var refusal = regexp.MustCompile(`(?m)^.*✗.*$`)

// hermesWorks takes a turn and has both doctors look.
func (s *served) hermesWorks(t *testing.T, h *Hermes, tap *Tap) {
	tap.Take()
	s.turn(t, "Hermes", tap, func() (*Output, error) {
		_, out, err := h.Say(t.Context(), "", "Please run reprise-hermes now.")
		return out, err
	})
	s.fits(t, h.Home, tap.URL, "hermes", true, "as the server says")
	out, err := h.Do(t.Context(), "doctor")
	if err != nil || out.Code != 0 || !strings.Contains(out.Text, "config.yaml exists") {
		t.Fatalf("doctor: %v, %+v", err, out)
	}
	for _, line := range refusal.FindAllString(out.Text, -1) {
		if !strings.Contains(line, ".env file missing") { // keys of others
			t.Errorf("hermes doctor: %s", line)
		}
	}
}

// turn is one turn whose requests must all be taken, with a call in it.
func (s *served) turn(t *testing.T, client string, tap *Tap, say func() (*Output, error)) {
	t.Helper()
	out, err := say()
	if err != nil {
		t.Fatal(err)
	}
	taken, returned := 0, false
	for _, x := range tap.Take() {
		if x.Path != paths[connect.Chat] {
			continue
		}
		if x.Status != 200 {
			t.Errorf("%s was answered %d: %s", client, x.Status, x.Refusal)
		}
		taken++
		returned = returned || holds(x.Body, result)
	}
	if taken < 2 || !returned {
		t.Errorf("%s took %d requests for a call and its result (there: %v): %s", client, taken, returned, tail(out.Text+out.Errors))
	}
}

// fits has `reprise doctor`'s check look at the agent's side.
func (s *served) fits(t *testing.T, h *Home, url, agent string, well bool, says string) {
	t.Helper()
	about, err := connect.Ask(t.Context(), url, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range connect.Check(h.Dir, url, about) {
		if f.Agent == agent && ((f.Mend == "") != well || !strings.Contains(f.Says, says)) {
			t.Errorf("%+v", f)
		}
	}
}

// answer runs a command of Hermes's on a terminal, where each step's pattern is waited for and answered.
func (s *served) answer(t *testing.T, h *Hermes, steps [][2]string, command ...string) string {
	t.Helper()
	script, err := filepath.Abs("testdata/answers.py")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(steps)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), 2*time.Minute)
	defer stop()
	cmd := exec.CommandContext(ctx, s.at.HermesPython, append([]string{script, s.at.HermesProgram}, command...)...)
	cmd.Dir, cmd.Env, cmd.Stdin = h.Dir, h.environment(), bytes.NewReader(raw)
	own(cmd)
	out, err := cmd.CombinedOutput()
	h.sweep()
	if err != nil {
		t.Fatalf("hermes %s: %v:\n%s", strings.Join(command, " "), err, out)
	}
	return string(out)
}
