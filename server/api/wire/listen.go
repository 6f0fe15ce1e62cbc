package wire

import (
	"context"
	"sync"

	"reprise/server/engine"
)

// Listener collects the results of a request's turns, whichever adapter runs them.
type Listener struct {
	mu      sync.Mutex
	results []*engine.Result
}

type listening struct{}

// Listen makes a context whose turns are heard.
func Listen(ctx context.Context) (context.Context, *Listener) {
	l := &Listener{}
	return context.WithValue(ctx, listening{}, l), l
}

// Results are those of the turns that have ended, also of the refused and the cancelled.
func (l *Listener) Results() []*engine.Result {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]*engine.Result(nil), l.results...)
}

func heard(ctx context.Context, res *engine.Result) {
	if l, ok := ctx.Value(listening{}).(*Listener); ok {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.results = append(l.results, res)
	}
}
