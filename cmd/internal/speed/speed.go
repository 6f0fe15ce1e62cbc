package speed

import (
	"context"
	"fmt"
	"runtime"
	"slices"

	"reprise/kvcache/ledger"
	"reprise/server/engine"
	"reprise/server/prompt"
)

// Bench is what is measured.
type Bench struct {
	Turner interface {
		Turn(ctx context.Context, req engine.Request, emit func(engine.Event) error) (*engine.Result, error)
		ClearCache(ctx context.Context) error
	}
	// Encode makes ids of text; BOS stands before them when there is one.
	Encode   func(text string) ([]int32, error)
	Context  int              // tokens that the model takes
	Progress func(did string) // one call for each run; may be nil
}

// Options say how much.
type Options struct {
	Prompts []int // lengths in tokens
	Gen     int   // tokens decoded behind each, at least 2
	Repeat  int   // measured rounds
	Profile bool  // profile the longest prompt, too
}

// Point is one frontier; speeds are medians over the rounds.
type Point struct {
	Prompt    int `json:"prompt_tokens"`
	Generated int `json:"generated_tokens"` // fewer than asked when the text ended
	// PrefillTPS is the prompt ÷ time to the first token; DecodeTPS is (generated − 1) ÷ time from first to last.
	PrefillTPS float64 `json:"prefill_tps"`
	DecodeTPS  float64 `json:"decode_tps"`
	// The ranges are the slowest and the fastest round.
	PrefillRange [2]float64 `json:"prefill_tps_range"`
	DecodeRange  [2]float64 `json:"decode_tps_range"`
	TTFTMs       float64    `json:"ttft_ms"`
	MLXPeak      int64      `json:"mlx_peak_bytes"`       // largest of the rounds
	Footprint    int64      `json:"footprint_peak_bytes"` // largest of the rounds
	TTFTs        []float64  `json:"ttft_ms_rounds"`
	Decodes      []float64  `json:"decode_tps_rounds"`
}

// passage is natural text, so that a greedy continuation goes on instead of ending at once.
const passage = "The river rises in the hills and runs through three towns before it meets the sea. In spring the water is high, " +
	"and the mills along its banks turn day and night. People came here first for the fish and stayed for the soil, which is dark and easy to work. "

// Check says what is wrong with the options, in the words of the flags.
func (o Options) Check(context int) error {
	switch {
	case len(o.Prompts) == 0:
		return fmt.Errorf("--prompt: name at least one length")
	case o.Gen < 2:
		return fmt.Errorf("--gen %d: must be at least 2, because decode speed is measured between tokens", o.Gen)
	case o.Repeat < 1:
		return fmt.Errorf("--repeat %d: must be at least 1", o.Repeat)
	}
	for _, n := range o.Prompts {
		if n < 1 {
			return fmt.Errorf("--prompt %d: must be at least 1", n)
		}
		if context > 0 && n+o.Gen > context {
			return fmt.Errorf("--prompt %d and --gen %d exceed the context of %d tokens: shorten them or raise --ctx", n, o.Gen, context)
		}
	}
	return nil
}

// Measure runs one round to warm up and then the measured ones.
func (b *Bench) Measure(ctx context.Context, o Options) ([]Point, error) {
	if err := o.Check(b.Context); err != nil {
		return nil, err
	}
	ids, err := b.text(slices.Max(o.Prompts))
	if err != nil {
		return nil, err
	}
	points := make([]Point, len(o.Prompts))
	for round := range o.Repeat + 1 {
		for i, n := range o.Prompts {
			row, err := b.turn(ctx, ids[:n], o.Gen)
			if err != nil {
				return nil, fmt.Errorf("prompt of %d tokens: %w", n, err)
			}
			if round == 0 {
				b.say("prompt %d: warm", n)
				continue
			}
			if err := points[i].add(n, row); err != nil {
				return nil, err
			}
			b.say("prompt %d: round %d of %d, first token after %.0f ms, decode %.1f tok/s", n, round, o.Repeat, row.TTFTMs.Or(0), row.DecodeTPS.Or(0))
		}
	}
	for i := range points {
		points[i].close()
	}
	return points, nil
}

func (b *Bench) turn(ctx context.Context, ids []int32, gen int) (*ledger.Row, error) {
	if err := b.Turner.ClearCache(ctx); err != nil {
		return nil, err
	}
	runtime.GC() // not in the middle of a measurement
	res, err := b.Turner.Turn(ctx, engine.Request{Prompt: prompt.Input{IDs: ids}, MaxTokens: gen, NoReuse: true}, nil)
	if err != nil {
		return nil, err
	}
	if hit := res.Row.LookupHitTokens.Or(0); hit != 0 {
		return nil, fmt.Errorf("%d tokens were reused with reuse off", hit)
	}
	return &res.Row, nil
}

// text is at least n ids of the passage, over and over.
func (b *Bench) text(n int) ([]int32, error) {
	once, err := b.Encode(passage)
	if err != nil {
		return nil, err
	}
	if len(once) == 0 {
		return nil, fmt.Errorf("the tokenizer gives no ids for plain text")
	}
	ids := slices.Clone(once)
	for len(ids) < n {
		ids = append(ids, once[min(1, len(once)-1):]...) // without a second begin-of-text
	}
	return ids[:n], nil
}

func (b *Bench) say(format string, args ...any) {
	if b.Progress != nil {
		b.Progress(fmt.Sprintf(format, args...))
	}
}

func (p *Point) add(n int, r *ledger.Row) error {
	ttft, ok := r.TTFTMs.Get()
	if !ok || ttft <= 0 {
		return fmt.Errorf("prompt of %d tokens: no first token was timed", n)
	}
	p.Prompt, p.Generated = n, r.GeneratedTokens.Or(0)
	p.TTFTs = append(p.TTFTs, ttft)
	if rate, ok := r.DecodeTPS.Get(); ok {
		p.Decodes = append(p.Decodes, rate)
	}
	p.MLXPeak = max(p.MLXPeak, r.MLXPeakBytes.Or(0))
	p.Footprint = max(p.Footprint, r.FootprintPeakBytes.Or(0))
	return nil
}

func (p *Point) close() {
	p.TTFTMs = Median(p.TTFTs)
	p.PrefillTPS = float64(p.Prompt) / p.TTFTMs * 1e3
	p.DecodeTPS = Median(p.Decodes)
	p.PrefillRange = [2]float64{float64(p.Prompt) / slices.Max(p.TTFTs) * 1e3, float64(p.Prompt) / slices.Min(p.TTFTs) * 1e3}
	if len(p.Decodes) > 0 {
		p.DecodeRange = [2]float64{slices.Min(p.Decodes), slices.Max(p.Decodes)}
	}
}

// Median of values, the mean of the middle two when they are even; 0 of none.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	mid := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[mid]
	}
	return (sorted[mid-1] + sorted[mid]) / 2
}
