package sidebyside

import (
	"fmt"
	"slices"
	"strconv"

	"reprise/cmd/internal/console"
)

// metric says how a kind of figure is printed.
type metric struct {
	name  string               // as in Series and in limits
	title string               // of its rows, with the unit
	less  bool                 // less is better
	text  func(float64) string // a value without its unit
	bare  bool                 // a count that has no ratio
	aside bool                 // not in the README
}

// metrics are all of them, in the order of the tables.
var metrics = []metric{
	{name: "prefill", title: "prefill, tok/s", text: tenths},
	{name: "decode", title: "decode, tok/s", text: tenths},
	{name: "ttft", title: "server: first text, ms", less: true, text: whole},
	{name: "reused", title: "server: reused tokens", text: whole, bare: true},
	{name: "prompt", title: "server: prompt tokens", text: whole, bare: true, aside: true},
	{name: "answer", title: "server: decode, tok/s", text: tenths},
	{name: "memory", title: "server: peak memory, MB", less: true, text: megabytes},
	{name: "anonymous", title: "server: memory but file pages, MB", less: true, text: megabytes},
	{name: "load", title: "server: start to ready, ms", less: true, text: whole},
	{name: "first", title: "server: start to first text, ms", less: true, text: whole},
	{name: "own-load", title: "server: load by its own clock, ms", less: true, text: whole, bare: true, aside: true},
}

func metricOf(name string) (metric, bool) {
	i := slices.IndexFunc(metrics, func(m metric) bool { return m.name == name })
	if i < 0 {
		return metric{}, false
	}
	return metrics[i], true
}

func tenths(v float64) string {
	if v >= 1000 {
		return whole(v)
	}
	return strconv.FormatFloat(v, 'f', 1, 64)
}
func whole(v float64) string     { return console.Count(int(v + 0.5)) }
func megabytes(v float64) string { return whole(v / 1e6) }

// place is a context or a step as the tables name it.
func place(at string) string {
	n, err := strconv.Atoi(at)
	switch {
	case err != nil:
		return at
	case n == 0:
		return "empty context"
	}
	return fmt.Sprintf("%s tokens", console.Count(n))
}
