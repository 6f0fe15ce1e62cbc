package engine

import (
	"context"
	"errors"
	"sync"
	"time"

	"reprise/kvcache"
	"reprise/kvcache/state"
	"reprise/kvcache/tier"
	"reprise/mlx"
)

// writer stores what turns left, behind them: its goroutine reads blocks out of the device, a step at a time, and hands them to
// the tiers. A turn never waits for it. The budget takes nothing of the last turn before it was read; what the cache gives up all the
// same is not stored.
type writer struct {
	lower *lower
	jobs  chan *kvcache.Trace
	stop  context.CancelFunc
	done  chan struct{}

	mu     sync.Mutex
	open   tier.Backlog // traces that are not through, and the warm start
	stored stored
	stats  WriterStats

	took time.Duration // by the last read-out; the goroutine's own
}

// stored is what was written since a row said so last.
type stored struct {
	diskTime, remoteTime   time.Duration
	diskBytes, remoteBytes int64
	remoteMs               float64 // the remote store's counters, as they were then
	remoteWritten          int64
}

// WriterStats are the writer's counters.
type WriterStats struct {
	Waiting    int     `json:"waiting_turns"`
	ReadOuts   int64   `json:"read_outs"`
	ReadOutMs  float64 `json:"read_out_ms"` // on the device's worker
	Lost       int64   `json:"lost_blocks"` // given up by the cache before they could be read
	TurnsLost  int64   `json:"lost_turns"`  // too many waited
	BetweenRun int64   `json:"between_steps"`
}

const (
	// writeQueue is how many turns may wait to be stored.
	writeQueue = 64
	// A block waits for a moment without a turn, but so many times as long as the block before took at most. Then it comes
	// between two steps of a turn, which so loses at most one part in as many.
	writePatience = 100
	leastPatience = 50 * time.Millisecond
	// sending is how long the budget waits for a remote store that takes its time.
	sending = 2 * time.Second
	// lastStores is how long the end of the process waits for what is not stored yet.
	lastStores = 3 * time.Second
)

func startWriter(l *lower) *writer {
	ctx, stop := context.WithCancel(context.Background())
	w := &writer{lower: l, jobs: make(chan *kvcache.Trace, writeQueue), stop: stop, done: make(chan struct{})}
	w.open.Add(1)
	go w.run(ctx)
	return w
}

// offer hands a turn's trace over; it does not wait.
func (w *writer) offer(t *kvcache.Trace) {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case w.jobs <- t:
		w.open.Add(1)
	default:
		w.stats.TurnsLost++
		t.Release() // the Sweep behind the turn keeps the budget
	}
}

func (w *writer) run(ctx context.Context) {
	defer close(w.done)
	w.lower.warm(ctx)
	w.through()
	for {
		select {
		case <-ctx.Done():
			return
		case t := <-w.jobs:
			w.store(ctx, t)
			w.release(ctx, t)
			w.through()
		}
	}
}

// release lets the budget have what was read, when it can be found elsewhere.
func (w *writer) release(ctx context.Context, t *kvcache.Trace) {
	if d := w.lower.tiers.Disk; d == nil || d.Off() {
		w.sent(ctx, t)
	}
	if t.Release() {
		_ = w.step(ctx, func(*mlx.Scope) error { w.lower.engine.cache.KeepBudget(); return nil }) // fails when the process ends
	}
}

// sent waits until the shared store has what it was given, as long as the budget waits for this trace and no other does.
func (w *writer) sent(ctx context.Context, t *kvcache.Trace) {
	r := w.lower.tiers.Remote
	for end := time.Now().Add(sending); r != nil && ctx.Err() == nil && t.Due() && len(w.jobs) == 0 && time.Now().Before(end); {
		moment, cancel := context.WithTimeout(ctx, sending/100)
		err := r.Flush(moment)
		if cancel(); err == nil {
			return
		}
	}
}

func (w *writer) through() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open.Add(-1)
}

// close stores what is left, for a while, and stops.
func (w *writer) close() {
	ctx, cancel := context.WithTimeout(context.Background(), lastStores)
	defer cancel()
	if err := w.flush(ctx); err != nil {
		w.lower.engine.opts.Logger.Info("not all state could be stored before the end", "err", err)
	}
	if r := w.lower.tiers.Remote; r != nil {
		_ = r.Flush(ctx) // said by the remote store itself
	}
	w.stop()
	<-w.done
}

