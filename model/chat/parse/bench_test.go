package parse

import (
	"testing"
)

// BenchmarkParse reads the corpus' answers; the figure that matters is ns/token, beside a decode step of milliseconds.
func BenchmarkParse(b *testing.B) {
	c := loadCorpus(b)
	tools := toolsOf(b, c.Tools)
	type answer struct {
		d      *Dialect
		x      *corpusCase
		tokens []token
	}
	var answers []answer
	n := 0
	for i := range c.Cases {
		x := &c.Cases[i]
		answers = append(answers, answer{c.dialect(b, x.Dialect, false), x, c.tokens(b, x)})
		n += len(answers[i].tokens)
	}
	for b.Loop() {
		for _, a := range answers {
			p := a.d.New(tools, a.x.Thinking)
			for _, t := range a.tokens {
				p.Push(t.id, t.text)
			}
			p.Finish(a.x.Truncated)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/token")
}
