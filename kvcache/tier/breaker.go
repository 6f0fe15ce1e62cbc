package tier

import (
	"fmt"
	"sync"
	"time"
)

// breaker leaves a store alone after a failure, at first for a short while, then for longer. When the while is over one
// exchange is let through; how it goes decides.
type breaker struct {
	mu     sync.Mutex
	until  time.Time
	wait   time.Duration
	trying bool
	last   error
}

const (
	shortWait = 2 * time.Second
	longWait  = time.Minute
)

// allow is the last failure while the store is left alone.
func (b *breaker) allow() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.last == nil {
		return nil
	}
	if b.trying || time.Now().Before(b.until) {
		return fmt.Errorf("left alone after a failure: %s", b.last.Error())
	}
	b.trying = true
	return nil
}

func (b *breaker) isOpen() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.last != nil && time.Now().Before(b.until)
}

// succeeded says whether the store had failed before.
func (b *breaker) succeeded() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	again := b.last != nil
	b.last, b.wait, b.trying = nil, 0, false
	return again
}

// failed says whether it is the first failure, and how long the store will be left alone.
func (b *breaker) failed(err error) (first bool, wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	first = b.last == nil
	b.wait = min(max(shortWait, 2*b.wait), longWait)
	b.last, b.until, b.trying = err, time.Now().Add(b.wait), false
	return first, b.wait
}

// cancelled says that the exchange was broken off by us.
func (b *breaker) cancelled() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.trying = false
}
