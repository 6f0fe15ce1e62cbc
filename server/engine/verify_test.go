package engine

import (
	"context"
	"errors"
	"testing"
)

func TestVerifyCache(t *testing.T) {
	fresh(t)
	for _, text := range []string{"The capital of France is", "The capital of France lies on", "The capital of Italy is"} {
		ask(t, raw(text, 4))
		if err := real.VerifyCache(context.Background()); err != nil {
			t.Fatalf("after %q: %v", text, err)
		}
	}
	// It keeps to the queue: while a turn is admitted it waits.
	_, leave, err := real.queue.Admit(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	verified := make(chan error, 1)
	go func() { verified <- real.VerifyCache(ctx) }()
	for real.Waiting() == 0 {
		select {
		case err := <-verified:
			t.Fatalf("verified beside a turn: %v", err)
		default:
		}
	}
	cancel()
	var broken *CacheError
	if err := <-verified; !errors.Is(err, context.Canceled) || errors.As(err, &broken) {
		t.Errorf("given up, it says %v", err)
	}
	leave()
	if err := real.VerifyCache(context.Background()); err != nil {
		t.Error(err)
	}
}
