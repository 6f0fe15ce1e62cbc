package engine

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"reprise/kvcache"
	"reprise/mlx"
	"reprise/model/hub"
)

// fits refuses a prompt that memory could never hold, whatever else is given up: before the client has its headers, and with
// nothing evicted for it.
func (t *turn) fits() error {
	m, n := t.engine.memory, len(t.prompt.IDs)
	if m.alone(n, t.expected()) <= m.most() {
		return nil
	}
	if match, err := t.engine.cache.Lookup(t.wish()); err == nil { // for the row
		t.match, t.loan, t.reached = &match, &loan{}, match.Hit
	}
	return t.tooLarge()
}

// roomy says whether the turn fits what is free now, or would be if the cache gave up what nobody uses: it will hardly be refused.
func (t *turn) roomy() bool {
	m := t.engine.memory
	room, _ := m.room()
	short := m.alone(len(t.prompt.IDs), t.expected()) - room
	return short <= 0 || short <= t.engine.cache.Idle() // which looks at everything that is kept
}

// verdict is what comes of a plan.
type verdict int

const (
	goOn   verdict = iota
	again          // when the cache has given something up: what the plan goes on with, too
	wait           // for memory that others hold
	refuse         // it could never be enough
)

// afford decides about a plan, before anything of it is carried out. What the cache holds is given up only when that helps.
// last says that the cache has given up already what it could. short is what is missing for a plan that goes on with nothing.
func (t *turn) afford(ctx context.Context, plan *kvcache.Plan, last bool) (v verdict, short int64, err error) {
	e, m := t.engine, t.engine.memory
	cost, width := plan.Cost(), min(plan.Requested-plan.Hit, m.grid)
	whole := m.state(cost.Rows)
	if cost.Held > 0 && whole > cost.Held {
		whole = max(whole, cost.Held+cost.Held/8) // by which buffers grow at least
	}
	grown := max(0, whole-cost.Held)
	need := grown + cost.Copies + cost.Snapshots + m.call(width, plan.Requested)
	if grown > 0 { // its first call moves it to larger buffers
		need = max(need, grown+cost.Copies+cost.Held+m.call(width, plan.Hit+width))
	}
	if enough, err := t.enough(ctx, need); enough || err != nil {
		return goOn, 0, err
	}
	if enough, err := t.enough(ctx, need-cost.Snapshots); enough || err != nil {
		room, _ := m.room()
		plan.Thin(room - (need - cost.Snapshots)) // less will be restored
		return goOn, 0, err
	}
	room, _ := m.room()
	switch idle, least := e.cache.Idle(), m.alone(plan.Requested, t.expected()); {
	case !last && least-room <= idle+cost.Held+cost.Lent:
		return again, least - room, nil
	case least > m.most():
		return refuse, 0, nil
	}
	return wait, 0, nil
}

// claim takes a plan over if the turn may carry it out. Otherwise the plan is withdrawn, and the turn looks again: at once, or
// after pause. given says that the cache gave up already what the turn would have gone on with.
func (t *turn) claim(ctx context.Context, plan *kvcache.Plan, given *bool) (v verdict, err error) {
	v, short, err := t.afford(ctx, plan, *given)
	t.match, t.reached = &plan.Match, plan.Hit
	if err == nil && v == goOn {
		t.plan, t.computed, t.beside = plan, plan.Hit, t.engine.memory.beside()
		t.chooseAudit()
		return goOn, nil
	}
	if err == nil && v == refuse {
		plan.Close()
		return v, t.tooLarge()
	}
	plan.Withdraw()
	if err == nil && v == again {
		*given, err = true, t.yield(ctx, short)
	}
	return v, err
}

// enough says whether so many bytes can be had. First what nobody uses is given back to the system; then the cache gives up what
// is worth least, if that is enough.
func (t *turn) enough(ctx context.Context, need int64) (bool, error) {
	e := t.engine
	room := t.room()
	if need <= room {
		return true, nil
	}
	if err := t.yield(ctx, 0); err != nil {
		return false, err
	}
	if room = t.room(); need <= room || need-room > e.cache.Idle() {
		return need <= room, nil
	}
	if err := t.yield(ctx, need-room); err != nil {
		return false, err
	}
	return need <= t.room(), nil
}

// room is what the turn may take now. Once it is admitted, what it let the process grow by counts as the slack that was left for
// it: counted twice, it would be refused what it was admitted for.
func (t *turn) room() int64 {
	m, grown := t.engine.memory, int64(0)
	if t.plan != nil {
		grown = max(0, m.beside()-t.beside)
	}
	room, _ := m.roomBeside(grown)
	return room
}

// yield has the cache give bytes up, and returns to the system what is free.
func (t *turn) yield(ctx context.Context, bytes int64) error {
	e := t.engine
	err := e.queue.Step(ctx, func(*mlx.Scope) error {
		if bytes > 0 {
			freed := e.cache.Yield(bytes)
			e.memory.count(func(s *MemoryStats) { s.Yielded += freed })
		}
		mlx.ClearCache()
		mlx.ReleaseHeap()
		return nil
	})
	debug.FreeOSMemory()
	return err
}

// tooLarge is the refusal of what is too large in any case.
func (t *turn) tooLarge() error {
	m, n := t.engine.memory, len(t.prompt.IDs)
	t.short = true
	m.count(func(s *MemoryStats) { s.RefusedNever++ })
	longest := m.longest(t.model.Context, t.expected())
	return &MemoryError{Never: true, Message: fmt.Sprintf(
		"This model's maximum context length is %d tokens in the memory that this server may use. However, your prompt has %d tokens, which take %s (%s): "+
			"the limit is %s, of which the model takes %s. Please shorten the prompt, or start the server with a larger --memory-limit.",
		longest, n, hub.SizeText(m.alone(n, t.expected())), t.figures(), hub.SizeText(m.limit), hub.SizeText(m.base))}
}

