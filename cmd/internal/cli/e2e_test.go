package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"reprise/cmd/internal/run"
	"reprise/cmd/internal/speed"
	"reprise/kvcache/ledger"
	"reprise/model/hub"
)

// withModel fails a test that needs the small real model when the set-up has not run.
func withModel(t *testing.T) {
	t.Helper()
	if _, err := hub.Resolve(""); err != nil {
		t.Fatalf("this test needs the small model (run `make build`): %v", err)
	}
}

// Acceptance 1.2: text, speed, both memory peaks and the turn's reuse, and a follow-up whose reuse is real.
func TestRunPrintsTextAndFigures(t *testing.T) {
	withModel(t)
	r := command(t, "run", "--device", "cpu", "--max-tokens", "12", "--follow-up", "It lies on the river", "The capital of France is")
	if r.code != 0 {
		t.Fatalf("exit code %d: %s", r.code, r.stderr)
	}
	first, second, _ := strings.Cut(r.stdout, "\n")
	if first != " the capital of the country of France. It is the capital" || !strings.HasPrefix(second, " Seine") {
		t.Errorf("the continuations read %q", r.stdout)
	}
	for what, pattern := range map[string]string{
		"why raw":          `continues the prompt as raw text: it is a base model; --raw=false`,
		"device":           `(?m)^device   cpu, float32, context 32,768 tokens$`,
		"load":             `(?m)^load     [0-9.]+ m?s, weights hold 256\.1 MB, MLX peak [0-9.]+ MB$`,
		"cold reuse":       `(?m)^reuse    0 of 6 prompt tokens reused, 0 recomputed, 6 new \(first_request\)$`,
		"prefill":          `(?m)^prefill  [0-9.]+ tok/s, 6 tokens in [0-9.]+ m?s, first token after [0-9.]+ m?s$`,
		"decode":           `(?m)^decode   [0-9.]+ tok/s, 12 tokens in [0-9.]+ m?s$`,
		"both peaks":       `(?m)^memory   MLX peak active [0-9.]+ MB, process footprint peak [0-9.]+ MB( \(sampled\))?, KV held [0-9.]+ MB$`,
		"follow-up":        `(?m)^the follow-up:$`,
		"follow-up's hit":  `(?m)^reuse    1[67] of 2\d prompt tokens reused, [01] recomputed, \d new`,
		"follow-up's work": `(?m)^prefill  [0-9.]+ tok/s, \d tokens in`,
	} {
		if !regexp.MustCompile(pattern).MatchString(r.stderr) {
			t.Errorf("%s (%s) is not in\n%s", what, pattern, r.stderr)
		}
	}
}

// The template on a base model, a context beyond training, the prompt from standard input, all in one object.
func TestRunPrintsAnObject(t *testing.T) {
	withModel(t)
	r := commandWith(t, "Which river runs through Paris?", "run", "--device", "cpu", "--raw=false", "--ctx", "40000", "--json", "--max-tokens", "4", "--temp", "0.5", "--seed", "3", "-")
	if r.code != 0 {
		t.Fatalf("exit code %d: %s", r.code, r.stderr)
	}
	if !strings.Contains(r.stderr, "beyond the 32768 tokens") {
		t.Errorf("no warning about the context in %q", r.stderr)
	}
	var out run.Output
	if err := json.Unmarshal([]byte(r.stdout), &out); err != nil {
		t.Fatalf("%v in %s", err, r.stdout)
	}
	prompt := out.Row.PromptTokens.Or(0)
	if n := len(out.IDs); n < 1 || n > 4 || out.Row.GeneratedTokens.Or(0) != n || out.FollowUp != nil {
		t.Errorf("%d ids, row %+v", n, out.Row)
	}
	// Raw, the question has 8 ids; the template adds its turns.
	if prompt < 12 || out.Row.IdentityError.Known() || out.Row.PrefillTokens.Or(0) != prompt {
		t.Errorf("%d prompt tokens, %d prefilled, identity %q", prompt, out.Row.PrefillTokens.Or(0), out.Row.IdentityError.Or(""))
	}
}

func TestAPromptLongerThanTheContext(t *testing.T) {
	withModel(t)
	r := command(t, "run", "--device", "cpu", "--ctx", "4", "--raw", "The capital of France is")
	last := r.stderr[strings.LastIndex(strings.TrimRight(r.stderr, "\n"), "\n")+1:]
	if r.code != exitError || !strings.HasPrefix(last, "reprise: ") || !strings.Contains(last, "4 tokens") || !strings.Contains(last, "6 tokens") || !strings.Contains(last, "--ctx") {
		t.Errorf("exit code %d, %q", r.code, r.stderr)
	}
}

func TestBenchSpeed(t *testing.T) {
	withModel(t)
	r := command(t, "bench", "speed", "--device", "cpu", "--prompt", "8,16", "--gen", "3", "--repeat", "1", "--json")
	if r.code != 0 {
		t.Fatalf("exit code %d: %s", r.code, r.stderr)
	}
	var report speed.Report
	if err := json.Unmarshal([]byte(r.stdout), &report); err != nil {
		t.Fatal(err)
	}
	if report.Model != hub.SmallModel || report.Machine.MemoryBytes == 0 || report.Version.MLX == "" || report.Dtype != "float32" || len(report.Points) != 2 {
		t.Fatalf("%+v", report)
	}
	for i, n := range []int{8, 16} {
		if p := report.Points[i]; p.Prompt != n || p.Generated != 3 || p.PrefillTPS <= 0 || p.DecodeTPS <= 0 || p.MLXPeak < report.Weights || len(p.TTFTs) != 1 {
			t.Errorf("%+v", p)
		}
	}
	var text strings.Builder
	if err := report.WriteText(&text); err != nil || !strings.Contains(text.String(), "prefill tok/s") || !strings.Contains(text.String(), report.Machine.Processor) {
		t.Errorf("%v\n%s", err, text.String())
	}
}

