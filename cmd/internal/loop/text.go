package loop

import (
	"fmt"
	"io"
	"text/tabwriter"

	"reprise/cmd/internal/console"
)

const unknown = "not measured"

// mostProblems are printed; the others are in the summary.
const mostProblems = 8

// WriteText prints the summary for people.
func (s *Summary) WriteText(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) { fmt.Fprintf(w, "%s\t%s\n", name, fmt.Sprintf(format, args...)) }
	if s.Status != "complete" {
		row("incomplete", "%s", s.Why)
	}
	row("model", "%s, %s", s.Recipe.Model, s.Recipe.Quantization)
	row("workload", "%s", s.Recipe.Workload)
	row("hardware", "%s", s.Recipe.Hardware)
	row("runtime", "%s", s.Recipe.Runtime)
	row("prompts", "%s", s.Sizes.text())
	if _, counted := s.Tokens.Prompt.Get(); s.Turns > 0 && (!s.Mimic || counted) {
		row("tokens", "%s in prompts: %s reused, %s recomputed, %s new, %s displaced", count(s.Tokens.Prompt), count(s.Tokens.Hit),
			count(s.Tokens.Recompute), count(s.Tokens.New), count(s.Tokens.Displaced))
		row("reuse", "%s of the prompts; ceiling %s, reached %s; repeated state %s", percent(s.Reuse.HitShare), percent(s.Reuse.CeilingShare),
			percent(s.Reuse.OfCeiling), percent(s.Reuse.RepeatedShare))
		row("first token", "with reuse %s (%d turns), without %s (%d turns), medians", millis(s.TTFT.Hit), s.TTFT.HitTurns, millis(s.TTFT.Miss), s.TTFT.MissTurns)
		row("peaks", "MLX active %s, process footprint %s", bytesOf(s.Peaks.MLX), bytesOf(s.Peaks.Footprint))
		s.writePlaces(row)
		for _, p := range s.Phases {
			row(p.Phase, "%s (%s)", millis(p.Ms), p.Note)
		}
		row("could save", "%s", s.Potential.Verdict)
		if s.Same != nil {
			row("same tokens", "%s", s.Same)
		}
	}
	row("claim", "%s", s.Recipe.Claim)
	for _, no := range s.DoNotClaim {
		row("not", "%s", no)
	}
	for i, p := range s.Problems {
		if i == mostProblems {
			row("", "and %d more, all in %s", len(s.Problems)-i, SummaryFile)
			break
		}
		row("PROBLEM", "%s", p)
	}
	return w.Flush()
}

// writePlaces prints what each process and each tier did, where there is more than one.
func (s *Summary) writePlaces(row func(name, format string, args ...any)) {
	for _, of := range s.Peaks.Processes {
		if len(s.Peaks.Processes) > 1 {
			row("", "%s (%d turns): MLX active %s, process footprint %s", of.Worker, of.Turns, bytesOf(of.MLX), bytesOf(of.Footprint))
		}
	}
	for _, x := range s.Tiers[1:] {
		if x.ReadMs != nil || x.WriteMs != nil {
			row(x.Tier, "%s tokens hit; %s read in %s, %s written in %s", count(x.Hit), bytesOf(x.ReadBytes), millis(x.ReadMs), bytesOf(x.WriteBytes), millis(x.WriteMs))
		}
	}
	if h := s.Handover; h != nil {
		row("handed over", "in %s a turn (median; %s stored, %s fetched); the prompts' process computed %s tokens and reused %s, %s of its ceiling", millis(h.Transfer),
			millis(h.Stored), millis(h.Fetched), count(h.Prefill), count(h.Hit), percent(h.OfCeiling))
	}
}

func (z *Sizes) text() string {
	text := fmt.Sprintf("%s to %s tokens estimated, %s in all", console.Count(z.First), console.Count(z.Last), console.Count(z.Sum))
	if z.LineFirst > 0 {
		text += fmt.Sprintf(", at most %.2f %% off the profile's line", 100*z.Worst)
	}
	if z.PromptsOnly != nil {
		text += fmt.Sprintf("; append-only prompts share %.2f %%, a cold start at most %.2f %%", 100**z.PromptsOnly, 100*z.ColdBound)
	}
	if z.Cut > 0 {
		text += fmt.Sprintf("; %d answers cut to keep the size", z.Cut)
	}
	return text
}

func count(s Sum) string {
	if n, ok := s.Get(); ok {
		return console.Count(n)
	}
	return unknown
}

func percent(x *float64) string {
	if x == nil {
		return unknown
	}
	return fmt.Sprintf("%.2f %%", 100**x)
}

func millis(ms *float64) string {
	if ms == nil {
		return unknown
	}
	return console.Millis(*ms)
}

func bytesOf(n *int64) string {
	if n == nil {
		return unknown
	}
	return console.Bytes(*n)
}
