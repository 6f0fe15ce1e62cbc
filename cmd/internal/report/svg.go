package report

import (
	"fmt"
	"html"
	"html/template"
	"math"
	"strconv"
	"strings"
)

// The size of a plot, in its own units: it is as wide as its place on the page.
const (
	plotWidth, plotHeight = 720.0, 220.0
	marginLeft, marginTop = 78.0, 10.0
	marginBottom          = 26.0
)

// chart draws one chart over the turns.
type chart struct {
	b      strings.Builder
	run    int // its place on the page
	turns  int
	most   float64 // of the vertical axis
	format func(float64) string
}

// newChart begins a chart; what is read out by a screen reader is its title.
func newChart(run, turns int, most float64, title string, format func(float64) string) *chart {
	p := &chart{run: run, turns: max(1, turns), most: nice(most), format: format}
	fmt.Fprintf(&p.b, `<svg viewBox="0 0 %g %g" role="img" aria-label="%s">`, plotWidth, plotHeight, html.EscapeString(title))
	for i := range 5 {
		v := p.most * float64(i) / 4
		fmt.Fprintf(&p.b, `<line class="grid" x1="%g" x2="%g" y1="%.2f" y2="%.2f"/><text class="axis" x="%g" y="%.2f" text-anchor="end">%s</text>`,
			marginLeft, plotWidth, p.y(v), p.y(v), marginLeft-6, p.y(v)+4, html.EscapeString(format(v)))
	}
	step := max(1, int(math.Ceil(float64(p.turns)/12)))
	for n := 1; n <= p.turns; n += step {
		fmt.Fprintf(&p.b, `<text class="axis" x="%.2f" y="%g" text-anchor="middle">%d</text>`, p.x(n)+p.width()/2, plotHeight-8, n)
	}
	return p
}

// nice is the next round number from v up.
func nice(v float64) float64 {
	if v <= 0 {
		return 1
	}
	unit := math.Pow(10, math.Floor(math.Log10(v)))
	for _, f := range []float64{1, 2, 2.5, 5} {
		if v <= f*unit {
			return f * unit
		}
	}
	return 10 * unit
}

func (p *chart) width() float64     { return (plotWidth - marginLeft) / float64(p.turns) }
func (p *chart) x(turn int) float64 { return marginLeft + p.width()*float64(turn-1) }
func (p *chart) y(v float64) float64 {
	return marginTop + (plotHeight-marginTop-marginBottom)*(1-min(v, p.most)/p.most)
}

// exact is a number to the digit that the CSV has.
func exact(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

// bar stacks a turn's parts and links to what is said of it.
func (p *chart) bar(t *Turn) {
	label := fmt.Sprintf("turn %d", t.Number)
	var rects strings.Builder
	sum := 0.0
	for _, part := range t.Parts() {
		label += fmt.Sprintf(", %s %s", part.Name, p.format(part.Tokens))
		if part.Tokens > 0 {
			top := p.y(sum + part.Tokens)
			fmt.Fprintf(&rects, `<rect class="%s" data-turn="%d" data-part="%s" data-value="%s" x="%.2f" width="%.2f" y="%.3f" height="%.3f"/>`,
				part.Key, t.Number, part.Key, exact(part.Tokens), p.x(t.Number)+p.width()*.08, p.width()*.84, top, p.y(sum)-top)
		}
		sum += part.Tokens
	}
	fmt.Fprintf(&p.b, `<a href="#r%d-t%d" aria-label="%s"><title>%s</title>%s</a>`, p.run, t.Number, html.EscapeString(label), html.EscapeString(label), rects.String())
}

// series draws a line through the values that were measured, with a mark for each; gaps stay gaps.
func (p *chart) series(class string, turns []Turn, value func(*Turn) *float64) {
	var path, marks strings.Builder
	open := false
	for i := range turns {
		v := value(&turns[i])
		if v == nil {
			open = false
			continue
		}
		command := "M"
		if open {
			command = "L"
		}
		open = true
		x, y := p.x(turns[i].Number)+p.width()/2, p.y(*v)
		fmt.Fprintf(&path, "%s%.2f %.3f", command, x, y)
		fmt.Fprintf(&marks, `<circle class="%s" data-turn="%d" data-part="%s" data-value="%s" cx="%.2f" cy="%.3f" r="3"><title>turn %d: %s %s</title></circle>`,
			class, turns[i].Number, class, exact(*v), x, y, turns[i].Number, class, html.EscapeString(p.format(*v)))
	}
	fmt.Fprintf(&p.b, `<path class="%s" d="%s"/>%s`, class, path.String(), marks.String())
}

// limit draws a line over all turns.
func (p *chart) limit(name string, v float64) {
	fmt.Fprintf(&p.b, `<line class="limit" data-part="limit" data-value="%s" x1="%g" x2="%g" y1="%.2f" y2="%.2f"/><text class="axis" x="%g" y="%.2f" text-anchor="end">%s %s</text>`,
		exact(v), marginLeft, plotWidth, p.y(v), p.y(v), plotWidth-4, p.y(v)+14, html.EscapeString(name), html.EscapeString(p.format(v)))
}

func (p *chart) end() template.HTML {
	return template.HTML(p.b.String() + "</svg>") // #nosec G203 -- numbers, our own class names, and what was escaped above
}
