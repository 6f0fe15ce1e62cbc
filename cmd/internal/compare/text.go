package compare

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"reprise/kvcache/ledger"
)

// missing stands for what was not measured.
const missing = "–"

// marks stand behind figures that are not plainly measured; a counter is another make of server's own.
var marks = []struct{ kind, mark, says string }{
	{string(ledger.Estimated), "e", "estimated"}, {string(ledger.Derived), "d", "derived from measured fields"}, {string(ledger.Sampled), "s", "sampled"},
	{string(ledger.Client), "t", "by the clock of who asked"}, {"counter", "c", "by that server's own counter"},
}

// mark is the letter of a kind of evidence, "" of measured.
func mark(evidence string) string {
	kind, _, _ := strings.Cut(evidence, " ")
	for _, m := range marks {
		if m.kind == kind {
			return m.mark
		}
	}
	return ""
}

// WriteText prints the table for a terminal.
func (t *Table) WriteText(out io.Writer) error {
	var b strings.Builder
	t.writeRuns(&b)
	t.writeRecipes(&b)
	t.writeFigures(&b)
	if len(t.Warnings) > 0 {
		b.WriteString("\n")
	}
	for _, w := range t.Warnings {
		fmt.Fprintf(&b, "WARNING  %s\n", w)
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func (t *Table) writeRuns(b *strings.Builder) {
	for i, h := range t.Runs {
		fmt.Fprintf(b, "%s  %s: %s, %d turns", h.Letter, h.Path, h.State, h.Turns)
		switch {
		case i == 0:
		case h.Same == nil:
			b.WriteString("; whether its prompts are A's was not measured")
		default:
			fmt.Fprintf(b, "; %d of its prompts are A's, id by id", *h.Same)
		}
		b.WriteString("\n")
	}
}

// writeRecipes prints the fields that differ, and names those that do not.
func (t *Table) writeRecipes(b *strings.Builder) {
	var equal []string
	b.WriteString("\n")
	for _, field := range recipe {
		if !slices.Contains(t.Differ, field) {
			equal = append(equal, field)
			continue
		}
		name := field
		for _, g := range t.told(field) {
			fmt.Fprintf(b, "%-13s %s  %s\n", name, g.letters, g.text)
			name = ""
		}
	}
	if len(equal) > 0 {
		fmt.Fprintf(b, "%-13s %s\n", "the same", strings.Join(equal, ", "))
	}
}

// telling is what runs say in a field of their recipes.
type telling struct{ letters, text string }

// told are the texts of a field, each once, with the runs that have it.
func (t *Table) told(field string) []telling {
	var out []telling
	for _, h := range t.Runs {
		text := h.Recipe[field]
		if text == "" {
			text = missing
		}
		i := slices.IndexFunc(out, func(o telling) bool { return o.text == text })
		if i < 0 {
			i, out = len(out), append(out, telling{text: text})
		}
		out[i].letters += h.Letter
	}
	return out
}

// writeFigures prints the figures: names to the left, numbers to the right.
func (t *Table) writeFigures(b *strings.Builder) {
	header := []string{""}
	for _, h := range t.Runs {
		header = append(header, h.Letter)
	}
	for _, h := range t.Runs[1:] {
		header = append(header, h.Letter+" ÷ A")
	}
	lines, used := [][]string{header}, map[string]bool{}
	for _, f := range t.Figures {
		line := []string{f.Title}
		for i, v := range f.Values {
			text := missing
			if v != nil {
				text = f.field.Text(*v)
				if m := mark(f.Evidence[i]); m != "" {
					text, used[m] = text+" "+m, true
				}
			}
			line = append(line, text)
		}
		for _, r := range f.Ratios[1:] {
			text := missing
			if r != nil {
				text = fmt.Sprintf("%.2f", *r)
			}
			line = append(line, text)
		}
		lines = append(lines, line)
	}
	widths := make([]int, len(header))
	for _, line := range lines {
		for i, cell := range line {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	group := -1
	for n, line := range lines {
		if n > 0 && t.Figures[n-1].group != group || n == 0 {
			b.WriteString("\n")
		}
		if n > 0 {
			group = t.Figures[n-1].group
		}
		b.WriteString(padded(line[0], -widths[0]))
		for i, cell := range line[1:] {
			b.WriteString("  " + padded(cell, widths[i+1]))
		}
		b.WriteString("\n")
	}
	var legend []string
	for _, m := range marks {
		if used[m.mark] {
			legend = append(legend, m.mark+": "+m.says)
		}
	}
	fmt.Fprintf(b, "\n%s: not measured%s; ratios are of what was measured in both\n", missing, strings.Join(append([]string{""}, legend...), "; "))
}

// padded fills a cell up with spaces: before it, or behind it when the width is negative.
func padded(text string, width int) string {
	space := strings.Repeat(" ", max(0, max(width, -width)-utf8.RuneCountInString(text)))
	if width < 0 {
		return text + space
	}
	return space + text
}
