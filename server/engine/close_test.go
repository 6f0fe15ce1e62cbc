package engine

import (
	"context"
	"path/filepath"
	"sync"
	"testing"
)

// An engine is closed by whoever comes to it: its opener's defer, a server that ends, a test that looks at what it left.
func TestClosedTwice(t *testing.T) {
	e := openWith(t, Options{Model: tinyHybrid(t), CacheDisk: filepath.Join(t.TempDir(), "kv"), LedgerDir: t.TempDir()})
	if _, err := e.Turn(context.Background(), raw("abcdef", 3), nil); err != nil {
		t.Fatal(err)
	}
	var both sync.WaitGroup
	for range 2 {
		both.Go(e.Close)
	}
	both.Wait()
	e.Close()
}