func (w *writer) flush(ctx context.Context) error {
	w.mu.Lock()
	drained := w.open.Drained()
	w.mu.Unlock()
	return tier.Await(ctx, drained)
}

// newest is how many of the last offsets of a turn are kept: of a recurrent model, whose snapshots are large, one.
func (l *lower) newest() int {
	if l.engine.model.forCache().Needs == kvcache.LimitRecurrent {
		return 1
	}
	return 2
}

// store stores a trace's blocks that are not there.
func (w *writer) store(ctx context.Context, t *kvcache.Trace) {
	l := w.lower
	spelled, links := t.Links(tier.Step, l.newest())
	slots := tier.Slots(l.model, spelled)
	headers := make([]*tier.Header, len(links))
	for i, link := range links {
		headers[i] = &tier.Header{Model: l.model, Slot: slots[link.From/tier.Step], Link: link}
	}
	remoteOff := l.tiers.Remote == nil || l.tiers.Remote.Learn(ctx, headers)
	for i, h := range headers {
		disk := l.tiers.Disk != nil && !l.tiers.Disk.Has(h) && !l.tiers.Disk.Off()
		remote := !remoteOff && !l.tiers.Remote.Has(h)
		if !disk && !remote {
			continue
		}
		b, err := w.readOut(ctx, t, h, &links[i])
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			w.lost(err)
			continue
		}
		if disk {
			w.toDisk(b)
		}
		if remote && !l.tiers.Remote.Put(b) && t.Due() {
			w.sent(ctx, t) // its queue was full
			l.tiers.Remote.Put(b)
		}
	}
}

var errGivenUp = errors.New("the cache has given it up")

func (w *writer) lost(err error) {
	w.mu.Lock()
	w.stats.Lost++
	w.mu.Unlock()
	if !errors.Is(err, errGivenUp) {
		w.lower.engine.opts.Logger.Warn("a block could not be read out of the device", "err", err)
	}
}

func (w *writer) toDisk(b *tier.Block) {
	start := time.Now()
	n, _ := w.lower.tiers.Disk.Put(b) // it says itself what is wrong
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stored.diskTime += time.Since(start)
	w.stored.diskBytes += n
}

// readOut copies one block out of the device.
func (w *writer) readOut(ctx context.Context, t *kvcache.Trace, h *tier.Header, link *kvcache.Link) (*tier.Block, error) {
	var rows, snapshot []byte
	err := w.step(ctx, func(s *mlx.Scope) (err error) {
		start := time.Now()
		held, snap, ok := t.ReadOut(link)
		if !ok {
			return errGivenUp
		}
		if held != nil {
			rows, err = state.EncodeRows(s, held)
			held.Free()
		}
		if err == nil && snap != nil {
			snapshot, err = state.EncodeSnapshot(s, snap)
		}
		w.took = time.Since(start)
		w.mu.Lock()
		defer w.mu.Unlock()
		w.stats.ReadOuts++
		w.stats.ReadOutMs += float64(w.took) / float64(time.Millisecond)
		return err
	})
	if err != nil {
		return nil, err
	}
	return tier.New(h.Model, h.Slot, h.Link, w.lower.dtype, rows, snapshot), nil
}

// step waits for a moment without a turn, but not for ever.
func (w *writer) step(ctx context.Context, fn func(*mlx.Scope) error) error {
	wait, cancel := context.WithTimeout(ctx, max(leastPatience, writePatience*w.took))
	defer cancel()
	e := w.lower.engine
	err := e.alone(wait, fn)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		w.mu.Lock()
		w.stats.BetweenRun++
		w.mu.Unlock()
		return e.queue.Step(ctx, fn)
	}
	return err
}

// take is what was stored since it was asked last: a row says what was written while its turn and those before it were served.
func (w *writer) take() stored {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := w.stored
	next := stored{remoteMs: out.remoteMs, remoteWritten: out.remoteWritten}
	if r := w.lower.tiers.Remote; r != nil {
		s := r.Stats()
		out.remoteTime = time.Duration((s.StoreMs - out.remoteMs) * float64(time.Millisecond))
		out.remoteBytes = s.WriteBytes - out.remoteWritten
		next.remoteMs, next.remoteWritten = s.StoreMs, s.WriteBytes
	}
	w.stored = next
	return out
}

// Stats reads the counters.
func (w *writer) Stats() WriterStats {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.stats
	s.Waiting = int(w.open.Amount())
	return s
}
