package tier

import (
	"context"
	"errors"
	"testing"
)

func TestBacklog(t *testing.T) {
	var b Backlog
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Await(gone, b.Drained()); err != nil {
		t.Errorf("nothing is left: %v", err)
	}
	for range 2 { // it fills again
		b.Add(2)
		first := b.Drained()
		b.Add(1)
		b.Add(-2)
		if err := Await(gone, b.Drained()); !errors.Is(err, context.Canceled) || b.Amount() != 1 {
			t.Errorf("%d left: %v", b.Amount(), err)
		}
		b.Add(-1)
		for _, drained := range []<-chan struct{}{first, b.Drained()} {
			if err := Await(t.Context(), drained); err != nil || b.Amount() != 0 {
				t.Errorf("%d left: %v", b.Amount(), err)
			}
		}
	}
}
