package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"reprise/kvcache/ledger"
)

// holdings are what the process has now.
type holdings struct{ from Source }

var (
	waitingDesc = desc("waiting_turns", "Turns in the queue.")
	budgetDesc  = desc("cache_budget_bytes", "What the states in memory may take.")
	heldDesc    = desc("cache_bytes", "What the states in memory take, by kind.", "kind")
	ghostsDesc  = desc("cache_ghost_tokens", "Known tokens for which no state is held.")
	treeDesc    = desc("cache_tokens", "Known tokens.")
)

// memory is what the newest row says of the process and the machine.
var memory = []struct {
	desc  *prometheus.Desc
	value func(*ledger.Row) ledger.Opt[int64]
}{
	{desc("weights_bytes", "The model's weights."), func(r *ledger.Row) ledger.Opt[int64] { return r.WeightsBytes }},
	{desc("mlx_active_bytes", "What MLX's arrays took when the newest turn ended."), func(r *ledger.Row) ledger.Opt[int64] { return r.MLXActiveBytes }},
	{desc("mlx_peak_bytes", "The most that MLX's arrays took while the newest turn was open."), func(r *ledger.Row) ledger.Opt[int64] { return r.MLXPeakBytes }},
	{desc("mlx_cache_bytes", "What MLX held to give out again."), func(r *ledger.Row) ledger.Opt[int64] { return r.MLXCacheBytes }},
	{desc("footprint_bytes", "The process's memory, as the system counts it."), func(r *ledger.Row) ledger.Opt[int64] { return r.FootprintBytes }},
	{desc("footprint_peak_bytes", "The most of it while the newest turn was open."), func(r *ledger.Row) ledger.Opt[int64] { return r.FootprintPeakBytes }},
	{desc("host_available_bytes", "Memory that the system could give out."), func(r *ledger.Row) ledger.Opt[int64] { return r.HostAvailableBytes }},
	{desc("host_swap_used_bytes", "Memory that the system has swapped out."), func(r *ledger.Row) ledger.Opt[int64] { return r.SwapUsedBytes }},
}

// Describe implements prometheus.Collector.
func (h *holdings) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector. What is not known is left out.
func (h *holdings) Collect(to chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, n int64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(n), labels...)
	}
	c := h.from.CacheStats()
	gauge(waitingDesc, int64(h.from.Waiting()))
	gauge(budgetDesc, c.Budget)
	gauge(heldDesc, c.LiveBytes, "state")
	gauge(heldDesc, c.PieceBytes, "piece")
	gauge(heldDesc, c.SnapBytes, "snapshot")
	gauge(ghostsDesc, int64(c.GhostTokens))
	gauge(treeDesc, int64(c.Tokens))
	rows := h.from.Ledger().Recent().Rows()
	if len(rows) == 0 {
		return
	}
	for _, m := range memory {
		if n, ok := m.value(&rows[len(rows)-1]).Get(); ok {
			gauge(m.desc, n)
		}
	}
}
