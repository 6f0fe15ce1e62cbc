package kvcache

import "slices"

// Hold keeps what Links will name, of the `newest` last offsets, for lower tiers to read: of a conversation larger than the budget
// nothing could be read out otherwise. Only the newest trace is held, so that the budget is exceeded by one turn's state at most, and
// only against the budget: Yield takes it all the same. A side request's is not held: the main line would make room for it. It is asked
// before Close, and Release ends it.
func (t *Trace) Hold(newest int) {
	t.cache.mu.Lock()
	defer t.cache.mu.Unlock()
	if t.side {
		return
	}
	t.held = t.kept(newest)
	t.cache.unread = t
}

// Release ends Hold, and says whether the budget must be kept now, by KeepBudget.
func (t *Trace) Release() (over bool) {
	c := t.cache
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.unread == t {
		c.unread = nil
	}
	return c.unread == nil && c.bytes.total() > c.opts.Budget
}

// Due says whether the budget waits for the trace to be read.
func (t *Trace) Due() bool {
	c := t.cache
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.unread == t && c.bytes.total() > c.opts.Budget
}

// names says whether the eviction would take something of the trace's chain. Nil names nothing.
func (t *Trace) names(v *victim) bool {
	if t == nil {
		return false
	}
	tip := t.tip
	for tip.gone {
		tip = tip.parent
	}
	switch {
	case v.snap != nil:
		return tip.on(v.snap) && slices.Contains(t.held, v.snap.end())
	case v.live == nil || v.live.tip.tree() != tip.tree():
		return false // pieces are not read out
	}
	named := false
	meet(v.live.tip, tip).up(tip.tree().base, func(b *block) { named = named || b.exclusive() })
	return named
}

// KeepBudget does what Sweep does and leaves its count of evicted tokens to the next Sweep. It belongs on the worker.
func (c *Cache) KeepBudget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sweep()
	c.shrink(0, false)
}
