package sidebyside

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func fixture(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// What the programs printed on one machine, and the figures in it.
func TestOutputsAreRead(t *testing.T) {
	known := Setup{}.engines()
	for _, tt := range []struct {
		engine, file string
		want         speeds
	}{
		{Ours, "bench-speed.json", speeds{141.5, 10.08319004222666}},
		{LlamaCPP, "llama-bench-prefill.json", speeds{prefill: 279.112776}},
		{LlamaCPP, "llama-bench-decode.json", speeds{decode: 33.222853}},
		{MLXLM, "mlx-lm.json", speeds{134.25, 4.75}},
	} {
		var got speeds
		if err := known[tt.engine].read(fixture(t, tt.file), &got); err != nil || got != tt.want {
			t.Errorf("%s: %+v, %v, want %+v", tt.file, got, err, tt.want)
		}
	}
}

func TestOutputsThatAreNone(t *testing.T) {
	known := Setup{}.engines()
	one := string(fixture(t, "llama-bench-decode.json"))
	for _, tt := range []struct{ engine, output, want string }{
		{Ours, "", "cannot be read"},
		{Ours, `{"points": []}`, "0 points"},
		{LlamaCPP, "error: failed to load model", "failed to load model"},
		{LlamaCPP, "[]", "0 tests"},
		{LlamaCPP, strings.TrimSuffix(strings.TrimSpace(one), "]") + "," + strings.TrimPrefix(one, "["), "2 tests"},
		{LlamaCPP, strings.Replace(one, `"n_prompt": 0`, `"n_prompt": 9`, 1), "at once"},
		{MLXLM, "Traceback", "Traceback"},
	} {
		if err := known[tt.engine].read([]byte(tt.output), &speeds{}); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s read %.40q: %v, want %q", tt.engine, tt.output, err, tt.want)
		}
	}
}

func TestKernelTexts(t *testing.T) {
	m, ok := readStatus("Name:\tserver\nVmPeak:\t  900 kB\nVmHWM:\t     500 kB\nVmRSS:\t     400 kB\nRssAnon:\t     300 kB\nRssFile:\t     100 kB\n")
	if want := (memory{500 * 1024, 300 * 1024}); !ok || m != want {
		t.Errorf("memory %+v, %v, want %+v", m, ok, want)
	}
	if _, ok := readStatus("Name:\tserver\n"); ok {
		t.Error("a text without memory gave some")
	}
	busy, stolen, ok := readStat("cpu  100 20 30 4000 500 6 7 80 0 0\ncpu0 1 2 3 4 5 6 7 8 0 0\n")
	if want := (100. + 20 + 30 + 6 + 7) / 100; !ok || busy != want || stolen != 0.8 {
		t.Errorf("busy %v, stolen %v, %v, want %v and 0.8", busy, stolen, ok, want)
	}
	if _, _, ok := readStat("intr 1 2 3"); ok {
		t.Error("another line was read")
	}
}

// Others are what the machine did less what was our own.
func TestOthers(t *testing.T) {
	before := use{busy: 100, own: 40, stolen: 1, known: true}
	after := use{at: before.at.Add(10e9), busy: 125, own: 60, stolen: 3, known: true}
	if o := after.since(before); o.Cores == nil || *o.Cores != 0.5 || *o.Stolen != 0.2 {
		t.Errorf("%+v, want 0.5 cores and 0.2 stolen", o)
	}
	before.known = false
	if o := after.since(before); o.Cores != nil || o.Stolen != nil {
		t.Error("what is not known became a number")
	}
}
