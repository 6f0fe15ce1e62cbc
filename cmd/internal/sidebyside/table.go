package sidebyside

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"reprise/cmd/internal/speed"
)

// Markers around the README's table. The first names the file that the table was made from.
const (
	Begin = "<!-- bench:begin "
	End   = "<!-- bench:end -->"
)

// row is one line of a table.
type row struct {
	metric metric
	at     string
	cells  []string // by engine
	ratios []string // by peer
}

func (r *Report) rows() []row {
	var out []row
	engines := r.measured()
	for _, m := range metrics {
		for _, at := range r.places(m.name) {
			line := row{metric: m, at: at}
			for _, name := range engines {
				line.cells = append(line.cells, cell(m, r.rounds(m.name, at, name)))
			}
			for _, peer := range peers(engines) {
				text := ""
				if ratio, ok := r.ratio(m.name, at, peer); ok && !m.bare {
					text = fmt.Sprintf("%.2f", ratio)
				}
				line.ratios = append(line.ratios, text)
			}
			out = append(out, line)
		}
	}
	return out
}

// peers are those that ours is divided by: all others, when ours was measured.
func peers(engines []string) []string {
	if !slices.Contains(engines, Ours) {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(engines), func(name string) bool { return name == Ours })
}

// cell is the median with its range, "–" where nothing was measured.
func cell(m metric, rounds []float64) string {
	if len(rounds) == 0 {
		return "–"
	}
	mid, low, high := m.text(speed.Median(rounds)), m.text(slices.Min(rounds)), m.text(slices.Max(rounds))
	if low == high {
		return mid
	}
	return fmt.Sprintf("%s (%s–%s)", mid, low, high)
}

// WriteText prints the report for a terminal.
func (r *Report) WriteText(out io.Writer) error {
	fmt.Fprintf(out, "%s\n%s, %s, %s\n", r.Machine, r.Model, r.Version, r.Date)
	for _, e := range r.Engines {
		fmt.Fprintf(out, "%s; %s; server: %s\n", e.Version, e.Weights, e.Server)
	}
	for _, line := range r.notes() {
		fmt.Fprintln(out, line)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	engines, last := r.measured(), ""
	for _, line := range r.rows() {
		if line.metric.title != last {
			last = line.metric.title
			fmt.Fprintf(w, "\n%s\t%s\t", last, strings.Join(engines, "\t"))
			for _, peer := range peers(engines) {
				if line.metric.bare {
					peer = ""
				} else {
					peer = "÷ " + peer
				}
				fmt.Fprintf(w, "%s\t", peer)
			}
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "%s\t%s\t\n", place(line.at), strings.Join(append(line.cells, line.ratios...), "\t"))
	}
	return w.Flush()
}

// notes are what a reader must know beside the figures.
func (r *Report) notes() []string {
	out := []string{fmt.Sprintf("%s each, %s in turns, medians (lowest–highest), ratios of medians", several(r.Threads, "thread"), several(r.Rounds, "round"))}
	if text := busiest(r.Others); text != "" {
		out = append(out, text)
	}
	out = append(out, r.Method...)
	return append(out, r.LeftOut...)
}

// Section is the README's: a table between two marker lines, the first of which names source, the file that holds r.
func (r *Report) Section(source string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s%s -->\n", Begin, source)
	fmt.Fprintf(&b, "%s; %s; %s, %s; %s.\n\n", r.Machine, r.Model, r.Version, r.Date, r.notes()[0])
	engines := r.measured()
	fmt.Fprint(&b, "| | |")
	for _, name := range engines {
		fmt.Fprintf(&b, " %s |", name)
	}
	for _, peer := range peers(engines) {
		fmt.Fprintf(&b, " ÷ %s |", peer)
	}
	fmt.Fprintf(&b, "\n|---|---|%s\n", strings.Repeat("--:|", len(engines)+len(peers(engines))))
	last := ""
	for _, line := range r.rows() {
		if line.metric.aside {
			continue
		}
		title := ""
		if line.metric.title != last {
			last = line.metric.title
			title = last
			if line.metric.less {
				title += " (less is better)"
			}
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", title, place(line.at), strings.Join(append(line.cells, line.ratios...), " | "))
	}
	fmt.Fprintln(&b)
	for _, e := range r.Engines {
		fmt.Fprintf(&b, "* %s; %s; server: `%s`\n", e.Version, e.Weights, e.Server)
	}
	for _, line := range r.notes()[1:] {
		fmt.Fprintf(&b, "* %s\n", line)
	}
	fmt.Fprintln(&b, End)
	return b.String()
}

func several(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
