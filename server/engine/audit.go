package engine

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"reprise/kvcache"
	"reprise/kvcache/ledger"
	"reprise/kvcache/state"
	"reprise/mlx"
	"reprise/model"
)

// Audit says how much of what is reused is computed again, to compare.
type Audit struct {
	Share float64       // of the turns that reused state, 0…1
	Max   time.Duration // a replay that would take longer is skipped and counted; 0: DefaultAuditMax
}

// DefaultAuditMax bounds a replay.
const DefaultAuditMax = 30 * time.Second

// auditTolerance is how far logits may lie apart, of the row's largest, where bits need not be equal.
const auditTolerance = 1e-3

// audit is a turn to be audited: how its reused state came about, what it computed itself, and the logits behind its
// prompt.
type audit struct {
	turn, session string
	ids           []int32
	calls         []kvcache.Call // that made the state at the hit
	chunks        []kvcache.Chunk
	hit           int
	logits        mlx.Array
}

// chooseAudit decides, before anything is committed, whether the turn will be audited.
func (t *turn) chooseAudit() {
	share := t.engine.opts.Audit.Share
	if t.plan.Hit == 0 || t.req.Purpose != ledger.PurposeTurn || share <= 0 || rand.Float64() >= share {
		return
	}
	t.audit = &audit{turn: t.row.TurnID, session: t.plan.Session, ids: t.prompt.IDs, calls: t.plan.Calls(), chunks: t.plan.Chunks(), hit: t.plan.Hit}
}

// saw keeps the first logits: those behind the prompt.
func (a *audit) saw(s *mlx.Scope, logits mlx.Array) {
	if !a.logits.Valid() {
		a.logits = s.Keep(s.AsType(logits, mlx.Float32))
	}
}

// auditor replays one audit after the other, a step at a time, whenever no turn is under way.
type auditor struct {
	engine *Engine
	jobs   chan *audit
	stop   context.CancelFunc
	done   chan struct{}

	// observe sees both rows of logits, for tests; nil.
	observe func(turn string, first, again []float32)

	mu    sync.Mutex
	stats AuditStats
}

// AuditStats counts audits.
type AuditStats struct {
	Matches    int64 `json:"match"`
	Within     int64 `json:"within"`
	Mismatches int64 `json:"mismatch"`
	Skipped    int64 `json:"skipped"` // too long, too large, or too many at once
	Failed     int64 `json:"failed"`
}

func (s *AuditStats) add(verdict ledger.Audit) {
	switch verdict {
	case ledger.AuditMatch:
		s.Matches++
	case ledger.AuditWithin:
		s.Within++
	case ledger.AuditMismatch:
		s.Mismatches++
	}
}

// auditQueue is how many audits may wait.
const auditQueue = 16

func (e *Engine) startAuditor() *auditor {
	ctx, stop := context.WithCancel(context.Background())
	a := &auditor{engine: e, jobs: make(chan *audit, auditQueue), stop: stop, done: make(chan struct{})}
	go a.run(ctx)
	return a
}

// AuditStats counts the audits so far.
func (e *Engine) AuditStats() AuditStats {
	e.audits.mu.Lock()
	defer e.audits.mu.Unlock()
	return e.audits.stats
}

func (a *auditor) close() {
	a.stop()
	<-a.done
}

// take is given a turn's audit when the turn has ended.
func (a *auditor) take(x *audit) {
	if x == nil || !x.logits.Valid() {
		return
	}
	limit := a.engine.opts.Audit.Max
	if limit == 0 {
		limit = DefaultAuditMax
	}
	if a.engine.model.rate.cost(len(x.ids)) <= limit && a.fits(x) {
		select {
		case a.jobs <- x:
			return
		default:
		}
	}
	a.count(func(s *AuditStats) { s.Skipped++ })
	a.drop(x)
}

// fits says whether a second state of that length has room beside what is kept.
func (a *auditor) fits(x *audit) bool {
	room, _ := a.engine.memory.room()
	return a.engine.memory.alone(len(x.ids), 0) <= room
}

func (a *auditor) count(change func(*AuditStats)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change(&a.stats)
}

func (a *auditor) drop(x *audit) {
	_ = a.engine.worker.Do(context.Background(), func(*mlx.Scope) error { x.logits.Free(); return nil })
}

func (a *auditor) run(ctx context.Context) {
	defer close(a.done)
	for {
		select {
		case <-ctx.Done():
			for len(a.jobs) > 0 {
				a.drop(<-a.jobs)
			}
			return
		case x := <-a.jobs:
			a.audit(ctx, x)
			a.drop(x)
		}
	}
}

