package selftest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"reprise/cmd/internal/console"
	"reprise/cmd/internal/load"
	"reprise/cmd/internal/loop"
	"reprise/cmd/internal/run"
	"reprise/cmd/internal/speed"
	"reprise/kvcache/ledger"
	"reprise/server/engine"
)

// Prompt is a smoke prompt.
type Prompt struct {
	Name, Text string
	Answer     int // tokens
}

// Smoke are the prompts that are answered as text. The first stands for the article's, whose image this build refuses.
var Smoke = []Prompt{
	{"describe, without the image", "Describe what a white picture of 32 by 32 pixels shows, in one sentence.", 32},
	{"continue", "The capital of France is", 16},
}

// followUp is a second turn, which reuses the first one's state.
const followUp = "Say it again in other words."

// auditWait bounds the wait for the audits: they run when no turn is under way.
const auditWait = 30 * time.Second

// model loads a model, answers the smoke prompts, audits what was reused, and measures speed.
func (r *Report) model(ctx context.Context, o Options) {
	const section = "model"
	r.check(section, "image", skipped("the 32×32 image of the smoke test is refused: this build reads text only (with it the reference has 285 prompt tokens)"), nil, "")
	if _, err := load.Find(o.Model); err != nil {
		why := skipped("no model: %v", err)
		if o.Model != "" {
			why = err
		}
		r.check(section, "load", why, nil, "")
		return
	}
	e, err := load.Open(ctx, engine.Options{Model: o.Model, Device: o.Device, Audit: engine.Audit{Share: 1}}, io.Discard)
	if err != nil {
		r.check(section, "load", err, nil, "")
		return
	}
	defer e.Close()
	m := e.Model()
	r.recipe(e)
	r.check(section, "load", nil, map[string]any{"weights_bytes": m.Info().Bytes, "seconds": m.LoadTime.Seconds(), "peak_bytes": m.LoadPeak},
		"%s in %s, weights %s, MLX's peak %s", m.Name, console.Millis(m.LoadTime.Seconds()*1e3), console.Bytes(m.Info().Bytes), console.Bytes(m.LoadPeak))
	for _, p := range Smoke {
		r.smoke(ctx, e, p)
	}
	r.audits(ctx, e)
	r.speed(ctx, e, o)
}

func (r *Report) recipe(e *engine.Engine) {
	m := e.Model()
	quantization := "none"
	if q := m.Config.Quantization; q != nil {
		quantization = q.String()
	}
	r.Recipe = loop.Recipe{
		Model: m.Name, Quantization: quantization, Workload: "selftest: parity, kernels, memory, smoke prompts, audits, speed", Hardware: r.Machine.String(),
		Runtime: fmt.Sprintf("%s, %s device, %v", r.Version, e.Worker().Device(), m.Info().Dtype), Claim: "this build works on this machine, and how fast this model is on it",
	}
}

// smoke answers a prompt and a follow-up, which must reuse what the first turn computed.
func (r *Report) smoke(ctx context.Context, e *engine.Engine, p Prompt) {
	raw, _ := run.TakeRaw(e.Model(), nil, false)
	c := run.NewConversation(e, run.Settings{Raw: raw, MaxTokens: p.Answer})
	first, err := c.Say(ctx, p.Text, nil)
	if err != nil {
		r.check("model", p.Name, err, nil, "")
		return
	}
	text := first.Text
	second, err := c.Say(ctx, followUp, nil)
	if err == nil {
		err = reused(&first.Row, &second.Row)
	}
	figures := map[string]any{"raw_text": raw, "answer": text, "ids": first.IDs, "first": first.Row}
	if second != nil {
		figures["second"] = second.Row
	}
	r.check("model", p.Name, err, figures, "%q; %d tokens in, %d out, %s; MLX's peak %s, footprint's %s", console.OneLine(text), first.Row.PromptTokens.Or(0), first.Row.GeneratedTokens.Or(0),
		console.Rate(first.Row.DecodeTPS.Or(0)), console.Bytes(first.Row.MLXPeakBytes.Or(0)), console.Bytes(first.Row.FootprintPeakBytes.Or(0)))
}

