package chat

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// capturesDir holds the requests that real agents sent; it is not part of the
// repository but stands beside it, or beside the folder of its worktrees.
var capturesDir = func() string {
	for _, up := range []string{"../../..", "../../../.."} {
		if _, err := os.Stat(up + "/shared/captures"); err == nil {
			return up + "/shared/captures"
		}
	}
	return "../../../shared/captures"
}()

var templateFiles = map[string]string{"gemma4": "templates/gemma-4.jinja", "qwen3.6": "templates/qwen3.6.jinja"}

func captures(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(capturesDir, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Skipf("no captured requests in %s", capturesDir)
	}
	return files
}

// TestCapturedRequestsEqualPython renders what OpenClaw and Hermes really sent,
// and asks Python's Jinja for the reference on the spot.
func TestCapturedRequestsEqualPython(t *testing.T) {
	files := captures(t)
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3 on this machine to render the reference")
	}
	if err := exec.Command(python, "-c", "import jinja2, jinja2.ext, jinja2.sandbox").Run(); err != nil {
		t.Skip("python3 has no jinja2 to render the reference: pip install jinja2==3.1.6")
	}
	for _, name := range BuiltinNames() {
		tmpl, err := Builtin(name)
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(python, append([]string{"testdata/reference.py", templateFiles[name]}, files...)...)
		var stderr strings.Builder
		cmd.Stderr = &stderr
		data, err := cmd.Output()
		if err != nil {
			t.Fatalf("the reference failed: %v\n%s", err, stderr.String())
		}
		var want []string
		if err := json.Unmarshal(data, &want); err != nil || len(want) != len(files) {
			t.Fatalf("the reference gave %d texts for %d requests: %v", len(want), len(files), err)
		}
		for i, file := range files {
			t.Run(name+"/"+filepath.Base(file), func(t *testing.T) {
				request, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				in := inputOf(t, request)
				in.AddGenerationPrompt, in.BOS = true, "<bos>"
				got, err := tmpl.Render(in)
				outcome{Text: &want[i]}.check(t, got, err)
			})
		}
	}
}

func BenchmarkRenderAllTools(b *testing.B) {
	request, err := os.ReadFile(filepath.Join(capturesDir, "openclaw-all-tools.json"))
	if err != nil {
		b.Skipf("no captured requests in %s", capturesDir)
	}
	in := inputOf(b, request)
	for _, name := range BuiltinNames() {
		tmpl, err := Builtin(name)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := tmpl.Render(in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
