package speed

import (
	"context"
	"slices"
	"strings"
	"testing"

	"reprise/kvcache/ledger"
	"reprise/server/engine"
)

// clockwork answers with times from a list, and remembers the lengths asked.
type clockwork struct {
	ttft    []float64 // one for each turn
	lengths []int
	cleared int
	reused  int
	t       *testing.T
}

func (c *clockwork) ClearCache(context.Context) error { c.cleared++; return nil }

func (c *clockwork) Turn(_ context.Context, req engine.Request, _ func(engine.Event) error) (*engine.Result, error) {
	if !req.NoReuse || req.MaxTokens != 8 || req.Temperature != 0 {
		c.t.Errorf("asked with reuse %v, %d tokens, temperature %v", !req.NoReuse, req.MaxTokens, req.Temperature)
	}
	ms := c.ttft[len(c.lengths)]
	c.lengths = append(c.lengths, len(req.Prompt.IDs))
	return &engine.Result{Row: ledger.Row{
		LookupHitTokens: ledger.Some(c.reused), TTFTMs: ledger.Some(ms), DecodeTPS: ledger.Some(ms / 10), GeneratedTokens: ledger.Some(8),
		MLXPeakBytes: ledger.Some(int64(ms)), FootprintPeakBytes: ledger.Some(int64(2 * ms)),
	}}, nil
}

func words(text string) ([]int32, error) {
	ids := []int32{2}
	for range strings.Fields(text) {
		ids = append(ids, 9)
	}
	return ids, nil
}

func TestMediansOfAlternatingRounds(t *testing.T) {
	c := &clockwork{t: t, ttft: []float64{9000, 9000, 100, 500, 300, 900, 200, 700}}
	b := Bench{Turner: c, Encode: words, Context: 1000}
	points, err := b.Measure(context.Background(), Options{Prompts: []int{20, 300}, Gen: 8, Repeat: 3})
	if err != nil {
		t.Fatal(err)
	}
	if want := []int{20, 300, 20, 300, 20, 300, 20, 300}; !slices.Equal(c.lengths, want) || c.cleared != len(want) {
		t.Errorf("prompts of %v tokens, cache cleared %d times", c.lengths, c.cleared)
	}
	for i, want := range []Point{
		{Prompt: 20, Generated: 8, TTFTMs: 200, PrefillTPS: 100, DecodeTPS: 20, MLXPeak: 300, Footprint: 600},
		{Prompt: 300, Generated: 8, TTFTMs: 700, PrefillTPS: 300 / 0.7, DecodeTPS: 70, MLXPeak: 900, Footprint: 1800},
	} {
		got := points[i]
		if len(got.TTFTs) != 3 || len(got.Decodes) != 3 {
			t.Errorf("point %d keeps %d and %d rounds", i, len(got.TTFTs), len(got.Decodes))
		}
		got.TTFTs, got.Decodes = nil, nil
		if got.Prompt != want.Prompt || got.Generated != want.Generated || got.TTFTMs != want.TTFTMs || got.DecodeTPS != want.DecodeTPS ||
			got.MLXPeak != want.MLXPeak || got.Footprint != want.Footprint || got.PrefillTPS < want.PrefillTPS*0.999 || got.PrefillTPS > want.PrefillTPS*1.001 {
			t.Errorf("point %d:\n%+v, want\n%+v", i, got, want)
		}
	}
}

func TestReuseSpoilsAMeasurement(t *testing.T) {
	b := Bench{Turner: &clockwork{t: t, ttft: []float64{1}, reused: 3}, Encode: words}
	if _, err := b.Measure(context.Background(), Options{Prompts: []int{20}, Gen: 8, Repeat: 1}); err == nil || !strings.Contains(err.Error(), "reused") {
		t.Errorf("a turn that reused tokens gave %v", err)
	}
}

func TestThePromptIsOneText(t *testing.T) {
	b := Bench{Encode: words}
	ids, err := b.text(500)
	if err != nil || len(ids) != 500 || ids[0] != 2 {
		t.Fatalf("%d ids, %v", len(ids), err)
	}
	if slices.Contains(ids[1:], 2) {
		t.Error("a begin-of-text stands in the middle")
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for _, tt := range []struct {
		o    Options
		want string
	}{
		{Options{Gen: 8, Repeat: 1}, "--prompt"}, {Options{Prompts: []int{0}, Gen: 8, Repeat: 1}, "--prompt 0"},
		{Options{Prompts: []int{8}, Gen: 1, Repeat: 1}, "--gen 1"}, {Options{Prompts: []int{8}, Gen: 8}, "--repeat 0"},
		{Options{Prompts: []int{8, 90}, Gen: 11, Repeat: 1}, "--prompt 90"}, {Options{Prompts: []int{90}, Gen: 10, Repeat: 1}, ""},
	} {
		err := tt.o.Check(100)
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%+v: %v, want %q", tt.o, err, tt.want)
		}
	}
}

func TestMedian(t *testing.T) {
	for _, tt := range []struct {
		values []float64
		want   float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{9, 1, 2}, 2}, {[]float64{4, 1, 9, 2}, 3}} {
		if got := Median(tt.values); got != tt.want {
			t.Errorf("median of %v is %v, want %v", tt.values, got, tt.want)
		}
	}
}