// reused says what is wrong with two turns of one conversation.
func reused(first, second *ledger.Row) error {
	for _, row := range []*ledger.Row{first, second} {
		if why, broken := row.IdentityError.Get(); broken {
			return fmt.Errorf("the row of %s is broken: %s", row.TurnID, why)
		}
		if row.GeneratedTokens.Or(0) == 0 {
			return errors.New("no token was generated")
		}
		if !row.MLXPeakBytes.Known() || !row.FootprintPeakBytes.Known() {
			return errors.New("a memory peak was not measured")
		}
	}
	hit, least := second.LookupHitTokens.Or(0), first.PromptTokens.Or(0)*9/10
	if hit < least {
		return fmt.Errorf("the follow-up reused %d tokens, the first prompt had %d", hit, first.PromptTokens.Or(0))
	}
	return nil
}

// audits waits for the replays of the follow-ups.
func (r *Report) audits(ctx context.Context, e *engine.Engine) {
	var a engine.AuditStats
	done := func() int64 { a = e.AuditStats(); return a.Matches + a.Within + a.Mismatches + a.Skipped + a.Failed }
	for until := time.Now().Add(auditWait); done() < int64(len(Smoke)) && time.Now().Before(until); {
		select {
		case <-ctx.Done():
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
	var err error
	switch {
	case a.Mismatches+a.Failed > 0:
		err = errors.New("reused state does not replay to the same logits")
	case a.Matches+a.Within == 0:
		err = fmt.Errorf("none ended within %s", auditWait)
	}
	r.check("model", "audit", err, map[string]any{"stats": a}, "%d replays to the bit, %d within 1e-3 of the largest logit, %d apart, %d skipped, %d failed", a.Matches, a.Within, a.Mismatches, a.Skipped, a.Failed)
}

// What speed is measured at when nobody says: short enough for three minutes in all.
const (
	shortPrompt, longPrompt = 512, 2048
	measuredTokens          = 64
	rounds                  = 2
	mostForLong             = 12 * time.Second // of a short prompt's turn, beyond which the long one is left out
)

// speed measures prefill and decode.
func (r *Report) speed(ctx context.Context, e *engine.Engine, o Options) {
	err := func() error {
		info, err := e.Worker().Info(ctx)
		if err != nil {
			return err
		}
		report, err := speed.NewReport(e, info)
		if err != nil {
			return err
		}
		m := e.Model()
		b := speed.Bench{Turner: e, Context: m.Context, Encode: func(text string) ([]int32, error) { return m.Tokenizer.Encode(text, true) }}
		start := time.Now()
		prompts := o.Prompts
		if prompts == nil {
			prompts = []int{shortPrompt}
		}
		report.Repeat = rounds
		if report.Points, err = b.Measure(ctx, speed.Options{Prompts: prompts, Gen: measuredTokens, Repeat: rounds}); err != nil {
			return err
		}
		if o.Prompts == nil && time.Since(start)/(rounds+1) < mostForLong {
			long, err := b.Measure(ctx, speed.Options{Prompts: []int{longPrompt}, Gen: measuredTokens, Repeat: rounds})
			if err != nil {
				return err
			}
			report.Points = append(report.Points, long...)
		}
		r.Speed = report
		return nil
	}()
	if err != nil {
		r.check("model", "speed", err, nil, "")
		return
	}
	for _, p := range r.Speed.Points {
		r.check("model", fmt.Sprintf("speed at %d tokens", p.Prompt), nil, map[string]any{"prefill_tps": p.PrefillTPS, "decode_tps": p.DecodeTPS, "mlx_peak_bytes": p.MLXPeak, "footprint_peak_bytes": p.Footprint},
			"prefill %s, decode %s, MLX's peak %s, footprint's %s", console.Rate(p.PrefillTPS), console.Rate(p.DecodeTPS), console.Bytes(p.MLXPeak), console.Bytes(p.Footprint))
	}
}
