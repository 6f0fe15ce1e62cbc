package cli

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// result is what a command line left behind.
type result struct {
	code           int
	stdout, stderr string
}

// command runs a command line in this process, with nothing on standard input.
func command(t *testing.T, args ...string) result { return commandWith(t, "", args...) }

func commandWith(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	var out, err bytes.Buffer
	code := Run(context.Background(), args, strings.NewReader(stdin), &out, &err)
	return result{code, out.String(), err.String()}
}

// refused checks that a command failed with the code, with one line on stderr that holds the words, and nothing else.
func (r result) refused(t *testing.T, code int, words ...string) {
	t.Helper()
	if r.code != code {
		t.Errorf("exit code %d, want %d (%s)", r.code, code, r.stderr)
	}
	if r.stdout != "" || strings.Count(r.stderr, "\n") != 1 || !strings.HasPrefix(r.stderr, "reprise: ") {
		t.Errorf("stdout %q and stderr %q, want one line that begins with the program's name", r.stdout, r.stderr)
	}
	for _, w := range words {
		if !strings.Contains(r.stderr, w) {
			t.Errorf("%q is not in %q", w, r.stderr)
		}
	}
}

// idsFile writes an ids file and returns its path.
func idsFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ids.json")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}
