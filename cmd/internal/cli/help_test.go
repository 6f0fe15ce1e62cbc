package cli

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// every calls fn with each command of the tree.
func every(cmd *cobra.Command, fn func(*cobra.Command)) {
	fn(cmd)
	for _, sub := range cmd.Commands() {
		if !sub.Hidden {
			every(sub, fn)
		}
	}
}

func TestEveryCommandHelps(t *testing.T) {
	var paths []string
	every(newRoot(), func(c *cobra.Command) {
		path := c.CommandPath()
		paths = append(paths, path)
		r := command(t, append(strings.Fields(path)[1:], "--help")...)
		if r.code != 0 || r.stderr != "" {
			t.Errorf("%s --help: exit code %d, %s", path, r.code, r.stderr)
		}
		if c.Short == "" || !strings.Contains(c.Example, "reprise ") || !strings.Contains(r.stdout, c.Example) {
			t.Errorf("%s --help shows no example of it:\n%s", path, r.stdout)
		}
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if f.Name == "help" {
				return
			}
			known := len(f.Annotations[phaseKey]) == 1 && slices.ContainsFunc(phases, func(p titled) bool { return string(p.phase) == f.Annotations[phaseKey][0] })
			if !known || f.Usage == "" || !strings.Contains(r.stdout, "--"+f.Name+" ") && !strings.Contains(r.stdout, "--"+f.Name+"\n") {
				t.Errorf("%s --help does not say what --%s changes, in which phase", path, f.Name)
			}
		})
	})
	for _, want := range []string{"run", "serve", "logits", "bench loop", "bench agents", "bench speed", "bench peers", "bench compare", "bench replay", "doctor", "models ls", "models inspect", "models import", "models quantize", "models synth", "plan", "selftest", "guide", "bench init", "cache ls", "cache stats", "cache why", "cache clear", "cache verify", "version"} {
		if !slices.Contains(paths, "reprise "+want) {
			t.Errorf("there is no reprise %s", want)
		}
	}
}

// The flags that interface.md names, as far as this build has them.
func TestFlagsOfTheContract(t *testing.T) {
	want := map[string]string{
		"reprise run":           "model max-tokens temp top-p top-k min-p seed image raw think no-think json device activations ctx chat-template follow-up kv-bits kv-group",
		"reprise serve":         "addr model api-key ctx max-output chat-template no-reuse device activations threads log-level cache-mem memory-limit cache-disk cache-disk-limit cache-disk-rate l2 audit audit-max splice warm kv-bits kv-group",
		"reprise logits":        "model tokens out chunk decode",
		"reprise bench speed":   "prompt gen json repeat kv-bits",
		"reprise bench loop":    "profile turns layout session assistant max-tokens no-reuse url engine lmcache-url out scale dry-run check fixtures kv-bits l2 cache-disk",
		"reprise plan":          "recipe all model machine ctx turns json measured kv-bits kv-group",
		"reprise selftest":      "json",
		"reprise report":        "out png ledger session files",
		"reprise bench agents":  "out turns variants",
		"reprise bench compare": "json",
		"reprise bench replay":  "model device ctx no-reuse cache-mem cache-disk l2 url api-key out check json",
		"reprise doctor":        "json",
		"reprise cache ls":      "url api-key json",
		"reprise cache stats":   "url api-key json",
		"reprise cache why":     "url api-key json",
		"reprise cache clear":   "url api-key json tier",
		"reprise cache verify":  "url api-key json cache-disk",
		"reprise models import": "dialect out",
	}
	every(newRoot(), func(c *cobra.Command) {
		for _, name := range strings.Fields(want[c.CommandPath()]) {
			if c.Flags().Lookup(name) == nil {
				t.Errorf("%s has no --%s", c.CommandPath(), name)
			}
		}
		delete(want, c.CommandPath())
	})
	for path := range want {
		t.Errorf("there is no %s", path)
	}
}

func TestFlagsStandUnderTheirPhase(t *testing.T) {
	text := command(t, "run", "--help").stdout
	at := -1
	for _, part := range []string{"\nLoad", "--ctx", "\nAssemble", "--raw", "\nPlan", "--no-reuse", "\nDecode", "--temp", "\nOutput", "--json"} {
		i := strings.Index(text, part)
		if i < at {
			t.Fatalf("%q does not follow what should stand before it:\n%s", part, text)
		}
		at = i
	}
}

// `reprise help` is what those who know other programs try; its lines fit a window, but for examples and names that do not break.
func TestHelpIsReadable(t *testing.T) {
	every(newRoot(), func(c *cobra.Command) {
		path := strings.Fields(c.CommandPath())[1:]
		asked, help := command(t, append(path, "--help")...), command(t, append([]string{"help"}, path...)...)
		if help.code != 0 || help.stdout != asked.stdout {
			t.Errorf("help %v: exit code %d, not what --help says:\n%s%s", path, help.code, help.stdout, help.stderr)
		}
		for line := range strings.Lines(strings.ReplaceAll(asked.stdout, c.Example, "")) {
			line = strings.TrimRight(line, "\n")
			if words := strings.Fields(line); utf8.RuneCountInString(line) > helpWidth && len(words) > 2 || strings.HasSuffix(line, " ") {
				t.Errorf("%v --help: %q", path, line)
			}
		}
	})
	command(t, "help", "rum").refused(t, exitUsage, `"rum"`)
	command(t, "help", "models", "lst").refused(t, exitUsage, `"models lst"`)
}

// A default is said where there is one, the alternatives of a value once.
func TestHelpSaysDefaults(t *testing.T) {
	text := command(t, "run", "--help").stdout
	for _, want := range []string{"--device auto|cpu|gpu ", "where to compute; auto is the GPU where there is one (default auto)", "(default 0)", "--no-reuse "} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	if strings.Contains(text, "(default false)") || strings.Contains(text, "(default )") || strings.Contains(text, "(default [])") {
		t.Errorf("a default that says nothing:\n%s", text)
	}
}
