package cli

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// browser is a headless Chromium that notes exceptions, what a page says on the console, and requests to elsewhere.
type browser struct {
	t     *testing.T
	path  string
	mu    sync.Mutex
	wrong []string
}

// chromium is the one that $REPRISE_CHROMIUM names; without it the test is skipped.
func chromium(t *testing.T) *browser {
	t.Helper()
	path := os.Getenv("REPRISE_CHROMIUM")
	if path == "" {
		t.Skip("REPRISE_CHROMIUM names no browser (third_party/browser.sh brings one)")
	}
	return &browser{t: t, path: path}
}

// open starts it, until the test ends. allowed are the requests that a page may make beside data of its own.
func (b *browser) open(allowed func(*url.URL) bool) context.Context {
	ctx, cancel := context.WithTimeout(b.t.Context(), 2*time.Minute)
	b.t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(b.path), chromedp.NoSandbox, chromedp.WindowSize(1280, 1240))...)
	b.t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	b.t.Cleanup(cancel)
	chromedp.ListenTarget(ctx, func(ev any) {
		switch ev := ev.(type) {
		case *runtime.EventExceptionThrown:
			b.note("exception: %v", ev.ExceptionDetails)
		case *runtime.EventConsoleAPICalled:
			b.note("console: %v", ev.Type)
		case *network.EventRequestWillBeSent:
			if u, err := url.Parse(ev.Request.URL); err != nil || u.Scheme != "data" && !allowed(u) {
				b.note("a request to %s", ev.Request.URL)
			}
		}
	})
	return ctx
}

func (b *browser) note(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.wrong = append(b.wrong, fmt.Sprintf(format, args...))
}

// faultless fails the test for everything that was noted.
func (b *browser) faultless() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, w := range b.wrong {
		b.t.Error(w)
	}
}
