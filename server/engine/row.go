package engine

import (
	"context"
	"errors"
	"slices"
	"time"

	"reprise/kvcache/ledger"
	"reprise/kvcache/ledger/footprint"
	"reprise/mlx"
	"reprise/server/prompt"
)

// finish fills the row with what was counted and measured, and records it.
func (t *turn) finish(err error) (*Result, error) {
	peak, peakErr := t.window.Close()
	t.engine.close(t)
	t.row.FinishReason = ledger.Some(t.finishReason(err))
	t.tokens()
	t.speeds()
	t.memory(peak, peakErr)
	if t.row.SessionID == "" {
		t.row.SessionID = newSession() // refused or failed before a plan was made
	}
	t.result.Row = t.engine.ledger.Record(t.row)
	t.result.Finish, _ = t.row.FinishReason.Get()
	if t.result.Row.IdentityError.Known() {
		t.engine.opts.Logger.Error("ledger identity broken", "turn", t.row.TurnID, "error", t.result.Row.IdentityError.Or(""))
	}
	t.engine.audits.take(t.audit)
	return &t.result, err
}

func (t *turn) finishReason(err error) ledger.FinishReason {
	var refused *RequestError
	var memory *MemoryError
	switch {
	case err == nil:
		return t.result.Finish
	case errors.As(err, &refused), errors.As(err, &memory):
		return ledger.FinishRefused
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return ledger.FinishCancelled
	default:
		return ledger.FinishError
	}
}

// tokens are the counts of the prompt, from the lookup and from where the ids entered the model.
func (t *turn) tokens() {
	r, some := &t.row, ledger.Some[int]
	r.GeneratedTokens = some(len(t.result.IDs))
	if t.prompt == nil {
		return
	}
	n := len(t.prompt.IDs)
	r.PromptTokens = some(n)
	r.PromptTokensEst = some(t.prompt.Characters / 4)
	r.Note(ledger.Estimated, "prompt_tokens_est")
	r.PromptSHA256 = ledger.Some(t.prompt.SHA256)
	r.TemplateMs, r.TokenizeMs = ledger.Ms(t.prompt.TemplateTime), ledger.Ms(t.prompt.TokenizeTime)
	r.SplicedTokens = some(t.prompt.Spliced)
	if t.match == nil {
		return // no lookup was made
	}
	m := t.match
	r.SessionID = m.Session
	if m.Parent != "" {
		r.ParentTurnID = ledger.Some(m.Parent)
	}
	r.LookupRequestedTokens = some(m.Requested)
	r.MatchedTokens = some(m.Matched)
	t.lowerTiers()
	r.RecomputeTokens = some(m.Matched - m.Hit)
	r.NewTokens = some(n - m.Matched)
	r.DisplacedTokens, r.PaidAgainTokens = some(m.Displaced), some(m.Matched-m.Hit+m.Displaced)
	r.PrefillTokens = some(t.prefilled)
	r.UnprefilledTokens = some(n - t.reached)
	r.LimitedBy = ledger.Some(ledger.LimitedBy(m.LimitedBy))
	r.MissReason = ledger.Some(ledger.MissReason(m.Miss))
	r.MatchedPath = m.Path
	if t.short {
		r.LimitedBy = ledger.Some(ledger.LimitMemory)
	}
	if t.plan != nil {
		r.RestoreBytes = ledger.Some(t.plan.Copied())
		r.BatchWidth = some(1)
	}
	t.diverged()
}

// leadTokens is how much of the common text stands before a divergence.
const leadTokens = 16

// diverged says where and in what the prompt left what was known, and keeps both texts for Why.
func (t *turn) diverged() {
	m := t.match
	if m.DivergedAt < 0 {
		return
	}
	t.row.DivergedAt = ledger.Some(m.DivergedAt)
	why := Why{TurnID: t.row.TurnID, At: m.DivergedAt, MissReason: ledger.MissReason(m.Miss)}
	if other, ok := t.engine.kept.parted(m.Parent, t.prompt.IDs, m.DivergedAt); ok {
		d := prompt.Diverge(t.model.Tokenizer, other.Side, t.prompt.Side(), m.DivergedAt)
		why.Other, why.In, why.Old, why.New = other.turn, d.In, d.Old, d.New
	} else {
		rest := t.prompt.IDs[m.DivergedAt:]
		why.Old = t.model.Tokenizer.Decode(m.Instead, false)
		why.New = t.model.Tokenizer.Decode(rest[:min(len(rest), len(m.Instead))], false)
	}
	lead := t.model.Tokenizer.Decode(t.prompt.IDs[max(0, m.DivergedAt-leadTokens):m.DivergedAt], false)
	why.Old, why.New = lead+why.Old, lead+why.New
	if why.In != "" {
		t.row.DivergedIn = ledger.Some(why.In)
	}
	t.engine.kept.explain(why)
}

