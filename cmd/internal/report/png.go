package report

import (
	"fmt"
	"image/color"
	"io"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

// colours are those of the page, by part.
var colours = map[string]color.RGBA{
	"l0": {27, 158, 119, 255}, "l1": {102, 166, 30, 255}, "l2": {166, 201, 106, 255}, "hit": {90, 180, 150, 255},
	"recompute": {217, 95, 2, 255}, "displaced": {230, 171, 2, 255}, "new": {154, 163, 181, 255}, "computed": {154, 163, 181, 255},
}

// WritePNG draws where each prompt's tokens came from, with the ceiling.
func WritePNG(out io.Writer, r *Run) error {
	p := plot.New()
	p.Title.Text = r.Name + ": where each prompt's tokens came from"
	if s := r.State(); s != "" {
		p.Title.Text += "\n" + s
	}
	p.X.Label.Text, p.Y.Label.Text = "turn", "tokens"
	p.Legend.Top, p.Legend.Left = true, true
	if err := stackBars(p, r); err != nil {
		return err
	}
	if err := ceilingLine(p, r); err != nil {
		return err
	}
	w, err := p.WriterTo(24*vg.Centimeter, 12*vg.Centimeter, "png")
	if err != nil {
		return fmt.Errorf("drawing %s: %w", r.Name, err)
	}
	_, err = w.WriteTo(out)
	return err
}

func stackBars(p *plot.Plot, r *Run) error {
	var below *plotter.BarChart
	for _, part := range parts {
		values, any := make(plotter.Values, len(r.Turns)), false
		for i := range r.Turns {
			for _, x := range r.Turns[i].Parts() {
				if x.Key == part.key {
					values[i], any = x.Tokens, any || x.Tokens > 0
				}
			}
		}
		if !any {
			continue
		}
		bars, err := plotter.NewBarChart(values, vg.Points(560/float64(max(1, len(r.Turns)))*.84))
		if err != nil {
			return fmt.Errorf("drawing %s: %w", r.Name, err)
		}
		bars.Color, bars.LineStyle.Width, bars.XMin = colours[part.key], 0, 1
		if below != nil {
			bars.StackOn(below)
		}
		below = bars
		p.Add(bars)
		p.Legend.Add(part.name, bars)
	}
	return nil
}

// ceilingLine draws one line for each stretch of turns whose ceiling is known.
func ceilingLine(p *plot.Plot, r *Run) error {
	var stretch plotter.XYs
	first := true
	flush := func() error {
		if len(stretch) == 0 {
			return nil
		}
		line, err := plotter.NewLine(stretch)
		if err != nil {
			return fmt.Errorf("drawing %s: %w", r.Name, err)
		}
		line.Color, line.Width = color.RGBA{117, 112, 179, 255}, vg.Points(1.5)
		p.Add(line)
		if first {
			p.Legend.Add("ceiling", line)
		}
		first, stretch = false, nil
		return nil
	}
	for i := range r.Turns {
		if c := r.Turns[i].Ceiling; c != nil {
			stretch = append(stretch, plotter.XY{X: float64(r.Turns[i].Number), Y: *c})
		} else if err := flush(); err != nil {
			return err
		}
	}
	return flush()
}
