package run

import (
	"fmt"
	"io"
	"text/tabwriter"

	"reprise/cmd/internal/console"
	"reprise/kvcache/ledger"
	"reprise/mlx"
	"reprise/server/engine"
)

const unknown = "not measured"

// WriteModel prints what computed: the model, the device, the load.
func WriteModel(out io.Writer, m *engine.Model, d mlx.Device) error {
	w := table(out)
	info := m.Info()
	row(w, "model", "%s, %s", m.Name, info.ModelType)
	row(w, "device", "%s, %v, context %s tokens", d, info.Dtype, console.Count(m.Context))
	row(w, "load", "%s, weights hold %s, MLX peak %s", console.Millis(float64(m.LoadTime.Microseconds())/1e3), console.Bytes(info.Bytes), console.Bytes(m.LoadPeak))
	return w.Flush()
}

// WriteTurn prints a turn's figures: what was reused, speed, both memory peaks.
func WriteTurn(out io.Writer, r *ledger.Row) error {
	w := table(out)
	row(w, "reuse", "%s", reuse(r))
	row(w, "prefill", "%s", prefill(r))
	row(w, "decode", "%s", decode(r))
	row(w, "memory", "%s", memory(r))
	if r.IdentityError.Known() {
		row(w, "broken row", "%s", r.IdentityError.Or(""))
	}
	return w.Flush()
}

// table aligns the figures of separate blocks.
func table(out io.Writer) *tabwriter.Writer { return tabwriter.NewWriter(out, 9, 0, 2, ' ', 0) }

func row(w io.Writer, name, format string, args ...any) {
	fmt.Fprintf(w, "%s\t%s\n", name, fmt.Sprintf(format, args...))
}

// reuse says where the prompt's tokens came from, and what ended the reuse.
func reuse(r *ledger.Row) string {
	hit, ok := r.LookupHitTokens.Get()
	if !ok {
		return unknown
	}
	text := fmt.Sprintf("%s of %s prompt tokens reused, %s recomputed, %s new", console.Count(hit), console.Count(r.PromptTokens.Or(0)),
		console.Count(r.RecomputeTokens.Or(0)), console.Count(r.NewTokens.Or(0)))
	if why := r.MissReason.Or(ledger.MissNone); why != ledger.MissNone {
		text += fmt.Sprintf(" (%s)", why)
	} else if by := r.LimitedBy.Or(ledger.LimitNone); by != ledger.LimitNone {
		text += fmt.Sprintf(" (limited by %s)", by)
	}
	return text
}

func prefill(r *ledger.Row) string {
	rate, ok := r.PrefillTPS.Get()
	if !ok {
		return unknown
	}
	text := fmt.Sprintf("%s, %s tokens in %s", console.Rate(rate), console.Count(r.PrefillTokens.Or(0)), console.Millis(r.PrefillMs.Or(0)))
	if ttft, ok := r.TTFTMs.Get(); ok {
		text += ", first token after " + console.Millis(ttft)
	}
	return text
}

func decode(r *ledger.Row) string {
	n := r.GeneratedTokens.Or(0)
	rate, ok := r.DecodeTPS.Get()
	if !ok {
		return fmt.Sprintf("%s (%s generated)", unknown, console.Count(n))
	}
	return fmt.Sprintf("%s, %s tokens in %s", console.Rate(rate), console.Count(n), console.Millis(r.DecodeMs.Or(0)))
}

// memory shows both peaks side by side: they count different things.
func memory(r *ledger.Row) string {
	text := "MLX peak active " + bytesOf(r.MLXPeakBytes) + ", process footprint peak " + bytesOf(r.FootprintPeakBytes)
	if r.Evidence["footprint_peak_bytes"] == ledger.Sampled {
		text += " (sampled)"
	}
	return text + ", KV held " + bytesOf(r.KVLiveBytes)
}

func bytesOf(n ledger.Opt[int64]) string {
	if v, ok := n.Get(); ok {
		return console.Bytes(v)
	}
	return unknown
}

func speed(r *ledger.Row) string {
	var text string
	if ttft, ok := r.TTFTMs.Get(); ok {
		text = "first token after " + console.Millis(ttft)
	}
	if rate, ok := r.DecodeTPS.Get(); ok {
		text += ", " + console.Rate(rate)
	}
	if text == "" {
		return "no token"
	}
	return text
}
