package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"reprise/cmd/internal/selftest"
	"reprise/model/hub"
)

// The whole selftest with the small model: every section passes, the page and the file say the same.
func TestSelftest(t *testing.T) {
	withModel(t)
	file := filepath.Join(t.TempDir(), "selftest.json")
	r := command(t, "selftest", "--device", "cpu", "--prompt", "16", "--json", file)
	if r.code != 0 {
		t.Fatalf("exit code %d: %s\n%s", r.code, r.stderr, r.stdout)
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var report selftest.Report
	if err := json.Unmarshal(raw, &report); err != nil {
		t.Fatal(err)
	}
	sections := map[string]int{}
	for _, c := range report.Checks {
		if c.Status == selftest.Pass {
			sections[c.Section]++
		}
		if !strings.Contains(r.stdout, c.Name+": ") {
			t.Errorf("%s is not on the page:\n%s", c.Name, r.stdout)
		}
		if c.Name == "image" && (c.Status != selftest.Skipped || !strings.Contains(c.Says, "refused")) {
			t.Errorf("the image test is %+v", c)
		}
	}
	if sections["parity"] != 5 || sections["kernels"] != 3 || sections["memory"] != 1 || sections["model"] != 5 {
		t.Errorf("passed by section: %v\n%s", sections, r.stdout)
	}
	if report.Speed == nil || len(report.Speed.Points) != 1 || report.Speed.Points[0].DecodeTPS <= 0 || report.Recipe.Model != hub.SmallModel || len(report.Claims) != 2 {
		t.Errorf("speed %+v, recipe %+v, claims %v", report.Speed, report.Recipe, report.Claims)
	}
	if lines := strings.Count(r.stdout, "\n"); lines > 60 {
		t.Errorf("the page has %d lines", lines)
	}
}

func TestSelftestRefuses(t *testing.T) {
	for _, tt := range []struct {
		args string
		code int
		want string
	}{
		{"--device abacus", exitUsage, "--device abacus"},
		{"--json /nosuch/folder/x.json", exitError, "cannot be written"},
		{"--json " + t.TempDir(), exitError, "cannot be written"},
		{"now", exitUsage, "no argument"},
	} {
		command(t, append([]string{"selftest"}, strings.Fields(tt.args)...)...).refused(t, tt.code, tt.want)
	}
}
