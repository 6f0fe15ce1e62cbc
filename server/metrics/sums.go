package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"reprise/kvcache/ledger"
)

// sums are what the ledger's rows add up to, by purpose.
type sums struct{ ledger *ledger.Ledger }

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("reprise_"+name, help, labels, nil)
}

var (
	turnsDesc      = desc("turns_total", "Turns by how they ended.", "purpose", "finish_reason")
	auditedDesc    = desc("audited_turns_total", "Audits by what they found.", "result")
	hitDesc        = desc("hit_tokens_total", "Prompt tokens whose state was had, by the tier that it came from.", "purpose", "tier")
	missedTokens   = desc("missed_tokens_total", "Prompt tokens behind the hit, by why the first of them was none.", "purpose", "reason")
	missedTurns    = desc("missed_turns_total", "Turns by why the token behind the hit was none.", "purpose", "reason")
	restoredDesc   = desc("restored_bytes_total", "State brought back or copied.", "purpose")
	readDesc       = desc("read_bytes_total", "Blocks read, by tier.", "purpose", "tier")
	writtenDesc    = desc("written_bytes_total", "Blocks written, by tier.", "purpose", "tier")
	blocksDesc     = desc("read_blocks_total", "Blocks read, by tier.", "purpose", "tier")
	identityErrors = desc("identity_errors_total", "Rows that broke an identity of the ledger.")
	writeErrors    = desc("ledger_write_errors_total", "Rows that are not in the file.")
)

// tokens are the row's classes of tokens.
var tokens = []struct {
	desc  *prometheus.Desc
	count func(*ledger.TokenTotals) int64
}{
	{of("prompt", "Prompt tokens."), func(t *ledger.TokenTotals) int64 { return t.Prompt }},
	{of("lookup_requested", "Prompt tokens that were looked up."), func(t *ledger.TokenTotals) int64 { return t.LookupRequested }},
	{of("matched", "Prompt tokens in a known prefix, whether its state was still held or not."), func(t *ledger.TokenTotals) int64 { return t.Matched }},
	{of("recompute", "Matched tokens that were computed again."), func(t *ledger.TokenTotals) int64 { return t.Recompute }},
	{of("new", "Prompt tokens behind the known prefix."), func(t *ledger.TokenTotals) int64 { return t.New }},
	{of("displaced", "New tokens that were computed before at another place."), func(t *ledger.TokenTotals) int64 { return t.Displaced }},
	{of("paid_again", "Recompute and displaced tokens."), func(t *ledger.TokenTotals) int64 { return t.PaidAgain }},
	{of("prefill", "Prompt tokens that entered the model."), func(t *ledger.TokenTotals) int64 { return t.Prefill }},
	{of("unprefilled", "Prompt tokens that a turn ended before."), func(t *ledger.TokenTotals) int64 { return t.Unprefilled }},
	{of("spliced", "Tokens of echoed answers that were put back as generated."), func(t *ledger.TokenTotals) int64 { return t.Spliced }},
	{of("generated", "Tokens that were generated."), func(t *ledger.TokenTotals) int64 { return t.Generated }},
	{of("stored", "Tokens whose state was kept."), func(t *ledger.TokenTotals) int64 { return t.Stored }},
	{of("evicted", "Tokens whose state was given up."), func(t *ledger.TokenTotals) int64 { return t.Evicted }},
}

func of(class, help string) *prometheus.Desc { return desc(class+"_tokens_total", help, "purpose") }

// Describe implements prometheus.Collector: what there is depends on the rows.
func (s sums) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (s sums) Collect(to chan<- prometheus.Metric) {
	count := func(d *prometheus.Desc, n int64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	all := s.ledger.Totals()
	count(identityErrors, all.IdentityErrors)
	count(writeErrors, all.WriteErrors)
	for _, purpose := range []ledger.Purpose{ledger.PurposeTurn, ledger.PurposeAudit, ledger.PurposeWarmup} {
		p, name := all.Purposes[purpose], string(purpose)
		for _, c := range tokens {
			count(c.desc, c.count(&p.Tokens), name)
		}
		count(hitDesc, p.Tokens.L0Hit, name, "l0")
		count(hitDesc, p.Tokens.L1Hit, name, "l1")
		count(hitDesc, p.Tokens.L2Hit, name, "l2")
		count(blocksDesc, p.Tokens.L1Blocks, name, "l1")
		count(blocksDesc, p.Tokens.L2Blocks, name, "l2")
		count(restoredDesc, p.Bytes.Restored, name)
		count(readDesc, p.Bytes.L1Read, name, "l1")
		count(readDesc, p.Bytes.L2Read, name, "l2")
		count(writtenDesc, p.Bytes.L1Written, name, "l1")
		count(writtenDesc, p.Bytes.L2Written, name, "l2")
		for reason, n := range p.Finished {
			count(turnsDesc, n, name, string(reason))
		}
		for result, n := range p.Audited {
			if purpose == ledger.PurposeAudit {
				count(auditedDesc, n, string(result))
			}
		}
		for reason, m := range p.Misses {
			count(missedTokens, m.Tokens, name, string(reason))
			count(missedTurns, m.Turns, name, string(reason))
		}
	}
}
