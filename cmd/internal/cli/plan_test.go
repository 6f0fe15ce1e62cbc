package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"reprise/cmd/internal/plan"
)

func TestPlanPrintsRecipes(t *testing.T) {
	for _, r := range plan.Recipes {
		got := command(t, "plan", "--recipe", r.Name)
		if got.code != 0 {
			t.Fatalf("%s: exit code %d: %s", r.Name, got.code, got.stderr)
		}
		for _, want := range []string{r.Model[:8], r.Target, r.NoClaim, "\nVERDICT  ", "decode ceiling", "quantization", "workload", "hardware", "runtime", "estimated"} {
			if !strings.Contains(got.stdout, want) {
				t.Errorf("%s: %q is not in\n%s", r.Name, want, got.stdout)
			}
		}
	}
	all := command(t, "plan", "--all")
	for _, r := range plan.Recipes {
		if all.code != 0 || !strings.Contains(all.stdout, r.Name) || !strings.Contains(all.stdout, r.NoClaim) {
			t.Errorf("--all lacks %s:\n%s", r.Name, all.stdout)
		}
	}
	var both struct{ Recipes []plan.Plan }
	if r := command(t, "plan", "--all", "--json"); json.Unmarshal([]byte(r.stdout), &both) != nil || len(both.Recipes) != len(plan.Recipes) {
		t.Errorf("--all --json gives %d plans", len(both.Recipes))
	}
}

// A plan beside a run: the same model, machine and workload.
func TestPlanBesideARun(t *testing.T) {
	withModel(t)
	dir := filepath.Join(t.TempDir(), "run")
	if r := command(t, "bench", "loop", "--device", "cpu", "--turns", "2", "--out", dir); r.code != 0 {
		t.Fatal(r.stderr)
	}
	file := filepath.Join(t.TempDir(), "speed.json")
	speed := command(t, "bench", "speed", "--device", "cpu", "--prompt", "300", "--gen", "2", "--repeat", "1", "--json")
	if err := os.WriteFile(file, []byte(speed.stdout), 0o644); err != nil || speed.code != 0 {
		t.Fatal(err, speed.stderr)
	}
	for _, run := range []string{dir, file} {
		r := command(t, "plan", "--measured", run, "--json")
		if r.code != 0 {
			t.Fatalf("exit code %d: %s", r.code, r.stderr)
		}
		var p plan.Plan
		if err := json.Unmarshal([]byte(r.stdout), &p); err != nil {
			t.Fatal(err)
		}
		if p.Measured == nil || len(p.Measured.Warnings) > 0 {
			t.Fatalf("beside it: %+v", p.Measured)
		}
		seen := 0
		for _, c := range p.Measured.Compared {
			d := c.Difference()
			switch {
			case c.Name == "weights" && (d == nil || *d < -0.001 || *d > 0.001):
				t.Errorf("%s: weights %+v", run, c)
			case c.Name == "MLX peak active" && (d == nil || *d < -0.5 || *d > 0.15):
				t.Errorf("%s: peak %+v", run, c)
			}
			if c.Measured != nil {
				seen++
			}
		}
		if seen < 5 {
			t.Errorf("%s: %d figures of the run were found in %+v", run, seen, p.Measured.Compared)
		}
		if text := command(t, "plan", "--measured", run); !strings.Contains(text.stdout, "measured by "+run) {
			t.Errorf("the text does not show the run:\n%s", text.stdout)
		}
	}
}

func TestPlanRefuses(t *testing.T) {
	dry := filepath.Join(t.TempDir(), "dry")
	if r := command(t, "bench", "loop", "--dry-run", "--turns", "1", "--out", dry); r.code != 0 {
		t.Fatal(r.stderr)
	}
	other := filepath.Join(t.TempDir(), "other.json")
	if err := os.WriteFile(other, []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args string
		code int
		want string
	}{
		{"--recipe e4b", exitUsage, "e4b-16gb"},
		{"--machine m9", exitUsage, "m5-16gb"},
		{"--kv-bits 5", exitUsage, "--kv-bits 5"},
		{"--recipe e4b-16gb --kv-bits 8 --kv-group 48", exitUsage, "--kv-group 48"},
		{"--ctx -1", exitUsage, "--ctx -1"},
		{"--turns -1", exitUsage, "--turns -1"},
		{"--max-tokens -1", exitUsage, "--max-tokens -1"},
		{"--bandwidth -1", exitUsage, "--bandwidth -1"},
		{"--reserve much", exitUsage, "--reserve"},
		{"--recipe e4b-16gb --ctx 1000", exitUsage, "2790"},
		{"--recipe e4b-16gb --ctx 64 --profile local", exitUsage, "579"},
		{"--all --recipe e4b-16gb", exitUsage, "--recipe"},
		{"--model a --config b", exitUsage, "--config"},
		{"--model nosuch", exitError, "nosuch"},
		{"--config nosuch.json", exitError, "nosuch.json"},
		{"--recipe e4b-16gb --profile nosuch", exitUsage, "nosuch"},
		{"--measured nosuch", exitError, "nosuch"},
		{"--measured " + dry, exitError, "dry run"},
		{"--measured " + other, exitError, "neither"},
		{"now", exitUsage, "no argument"},
	} {
		t.Run(tt.args, func(t *testing.T) {
			command(t, append([]string{"plan"}, strings.Fields(tt.args)...)...).refused(t, tt.code, tt.want)
		})
	}
}
