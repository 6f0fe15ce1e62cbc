package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"reprise/cmd/internal/experiment"
	"reprise/cmd/reprise/guide"
	"reprise/kvcache/ledger"
	"reprise/kvcache/tier/valkeytest"
	"reprise/model/hub"
)

// asProgram makes the test binary the program, for scripts that call it.
const asProgram = "REPRISE_TEST_AS_PROGRAM"

// packageDir is this package's folder, whatever folder a test changes to.
var packageDir = func() string {
	dir, err := os.Getwd()
	if err != nil {
		panic(err)
	}
	return dir
}()

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Exit(Run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// words are a line's, as a shell has them, with quotes taken off.
func words(t *testing.T, line string) []string {
	t.Helper()
	var out []string
	for _, m := range regexp.MustCompile(`"([^"]*)"|'([^']*)'|(\S+)`).FindAllStringSubmatch(line, -1) {
		out = append(out, m[1]+m[2]+m[3])
	}
	return out
}

// aHome is an empty home folder, from which the small model is found all the same.
func aHome(t *testing.T) {
	t.Helper()
	small, err := hub.Resolve("")
	if err != nil {
		t.Fatalf("this test needs the small model (run `make build`): %v", err)
	}
	dir, err := filepath.EvalSymlinks(small.Dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("REPRISE_BUILD_CACHE", filepath.Dir(filepath.Dir(dir)))
	t.Setenv("HOME", t.TempDir())
	t.Setenv("REPRISE_HOME", t.TempDir())
}

// Acceptance 6.8: every command of the guide is run here, or names the test that runs it; its flags are there in any case.
func TestTheGuidesCommands(t *testing.T) {
	aHome(t)
	t.Chdir(t.TempDir())
	tests := namesOfTests(t)
	ran := 0
	for _, chapter := range guide.Chapters() {
		commands := guide.Commands(chapter.Text)
		if marked := strings.Count(chapter.Text, "```sh"); marked == 0 && chapter.Name != "phases" || marked > 0 && len(commands) == 0 {
			t.Errorf("chapter %s has no command", chapter.Name)
		}
		for _, c := range commands {
			args := words(t, c.Line)
			if args[0] == "reprise" {
				parses(t, args[1:])
			} else if args[0] != "curl" {
				t.Errorf("%s: %q is neither reprise nor curl", chapter.Name, c.Line)
			}
			if c.Test != "" {
				if !tests[c.Test] {
					t.Errorf("%s: %q names the test %s, which is not there", chapter.Name, c.Line, c.Test)
				}
				continue
			}
			if args[0] != "reprise" {
				t.Errorf("%s: %q needs the name of a test", chapter.Name, c.Line)
				continue
			}
			ran++
			// A finding about this machine is no fault of the guide's.
			if r := command(t, onCPU(args[1:])...); r.code != 0 && args[1] != "doctor" {
				t.Errorf("%s: %q exits with %d: %s", chapter.Name, c.Line, r.code, r.stderr)
			}
		}
	}
	if ran < 15 {
		t.Errorf("%d commands ran", ran)
	}
}

// onCPU adds the device that tests run on to a command that takes one.
func onCPU(args []string) []string {
	if path := strings.Join(args[:min(2, len(args))], " "); args[0] == "run" || args[0] == "selftest" || path == "bench loop" && !strings.Contains(strings.Join(args, " "), "--dry-run") {
		return append(args, "--device", "cpu")
	}
	return args
}

// parses fails the test when the command or one of its flags is not there.
func parses(t *testing.T, args []string) {
	t.Helper()
	root := newRoot()
	cmd, rest, err := root.Find(args)
	if err == nil && cmd == root {
		err = errors.New("no such command")
	}
	if err == nil {
		err = cmd.ParseFlags(rest)
	}
	if err != nil && !errors.Is(err, pflag.ErrHelp) {
		t.Errorf("reprise %s: %v", strings.Join(args, " "), err)
	}
}

func namesOfTests(t *testing.T) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(packageDir, "*_test.go"))
	agents, bad := filepath.Glob(filepath.Join(packageDir, "../agents/*_test.go"))
	if err = errors.Join(err, bad); err != nil || len(files) == 0 || len(agents) == 0 {
		t.Fatal(err, files, agents)
	}
	files = append(files, agents...)
	names := map[string]bool{}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(t \*testing\.T\)`).FindAllStringSubmatch(string(raw), -1) {
			names[m[1]] = true
		}
	}
	return names
}

// The chapters serve, agent and counters, whose commands ask a running server: it runs, on a free port.
func TestTheGuidesServer(t *testing.T) {
	aHome(t)
	t.Chdir(t.TempDir())
	var base string
	var stop func() (int, string)
	for _, name := range []string{"serve", "agent", "counters"} {
		chapter, err := guide.Find(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range guide.Commands(chapter.Text) {
			args := words(t, c.Line)
			switch {
			case c.Test != t.Name(): // another one's, which TestTheGuidesCommands looks for
			case args[0] == "curl":
				curl(t, base, args[1:])
			case args[1] == "serve":
				var ready string
				ready, stop = serving(t, args[2:]...)
				base = regexp.MustCompile(`http://127\.0\.0\.1:\d+`).FindString(ready)
			default:
				where := []string{"--url", base}
				switch args[1] {
				case "bench":
					if where = nil; args[2] == "replay" {
						where = []string{"--device", "cpu"}
					}
				case "doctor":
					where = []string{"--addr", strings.TrimPrefix(base, "http://")}
				case "report":
					where = nil
				}
				if r := command(t, append(args[1:], where...)...); r.code != 0 {
					t.Errorf("%q exits with %d: %s%s", c.Line, r.code, r.stdout, r.stderr)
				} else if args[1] == "doctor" && !strings.Contains(r.stdout, "hermes") {
					t.Errorf("doctor says nothing of the agent:\n%s", r.stdout)
				}
			}
		}
	}
	if code, log := stop(); code != 0 {
		t.Errorf("serve ends with %d: %s", code, log)
	}
}

