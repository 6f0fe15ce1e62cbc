package mlx

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"
)

// OpTime is what the ops of one kind took together.
type OpTime struct {
	Kind  string        `json:"kind"`
	Count int           `json:"count"`
	Time  time.Duration `json:"ns"`
}

// profile times ops one by one. It is written on the worker and read by whoever asks.
type profile struct {
	mu    sync.Mutex
	kinds map[string]OpTime
}

// Sent is the time that AsyncEval took so far: MLX sends a graph's ops out one by one, on the worker's thread.
func (w *Worker) Sent() time.Duration { return time.Duration(w.sent.Load()) }

// StartProfile makes the worker evaluate every op alone, as soon as it is built, and note how long that takes by kind
// of op, until StopProfile. Nothing overlaps then and each op is waited for, so that the sum is more than a step takes.
func (w *Worker) StartProfile() { w.profile.Store(&profile{kinds: map[string]OpTime{}}) }

// StopProfile ends the timing and returns what was noted, the costliest kind first.
func (w *Worker) StopProfile() []OpTime {
	p := w.profile.Swap(nil)
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.SortedFunc(maps.Values(p.kinds), func(a, b OpTime) int { return cmp.Compare(b.Time, a.Time) })
}

// made passes an op's result on, timed while a profile runs. An update waits for its reader: evaluated now, while the
// old handle still stands, it would copy its buffer instead of writing in place.
func (s *Scope) made(op string, a Array) Array {
	if p := s.worker.profile.Load(); p != nil && op != "SliceUpdate" {
		p.time(s, op, a)
	}
	return a
}

func (s *Scope) madeAll(op string, arrays []Array) []Array {
	if p := s.worker.profile.Load(); p != nil {
		p.time(s, op, arrays...)
	}
	return arrays
}

func (p *profile) time(s *Scope, op string, arrays ...Array) {
	start := time.Now()
	_ = s.Eval(arrays...) // an error sticks to the scope
	took := time.Since(start)
	p.mu.Lock()
	defer p.mu.Unlock()
	k := p.kinds[op]
	p.kinds[op] = OpTime{Kind: op, Count: k.Count + 1, Time: k.Time + took}
}
