package plan

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"reprise/cmd/internal/console"
)

const unknown = "not known"

// WriteText prints the plan for a terminal.
func (p *Plan) WriteText(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) { fmt.Fprintf(w, "%s\t%s\n", name, fmt.Sprintf(format, args...)) }
	if p.Name != "" {
		row("recipe", "%s", p.Name)
	}
	row("model", "%s", p.Recipe.Model)
	row("quantization", "%s", p.Recipe.Quantization)
	row("workload", "%s", p.Recipe.Workload)
	row("hardware", "%s", p.Recipe.Hardware)
	row("runtime", "%s", p.Recipe.Runtime)
	row("claim", "%s", p.Recipe.Claim)
	for _, no := range p.DoNotClaim {
		row("not", "%s", no)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	p.writeBudget(out)
	p.writeSpeed(out)
	if p.Measured != nil {
		p.Measured.writeText(out)
	}
	fmt.Fprintf(out, "\nVERDICT  %s: %s\n", p.Verdict.Word, p.Verdict.Why)
	for _, note := range p.Notes {
		fmt.Fprintf(out, "  * %s\n", note)
	}
	return nil
}

// sizeText is a number of bytes, also one that is missing.
func sizeText(n int64) string {
	switch {
	case n < 0:
		return "-" + sizeText(-n)
	case n >= 1e12:
		return fmt.Sprintf("%.2f TB", float64(n)/1e12)
	}
	return console.Bytes(n)
}

func name(text string) string { return strings.ReplaceAll(text, "_", " ") }

func (p *Plan) writeBudget(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(section, what string, bytes int64, e Evidence, note string) {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", section, name(what), sizeText(bytes), e, note)
	}
	fmt.Fprintln(w, "\nbudget\tline\tbytes\tevidence\t")
	for _, l := range p.Room {
		row(l.Section, l.Name, l.Bytes, l.Evidence, l.Note)
	}
	row("room", "for this", p.RoomFor, "", "")
	last := ""
	for _, l := range p.Lines {
		if last == Weights && l.Section != Weights {
			row(Weights, "total", p.Total, "", "a token reads "+sizeText(p.Active))
		}
		row(l.Section, l.Name, l.Bytes, l.Evidence, l.Note)
		last = l.Section
	}
	row("needs", "in all", p.Needs, "", "")
	row("left", "", p.Spare, "", "")
	row("cold", p.Cold.Name, p.Cold.Bytes, p.Cold.Evidence, "instead of the activations above, when the last prompt is computed again")
	for _, l := range p.Left {
		row("not loaded", l.Name, l.Bytes, l.Evidence, l.Note)
	}
	_ = w.Flush() // as the other sections: the caller's last write tells
	if p.Kept != nil {
		fmt.Fprintf(out, "snapshots of %s: %d wanted over the context, %d fit\n", sizeText(p.Kept.One), p.Kept.Wanted, p.Kept.Fit)
	}
}

func (p *Plan) writeSpeed(out io.Writer) {
	s := &p.Speed
	fmt.Fprintf(out, "\ndecode ceiling  %s with an empty context (a token reads %s), %s at %s tokens (%s)\n", tps(s.CeilingEmpty), sizeText(s.ReadEmpty),
		tps(s.CeilingFull), console.Count(p.Context), sizeText(s.ReadFull))
	fmt.Fprintf(out, "prefill         %s at first, %s at the context's end (estimated)\n", tps(s.Prefill), tps(s.PrefillFull))
	l := p.Loop
	fmt.Fprintf(out, "loop            %d turns, %s prompt tokens; with reuse %s are computed, %.2f %% are not\n", l.Turns, console.Count(l.Prompts), console.Count(l.With), 100*l.Share)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "turn\tprompt\tcomputed\tfirst token with reuse\twithout\t")
	for _, r := range l.Rows {
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t\n", r.Turn, console.Count(r.Prompt), console.Count(r.New), ms(r.Warm), ms(r.Cold))
	}
	fmt.Fprintf(w, "all\t%s\t%s\t%s\t%s\t\n", console.Count(l.Prompts), console.Count(l.With), ms(millis(l.Seconds.With)), ms(millis(l.Seconds.Without)))
	_ = w.Flush()
	if f := p.Fleet; f != nil {
		fmt.Fprintf(out, "fleet           a conversation's state is %s: %s fit at once; %s over a link of %.0f GB/s (assumed), computing it again %s (estimated)\n",
			sizeText(f.Conversation), console.Count(int(f.Agents)), console.Millis(f.TransferMs), f.Link, ms(f.MissMs))
	}
}