// The chapter on serving, its tiers: both are there, and say so.
func TestTheGuidesTiers(t *testing.T) {
	store := valkeytest.Start(t)
	aHome(t)
	chapter, err := guide.Find("serve")
	if err != nil {
		t.Fatal(err)
	}
	var base string
	var stop func() (int, string)
	asked := 0
	for _, c := range guide.Commands(chapter.Text) {
		switch args := words(t, c.Line); {
		case c.Test != t.Name():
		case args[1] == "serve":
			for i := range args {
				args[i] = strings.Replace(args[i], "127.0.0.1:6379", store.Addr(), 1)
			}
			var ready string
			ready, stop = serving(t, args[2:]...)
			base = regexp.MustCompile(`http://127\.0\.0\.1:\d+`).FindString(ready)
		default:
			asked++
			if r := command(t, append(args[1:], "--url", base)...); r.code != 0 || !regexp.MustCompile(`(?s)\ndisk .* of 20\.00 GB.*\nshared +`+store.Addr()+":").MatchString(r.stdout) {
				t.Errorf("%q exits with %d: %s%s", c.Line, r.code, r.stdout, r.stderr)
			}
		}
	}
	if stop == nil || asked == 0 {
		t.Fatal("the chapter has no command of this test's")
	}
	if code, log := stop(); code != 0 {
		t.Errorf("serve ends with %d: %s", code, log)
	}
}

// curl sends the request that the command line of curl describes.
func curl(t *testing.T, base string, args []string) {
	t.Helper()
	var url, body, file string
	header := http.Header{}
	for i := 0; i < len(args); i++ {
		switch args[i] {
		case "-H":
			i++
			name, value, _ := strings.Cut(args[i], ": ")
			header.Set(name, value)
		case "-d":
			i++
			body = args[i]
			header.Set("Content-Type", "application/json")
		case "-o":
			i++
			file = args[i]
		default:
			url = strings.Replace(args[i], "http://127.0.0.1:8000", base, 1)
		}
	}
	method := http.MethodGet
	if body != "" {
		method = http.MethodPost
	}
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Errorf("%s: %d %s, %v", url, res.StatusCode, text, err)
	}
	if file != "" {
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Error(err)
		}
	}
	var answer struct {
		Usage struct{ Reprise struct{ Row *ledger.Row } }
	}
	if asked := header.Get("X-Reprise-Ledger") != ""; json.Unmarshal(text, &answer) != nil || asked && (answer.Usage.Reprise.Row == nil || answer.Usage.Reprise.Row.PromptTokens.Or(0) == 0) {
		t.Errorf("the answer has no row: %s", text)
	}
}

