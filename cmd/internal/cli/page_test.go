package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"reprise/kvcache/ledger"
)

// TestPageInABrowser opens the real server's page in a headless Chromium, which $REPRISE_CHROMIUM names. $REPRISE_PICTURE gets a
// screenshot.
func TestPageInABrowser(t *testing.T) {
	browser := chromium(t)
	withModel(t)
	ready, stop := serving(t, "--ctx", "4096", "--max-output", "24", "--device", "cpu")
	defer stop()
	base := strings.Fields(strings.TrimPrefix(ready, "ready: "))[0]
	const system = "You are terse, and you know the rivers, lakes and seas of the world by their names."
	for _, talk := range [][]string{
		{system, "Name three rivers."}, {system, "Name three rivers.", "Rhine, Seine, Elbe", "And two more, please."}, {system, "Name three lakes."},
		{system + " <img src=x onerror=alert(1)>", "Name three rivers.", "Rhine, Seine, Elbe", "And two more, please."}, // edited, with markup
	} {
		var messages []string
		for i, text := range talk {
			messages = append(messages, fmt.Sprintf(`{"role":%q,"content":%q}`, []string{"system", "user", "assistant", "user"}[i], text))
		}
		if status, got := post(t, base+"/v1/chat/completions", "", `{"model":"gemma-3-270m","max_tokens":8,"messages":[`+strings.Join(messages, ",")+`]}`); status != 200 {
			t.Fatalf("%d %s", status, got)
		}
	}
	ctx := browser.open(func(u *url.URL) bool { return "http://"+u.Host == base })
	var bars []map[string]int
	var before, after, answer string
	run := func(what string, actions ...chromedp.Action) {
		t.Helper()
		if err := chromedp.Run(ctx, actions...); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	run("the page", network.Enable(), chromedp.Navigate(base+"/"), chromedp.WaitVisible(`#list li:nth-child(4)`, chromedp.ByQuery),
		chromedp.Evaluate(`[...document.querySelectorAll("#list li")].map(li => Object.fromEntries([...li.querySelectorAll("[data-part]")].map(i => [i.dataset.part, +i.dataset.tokens])))`, &bars))
	rows := rowsOf(t, base)
	for i, bar := range bars { // the newest stands first
		r := rows[len(rows)-1-i]
		for part, want := range map[string]int{"l0": r.L0HitTokens.Or(0), "l1": r.L1HitTokens.Or(0), "l2": r.L2HitTokens.Or(0), "recompute": r.RecomputeTokens.Or(0),
			"displaced": r.DisplacedTokens.Or(0), "new": r.NewTokens.Or(0) - r.DisplacedTokens.Or(0)} {
			if bar[part] != want {
				t.Errorf("turn %s: the bar has %d tokens of %s, the row %d", r.TurnID, bar[part], part, want)
			}
		}
	}
	run("a turn by keyboard", chromedp.Focus("#list", chromedp.ByQuery), chromedp.KeyEvent(kb.ArrowDown), chromedp.KeyEvent(kb.Enter))
	testWhy(t, ctx, &rows[3])
	var said, other string
	run("the turn before, and by its button the one that it left", chromedp.Focus("#list", chromedp.ByQuery), chromedp.KeyEvent(kb.ArrowDown), chromedp.KeyEvent(kb.Enter),
		chromedp.WaitVisible("#why .texts", chromedp.ByQuery), chromedp.Text("#why", &said, chromedp.ByQuery), chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent(kb.Enter),
		chromedp.Text("#detail dd", &other, chromedp.ByQuery))
	if !strings.Contains(said, fmt.Sprintf("at token %d, in messages[1], the user message.", rows[2].DivergedAt.Or(-1))) || !strings.Contains(said, other) || other == rows[2].TurnID {
		t.Errorf("the turn before says %q, and its button leads to %s", said, other)
	}
	background := chromedp.Evaluate(`getComputedStyle(document.body).backgroundColor`, &before)
	run("dark and light", emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "light"}}), background,
		chromedp.Click("#theme", chromedp.ByQuery), chromedp.Evaluate(`getComputedStyle(document.body).backgroundColor`, &after))
	if before == after {
		t.Errorf("dark and light are both %s", before)
	}
	run("a chat", chromedp.SendKeys("#text", "Hello"+kb.Enter, chromedp.ByQuery), chromedp.WaitVisible("#said p.assistant", chromedp.ByQuery),
		chromedp.Poll(`!document.querySelector("#send").disabled`, nil), chromedp.Text("#said p.assistant", &answer, chromedp.ByQuery))
	if answer == "" {
		t.Error("the chat says nothing")
	}
	if to := os.Getenv("REPRISE_PICTURE"); to != "" {
		var png []byte
		run("a picture", chromedp.Sleep(1500*time.Millisecond), chromedp.Evaluate(`scrollTo(0, 0)`, nil), chromedp.CaptureScreenshot(&png))
		if err := os.WriteFile(to, png, 0o600); err != nil {
			t.Error(err)
		}
	}
	browser.faultless()
}