func tps(x *float64) string {
	if x == nil {
		return unknown
	}
	return console.Rate(*x)
}

func ms(x *float64) string {
	if x == nil {
		return unknown
	}
	return console.Millis(*x)
}

func (m *Measured) writeText(out io.Writer) {
	fmt.Fprintf(out, "\nmeasured by %s, of %s on %s\n", m.From, m.Model, m.Machine)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "figure\tpredicted\tmeasured\tdifference\t")
	for _, c := range m.Compared {
		difference := ""
		if d := c.Difference(); d != nil {
			difference = fmt.Sprintf("%+.1f %%", 100**d)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", name(c.Name), c.value(c.Predicted), c.value(c.Measured), difference, c.Note)
	}
	_ = w.Flush()
	for _, text := range m.Warnings {
		fmt.Fprintf(out, "warning: %s\n", text)
	}
}

func (c Compared) value(x *float64) string {
	switch {
	case x == nil:
		return "not known"
	case c.Unit == "bytes":
		return sizeText(int64(*x))
	case c.Unit == "ms":
		return console.Millis(*x)
	case c.Unit == "share":
		return fmt.Sprintf("%.2f %%", 100**x)
	}
	return console.Rate(*x)
}

// WriteTable prints plans side by side.
func WriteTable(out io.Writer, plans []*Plan) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(what string, cell func(p *Plan) string) {
		fmt.Fprint(w, what)
		for _, p := range plans {
			fmt.Fprintf(w, "\t%s", cell(p))
		}
		fmt.Fprintln(w)
	}
	section := func(name string) func(*Plan) string {
		return func(p *Plan) string {
			var n int64
			for _, l := range p.Lines {
				if l.Section == name {
					n += l.Bytes
				}
			}
			return sizeText(n)
		}
	}
	line("recipe", func(p *Plan) string { return p.Name })
	line("model", func(p *Plan) string { return p.Recipe.Model })
	line("machine", func(p *Plan) string { return p.Hardware.Chip + ", " + sizeText(p.Hardware.Memory) })
	line("context", func(p *Plan) string { return console.Count(p.Context) + " tokens" })
	line("room", func(p *Plan) string { return sizeText(p.RoomFor) })
	line("weights, total", func(p *Plan) string { return sizeText(p.Total) })
	line("weights, a token", func(p *Plan) string { return sizeText(p.Active) })
	for _, s := range []string{KVState, Snapshots, Activations, Process} {
		line(s, section(s))
	}
	line("left", func(p *Plan) string { return sizeText(p.Spare) })
	line("decode ceiling", func(p *Plan) string { return tps(p.Speed.CeilingFull) })
	line("last first token, reuse", func(p *Plan) string { return ms(p.Loop.Rows[len(p.Loop.Rows)-1].Warm) })
	line("last first token, none", func(p *Plan) string { return ms(p.Loop.Rows[len(p.Loop.Rows)-1].Cold) })
	line("verdict", func(p *Plan) string { return p.Verdict.Word })
	line("decided by", func(p *Plan) string { return p.Verdict.Figure + ", " + sizeText(p.Verdict.Bytes) })
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(out)
	for _, p := range plans {
		fmt.Fprintf(out, "%s: to %s; do not claim: %s\n", p.Name, p.Recipe.Claim, strings.Join(p.DoNotClaim, "; "))
	}
	_, err := fmt.Fprintln(out, "times are estimates, ceilings are bounds; `reprise plan --recipe NAME` has every line with its evidence")
	return err
}
