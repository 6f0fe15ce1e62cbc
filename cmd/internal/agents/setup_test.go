package agents

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"reprise/kvcache/tier/valkeytest"
)

const root = "../../.."

// What the flags force: calls that fit in 48 tokens of a borrowed vocabulary, with a letter that Hermes sends back escaped, and whose
// result can only come from their having been run.
const (
	openclawForce = `exec@reprise-openclaw={"command":"echo é-$((6*7))"}`
	hermesForce   = `terminal@reprise-hermes={"command":"echo é-$((6*7))"}`
	sdkForce      = `read_note@reprise-sdk={"path":"notes/é.txt","lines":3}`
	result        = "é-42"
)

var (
	serveFlags = []string{"--device", "cpu", "--ctx", "65536", "--max-output", "48"}
	forceFlags = []string{"--force-tool", openclawForce, "--force-tool", hermesForce, "--force-tool", sdkForce}
)

// clients finds what third_party/clients.sh brought. Their runs take minutes: `.ci/run` and `make prove` ask for them.
func clients(t *testing.T) *Installed {
	t.Helper()
	if os.Getenv("REPRISE_CLIENTS") == "" {
		t.Skip("runs the real clients for minutes: third_party/clients.sh, make binary, then REPRISE_CLIENTS=1")
	}
	for _, name := range []string{"OPENCLAW_CONFIG_PATH", "OPENCLAW_STATE_DIR", "OPENCLAW_HOME", "HERMES_HOME"} {
		t.Setenv(name, "") // of the developer's own agents
	}
	dir, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	i, err := Find(dir)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func program(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(root, "bin", "reprise"))
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		t.Fatalf("%v: run `make binary`", err)
	}
	return path
}

// served is a server of the test's own on one of the two models.
type served struct {
	*Server
	t      *testing.T
	at     *Installed
	binary string
	dir    string
	model  string // as the table names it
}

// made makes up the small qwen3_5 in REPRISE_HOME, by the command that a user would take.
func made(t *testing.T, home string) string {
	t.Helper()
	const name = "qwen3_5-small"
	cmd := exec.Command(program(t), "models", "synth", "--config", "testdata/"+name+".json", "--out", filepath.Join(home, "models", name), "--tokenizer", "gemma-3-270m")
	cmd.Env = append(os.Environ(), "REPRISE_HOME="+home)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("models synth: %v: %s", err, out)
	}
	return name
}

func serve(t *testing.T, at *Installed, model string) *served {
	t.Helper()
	s := &served{t: t, at: at, binary: program(t), dir: t.TempDir(), model: model}
	flags := slices.Concat(serveFlags, forceFlags)
	home := filepath.Join(s.dir, "reprise")
	if model == small {
		flags = append([]string{"--model", made(t, home)}, flags...)
	}
	if os.Getenv("REPRISE_TIERS") != "" { // acceptance of the tiers: all this holds with them, too
		flags = append(flags, "--cache-disk", filepath.Join(s.dir, "kv"), "--l2", valkeytest.Start(t).URL(""))
	}
	log := &locked{}
	var err error
	if s.Server, err = Serve(t.Context(), s.binary, home, log, flags...); err != nil {
		t.Fatalf("%v; it said:\n%s", err, log)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Errorf("the server's end: %v", err)
		}
		if text := log.String(); t.Failed() || strings.Contains(text, "level=ERROR") {
			t.Errorf("the server's log ends with:\n%s", text[max(0, len(text)-6000):])
		}
	})
	return s
}

// The two models, as acceptance 4.1 names them.
const (
	real  = "gemma-3-270m, real weights, Gemma 4's dialect"
	small = "qwen3_5, 8 layers, made up"
)

// tap stands before the server until the test ends.
func (s *served) tap(t *testing.T) *Tap {
	t.Helper()
	tap, err := Listen(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tap.Close() })
	return tap
}

// connect has `reprise connect` write the agent's configuration in its home.
func (s *served) connect(t *testing.T, agent string, h *Home, url, api string) {
	t.Helper()
	out, err := h.Run(t.Context(), time.Minute, s.binary, "connect", agent, "--write", "--url", url, "--api", api)
	if err != nil || out.Code != 0 {
		t.Fatalf("connect %s: %v, %+v", agent, err, out)
	}
}

// speaks says whether the server has the path.
func (s *served) speaks(t *testing.T, path string) bool {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+path, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	return res.StatusCode != http.StatusNotFound
}

// locked is a log that two goroutines may use.
type locked struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// line is one of the printed table.
type line struct {
	client, model, api           string
	turns, requests, side, calls int
	prompt, shared, hit          int // of the conversation's last request
	lowest                       float64
}

var table struct {
	sync.Mutex
	lines []line
}

func TestMain(m *testing.M) {
	code := m.Run()
	if len(table.lines) > 0 {
		fmt.Println("| client | API | model | turns | requests (beside it) | tool calls | last prompt | shared with the one before | hit | lowest share hit |")
		fmt.Println("|---|---|---|---|---|---|---|---|---|---|")
		for _, l := range table.lines {
			fmt.Printf("| %s | %s | %s | %d | %d (%d) | %d | %d | %d | %d | %.2f %% |\n",
				l.client, l.api, l.model, l.turns, l.requests, l.side, l.calls, l.prompt, l.shared, l.hit, 100*l.lowest)
		}
	}
	os.Exit(code)
}
