package engine

import (
	"context"
	"errors"
	"fmt"

	"reprise/kvcache"
	"reprise/kvcache/ledger"
	"reprise/kvcache/state"
	"reprise/kvcache/tier"
	"reprise/mlx"
)

// loan is what the tiers lend to one turn.
type loan struct {
	found  tier.Found
	blocks []*tier.Block
	from   int // rows before are held already
	l0     int // what could be restored without the loan
	reads  [3]tier.Read
	miss   kvcache.Miss // why it is less than it could be
	lent   bool
	side   bool // of a side request
	beyond bool // there is memory for it whatever the budget
}

// worthLoading is how many tokens a loan must spare.
const worthLoading = 64

// mostTries is how often a chain is looked for again after a block of it was bad.
const mostTries = 3

// look finds and loads what the tiers have beyond what the cache can restore. It touches no device and holds no place in the
// queue; whatever goes wrong becomes a miss reason.
func (l *lower) look(ctx context.Context, t *turn, w kvcache.Request) *loan {
	if l == nil {
		return nil
	}
	x, cache := &loan{side: w.Side}, l.engine.cache
	m, err := cache.Lookup(w)
	if err != nil {
		return x // Begin will say so
	}
	ids, err := cache.Spell(w.Prompt.Sequence)
	if err != nil {
		return x
	}
	x.l0 = m.Hit
	tiers := l.tiers
	if w.NoReuse {
		tiers.Remote = nil
	}
	worth, asking := worthLoading, 0
	if t.req.PD == PDDecode {
		worth, asking = 1, 1
	}
	q := tier.Query{Worth: asking, Model: l.model, Root: kvcache.RootDigest(w.Model), IDs: ids, Limit: len(w.Prompt.IDs) - 1, Needs: l.engine.model.forCache().Needs != ""}
	for range mostTries {
		f := tiers.Find(ctx, q, m.Hit)
		x.reads[2].Time += f.Listing
		x.note(f.Miss)
		if f.Matched > m.Matched {
			l.know(w, f.Matched)
			m.Matched = f.Matched
		}
		if w.NoReuse || f.To-m.Hit < min(worth, q.Limit) {
			return x
		}
		if x.from, err = cache.Missing(w.Model, w.Prompt.Sequence, f.Links()); err != nil {
			l.engine.opts.Logger.Warn("a stored chain is refused; it is removed", "err", err)
			x.note(kvcache.MissBadBlock)
			tiers.Drop(ctx, &f)
			continue
		}
		blocks, reads, err := tiers.Load(ctx, &f, x.from)
		for i := range reads {
			x.reads[i].Add(reads[i])
		}
		if err == nil {
			x.found, x.blocks = f, blocks
			return x
		}
		x.note(tier.Reason(err))
		if tier.Reason(err) == kvcache.MissTimeout || tier.Reason(err) == kvcache.MissDown {
			tiers.Remote = nil // the disk may have less, but at once
			if f.Entries[len(f.Entries)-1].Tier == 1 {
				return x
			}
		}
	}
	return x
}

// note keeps the first reason: what follows is its consequence.
func (x *loan) note(m kvcache.Miss) {
	if x.miss == "" {
		x.miss = m
	}
}

// know tells the cache of ids that were computed once: they count as matched.
func (l *lower) know(w kvcache.Request, n int) {
	if err := l.engine.cache.Know(w.Model, kvcache.Sequence{IDs: w.Prompt.IDs[:n]}); err != nil {
		l.engine.opts.Logger.Error("lower tiers: ids", "err", err)
	}
}

// lend makes arrays of what was loaded and gives them to the cache. On the worker.
func (l *lower) lend(s *mlx.Scope, fingerprint string, seq kvcache.Sequence, x *loan) error {
	loaded := kvcache.Loaded{Links: x.found.Links(), Side: x.side, Beyond: x.beyond}
	err := l.decode(s, x, &loaded)
	if err != nil {
		for _, r := range loaded.Rows {
			r.Free()
		}
		return err
	}
	return l.engine.cache.Adopt(fingerprint, seq, loaded)
}

var errFrame = errors.New("a block's payload is not what its header says")

func (l *lower) decode(s *mlx.Scope, x *loan, out *kvcache.Loaded) error {
	rowBytes := l.engine.model.net.Info().RowBytes
	for _, b := range x.blocks {
		if raw := b.Payload(tier.Rows); raw != nil && b.To > x.from {
			rows, err := state.DecodeRows(s, raw)
			if err != nil {
				return fmt.Errorf("%w: %w", errFrame, err)
			}
			out.Rows = append(out.Rows, rows)
			if rows.From() != b.From || rows.To() != b.To || rows.Bytes() != int64(b.To-b.From)*rowBytes {
				return fmt.Errorf("%w: rows [%d, %d) of %d bytes in [%d, %d)", errFrame, rows.From(), rows.To(), rows.Bytes(), b.From, b.To)
			}
		}
	}
	last := x.blocks[len(x.blocks)-1]
	if raw := last.Payload(tier.Snapshot); raw != nil {
		snap, err := state.DecodeSnapshot(s, raw)
		if err != nil {
			return fmt.Errorf("%w: %w", errFrame, err)
		}
		out.Snapshot = snap
	}
	return nil
}

