package loop

import (
	"fmt"

	"reprise/kvcache/ledger"
)

// The phases of a turn.
const (
	PhaseLoad     = "weights_load"
	PhaseAssembly = "prompt_assembly"
	PhasePrefill  = "prefill"
	PhaseDecode   = "decode"
	PhaseReuse    = "next_turn_reuse"
)

// phases sums the five phases up.
func (t *tally) phases(k Tokens) []Phase {
	ms := func(fields func(*ledger.Row) []ledger.Opt[float64]) *float64 { return times(t.records, fields) }
	tokens := func(s Sum) *int {
		if n, ok := s.Get(); ok && len(t.records) > 0 {
			return &n
		}
		return nil
	}
	var restored *int64
	for i := range t.records {
		if n, ok := t.records[i].Row.RestoreBytes.Get(); ok {
			if restored == nil {
				restored = new(int64)
			}
			*restored += n
		}
	}
	return []Phase{
		{PhaseLoad, ms(func(r *ledger.Row) []ledger.Opt[float64] { return []ledger.Opt[float64]{r.WeightsLoadMs} }), nil,
			largest(t.records, func(r *ledger.Row) ledger.Opt[int64] { return r.WeightsBytes }), "once; bytes of the weights as they are held"},
		{PhaseAssembly, ms(func(r *ledger.Row) []ledger.Opt[float64] { return []ledger.Opt[float64]{r.TemplateMs, r.TokenizeMs} }),
			tokens(k.Prompt), nil, "template and tokenizer"},
		{PhasePrefill, ms(func(r *ledger.Row) []ledger.Opt[float64] { return []ledger.Opt[float64]{r.PrefillMs} }),
			tokens(k.Prefill), largest(t.records, func(r *ledger.Row) ledger.Opt[int64] { return r.KVLiveBytes }), "tokens that were computed; bytes of the largest KV held"},
		{PhaseDecode, ms(func(r *ledger.Row) []ledger.Opt[float64] { return []ledger.Opt[float64]{r.DecodeMs} }),
			tokens(k.Generated), nil, "from the first token to the last"},
		{PhaseReuse, ms(func(r *ledger.Row) []ledger.Opt[float64] { return []ledger.Opt[float64]{r.LookupMs, r.RestoreMs} }),
			tokens(k.Hit), restored, "lookup and restore; tokens that were not computed again"},
	}
}

// enough is the share of the prompts below which what is paid again is not worth a mechanism.
const enough = 0.01

// potential says what could still be saved, and by what.
func (t *tally) potential(k Tokens) Potential {
	by := func(reasons ...ledger.MissReason) *float64 {
		return share(sumOf(t.records, func(r *Record) ledger.Opt[int] {
			for _, reason := range reasons {
				if r.Row.MissReason.Or("") == reason {
					return r.Row.RecomputeTokens
				}
			}
			if !r.Row.MissReason.Known() {
				return ledger.Opt[int]{}
			}
			return ledger.Some(0)
		}), k.Prompt)
	}
	p := Potential{
		LargerBudget: by(ledger.MissEvicted, ledger.MissBadBlock, ledger.MissTierTimeout, ledger.MissTierDown, ledger.MissStoreOff),
		Snapshots:    by(ledger.MissNoSnapshot),
		Reuse:        by(ledger.MissReuseOff),
		NonPrefix:    share(k.Displaced, k.Prompt),
	}
	p.Verdict = p.verdict()
	return p
}

func (p *Potential) verdict() string {
	if p.LargerBudget == nil && p.NonPrefix == nil {
		return "not known: the rows do not say why tokens were computed"
	}
	var text string
	for _, x := range []struct {
		part *float64
		what string
	}{
		{p.Reuse, "turning reuse on"}, {p.LargerBudget, "a larger budget or a lower tier"},
		{p.Snapshots, "snapshots at more offsets"}, {p.NonPrefix, "reuse of text that moved"},
	} {
		switch {
		case x.part == nil:
			text += fmt.Sprintf("; what %s could save was not measured", x.what)
		case *x.part >= enough:
			text += fmt.Sprintf("; %s could save %.1f %% of the prompt tokens", x.what, 100**x.part)
		}
	}
	if text == "" {
		return "prefix reuse is enough: less than 1 % of the prompt tokens is paid for again for any one reason"
	}
	return text[2:]
}
