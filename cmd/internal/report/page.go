package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"slices"

	"reprise/cmd/internal/console"
)

var (
	//go:embed page.html
	pageText string
	//go:embed page.css
	style string
	//go:embed page.js
	script string
)

// worstShown is how many of a run's worst turns stand at its top.
const worstShown = 5

type page struct {
	Title  string
	Style  template.CSS
	Script template.JS
	Runs   []shownRun
	Totals []total
}

type shownRun struct {
	*Run
	At    int
	Plots []Plot
	Worst []*Turn
}

// total is a line of the table that has runs side by side.
type total struct {
	Name  string
	Cells []string
}

// WritePage writes the page of the runs.
func WritePage(out io.Writer, runs []*Run) error {
	p := page{Title: "reprise: " + runs[0].Name, Style: template.CSS(style), Script: template.JS(script), Totals: totals(runs)} // #nosec G203 -- embedded
	if len(runs) > 1 {
		p.Title = fmt.Sprintf("reprise: %d runs", len(runs))
	}
	for i, r := range runs {
		p.Runs = append(p.Runs, shownRun{r, i + 1, r.plots(i+1, runs), worst(r.Turns)})
	}
	t, err := template.New("page").Funcs(template.FuncMap{"tokens": cell(countText), "ms": cell(console.Millis), "rate": cell(console.Rate), "bytes": cell(bytesText)}).Parse(pageText)
	if err != nil {
		return fmt.Errorf("the page: %w", err)
	}
	return t.Execute(out, p)
}

// cell prints a value, or a dash for what was not measured.
func cell(format func(float64) string) func(*float64) string {
	return func(v *float64) string {
		if v == nil {
			return "–"
		}
		return format(*v)
	}
}

// worst are the turns that paid most for what was known, the worst first; without such, those that computed most.
func worst(turns []Turn) []*Turn {
	var out []*Turn
	for i := range turns {
		if _, _, ok := turns[i].Cost(); ok {
			out = append(out, &turns[i])
		}
	}
	slices.SortStableFunc(out, func(a, b *Turn) int {
		x, _, _ := a.Cost()
		y, _, _ := b.Cost()
		switch {
		case x > y:
			return -1
		case x < y:
			return 1
		}
		return 0
	})
	return out[:min(worstShown, len(out))]
}

// sum of a field, nil as soon as a turn does not know it.
func sum(turns []Turn, value func(*Turn) *float64) *float64 {
	s := 0.0
	for i := range turns {
		v := value(&turns[i])
		if v == nil {
			return nil
		}
		s += *v
	}
	if len(turns) == 0 {
		return nil
	}
	return &s
}

func median(turns []Turn, value func(*Turn) *float64) *float64 {
	var all []float64
	for i := range turns {
		if v := value(&turns[i]); v != nil {
			all = append(all, *v)
		}
	}
	if len(all) == 0 {
		return nil
	}
	slices.Sort(all)
	m := (all[(len(all)-1)/2] + all[len(all)/2]) / 2
	return &m
}

func most(turns []Turn, value func(*Turn) *float64) *float64 {
	var top *float64
	for i := range turns {
		if v := value(&turns[i]); v != nil && (top == nil || *v > *top) {
			top = v
		}
	}
	return top
}

// totals are the runs side by side.
func totals(runs []*Run) []total {
	var out []total
	for _, f := range Fields {
		line := total{Name: f.Title}
		for _, r := range runs {
			line.Cells = append(line.Cells, cell(f.format)(f.Of(r)))
		}
		out = append(out, line)
	}
	return out
}
