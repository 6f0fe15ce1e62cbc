package warm

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"reprise/server/engine"
)

// Turner runs turns; *engine.Engine is one.
type Turner interface {
	Turn(ctx context.Context, req engine.Request, emit func(engine.Event) error) (*engine.Result, error)
}

// Run is warm-ups under way.
type Run struct {
	stop context.CancelFunc
	done chan struct{}
}

// Start runs the requests in the background, until they are through, the context ends, or Close.
func Start(ctx context.Context, e Turner, list []Request, log *slog.Logger) *Run {
	ctx, stop := context.WithCancel(ctx)
	r := &Run{stop: stop, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		for i := range list {
			if ctx.Err() != nil {
				return
			}
			one(ctx, e, &list[i], log)
		}
	}()
	return r
}

// Close ends what is left of them.
func (r *Run) Close() {
	r.stop()
	<-r.done
}

// Done is closed when the last one has ended.
func (r *Run) Done() <-chan struct{} { return r.done }

func one(ctx context.Context, e Turner, req *Request, log *slog.Logger) {
	start := time.Now()
	res, err := e.Turn(ctx, req.Request, nil)
	log = log.With("line", req.Line)
	var refused *engine.RequestError
	switch {
	case err == nil:
		row := &res.Row
		log.Info("warmed up", "turn", row.TurnID, "prompt", row.PromptTokens.Or(0), "hit", row.LookupHitTokens.Or(0),
			"prefill", row.PrefillTokens.Or(0), "took", time.Since(start).Round(time.Millisecond))
	case ctx.Err() != nil: // the server is going
	case errors.As(err, &refused): // its message may quote the prompt
		log.Warn("a warm-up was refused; the rest goes on", "code", refused.Code, "param", refused.Param)
	default:
		log.Error("a warm-up failed; the rest goes on", "err", err)
	}
}
