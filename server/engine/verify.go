package engine

import (
	"context"
	"fmt"

	"reprise/kvcache"
	"reprise/mlx"
)

// CacheStats are the cache's own counters, under a name for those who may not import kvcache.
type CacheStats = kvcache.Stats

// CacheError says that the cache breaks its invariants: a defect of this program.
type CacheError struct{ Err error }

func (e *CacheError) Error() string { return fmt.Sprintf("the cache breaks its invariants: %v", e.Err) }
func (e *CacheError) Unwrap() error { return e.Err }

// VerifyCache walks everything that the cache holds and counts it again. It waits for a place in the queue like a turn:
// states may not change meanwhile. What it finds is a *CacheError; another error says that nothing was verified.
func (e *Engine) VerifyCache(ctx context.Context) error {
	return e.alone(ctx, func(*mlx.Scope) error {
		if err := e.cache.Check(); err != nil {
			return &CacheError{err}
		}
		return nil
	})
}

// alone runs a step in a turn's place: no turn is under way meanwhile.
func (e *Engine) alone(ctx context.Context, step func(*mlx.Scope) error) error {
	_, leave, err := e.queue.Admit(ctx)
	if err != nil {
		return err
	}
	defer leave()
	return e.queue.Step(ctx, step)
}
