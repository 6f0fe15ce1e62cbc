package cli

import (
	"encoding/csv"
	"fmt"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"reprise/cmd/internal/loop"
)

// TestReportInABrowser makes two real runs, opens their page in a headless Chromium, which $REPRISE_CHROMIUM names, and
// compares every bar with the runs' CSV: acceptance 6.4.
func TestReportInABrowser(t *testing.T) {
	browser := chromium(t)
	withModel(t)
	dir := t.TempDir()
	runs := []string{filepath.Join(dir, "stable"), filepath.Join(dir, "moving")}
	for _, out := range runs {
		if r := command(t, "bench", "loop", "--profile", "local", "--turns", "6", "--assistant", "scripted", "--max-tokens", "2", "--device", "cpu", "--layout", filepath.Base(out), "--out", out); r.code != 0 {
			t.Fatalf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
		}
	}
	page := filepath.Join(dir, "report.html")
	if r := command(t, append([]string{"report", "-o", page}, runs...)...); r.code != 0 {
		t.Fatalf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	ctx := browser.open(func(u *url.URL) bool { return u.Path == page })
	var bars []struct {
		Run, Turn     int
		Part          string
		Value, Height float64
	}
	var texts []string
	if err := chromedp.Run(ctx, network.Enable(), chromedp.Navigate("file://"+page), chromedp.WaitVisible("#r2-tokens svg", chromedp.ByQuery),
		chromedp.Evaluate(`[...document.querySelectorAll("figure rect[data-turn]")].map(r => ({run: +r.closest("section").id.slice(1), turn: +r.dataset.turn, part: r.dataset.part, value: +r.dataset.value, height: r.height.baseVal.value}))`, &bars),
		// The first click: the run; the second: its worst turn.
		chromedp.Click(`nav a[href="#r2"]`, chromedp.ByQuery), chromedp.Click(`#r2 details.worst:first-of-type summary`, chromedp.ByQuery),
		chromedp.WaitVisible(`#r2 details.worst[open] .texts`, chromedp.ByQuery),
		chromedp.Evaluate(`[document.querySelector("#r2 details.worst[open] .reason").innerText, ...[...document.querySelectorAll("#r2 details.worst[open] .texts pre")].map(p => p.innerText)]`, &texts)); err != nil {
		t.Fatal(err)
	}
	if len(texts) != 3 || !strings.Contains(texts[0], "prefix_changed") || texts[1] == texts[2] || texts[2] == "" {
		t.Errorf("the worst turn says %q", texts)
	}
	want := map[string]float64{}
	for i, out := range runs {
		for part, v := range csvParts(t, filepath.Join(out, loop.TurnsFile)) {
			if v > 0 {
				want[fmt.Sprintf("run %d, %s", i+1, part)] = v
			}
		}
	}
	if len(bars) != len(want) || len(want) < 12 {
		t.Errorf("%d parts are drawn, the CSVs have %d", len(bars), len(want))
	}
	var values, heights float64
	for _, b := range bars {
		values, heights = values+b.Value, heights+b.Height
	}
	for _, b := range bars { // both runs have one scale; a height has three digits
		if high := b.Value * heights / values; math.Abs(b.Height-high) > .002 {
			t.Errorf("run %d, turn %d, %s: %g is drawn %g high, not %g", b.Run, b.Turn, b.Part, b.Value, b.Height, high)
		}
		if key := fmt.Sprintf("run %d, turn %d, %s", b.Run, b.Turn, b.Part); want[key] != b.Value {
			t.Errorf("%s: %g is drawn, the CSV has %g", key, b.Value, want[key])
		}
	}
	browser.faultless()
}

// csvParts are the tokens of each turn's parts, as the CSV has them.
func csvParts(t *testing.T, path string) map[string]float64 {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	lines, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for i, line := range lines[1:] {
		field := func(name string) float64 {
			for c, n := range lines[0] {
				if n == name {
					v, err := strconv.ParseFloat(line[c], 64)
					if err != nil {
						t.Fatalf("%s, turn %d: %s is %q", path, i+1, name, line[c])
					}
					return v
				}
			}
			t.Fatalf("%s has no %s", path, name)
			return 0
		}
		for part, name := range map[string]string{"l0": "l0_hit_tokens", "l1": "l1_hit_tokens", "l2": "l2_hit_tokens", "recompute": "recompute_tokens", "displaced": "displaced_tokens"} {
			out[fmt.Sprintf("turn %d, %s", i+1, part)] = field(name)
		}
		out[fmt.Sprintf("turn %d, new", i+1)] = field("new_tokens") - field("displaced_tokens")
	}
	return out
}
