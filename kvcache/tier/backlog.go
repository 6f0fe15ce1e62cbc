package tier

import "context"

// Backlog is how much was handed over to a goroutine and is not through yet. Its owner's lock guards it.
type Backlog struct {
	amount  int64
	drained chan struct{} // closed when amount becomes 0; nil while it is
}

// Amount is what is left.
func (b *Backlog) Amount() int64 { return b.amount }

// Add notes that more was handed over, or with a negative amount that so much is through.
func (b *Backlog) Add(n int64) {
	b.amount += n
	switch {
	case b.amount > 0 && b.drained == nil:
		b.drained = make(chan struct{})
	case b.amount == 0 && b.drained != nil:
		close(b.drained)
		b.drained = nil
	}
}

// Drained is closed once nothing is left of what there is now or comes meanwhile; nil when nothing is.
func (b *Backlog) Drained() <-chan struct{} { return b.drained }

// Await waits for what Drained returned, outside of the lock.
func Await(ctx context.Context, drained <-chan struct{}) error {
	if drained == nil {
		return nil
	}
	select {
	case <-drained:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