// The smoke test's image, as `bench init` writes it, is refused by name until this build sees.
func TestTheImageIsRefused(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "my-experiment")
	if r := command(t, "bench", "init", dir); r.code != 0 {
		t.Fatal(r.stderr)
	}
	command(t, "run", "--image", filepath.Join(dir, experiment.Image), "Describe this image.").refused(t, exitError, "--image", "text only")
}

func TestGuidePrints(t *testing.T) {
	contents := command(t, "guide")
	for _, chapter := range guide.Chapters() {
		if contents.code != 0 || !strings.Contains(contents.stdout, chapter.Name) || !strings.Contains(contents.stdout, chapter.Title) {
			t.Errorf("the contents lack %s:\n%s", chapter.Name, contents.stdout)
		}
		r := command(t, "guide", chapter.Name)
		if r.code != 0 || !strings.Contains(r.stdout, chapter.Title) || strings.Contains(r.stdout, "<!--") || strings.Contains(r.stdout, "{{") {
			t.Errorf("%s: exit code %d\n%s", chapter.Name, r.code, r.stdout)
		}
	}
	if r := command(t, "guide", "11"); !strings.Contains(r.stdout, "pd_transfer_ms_proxy") || !strings.Contains(r.stdout, "lmcache_mp_lookup_hit_tokens_total") {
		t.Errorf("chapter 11 lacks the table:\n%s", r.stdout)
	}
	phases := command(t, "guide", "phases").stdout
	for _, want := range []string{"Plan: what is looked up and reused | `--no-reuse`", "Decode", "`--temp`", "`--layout`"} {
		if !strings.Contains(phases, want) {
			t.Errorf("%q is not in\n%s", want, phases)
		}
	}
}

// The folder of `bench init`: its script runs to the end as it is, with the edited text in every prompt.
func TestBenchInit(t *testing.T) {
	withModel(t)
	dir := filepath.Join(t.TempDir(), "experiment")
	r := command(t, "bench", "init", dir)
	if r.code != 0 || strings.Count(r.stdout, "\n") != 10 {
		t.Fatalf("exit code %d: %s%s", r.code, r.stdout, r.stderr)
	}
	command(t, "bench", "init", dir).refused(t, exitError, "has files in it")
	image, err := os.ReadFile(filepath.Join(dir, experiment.Image))
	if fields := strings.Fields(string(image)); err != nil || strings.Join(fields[:4], " ") != "P3 32 32 255" || len(fields) != 4+32*32*3 || strings.Count(string(image), "255") != 1+32*32*3 {
		t.Errorf("the image: %v, %.60q", err, image)
	}
	system := filepath.Join(dir, experiment.Fixtures, "system.md")
	if err := os.WriteFile(system, []byte("You are Edith, who was edited."), 0o644); err != nil {
		t.Fatal(err)
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("REPRISE", program)
	t.Setenv(asProgram, "1")
	t.Setenv("TURNS", "2")
	var out bytes.Buffer
	script := exec.Command(filepath.Join(dir, experiment.Commands))
	script.Stdout, script.Stderr = &out, &out
	if err := script.Run(); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	for _, run := range []string{"stable", "moving", "ephemeral", "no-reuse"} {
		raw, err := os.ReadFile(filepath.Join(dir, "runs", run, "summary.json"))
		if err != nil || !strings.Contains(string(raw), `"status": "complete"`) || !strings.Contains(string(raw), "edited texts in fixtures") {
			t.Errorf("%s: %v\n%s", run, err, raw)
		}
	}
	if page, err := os.ReadFile(filepath.Join(dir, "report.html")); err != nil || !strings.Contains(string(page), "runs/no-reuse") && !strings.Contains(string(page), "no-reuse") || !strings.Contains(out.String(), "D ÷ A") {
		t.Errorf("the runs are not side by side: %v\n%s", err, out.String())
	}
	if !strings.Contains(out.String(), "measured by runs/stable") {
		t.Errorf("the plan has no run beside it:\n%s", out.String())
	}
	skill, err := os.ReadFile(filepath.Join(dir, experiment.Skill))
	if err != nil || !regexp.MustCompile(`(?s)^---\nname: [a-z-]+\ndescription: .+\n---\n`).Match(skill) {
		t.Errorf("the skill's head: %v, %.80q", err, skill)
	}
	for _, line := range regexp.MustCompile("`reprise ([^`]+)`").FindAllStringSubmatch(string(skill), -1) {
		parses(t, words(t, line[1]))
	}
}
