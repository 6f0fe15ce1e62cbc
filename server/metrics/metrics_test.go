package metrics_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"reprise/kvcache/ledger"
	"reprise/server/api/wire/wiretest"
	"reprise/server/engine"
	"reprise/server/metrics"
)

// scrape reads what the handler prints, with Prometheus's own parser.
func scrape(t *testing.T, h http.Handler) map[string]*dto.MetricFamily {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	p := expfmt.NewTextParser(model.LegacyValidation)
	families, err := p.TextToMetricFamilies(strings.NewReader(w.Body.String()))
	if err != nil {
		t.Fatalf("%v in\n%s", err, w.Body)
	}
	return families
}

// value is the sum of a family's samples whose labels are all among want.
func value(f *dto.MetricFamily, want ...string) (sum float64) {
	for _, m := range f.GetMetric() {
		labels := map[string]string{}
		for _, l := range m.GetLabel() {
			labels[l.GetName()] = l.GetValue()
		}
		ok := true
		for i := 0; i+1 < len(want); i += 2 {
			ok = ok && labels[want[i]] == want[i+1]
		}
		if ok {
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + m.GetHistogram().GetSampleSum()
		}
	}
	return sum
}

// What is printed is what the rows add up to, by purpose, tier and reason; histograms are of the clients' turns alone.
func TestSumsAreTheRows(t *testing.T) {
	e := wiretest.New(nil)
	h := metrics.Handler(e)
	rows := []ledger.Row{}
	for i, purpose := range []ledger.Purpose{ledger.PurposeTurn, ledger.PurposeTurn, ledger.PurposeAudit} {
		row := e.Finish(engine.Request{TurnID: "turn_x", Purpose: purpose}, "x", 3+i).Row
		row.TTFTMs, row.FootprintBytes = ledger.Some(250.0*float64(i+1)), ledger.Some(int64(1000+i))
		rows = append(rows, e.Ledger().Record(row)) // a second time, with times
	}
	got := scrape(t, h)
	for name, want := range map[string]float64{
		"reprise_prompt_tokens_total": 40, "reprise_matched_tokens_total": 20, "reprise_recompute_tokens_total": 4,
		"reprise_new_tokens_total": 20, "reprise_prefill_tokens_total": 24, "reprise_generated_tokens_total": 14,
	} {
		if v := value(got[name], "purpose", "turn"); v != want {
			t.Errorf("%s is %v, want %v", name, v, want)
		}
	}
	if v := value(got["reprise_prompt_tokens_total"], "purpose", "audit"); v != 20 {
		t.Errorf("audits' prompts are %v, want 20", v)
	}
	if v := value(got["reprise_hit_tokens_total"], "purpose", "turn", "tier", "l0"); v != 16 {
		t.Errorf("hits in l0 are %v, want 16", v)
	}
	if v := value(got["reprise_missed_tokens_total"], "purpose", "turn", "reason", string(ledger.MissNoSnapshot)); v != 24 {
		t.Errorf("missed for want of a snapshot are %v, want 24", v)
	}
	if v := value(got["reprise_turns_total"], "purpose", "turn", "finish_reason", "stop"); v != 4 {
		t.Errorf("turns are %v, want 4", v)
	}
	if v := value(got["reprise_ttft_seconds"]); v != 0.75 {
		t.Errorf("times to the first token add up to %v s, want 0.75", v)
	}
	if v, want := value(got["reprise_footprint_bytes"]), rows[2].FootprintBytes.Or(0); v != float64(want) {
		t.Errorf("the footprint is %v, want the newest row's %d", v, want)
	}
	if _, there := got["reprise_mlx_active_bytes"]; there {
		t.Error("a value that no row has is printed")
	}
}

// What was done to keep the memory, and the tiers' counters, with their times: bytes by seconds is the throughput.
func TestAdmissionAndTiers(t *testing.T) {
	e := wiretest.New(nil)
	h := metrics.Handler(e)
	row := e.Finish(engine.Request{TurnID: "turn_x"}, "x", 3).Row
	row.L1StoreMs, row.L2StoreMs, row.PDTransferMs = ledger.Some(500.0), ledger.Some(1500.0), ledger.Some(250.0)
	e.Ledger().Record(row)
	got := scrape(t, h)
	for _, c := range []struct {
		name   string
		labels []string
		want   float64
	}{
		{"reprise_memory_limit_bytes", nil, 4e9}, {"reprise_memory_room_bytes", nil, 2e9},
		{"reprise_admission_waited_turns_total", nil, 8}, {"reprise_admission_refused_turns_total", []string{"fits", "later"}, 3},
		{"reprise_admission_refused_turns_total", []string{"fits", "never"}, 2}, {"reprise_admission_cut_answers_total", nil, 1},
		{"reprise_admission_yielded_bytes_total", nil, 9e6}, {"reprise_pressure_events_total", nil, 4}, {"reprise_pressure_evicted_tokens_total", nil, 1234},
		{"reprise_disk_bytes", nil, 3e6}, {"reprise_disk_written_today_bytes", nil, 4e6}, {"reprise_disk_daily_write_budget_bytes", nil, 50e9},
		{"reprise_tier_off", []string{"tier", "l1"}, 0}, {"reprise_tier_off", []string{"tier", "l2"}, 1},
		{"reprise_tier_stored_blocks_total", []string{"tier", "l1"}, 3}, {"reprise_tier_stored_bytes_total", []string{"tier", "l1"}, 4e6},
		{"reprise_tier_store_seconds_total", []string{"tier", "l1"}, 0.008}, {"reprise_tier_loaded_blocks_total", []string{"tier", "l2"}, 1},
		{"reprise_tier_loaded_bytes_total", []string{"tier", "l2"}, 2e6}, {"reprise_tier_load_seconds_total", []string{"tier", "l2"}, 0.004},
		{"reprise_l1_store_seconds", nil, 0.5}, {"reprise_l2_store_seconds", nil, 1.5}, {"reprise_pd_transfer_seconds", nil, 0.25},
		{"reprise_shared_store_bytes", nil, 8e6},
	} {
		if v := value(got[c.name], c.labels...); v != c.want {
			t.Errorf("%s %v is %v, want %v", c.name, c.labels, v, c.want)
		}
	}
}
