package report

import (
	"fmt"

	"reprise/cmd/internal/console"
)

// Field is a figure of a whole run, nil where it was not measured.
type Field struct {
	Name   string // as in turns.csv or summary.json
	Title  string
	Of     func(*Run) *float64
	From   []string // fields of a row that it is made of
	format func(float64) string
}

// Text is a value as people read it.
func (f *Field) Text(v float64) string { return f.format(v) }

// Fields are the figures by which runs are compared.
var Fields = []Field{
	summed("prompt_tokens", "tokens in prompts", func(t *Turn) *float64 { return t.Prompt }),
	summed("lookup_hit_tokens", "reused", func(t *Turn) *float64 { return t.Hit }),
	{"hit_share", "reused, of all prompt tokens", func(r *Run) *float64 { return ratio(r, hits, prompts) }, []string{"lookup_hit_tokens", "prompt_tokens"}, percent},
	{"hit_of_ceiling", "reused, of the ceiling", func(r *Run) *float64 { return ratio(r, hits, ceiling) }, []string{"lookup_hit_tokens"}, percent},
	summed("l0_hit_tokens", "from memory (L0)", func(t *Turn) *float64 { return t.L0 }),
	summed("l1_hit_tokens", "from disk (L1)", func(t *Turn) *float64 { return t.L1 }),
	summed("l2_hit_tokens", "from the shared store (L2)", func(t *Turn) *float64 { return t.L2 }),
	summed("recompute_tokens", "recomputed", func(t *Turn) *float64 { return t.Recompute }),
	summed("displaced_tokens", "moved", func(t *Turn) *float64 { return t.Displaced }),
	summed("paid_again_tokens", "paid for again", func(t *Turn) *float64 { return t.PaidAgain }),
	summed("new_tokens", "new (moved ones among them)", func(t *Turn) *float64 { return t.New }),
	summed("prefill_tokens", "computed", func(t *Turn) *float64 { return t.Prefill }),
	{"ttft_warm_ms", "first token, warm, median", func(r *Run) *float64 { return median(r.Turns, warm) }, []string{"ttft_ms"}, console.Millis},
	{"ttft_cold_ms", "first token, cold, median", func(r *Run) *float64 { return median(r.Turns, cold) }, []string{"ttft_ms"}, console.Millis},
	{"ttft_ms", "first token, median of all turns", func(r *Run) *float64 { return median(r.Turns, ttft) }, []string{"ttft_ms"}, console.Millis},
	{"prefill_tps", "prefill, tokens/s, median", func(r *Run) *float64 { return median(r.Turns, prefillTPS) }, []string{"prefill_tps"}, console.Rate},
	{"decode_tps", "decode, tokens/s, median", func(r *Run) *float64 { return median(r.Turns, decodeTPS) }, []string{"decode_tps"}, console.Rate},
	{"pd_transfer_ms", "handed over, median", func(r *Run) *float64 { return median(r.Turns, func(t *Turn) *float64 { return t.Transfer }) }, []string{"pd_transfer_ms"}, console.Millis},
	{"l2_transfer_ms", "fetched from L2, median", func(r *Run) *float64 { return median(r.Turns, func(t *Turn) *float64 { return t.L2Transfer }) }, []string{"l2_transfer_ms"}, console.Millis},
	{"mlx_peak_bytes", "MLX peak", func(r *Run) *float64 { return most(r.Turns, mlxPeak) }, []string{"mlx_peak_bytes"}, bytesText},
	{"footprint_peak_bytes", "process footprint, peak", func(r *Run) *float64 { return most(r.Turns, footprint) }, []string{"footprint_peak_bytes"}, bytesText},
}

func hits(t *Turn) *float64    { return t.Hit }
func prompts(t *Turn) *float64 { return t.Prompt }

func summed(name, title string, value func(*Turn) *float64) Field {
	return Field{name, title, func(r *Run) *float64 { return sum(r.Turns, value) }, []string{name}, countText}
}

// ratio of two sums, nil unless both are known.
func ratio(r *Run, part, whole func(*Turn) *float64) *float64 {
	p, w := sum(r.Turns, part), sum(r.Turns, whole)
	if p == nil || w == nil || *w == 0 {
		return nil
	}
	x := *p / *w
	return &x
}

func percent(v float64) string { return fmt.Sprintf("%.2f %%", 100*v) }
