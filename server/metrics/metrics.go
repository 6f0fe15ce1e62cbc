package metrics

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"reprise/kvcache/ledger"
	"reprise/server/engine"
)

// Source is what is printed; *engine.Engine is one.
type Source interface {
	Ledger() *ledger.Ledger
	Waiting() int
	CacheStats() engine.CacheStats
	TierStats() engine.TierStats
	MemoryStats() engine.MemoryStats
}

// Handler answers GET /metrics. It watches the source's ledger from now on: make it before the first turn.
func Handler(from Source) http.Handler {
	r := prometheus.NewRegistry()
	t := newTimes()
	r.MustRegister(sums{from.Ledger()}, &holdings{from: from}, t)
	from.Ledger().Watch(t.observe)
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{})
}

// times are histograms of the clients' turns.
type times struct {
	of    []timed
	sizes prometheus.Histogram
}

type timed struct {
	prometheus.Histogram
	value func(*ledger.Row) ledger.Opt[float64] // milliseconds
}

func newTimes() *times {
	// From a hit in memory to a cold prefill of a long prompt.
	long := []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300}
	short := []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10}
	t := &times{sizes: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "reprise_prompt_tokens", Help: "Length of prompts.",
		Buckets: prometheus.ExponentialBuckets(64, 2, 12)})}
	for _, h := range []struct {
		name, help string
		buckets    []float64
		value      func(*ledger.Row) ledger.Opt[float64]
	}{
		{"ttft", "From the request's arrival to its first token.", long, func(r *ledger.Row) ledger.Opt[float64] { return r.TTFTMs }},
		{"queue", "Waiting for a place.", long, func(r *ledger.Row) ledger.Opt[float64] { return r.QueueMs }},
		{"prefill", "Computing what of the prompt was not restored.", long, func(r *ledger.Row) ledger.Opt[float64] { return r.PrefillMs }},
		{"decode", "From the first token to the last.", long, func(r *ledger.Row) ledger.Opt[float64] { return r.DecodeMs }},
		{"inter_token_p50", "A turn's median time between two tokens.", short, func(r *ledger.Row) ledger.Opt[float64] { return r.ITLP50Ms }},
		{"inter_token_p95", "A turn's 95th percentile of the time between two tokens.", short, func(r *ledger.Row) ledger.Opt[float64] { return r.ITLP95Ms }},
		{"lookup", "Finding what serves a prompt.", short, func(r *ledger.Row) ledger.Opt[float64] { return r.LookupMs }},
		{"restore", "Bringing state to the point of the hit.", short, func(r *ledger.Row) ledger.Opt[float64] { return r.RestoreMs }},
		{"l1_load", "Reading blocks from the local disk.", short, func(r *ledger.Row) ledger.Opt[float64] { return r.L1LoadMs }},
		{"l1_store", "Writing blocks to the local disk, behind the turns.", short, func(r *ledger.Row) ledger.Opt[float64] { return r.L1StoreMs }},
		{"l2_store", "Sending blocks to the shared store, behind the turns.", short, func(r *ledger.Row) ledger.Opt[float64] { return r.L2StoreMs }},
		{"l2_transfer", "Fetching blocks from the shared store.", short, func(r *ledger.Row) ledger.Opt[float64] { return r.L2TransferMs }},
		{"pd_transfer", "Storing a prefill that another process answers from.", short, func(r *ledger.Row) ledger.Opt[float64] { return r.PDTransferMs }},
	} {
		t.of = append(t.of, timed{prometheus.NewHistogram(prometheus.HistogramOpts{Name: "reprise_" + h.name + "_seconds", Help: h.help, Buckets: h.buckets}), h.value})
	}
	return t
}

// observe takes a row. Audits and warm-ups are nobody's wait.
func (t *times) observe(r *ledger.Row) {
	if r.Purpose != ledger.PurposeTurn {
		return
	}
	if n, ok := r.PromptTokens.Get(); ok {
		t.sizes.Observe(float64(n))
	}
	for _, h := range t.of {
		if ms, ok := h.value(r).Get(); ok {
			h.Observe((time.Duration(ms * float64(time.Millisecond))).Seconds())
		}
	}
}

// Describe implements prometheus.Collector.
func (t *times) Describe(to chan<- *prometheus.Desc) { prometheus.DescribeByCollect(t, to) }

// Collect implements prometheus.Collector.
func (t *times) Collect(to chan<- prometheus.Metric) {
	t.sizes.Collect(to)
	for _, h := range t.of {
		h.Collect(to)
	}
}