// speeds are the times of the phases.
func (t *turn) speeds() {
	r := &t.row
	if t.model.reported.CompareAndSwap(false, true) {
		r.WeightsLoadMs = ledger.Ms(t.model.LoadTime)
	}
	if ms, ok := r.PrefillMs.Get(); ok && ms > 0 && t.prefilled > 0 {
		r.PrefillTPS = ledger.Some(float64(t.prefilled) / ms * 1e3)
	}
	n := len(t.times)
	if n == 0 {
		return
	}
	r.TTFTMs = ledger.Ms(t.times[0].Sub(t.started))
	if n < 2 {
		return
	}
	span := t.times[n-1].Sub(t.times[0])
	r.DecodeMs = ledger.Ms(span)
	r.DecodeTPS = ledger.Some(float64(n-1) / span.Seconds())
	gaps := make([]time.Duration, n-1)
	for i := range gaps {
		gaps[i] = t.times[i+1].Sub(t.times[i])
	}
	slices.Sort(gaps)
	r.ITLP50Ms = ledger.Ms(gaps[(len(gaps)-1)/2])
	r.ITLP95Ms = ledger.Ms(gaps[(len(gaps)-1)*95/100])
}

// memory reads both accounts: MLX's, and the process's as the system keeps it.
func (t *turn) memory(peak footprint.Peak, peakErr error) {
	r, some := &t.row, ledger.Some[int64]
	m := mlx.ReadMemory()
	r.MLXActiveBytes, r.MLXCacheBytes, r.MLXPeakBytes = some(m.Active), some(m.Cache), some(t.usage.mlxPeak)
	r.WeightsBytes = some(t.model.Info().Bytes)
	r.ConcurrentTurns = ledger.Some(t.usage.concurrent)
	if peakErr == nil {
		r.FootprintPeakBytes = some(peak.Bytes)
		if peak.Evidence != footprint.Measured {
			r.Note(ledger.Evidence(peak.Evidence), "footprint_peak_bytes")
		}
	}
	if now, err := t.engine.watch.Read(); err == nil {
		r.FootprintBytes, r.FootprintLifetimePeakBytes = some(now.Bytes), some(now.LifetimePeakBytes)
	}
	if host, err := footprint.ReadHost(); err == nil {
		r.HostAvailableBytes, r.SwapUsedBytes = some(host.AvailableBytes), some(host.SwapUsedBytes)
	}
}

// usage is what the engine notes of a turn while it is open.
type usage struct {
	mlxPeak    int64
	concurrent int
}

// open adds a turn to the open ones. MLX has one peak for the process: it is read into every open turn before it
// is reset for the new one.
func (e *Engine) open(t *turn) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.newPeak()
	e.turns = append(e.turns, t)
	for _, x := range e.turns {
		x.usage.concurrent = max(x.usage.concurrent, len(e.turns))
	}
}

func (e *Engine) openTurns() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.turns)
}

func (e *Engine) close(t *turn) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.readPeak()
	e.turns = slices.DeleteFunc(e.turns, func(x *turn) bool { return x == t })
}

// newPeak begins a new peak. e.mu is held.
func (e *Engine) newPeak() {
	e.readPeak()
	mlx.ResetPeak()
	e.peaks++
}

// beginPeak begins a new peak for a call, and says which.
func (e *Engine) beginPeak() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.newPeak()
	return e.peaks
}

// peakSince is the peak, and whether it is still the one that was begun.
func (e *Engine) peakSince(begun int) (bytes int64, same bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return mlx.ReadMemory().Peak, e.peaks == begun
}

func (e *Engine) readPeak() {
	peak := mlx.ReadMemory().Peak
	for _, x := range e.turns {
		x.usage.mlxPeak = max(x.usage.mlxPeak, peak)
	}
}
