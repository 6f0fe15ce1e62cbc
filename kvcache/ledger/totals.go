package ledger

import "sync"

// Totals is what rows add up to since the process began. Null fields add nothing.
type Totals struct {
	Purposes       map[Purpose]PurposeTotals
	IdentityErrors int64 // rows that broke an identity
	WriteErrors    int64 // rows that are not in the file
}

// PurposeTotals is what the rows of one purpose add up to: an audit is nobody's prefill.
type PurposeTotals struct {
	Turns    int64
	Finished map[FinishReason]int64
	Audited  map[Audit]int64
	Tokens   TokenTotals
	Misses   map[MissReason]Misses
	Bytes    TierBytes
}

// TokenTotals sums the token classes of the row, in the row's words.
type TokenTotals struct {
	Prompt, Matched, Hit       int64
	L0Hit, L1Hit, L2Hit        int64 // Hit, by tier
	Recompute, New             int64
	Displaced, PaidAgain       int64
	Prefill, Unprefilled       int64
	Spliced, Generated         int64
	Stored, Evicted            int64
	L1Blocks, L2Blocks         int64 // blocks, not tokens
	PromptEst, LookupRequested int64
}

// Misses is what one reason cost.
type Misses struct {
	Turns  int64
	Tokens int64 // prompt − hit
}

// TierBytes sums what was moved to and from the tiers.
type TierBytes struct {
	Restored, L1Read, L2Read, L1Written, L2Written int64
}

// counters adds rows up. It is safe for concurrent use.
type counters struct {
	mu     sync.Mutex
	totals Totals
}

// add counts a sealed row.
func (c *counters) add(r *Row) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.IdentityError.Known() {
		c.totals.IdentityErrors++
	}
	if c.totals.Purposes == nil {
		c.totals.Purposes = make(map[Purpose]PurposeTotals)
	}
	t := c.totals.Purposes[r.Purpose]
	t.add(r)
	c.totals.Purposes[r.Purpose] = t
}

func (c *counters) writeFailed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.totals.WriteErrors++
}

// snapshot returns totals that nobody changes any more.
func (c *counters) snapshot() Totals {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.totals
	s.Purposes = make(map[Purpose]PurposeTotals, len(c.totals.Purposes))
	for p, t := range c.totals.Purposes {
		t.Finished, t.Audited, t.Misses = copied(t.Finished), copied(t.Audited), copied(t.Misses)
		s.Purposes[p] = t
	}
	return s
}

// copied never returns nil, so that printers need not ask.
func copied[K comparable, V any](m map[K]V) map[K]V {
	out := make(map[K]V, len(m))
	for k, v := range m {
		out[k] = v
	}
	return out
}

func (t *PurposeTotals) add(r *Row) {
	if t.Finished == nil {
		t.Finished = make(map[FinishReason]int64)
		t.Audited = make(map[Audit]int64)
		t.Misses = make(map[MissReason]Misses)
	}
	t.Turns++
	if f, ok := r.FinishReason.Get(); ok {
		t.Finished[f]++
	}
	if a, ok := r.Audit.Get(); ok {
		t.Audited[a]++
	}
	if reason, ok := r.MissReason.Get(); ok {
		m := t.Misses[reason]
		m.Turns++
		m.Tokens += int64(r.PromptTokens.Or(0) - r.LookupHitTokens.Or(0))
		t.Misses[reason] = m
	}
	t.Tokens.add(r)
	t.Bytes.add(r)
}

func (t *TokenTotals) add(r *Row) {
	for _, f := range []struct {
		to *int64
		n  Opt[int]
	}{
		{&t.Prompt, r.PromptTokens}, {&t.PromptEst, r.PromptTokensEst},
		{&t.LookupRequested, r.LookupRequestedTokens}, {&t.Matched, r.MatchedTokens}, {&t.Hit, r.LookupHitTokens},
		{&t.L0Hit, r.L0HitTokens}, {&t.L1Hit, r.L1HitTokens}, {&t.L2Hit, r.L2HitTokens},
		{&t.Recompute, r.RecomputeTokens}, {&t.New, r.NewTokens},
		{&t.Displaced, r.DisplacedTokens}, {&t.PaidAgain, r.PaidAgainTokens},
		{&t.Prefill, r.PrefillTokens}, {&t.Unprefilled, r.UnprefilledTokens},
		{&t.Spliced, r.SplicedTokens}, {&t.Generated, r.GeneratedTokens},
		{&t.Stored, r.StoredTokens}, {&t.Evicted, r.EvictedTokens},
		{&t.L1Blocks, r.L1Blocks}, {&t.L2Blocks, r.L2Blocks},
	} {
		*f.to += int64(f.n.Or(0))
	}
}

func (t *TierBytes) add(r *Row) {
	t.Restored += r.RestoreBytes.Or(0)
	t.L1Read += r.L1ReadBytes.Or(0)
	t.L2Read += r.L2ReadBytes.Or(0)
	t.L1Written += r.L1WriteBytes.Or(0)
	t.L2Written += r.L2WriteBytes.Or(0)
}