// lineWriter hands the first line that is written to whoever waits for it.
type lineWriter struct {
	buf  bytes.Buffer
	line chan string
}

func (w *lineWriter) Write(p []byte) (int, error) {
	w.buf.Write(p)
	if line, _, ok := strings.Cut(w.buf.String(), "\n"); ok && w.line != nil {
		w.line <- line
		w.line = nil
	}
	return len(p), nil
}

// serving runs `reprise serve` on a free port until stop interrupts it; stop gives the exit code and what was logged.
func serving(t *testing.T, args ...string) (ready string, stop func() (int, string)) {
	t.Helper()
	ctx, interrupt := context.WithCancel(context.Background())
	t.Cleanup(interrupt)
	line, code := make(chan string, 1), make(chan int, 1)
	var stderr bytes.Buffer
	args = append([]string{"serve", "--device", "cpu", "--addr", "127.0.0.1:0"}, args...)
	go func() { code <- Run(ctx, args, strings.NewReader(""), &lineWriter{line: line}, &stderr) }()
	select {
	case ready = <-line:
	case c := <-code:
		t.Fatalf("serve ended with %d: %s", c, stderr.String())
	}
	return ready, func() (int, string) {
		interrupt()
		return <-code, stderr.String()
	}
}

// The server answers, keeps its ledger, and ends well when it is interrupted.
func TestServe(t *testing.T) {
	withModel(t)
	home := t.TempDir()
	t.Setenv("REPRISE_HOME", home)
	t.Setenv("REPRISE_API_KEY", "secret")
	ready, stop := serving(t, "--ctx", "64", "--max-output", "3", "--log-level", "debug")
	found := regexp.MustCompile(`^ready: (http://127\.0\.0\.1:\d+) serves gemma-3-270m on the cpu device, context 64 tokens, template checkpoint$`).FindStringSubmatch(ready)
	if found == nil {
		t.Fatalf("the ready line is %q", ready)
	}
	url := found[1] + "/v1/completions"
	if status, _ := post(t, url, "", `{}`); status != http.StatusUnauthorized {
		t.Errorf("without the key: %d", status)
	}
	if status, body := post(t, url, "secret", `{"model": "gemma-3-270m", "prompt": "`+strings.Repeat("river ", 80)+`"}`); status != http.StatusBadRequest || !strings.Contains(body, "context_length_exceeded") {
		t.Errorf("a prompt that is too long: %d %s", status, body)
	}
	status, body := post(t, url, "secret", `{"model": "gemma-3-270m", "prompt": "The capital of France is", "temperature": 0, "max_tokens": 30}`)
	if status != http.StatusOK || !strings.Contains(body, "the capital of") || !strings.Contains(body, `"completion_tokens":3`) {
		t.Errorf("a completion: %d %s", status, body)
	}
	code, log := stop()
	if code != 0 {
		t.Errorf("interrupted, serve exits with %d: %s", code, log)
	}
	if files, err := ledger.Files(filepath.Join(home, "ledger")); err != nil || len(files) != 1 {
		t.Errorf("ledger files %v, %v", files, err)
	}
	for _, secret := range []string{"secret", "river river", "The capital", "the capital of"} {
		if strings.Contains(log, secret) {
			t.Errorf("%q is in the log", secret)
		}
	}
}

// With --log-prompts the log has what the model read and wrote, and still no key.
func TestServeLogsPrompts(t *testing.T) {
	withModel(t)
	t.Setenv("REPRISE_HOME", t.TempDir())
	t.Setenv("REPRISE_API_KEY", "planted-key")
	ready, stop := serving(t, "--ctx", "64", "--max-output", "3", "--log-format", "json", "--log-prompts")
	base := strings.Fields(strings.TrimPrefix(ready, "ready: "))[0]
	if status, body := post(t, base+"/v1/completions", "planted-key", `{"model": "gemma-3-270m", "prompt": "The capital of France is", "temperature": 0}`); status != http.StatusOK {
		t.Errorf("%d %s", status, body)
	}
	_, log := stop()
	if !strings.Contains(log, `"prompt_text":"\u003cbos\u003eThe capital of France is"`) && !strings.Contains(log, `"prompt_text":"<bos>The capital of France is"`) || !strings.Contains(log, `"answer_text":" the capital of"`) {
		t.Errorf("the log lacks the texts:\n%s", log)
	}
	if strings.Contains(log, "planted-key") {
		t.Error("the key is in the log")
	}
}

func post(t *testing.T, url, key, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// What is in the way is found before seconds are spent on loading.
func TestServeFindsATakenPort(t *testing.T) {
	withModel(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	command(t, "serve", "--device", "cpu", "--addr", l.Addr().String()).refused(t, exitError, l.Addr().String(), "--addr")
}

func TestServeNeedsAKeyBeyondLoopback(t *testing.T) {
	withModel(t)
	t.Setenv("REPRISE_API_KEY", "")
	command(t, "serve", "--device", "cpu", "--addr", "0.0.0.0:0").refused(t, exitError, "--addr 0.0.0.0:0", "--api-key")
}
