package engine

import (
	"context"
	"slices"
	"sync"
	"time"

	"reprise/kvcache"
	"reprise/kvcache/state"
	"reprise/mlx"
)

// sparseSnapshots is the distance of snapshots far from what a prompt asks for.
const sparseSnapshots = 1024

// leastBudget is what the cache gets however little memory is free: one conversation of the small model.
const leastBudget = 64 << 20

// budget is the bytes of state that are kept when nobody says how many: half of what a turn could take. It is read once,
// behind the load.
func (e *Engine) budget() int64 {
	if e.opts.CacheMem > 0 {
		return e.opts.CacheMem
	}
	room, _ := e.memory.room()
	return max(leastBudget, room/2)
}

// forCache is what the cache must know of the model.
func (m *Model) forCache() kvcache.Model {
	info := m.net.Info()
	k := kvcache.Model{Fingerprint: m.Fingerprint, RowBytes: info.RowBytes, SnapshotBytes: info.SnapshotBytes, Grid: m.grid, Sparse: sparseSnapshots}
	switch {
	case slices.Contains(info.LayerKinds, state.Recurrent):
		k.Needs = kvcache.LimitRecurrent
	case slices.Contains(info.LayerKinds, state.Sliding):
		k.Needs = kvcache.LimitSliding
	}
	return k
}

// CacheStats is what the cache holds and did.
func (e *Engine) CacheStats() kvcache.Stats { return e.cache.Stats() }

// ClearCache drops every state that no turn is using, and the memory of what was there. What was generated in a
// conversation stays known: that is no cache.
func (e *Engine) ClearCache(ctx context.Context) error {
	e.cache.Clear(true)
	return e.queue.Step(ctx, func(*mlx.Scope) error { e.cache.Sweep(); return nil })
}

// rate is the speed of prefill as it was last seen, for what a replay would cost.
type rate struct {
	mu  sync.Mutex
	tps float64
}

// rateWidth is the width from which a call says something about the speed of a prefill.
const rateWidth = 32

// note takes a call that was waited for. The last call of a prefill is only sent out.
func (r *rate) note(width int, took time.Duration, sentOut bool) {
	if sentOut || width < rateWidth || took <= 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tps = float64(width) / took.Seconds()
}

// cost is about how long a prefill takes; 0 while no speed was seen.
func (r *rate) cost(tokens int) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.tps == 0 {
		return 0
	}
	return time.Duration(float64(tokens) / r.tps * float64(time.Second))
}
