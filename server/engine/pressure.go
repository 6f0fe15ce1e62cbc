package engine

import (
	"context"
	"time"

	"reprise/kvcache"
	"reprise/mlx"
)

// pressure watches the host's memory. When others want it, so that less than the reserve is left, the cache's budget shrinks
// by what is missing; when twice the reserve has been free for a while, the cache has its budget again.
//
// The tokens that this evicts are on no row: no turn asked for it. They are MemoryStats.PressEvicted, a counter of their own in
// /metrics, and in the cache's total.
type pressure struct {
	engine *Engine
	own    int64 // the budget without pressure
	calm   int   // looks in a row at which there was enough
	stop   context.CancelFunc
	done   chan struct{}
}

const (
	// pressureInterval is how often the host is asked.
	pressureInterval = time.Second
	// calmLooks is how many looks without need give the budget back.
	calmLooks = 5
)

func (e *Engine) watchPressure(every time.Duration) *pressure {
	ctx, stop := context.WithCancel(context.Background())
	p := &pressure{engine: e, own: e.cache.Stats().Budget, stop: stop, done: make(chan struct{})}
	go p.run(ctx, every)
	return p
}

func (p *pressure) close() {
	if p != nil {
		p.stop()
		<-p.done
	}
}

func (p *pressure) run(ctx context.Context, every time.Duration) {
	defer close(p.done)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			p.look(ctx)
		}
	}
}

// look asks the host once, and acts.
func (p *pressure) look(ctx context.Context) {
	m := p.engine.memory
	host, err := m.readHost()
	if err != nil {
		return
	}
	s := p.engine.cache.Stats()
	held := s.LiveBytes + s.PieceBytes + s.SnapBytes
	switch missing := m.reserve - host.FreeBytes(); {
	case missing > 0:
		p.calm = 0
		if budget := max(0, held-missing); budget < s.Budget && (held > 0 || s.Budget == p.own) {
			p.shrink(ctx, budget, missing)
		}
	case s.Budget < p.own && -missing >= m.reserve:
		if p.calm++; p.calm >= calmLooks {
			p.engine.cache.SetBudget(p.own)
			m.count(func(s *MemoryStats) { s.Budget = 0 })
			p.engine.opts.Logger.Info("memory is free again: the cache has its budget back", "budget", p.own)
		}
	default:
		p.calm = 0
	}
}

// shrink keeps a smaller budget, at once, and gives the memory back to the system.
func (p *pressure) shrink(ctx context.Context, budget, missing int64) {
	e := p.engine
	e.cache.SetBudget(budget)
	var swept kvcache.Swept
	if err := e.worker.Do(ctx, func(*mlx.Scope) error {
		e.cache.Yield(missing) // also what the budget would leave to a main line beside a side request
		swept = e.cache.Sweep()
		mlx.ClearCache()
		mlx.ReleaseHeap()
		return nil
	}); err != nil {
		return // the engine is being closed
	}
	e.memory.count(func(s *MemoryStats) {
		s.Pressed++
		s.PressEvicted += int64(swept.Evicted)
		s.Budget = budget
	})
	e.opts.Logger.Warn("the host runs short of memory: the cache gave some up", "missing", missing, "budget", budget, "evicted_tokens", swept.Evicted, "held", swept.Bytes)
}
