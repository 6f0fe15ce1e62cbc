package report

import (
	"html/template"
	"math"

	"reprise/cmd/internal/console"
)

// Plot is a chart of the page.
type Plot struct {
	ID, Title, Note string
	SVG             template.HTML
	Keys            []Key
}

// Key is a line of a legend.
type Key struct{ Class, Name string }

func countText(v float64) string { return console.Count(int(math.Round(v))) }
func bytesText(v float64) string { return console.Bytes(int64(v)) }

// largest is the largest of the values, over all runs: runs side by side have one scale.
func largest(runs []*Run, values ...func(*Turn) *float64) float64 {
	most := 0.0
	for _, r := range runs {
		for i := range r.Turns {
			for _, value := range values {
				if v := value(&r.Turns[i]); v != nil {
					most = max(most, *v)
				}
			}
		}
	}
	return most
}

func measured(r *Run, values ...func(*Turn) *float64) bool {
	for i := range r.Turns {
		for _, value := range values {
			if value(&r.Turns[i]) != nil {
				return true
			}
		}
	}
	return false
}

func ceiling(t *Turn) *float64    { return t.Ceiling }
func decodeTPS(t *Turn) *float64  { return t.DecodeTPS }
func footprint(t *Turn) *float64  { return t.Footprint }
func mlxPeak(t *Turn) *float64    { return t.MLXPeak }
func ttft(t *Turn) *float64       { return t.TTFT }
func prefillTPS(t *Turn) *float64 { return t.PrefillTPS }

func stack(t *Turn) *float64 {
	sum := 0.0
	for _, p := range t.Parts() {
		sum += p.Tokens
	}
	return &sum
}

// warm and cold are times to the first token of turns that reused something and of those that did not.
func warm(t *Turn) *float64 {
	if t.Hit != nil && *t.Hit > 0 {
		return t.TTFT
	}
	return nil
}

func cold(t *Turn) *float64 {
	if t.Hit != nil && *t.Hit == 0 {
		return t.TTFT
	}
	return nil
}

func untold(t *Turn) *float64 {
	if t.Hit == nil {
		return t.TTFT
	}
	return nil
}

// plots are the charts of a run. What it did not measure at all is said instead of drawn.
func (r *Run) plots(at int, runs []*Run) []Plot {
	out := []Plot{r.tokens(at, runs)}
	for _, c := range []struct {
		id, title string
		keys      []Key
		values    []func(*Turn) *float64
		format    func(float64) string
		limit     bool
	}{
		{"ttft", "Time to the first token", []Key{{"warm", "warm: something was reused"}, {"cold", "cold: nothing was"}, {"untold", "reuse not told"}},
			[]func(*Turn) *float64{warm, cold, untold}, console.Millis, false},
		{"decode", "Decode, tokens a second", []Key{{"decode", "decode"}}, []func(*Turn) *float64{decodeTPS}, console.Rate, false},
		{"prefill", "Prefill, tokens a second", []Key{{"prefill", "prefill"}}, []func(*Turn) *float64{prefillTPS}, console.Rate, false},
		{"memory", "Memory, two peaks that count different things", []Key{{"footprint", "process footprint"}, {"mlx", "MLX active, without its buffer cache"}},
			[]func(*Turn) *float64{footprint, mlxPeak}, bytesText, true},
	} {
		p := Plot{ID: c.id, Title: c.title}
		if !measured(r, c.values...) {
			p.Note = "not measured in this run"
			out = append(out, p)
			continue
		}
		most := largest(runs, c.values...)
		if c.limit && r.Limit != nil {
			most = max(most, *r.Limit)
		}
		s := newChart(at, len(r.Turns), most, c.title, c.format)
		for i, value := range c.values {
			if measured(r, value) {
				s.series(c.keys[i].Class, r.Turns, value)
				p.Keys = append(p.Keys, c.keys[i])
			}
		}
		if c.limit && r.Limit != nil {
			s.limit("the machine's memory", *r.Limit)
		}
		p.SVG = s.end()
		out = append(out, p)
	}
	return out
}

// tokens is the chart of where prompts came from.
func (r *Run) tokens(at int, runs []*Run) Plot {
	p := Plot{ID: "tokens", Title: "Where each prompt's tokens came from"}
	s := newChart(at, len(r.Turns), largest(runs, stack, ceiling), p.Title, countText)
	seen := map[string]bool{}
	for i := range r.Turns {
		for _, part := range r.Turns[i].Parts() {
			seen[part.Key] = seen[part.Key] || part.Tokens > 0
		}
		s.bar(&r.Turns[i])
	}
	for _, part := range parts {
		if seen[part.key] {
			p.Keys = append(p.Keys, Key{part.key, part.name})
		}
	}
	if measured(r, ceiling) {
		s.series("ceiling", r.Turns, ceiling)
		p.Keys = append(p.Keys, Key{"ceiling", "ceiling: the most that could be reused, from the run's ids"})
	}
	if len(seen) == 0 {
		p.Note = "not measured in this run"
	}
	p.SVG = s.end()
	return p
}