// testWhy looks at what the page says of the turn that is shown, whose system text was changed at its end: in words, with both texts
// and a mark on what differs, by keyboard alone, and legible in the dark and in the light.
func testWhy(t *testing.T, ctx context.Context, r *ledger.Row) {
	t.Helper()
	var said string
	var sides []struct{ Text, Mark string }
	var contrasts []float64
	var stops [3]string
	stop := func(i int) chromedp.Action {
		return chromedp.Evaluate(`document.activeElement.getAttribute("aria-label") || document.activeElement.textContent`, &stops[i])
	}
	scheme := func(name string) chromedp.Action {
		return emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}})
	}
	contrast := chromedp.ActionFunc(func(ctx context.Context) error {
		var ratio float64
		err := chromedp.Evaluate(`(() => { const s = getComputedStyle(document.querySelector("#why mark"));
			const light = (c) => c.match(/[0-9.]+/g).slice(0, 3).map((v) => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4).reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
			const [a, b] = [light(s.color), light(s.backgroundColor)].sort((a, b) => b - a); return (a + .05) / (b + .05); })()`, &ratio).Do(ctx)
		contrasts = append(contrasts, ratio)
		return err
	})
	if err := chromedp.Run(ctx, chromedp.WaitVisible("#why .texts", chromedp.ByQuery), chromedp.Text("#why", &said, chromedp.ByQuery),
		chromedp.Evaluate(`[...document.querySelectorAll("#why pre")].map((p) => ({text: p.textContent, mark: p.querySelector("mark").textContent}))`, &sides),
		chromedp.KeyEvent(kb.Tab), stop(0), chromedp.KeyEvent(kb.Tab), stop(1), chromedp.KeyEvent(kb.Tab), stop(2),
		scheme("light"), contrast, scheme("dark"), contrast); err != nil {
		t.Fatalf("why: %v", err)
	}
	if !strings.Contains(said, "What was known goes on differently (prefix_changed)") || !strings.Contains(said, fmt.Sprintf("at token %d, in the system text.", r.DivergedAt.Or(-1))) {
		t.Errorf("the page says %q", said)
	}
	if len(sides) != 2 || sides[1].Mark != " <img src=x onerror=alert(1)>" || sides[0].Mark == "" || strings.TrimSuffix(sides[0].Text, sides[0].Mark) != strings.TrimSuffix(sides[1].Text, sides[1].Mark) {
		t.Errorf("both texts: %q", sides)
	}
	if !strings.HasPrefix(stops[0], "turn_") || stops[1] != "what was known" || stops[2] != "this prompt" {
		t.Errorf("Tab leads to %q", stops)
	}
	if contrasts[0] < 4.5 || contrasts[1] < 4.5 {
		t.Errorf("the mark's contrast in the light and in the dark: %.1f", contrasts)
	}
}

func rowsOf(t *testing.T, base string) []ledger.Row {
	t.Helper()
	res, err := http.Get(base + "/v1/cache/ledger")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	var out struct{ Rows []ledger.Row }
	if err := json.NewDecoder(res.Body).Decode(&out); err != nil {
		t.Fatal(err)
	}
	return out.Rows
}
