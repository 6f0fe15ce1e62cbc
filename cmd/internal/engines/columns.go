package engines

import (
	"math"

	"reprise/kvcache/ledger"
)

// column is a field of the row and what fills it: the first of its sources that the server exposes.
type column struct {
	name  string
	field func(*ledger.Row) any // *ledger.Opt[int] or *ledger.Opt[float64]
	from  []source
}

func col(name string, field func(*ledger.Row) any, from ...source) column {
	return column{name, field, from}
}

// fill sets the field, and says by which counter; it leaves null what is not exposed.
func (c *column) fill(row *ledger.Row, o *observed) {
	n, name, ok := first(o, c.from)
	if !ok {
		return
	}
	switch f := c.field(row).(type) {
	case *ledger.Opt[int]:
		*f = ledger.Some(int(math.Round(n)))
	case *ledger.Opt[float64]:
		*f = ledger.Some(n)
	}
	row.Note(ledger.Counter(name), c.name)
}

// The fields that some engine fills.
func promptTokens(from ...source) column {
	return col("prompt_tokens", func(r *ledger.Row) any { return &r.PromptTokens }, from...)
}
func requestedTokens(from ...source) column {
	return col("lookup_requested_tokens", func(r *ledger.Row) any { return &r.LookupRequestedTokens }, from...)
}
func hitTokens(from ...source) column {
	return col("lookup_hit_tokens", func(r *ledger.Row) any { return &r.LookupHitTokens }, from...)
}
func lowerTokens(from ...source) column {
	return col("lower_hit_tokens", func(r *ledger.Row) any { return &r.LowerHitTokens }, from...)
}
func l0Tokens(from ...source) column {
	return col("l0_hit_tokens", func(r *ledger.Row) any { return &r.L0HitTokens }, from...)
}
func l1Tokens(from ...source) column {
	return col("l1_hit_tokens", func(r *ledger.Row) any { return &r.L1HitTokens }, from...)
}
func l2Tokens(from ...source) column {
	return col("l2_hit_tokens", func(r *ledger.Row) any { return &r.L2HitTokens }, from...)
}
func recomputeTokens(from ...source) column {
	return col("recompute_tokens", func(r *ledger.Row) any { return &r.RecomputeTokens }, from...)
}
func prefillTokens(from ...source) column {
	return col("prefill_tokens", func(r *ledger.Row) any { return &r.PrefillTokens }, from...)
}
func generatedTokens(from ...source) column {
	return col("generated_tokens", func(r *ledger.Row) any { return &r.GeneratedTokens }, from...)
}
func evictedTokens(from ...source) column {
	return col("evicted_tokens", func(r *ledger.Row) any { return &r.EvictedTokens }, from...)
}
func lookupMs(from ...source) column {
	return col("lookup_ms", func(r *ledger.Row) any { return &r.LookupMs }, from...)
}
func queueMs(from ...source) column {
	return col("queue_ms", func(r *ledger.Row) any { return &r.QueueMs }, from...)
}
func restoreMs(from ...source) column {
	return col("restore_ms", func(r *ledger.Row) any { return &r.RestoreMs }, from...)
}
func prefillMs(from ...source) column {
	return col("prefill_ms", func(r *ledger.Row) any { return &r.PrefillMs }, from...)
}
func decodeMs(from ...source) column {
	return col("decode_ms", func(r *ledger.Row) any { return &r.DecodeMs }, from...)
}
func pdTransferMs(from ...source) column {
	return col("pd_transfer_ms", func(r *ledger.Row) any { return &r.PDTransferMs }, from...)
}