// bytes is what was loaded.
func (x *loan) bytes() int64 {
	var n int64
	for _, b := range x.blocks {
		for _, part := range b.Data {
			n += int64(len(part))
		}
	}
	return n
}

// after adds what an earlier look took.
func (x *loan) after(before *loan) {
	for i, r := range before.reads {
		x.reads[i].Add(r)
	}
	x.note(before.miss)
}

// outdated says whether the cache gave something up since the tiers were looked at that the turn counted on: the budget has what the
// turn before left as soon as that is stored. The turn has its place in the queue.
func (t *turn) outdated(w kvcache.Request) bool {
	x, cache := t.loan, t.engine.cache
	if x == nil || x.lent || w.NoReuse {
		return false
	}
	if len(x.blocks) > 0 {
		from, err := cache.Missing(w.Model, w.Prompt.Sequence, x.found.Links())
		return err == nil && from < x.from
	}
	m, err := cache.Lookup(w)
	return err == nil && m.Hit < x.l0
}

// lift gives the turn's loan to the cache, once. The turn has its place in the queue.
func (t *turn) lift(ctx context.Context) error {
	x := t.loan
	if x == nil || len(x.blocks) == 0 || x.lent {
		return nil
	}
	l := t.engine.lower
	// Where there is memory for the arrays and for the turn, which has them copied, the budget, which is about what is kept behind the
	// turns, need not have room.
	m := t.engine.memory
	room, _ := m.room()
	x.beyond = room >= x.bytes()+m.alone(len(t.prompt.IDs), t.expected())
	err := t.engine.queue.Step(ctx, func(s *mlx.Scope) error {
		return l.lend(s, t.model.Fingerprint, kvcache.Sequence{IDs: t.prompt.IDs}, x)
	})
	x.blocks = nil
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err == nil:
		x.lent = true
	case errors.Is(err, kvcache.ErrNoRoom):
		x.note(kvcache.MissEvicted)
	case errors.Is(err, errFrame):
		t.engine.opts.Logger.Warn("a stored block is refused; its chain is removed", "err", err)
		x.note(kvcache.MissBadBlock)
		l.tiers.Drop(ctx, &x.found)
	default:
		t.engine.opts.Logger.Warn("what lower tiers had was not taken", "turn", t.row.TurnID, "err", err)
		x.note(kvcache.MissEvicted)
	}
	return nil
}

// shares are the tokens of the hit that the tiers lent, by tier.
func (x *loan) shares(hit int) (l1, l2 int) {
	if x == nil || !x.lent || hit <= x.l0 {
		return 0, 0
	}
	left := hit - x.l0
	var by [3]int
	for _, e := range x.found.Entries {
		n := min(max(0, min(hit, e.To)-max(x.l0, x.from, e.From)), left)
		by[e.Tier] += n
		left -= n
	}
	by[x.found.Entries[len(x.found.Entries)-1].Tier] += left // rows that were held, but no state at their end
	return by[1], by[2]
}

// lowerTiers are the row's fields of the tiers.
func (t *turn) lowerTiers() {
	r, m, l := &t.row, t.match, t.engine.lower
	l1, l2 := t.loan.shares(m.Hit)
	r.LookupHitTokens, r.L0HitTokens = ledger.Some(m.Hit), ledger.Some(m.Hit-l1-l2)
	r.L1HitTokens, r.L2HitTokens, r.LowerHitTokens = ledger.Some(l1), ledger.Some(l2), ledger.Some(l1+l2)
	if l == nil {
		return
	}
	stored := l.writer.take()
	if x := t.loan; l.tiers.Disk != nil {
		r.L1LoadMs, r.L1ReadBytes, r.L1Blocks = ledger.Ms(x.reads[1].Time), ledger.Some(x.reads[1].Bytes), ledger.Some(x.reads[1].Blocks)
		r.L1StoreMs, r.L1WriteBytes = ledger.Ms(stored.diskTime), ledger.Some(stored.diskBytes)
	}
	if x := t.loan; l.tiers.Remote != nil {
		r.L2TransferMs, r.L2ReadBytes, r.L2Blocks = ledger.Ms(x.reads[2].Time), ledger.Some(x.reads[2].Bytes), ledger.Some(x.reads[2].Blocks)
		r.L2StoreMs, r.L2WriteBytes = ledger.Ms(stored.remoteTime), ledger.Some(stored.remoteBytes)
	}
	if why := t.loan.blame(m, l); why != "" {
		m.Miss = why
	}
}

// blame is the tiers' reason for what was not hit; "" when it is not theirs.
func (x *loan) blame(m *kvcache.Match, l *lower) kvcache.Miss {
	switch {
	case m.Miss == kvcache.MissReuse || m.Hit >= m.Requested-1:
		return ""
	case x.miss != "" && x.miss != kvcache.MissEvicted:
		return x.miss
	case x.miss == kvcache.MissEvicted && m.Hit < m.Matched: // by a tier, of which the cache knows nothing
		return x.miss
	case l.tiers.Disk != nil && l.tiers.Disk.Off() && (m.Hit < m.Matched || m.Miss == kvcache.MissFirst):
		return kvcache.MissStoreOff
	}
	return ""
}