// audit replays one turn and writes its row.
func (a *auditor) audit(ctx context.Context, x *audit) {
	start := time.Now()
	row := ledger.Row{TurnID: NewTurnID(), SessionID: x.session, ParentTurnID: ledger.Some(x.turn), Time: start.UTC(), Model: a.engine.model.Name,
		Purpose: ledger.PurposeAudit, Worker: a.engine.id, PromptTokens: ledger.Some(len(x.ids)), FinishReason: ledger.Some(ledger.FinishStop)}
	verdict, diff, err := a.compare(ctx, x)
	row.PrefillMs = ledger.Ms(time.Since(start))
	switch {
	case ctx.Err() != nil:
		return
	case err != nil:
		row.FinishReason = ledger.Some(ledger.FinishError)
		a.engine.opts.Logger.Error("audit failed", "turn", x.turn, "err", err)
	default:
		row.Audit, row.AuditMaxDiff = ledger.Some(verdict), ledger.Some(diff)
	}
	if verdict == ledger.AuditMismatch {
		a.engine.opts.Logger.Error("audit: the reused state is not what its provenance gives; it is dropped", "turn", x.turn, "hit", x.hit, "max_diff", diff)
		paths, err := a.engine.cache.Distrust(a.engine.model.Fingerprint, kvcache.Sequence{IDs: x.ids[:x.hit]})
		if err != nil {
			a.engine.opts.Logger.Error("audit: dropping", "turn", x.turn, "err", err)
		}
		if own, err := a.engine.cache.Spell(kvcache.Sequence{IDs: x.ids}); err == nil { // also when the tree has forgotten it
			paths = append(paths, own)
		}
		a.engine.lower.distrust(ctx, paths)
		_ = a.engine.worker.Do(context.Background(), func(*mlx.Scope) error { a.engine.cache.Sweep(); return nil })
	}
	a.engine.ledger.Record(row)
	a.count(func(s *AuditStats) { // last: who sees the count finds the row, and the wrong state gone
		if err != nil {
			s.Failed++
		} else {
			s.add(verdict)
		}
	})
}

// compare computes the state again that the turn found, by the calls that made it, and the turn's own calls on it, and
// compares the logits.
func (a *auditor) compare(ctx context.Context, x *audit) (verdict ledger.Audit, diff float64, err error) {
	var st *state.State
	defer func() {
		if st != nil {
			_ = a.engine.worker.Do(context.Background(), func(*mlx.Scope) error { st.Free(); return nil })
		}
	}()
	exact := a.engine.worker.Device() == mlx.CPU // elsewhere equal calls need not give equal bits
	step := func(fn func(s *mlx.Scope) error) error { return a.engine.alone(ctx, fn) }
	if err = step(func(*mlx.Scope) error { st = a.engine.model.net.NewState(); st.Reserve(len(x.ids)); return nil }); err != nil {
		return "", 0, err
	}
	for i, c := range x.calls {
		exact = exact && c.Batch == 1
		cut := c.Start + c.Width - len(c.Beyond.IDs)
		ids := slices.Concat(x.ids[c.Start:cut], c.Beyond.IDs)
		if err = step(func(s *mlx.Scope) error { return a.replay(s, st, ids, cut) }); err != nil {
			return "", 0, fmt.Errorf("call %d of %d, %d tokens from %d: %w", i+1, len(x.calls), c.Width, c.Start, err)
		}
	}
	for _, c := range x.chunks {
		if err = step(func(s *mlx.Scope) error {
			hidden := model.ForwardLast(s, a.engine.model.net, mlx.New(s, x.ids[c.From:c.To], 1, c.To-c.From), st)
			if c.To < len(x.ids) {
				return s.Eval(st.Arrays()...)
			}
			logits := s.AsType(a.engine.model.net.Logits(s, hidden), mlx.Float32)
			again, err := s.Float32s(logits)
			if err != nil {
				return err
			}
			first, err := s.Float32s(x.logits)
			if err != nil {
				return err
			}
			if a.observe != nil {
				a.observe(x.turn, first, again)
			}
			verdict, diff = judge(again, first, exact)
			return nil
		}); err != nil {
			return "", 0, fmt.Errorf("the turn's own tokens from %d: %w", c.From, err)
		}
	}
	return verdict, diff, nil
}

// replay makes one forward call again and cuts the state off where the cache did.
func (a *auditor) replay(s *mlx.Scope, st *state.State, ids []int32, cut int) error {
	if st.Offset()+len(ids) != cut {
		st.CaptureAt(cut)
	}
	model.ForwardLast(s, a.engine.model.net, mlx.New(s, ids, 1, len(ids)), st)
	if err := s.Eval(st.Arrays()...); err != nil {
		return err
	}
	snapshots, err := st.Captured()
	if err != nil || st.Offset() == cut {
		return err
	}
	defer snapshots[0].Free()
	return st.MoveTo(cut, cut, nil, snapshots[0])
}

// judge compares two rows of logits.
func judge(x, y []float32, exact bool) (ledger.Audit, float64) {
	same, diff, largest := len(x) == len(y), 0.0, 0.0
	for i := range min(len(x), len(y)) {
		same = same && math.Float32bits(x[i]) == math.Float32bits(y[i])
		d := math.Abs(float64(x[i]) - float64(y[i]))
		if d > diff || math.IsNaN(d) {
			diff = d
		}
		largest = max(largest, math.Abs(float64(y[i])))
	}
	switch {
	case same:
		return ledger.AuditMatch, 0
	case !exact && diff <= auditTolerance*largest:
		return ledger.AuditWithin, diff
	}
	if math.IsNaN(diff) {
		diff = math.MaxFloat64 // JSON has no NaN
	}
	return ledger.AuditMismatch, diff
}
