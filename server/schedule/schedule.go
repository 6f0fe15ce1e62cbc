package schedule

import (
	"context"
	"sync"
	"time"

	"reprise/mlx"
)

// Queue orders turns and their steps. One turn runs at a time; others wait in order of arrival.
type Queue struct {
	worker *mlx.Worker
	turn   chan struct{} // holds the token of the running turn

	mu      sync.Mutex
	waiting int
}

// New makes the queue of a worker.
func New(w *mlx.Worker) *Queue {
	q := &Queue{worker: w, turn: make(chan struct{}, 1)}
	q.turn <- struct{}{}
	return q
}

// Waiting is the number of turns not yet admitted.
func (q *Queue) Waiting() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.waiting
}

// Admit waits for the turn's place and returns how long that took and the function that gives it up.
func (q *Queue) Admit(ctx context.Context) (waited time.Duration, leave func(), err error) {
	start := time.Now()
	q.count(1)
	defer q.count(-1)
	select {
	case <-q.turn:
		return time.Since(start), func() { q.turn <- struct{}{} }, nil
	case <-ctx.Done():
		return time.Since(start), nil, ctx.Err()
	}
}

func (q *Queue) count(n int) {
	q.mu.Lock()
	q.waiting += n
	q.mu.Unlock()
}

// Step runs one step on the worker.
func (q *Queue) Step(ctx context.Context, step func(*mlx.Scope) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return q.worker.Do(ctx, step)
}