// notNow is the refusal of what does not fit now.
func (t *turn) notNow() error {
	m, n := t.engine.memory, len(t.prompt.IDs)
	t.short = true
	m.count(func(s *MemoryStats) { s.RefusedLater++ })
	room, outside := m.room()
	who := "other requests hold the rest"
	if outside {
		who = "other programs hold the rest"
	} else if t.engine.openTurns() == 1 {
		who = "no other request holds the rest: shorten the prompt, or start the server with a larger --memory-limit"
	}
	return &MemoryError{RetryAfter: retryAfter, Message: fmt.Sprintf(
		"there is not enough memory now for this prompt of %d tokens: it takes %s (%s), and %s of the limit of %s are left; %s. Try again in %d seconds.",
		n, hub.SizeText(m.alone(n, t.expected())), t.figures(), hub.SizeText(max(0, room)), hub.SizeText(m.limit), who, int(retryAfter.Seconds()))}
}

func (t *turn) figures() string {
	m, n := t.engine.memory, len(t.prompt.IDs)
	row, fixed := m.sizes()
	return fmt.Sprintf("%d bytes a token, %s however long, %s for a step of %d", row, hub.SizeText(fixed), hub.SizeText(m.call(min(n, m.grid), n)), min(n, m.grid))
}

// pause waits a moment for memory, as long as the turn's patience lasts. It holds no place in the queue meanwhile.
func (t *turn) pause(ctx context.Context) error {
	m := t.engine.memory
	if t.paused >= m.patience {
		return t.notNow()
	}
	if t.paused == 0 {
		m.count(func(s *MemoryStats) { s.Waited++ })
	}
	start := time.Now()
	select {
	case <-time.After(memoryPoll):
	case <-ctx.Done():
	}
	t.paused += time.Since(start)
	return ctx.Err()
}

// continues asks again before a call of the prefill: the calls so far said more about what the others will take, and the host
// may have run short meanwhile.
func (t *turn) continues(ctx context.Context, c kvcache.Chunk) error {
	m, n := t.engine.memory, len(t.prompt.IDs)
	need := max(m.call(c.To-c.From, c.To), m.call(min(n-c.From, m.grid), n)) + max(0, m.state(n+t.expected())-t.state.Bytes())
	if enough, err := t.enough(ctx, need); enough || err != nil {
		return err
	}
	if !t.bare {
		if err := t.strip(ctx); err != nil {
			return err
		}
		return t.continues(ctx, c)
	}
	if m.alone(n, t.expected()) > m.most() {
		return t.tooLarge()
	}
	return t.notNow()
}

// strip gives up the snapshots that the turn's own prefill made and would make: rather is less of the prompt reused later than
// the prompt refused now, for memory that nobody else holds.
func (t *turn) strip(ctx context.Context) error {
	t.bare = true
	return t.engine.queue.Step(ctx, func(*mlx.Scope) error {
		for _, s := range t.made.Snapshots {
			s.Free()
		}
		t.made.Snapshots = nil
		return nil
	})
}

// stretch makes room for more of the answer, when it comes to the end of what was admitted. Where there is none, the answer
// ends: it is cut, as by the context.
func (t *turn) stretch(ctx context.Context) error {
	at := len(t.prompt.IDs) + len(t.result.IDs) + 1
	if at < t.rows || t.rows >= len(t.prompt.IDs)+t.maxTokens {
		return nil
	}
	m := t.engine.memory
	rows := min(len(t.prompt.IDs)+t.maxTokens, max(t.rows+rowStep, t.rows+t.rows/8))
	row, _ := m.sizes()
	need := row*int64(rows+rowStep) + m.call(1, rows) // the larger buffer, beside the present one
	enough, err := t.enough(ctx, need)
	if err != nil {
		return err
	}
	if !enough {
		t.maxTokens, t.short = len(t.result.IDs)+1, true
		m.count(func(s *MemoryStats) { s.Cut++ })
		t.engine.opts.Logger.Warn("an answer was cut: memory holds no more of it", "turn", t.row.TurnID, "tokens", at, "need", need)
		return nil
	}
	t.rows = rows
	return t.step(ctx, func(*mlx.Scope) error { t.state.Reserve(rows); return nil })
}

// weighing is a forward call of the prefill that is under way.
type weighing struct {
	width, end   int
	active, held int64 // before it
	snapshots    int
	peak         int // which peak of MLX's it was begun with
}

// weigh begins a new peak before a call.
func (t *turn) weigh(c kvcache.Chunk) {
	t.weighing = weighing{width: c.To - c.From, end: c.To, active: mlx.ReadMemory().Active, held: t.state.Bytes(), snapshots: len(t.made.Snapshots), peak: t.engine.beginPeak()}
}

// weighed takes note, when the call was waited for, of what it took beside what it left. Where another turn began meanwhile,
// the peak is not the call's; and a buffer that moves is there twice for a while, which is counted elsewhere.
func (t *turn) weighed() {
	w, e := &t.weighing, t.engine
	peak, same := e.peakSince(w.peak)
	grown := t.state.Bytes() - w.held
	if w.width > 0 && same && (w.held == 0 || grown == 0) {
		for _, s := range t.made.Snapshots[min(w.snapshots, len(t.made.Snapshots)):] {
			grown += s.Bytes()
		}
		e.memory.calls.note(w.width, w.end, peak-w.active-grown)
	}
	w.width = 0
}
