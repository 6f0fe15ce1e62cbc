package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"reprise/cmd/reprise/guide"
)

// pages are what a newcomer reads beside the guide, from the top of the checkout; notes speak of other programs' flags, too: of these only
// files and folders are looked up.
var (
	pages = []string{"README.md", "CONTRIBUTING.md", "SECURITY.md", "server/api/PARAMETERS.md"}
	notes = []string{"mlx/kernels/README.md", "mlx/testdata/README.md", "model/parity/README.md", "model/gemma3/testdata/README.md",
		"model/gemma4/testdata/README.md", "model/qwen35/testdata/README.md", "model/sample/testdata/README.md"}
)

var (
	span      = regexp.MustCompile("`([^`]+)`")
	generated = regexp.MustCompile(`(?s)<!-- bench:begin.*<!-- bench:end -->`)
	fenced    = regexp.MustCompile("(?ms)^```.*?^```$")
	flagWord  = regexp.MustCompile(`^--[a-z][a-z0-9-]*`)
	braces    = regexp.MustCompile(`^(.*)\{(.*)\}(.*)$`)
)

// What the pages tell a reader to type exists: commands, their flags, the Makefile's targets, files and folders. The commands that
// need no server, network or hours are run by the guide's tests.
func TestThePagesNameWhatIsThere(t *testing.T) {
	top := filepath.Join(packageDir, "../../..")
	makefile, err := os.ReadFile(filepath.Join(top, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	p := page{top: top, targets: string(makefile), flags: allFlags()}
	for _, name := range slices.Concat(pages, notes) {
		raw, err := os.ReadFile(filepath.Join(top, name))
		if err != nil {
			t.Fatal(err)
		}
		p.name, p.checked, p.note = name, 0, slices.Contains(notes, name)
		text := generated.ReplaceAllString(string(raw), "") // a test of its own holds it against its file
		for _, c := range guide.Commands(text) {
			p.command(t, words(t, c.Line))
		}
		for _, m := range span.FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
			p.span(t, m[1])
		}
		if least := map[string]int{"README.md": 120, "CONTRIBUTING.md": 10, "model/parity/README.md": 15}[name]; p.checked < least {
			t.Errorf("%s: %d names were looked up, fewer than %d", name, p.checked, least)
		}
	}
}

// third_party/NOTICE has a line for every Go module of this program, here and on a Mac.
func TestTheNoticeIsWhole(t *testing.T) {
	top := filepath.Join(packageDir, "../../..")
	notice, err := os.ReadFile(filepath.Join(top, "third_party/NOTICE"))
	if err != nil {
		t.Fatal(err)
	}
	for _, system := range []string{"linux", "darwin"} {
		list := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}}{{end}}{{end}}", "./cmd/reprise")
		list.Dir, list.Env = top, append(os.Environ(), "GOOS="+system)
		out, err := list.Output()
		modules := strings.Fields(string(out))
		if err != nil || len(modules) < 20 {
			t.Fatalf("%v: %s", err, out)
		}
		for _, m := range modules {
			if name := majorVersion.ReplaceAllString(m, ""); !strings.Contains(string(notice), "\n  "+name+" ") {
				t.Errorf("%s: third_party/NOTICE has no line for %s", system, name)
			}
		}
	}
}

var majorVersion = regexp.MustCompile(`/v\d+$`)

// page is one being read.
type page struct {
	name, top, targets string
	flags              map[string]bool
	note               bool
	checked            int
}

// command looks up a line of a block marked sh.
func (p *page) command(t *testing.T, args []string) {
	t.Helper()
	switch program := args[0]; program {
	case "bin/reprise", "reprise":
		p.checked++
		parses(t, args[1:])
	case "make":
		p.target(t, args[1])
	case "curl":
	default:
		t.Errorf("%s: %q is neither reprise, make nor curl", p.name, strings.Join(args, " "))
	}
}

// span looks up what stands between two backquotes.
func (p *page) span(t *testing.T, text string) {
	t.Helper()
	for part := range strings.SplitSeq(text, " && ") {
		args := strings.Fields(part)
		if len(args) == 0 {
			continue
		}
		for _, word := range args {
			p.path(t, strings.TrimPrefix(word, "./"))
		}
		if p.note {
			continue
		}
		switch args[0] {
		case "bin/reprise", "reprise":
			if len(args) > 1 && !strings.HasPrefix(args[1], "-") && args[1] != "COMMAND" {
				p.has(t, args[1:])
			}
		case "make":
			p.target(t, args[1])
		case "serve", "run", "bench", "cache", "plan", "report", "models", "connect":
			if len(args) > 1 {
				p.has(t, args)
			}
		}
		for _, word := range args {
			if args[0] != "go" {
				p.flag(t, flagWord.FindString(word))
			}
		}
	}
}

// has looks up a command and the flags named with it, which need not have values there.
func (p *page) has(t *testing.T, args []string) {
	t.Helper()
	p.checked++
	root := newRoot()
	c, _, err := root.Find(args)
	if err != nil || c == root || c.HasSubCommands() {
		t.Errorf("%s: there is no reprise %s: %v", p.name, strings.Join(args, " "), err)
		return
	}
	for _, word := range args {
		if name := strings.TrimPrefix(flagWord.FindString(word), "--"); name != "" && c.Flags().Lookup(name) == nil {
			t.Errorf("%s: %s has no --%s", p.name, c.CommandPath(), name)
		}
	}
}

func (p *page) target(t *testing.T, name string) {
	t.Helper()
	if p.checked++; !regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + `:`).MatchString(p.targets) {
		t.Errorf("%s: the Makefile has no target %s", p.name, name)
	}
}

func (p *page) flag(t *testing.T, flag string) {
	t.Helper()
	if flag == "" {
		return
	}
	if p.checked++; !p.flags[flag] {
		t.Errorf("%s: no command has %s", p.name, flag)
	}
}

// path looks up a word that begins with a folder of the checkout.
func (p *page) path(t *testing.T, word string) {
	t.Helper()
	first, _, inside := strings.Cut(word, "/")
	if !inside || !slices.Contains([]string{"cmd", "kvcache", "mlx", "model", "server", "third_party", ".ci"}, first) {
		return
	}
	names := []string{word}
	if m := braces.FindStringSubmatch(word); m != nil {
		names = nil
		for middle := range strings.SplitSeq(m[2], ",") {
			names = append(names, m[1]+middle+m[3])
		}
	}
	for _, name := range names {
		p.checked++
		if _, err := os.Stat(filepath.Join(p.top, name)); err != nil && !strings.ContainsAny(name, "…*") && !strings.Contains(name, "/FAMILY/") {
			t.Errorf("%s: there is no %s", p.name, name)
		}
	}
}

// allFlags are the flags of all commands.
func allFlags() map[string]bool {
	out := map[string]bool{"--help": true}
	every(newRoot(), func(c *cobra.Command) {
		c.LocalFlags().VisitAll(func(f *pflag.Flag) { out["--"+f.Name] = true })
	})
	return out
}
