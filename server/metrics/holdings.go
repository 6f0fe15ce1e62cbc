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

	limitDesc    = desc("memory_limit_bytes", "The most that the process may take, or, of a GPU with memory of its own, that MLX may hold there.")
	roomDesc     = desc("memory_room_bytes", "What a turn could take now.")
	waitedDesc   = desc("admission_waited_turns_total", "Turns that waited for memory.")
	refusedDesc  = desc("admission_refused_turns_total", "Turns that memory refused: later, they may fit another time; never, they are too large.", "fits")
	cutDesc      = desc("admission_cut_answers_total", "Answers that ended where memory did.")
	yieldedDesc  = desc("admission_yielded_bytes_total", "State that the cache gave up so that a turn could run; its tokens are on the turns' rows.")
	pressedDesc  = desc("pressure_events_total", "Times that the cache's budget shrank because the host ran short of memory.")
	pressureDesc = desc("pressure_evicted_tokens_total", "Tokens whose state went then: they are on no row.")

	diskDesc  = desc("disk_bytes", "Blocks on the local disk.")
	todayDesc = desc("disk_written_today_bytes", "What all processes wrote today into its folder.")
	dailyDesc = desc("disk_daily_write_budget_bytes", "What may be written in a day.")
	storeDesc = desc("shared_store_bytes", "What the whole shared store held, others' data too, when it was last asked.")
	offDesc   = desc("tier_off", "1 while a tier is left alone after a failure.", "tier")

	storedDesc      = desc("tier_stored_blocks_total", "Blocks stored, by tier.", "tier")
	loadedDesc      = desc("tier_loaded_blocks_total", "Blocks loaded, by tier.", "tier")
	storeTimeDesc   = desc("tier_store_seconds_total", "Time spent storing, by tier: with the bytes it gives the throughput.", "tier")
	loadTimeDesc    = desc("tier_load_seconds_total", "Time spent loading, by tier.", "tier")
	storedBytesDesc = desc("tier_stored_bytes_total", "Bytes stored, by tier.", "tier")
	loadedBytesDesc = desc("tier_loaded_bytes_total", "Bytes loaded, by tier.", "tier")
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
	h.admission(to)
	h.tiers(to)
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

// admission is what was done to keep the memory.
func (h *holdings) admission(to chan<- prometheus.Metric) {
	m := h.from.MemoryStats()
	to <- prometheus.MustNewConstMetric(limitDesc, prometheus.GaugeValue, float64(m.Limit))
	to <- prometheus.MustNewConstMetric(roomDesc, prometheus.GaugeValue, float64(m.Room))
	count := func(d *prometheus.Desc, n int64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	count(waitedDesc, m.Waited)
	count(refusedDesc, m.RefusedLater, "later")
	count(refusedDesc, m.RefusedNever, "never")
	count(cutDesc, m.Cut)
	count(yieldedDesc, m.Yielded)
	count(pressedDesc, m.Pressed)
	count(pressureDesc, m.PressEvicted)
}

// tiers are the counters of those that there are.
func (h *holdings) tiers(to chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, n float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, n, labels...)
	}
	tier := func(name string, off bool, stored, loaded, storedBytes, loadedBytes int64, storeMs, loadMs float64) {
		down := 0.0
		if off {
			down = 1
		}
		gauge(offDesc, down, name)
		for d, n := range map[*prometheus.Desc]float64{storedDesc: float64(stored), loadedDesc: float64(loaded), storedBytesDesc: float64(storedBytes),
			loadedBytesDesc: float64(loadedBytes), storeTimeDesc: storeMs / 1e3, loadTimeDesc: loadMs / 1e3} {
			to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, n, name)
		}
	}
	s := h.from.TierStats()
	if d := s.L1; d != nil {
		tier("l1", d.Off, d.Stores, d.Loads, d.WriteBytes, d.ReadBytes, d.StoreMs, d.LoadMs)
		gauge(diskDesc, float64(d.Bytes))
		gauge(todayDesc, float64(d.WrittenToday))
		gauge(dailyDesc, float64(d.Daily))
	}
	if r := s.L2; r != nil {
		tier("l2", r.Off, r.Stores, r.Loads, r.WriteBytes, r.ReadBytes, r.StoreMs, r.LoadMs)
		if r.StoreBytes > 0 {
			gauge(storeDesc, float64(r.StoreBytes))
		}
	}
}
