package sidebyside

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Limit holds ours against a peer's: "decode@0,512 >= 1 x llama.cpp".
type Limit struct {
	text   string
	metric string
	at     []string // none: wherever it was measured
	most   bool     // the ratio may be at most that, else it must be at least
	ratio  float64
	peer   string
}

var limitForm = regexp.MustCompile(`^\s*([a-z-]+)(?:@([^<>=\s][^<>=]*?))?\s*(>=|<=)\s*([0-9.]+)\s*x\s*(\S+)\s*$`)

// ParseLimit reads METRIC[@PLACE,…] >= RATIO x PEER, or <=.
func ParseLimit(text string) (Limit, error) {
	m := limitForm.FindStringSubmatch(text)
	if m == nil {
		return Limit{}, fmt.Errorf("%q is no limit; one looks like \"decode@512,2048 >= 1 x llama.cpp\" or \"memory <= 1.2 x llama.cpp\"", text)
	}
	l := Limit{text: strings.TrimSpace(text), metric: m[1], most: m[3] == "<=", peer: m[5]}
	if m[2] != "" {
		l.at = strings.Split(m[2], ",")
	}
	known, ok := metricOf(l.metric)
	switch {
	case !ok || known.bare:
		return l, fmt.Errorf("%q: there is no figure %q to compare", text, l.metric)
	case !slices.Contains(Engines, l.peer) || l.peer == Ours:
		return l, fmt.Errorf("%q: %q is no peer of %s", text, l.peer, Ours)
	case l.most != known.less:
		return l, fmt.Errorf("%q: of %s %s is better, so the limit is the other way round", text, l.metric, map[bool]string{true: "less", false: "more"}[known.less])
	}
	var err error
	if l.ratio, err = strconv.ParseFloat(m[4], 64); err != nil || l.ratio == 0 {
		return l, fmt.Errorf("%q: %s is no ratio", text, m[4])
	}
	return l, nil
}

// Check prints how the report stands to each limit and returns an error that names those that are missed.
func (r *Report) Check(limits []Limit, out io.Writer) error {
	var missed []string
	for _, l := range limits {
		at := l.at
		if len(at) == 0 {
			at = r.places(l.metric)
		}
		if len(at) == 0 {
			missed = append(missed, l.metric+" was not measured")
			fmt.Fprintf(out, "MISSED  %s: not measured\n", l.text)
		}
		for _, at := range at {
			name := l.metric
			if at != "" {
				name += "@" + at
			}
			ratio, ok := r.ratio(l.metric, at, l.peer)
			word, got := "holds ", fmt.Sprintf("%.3f x %s", ratio, l.peer)
			if !ok {
				got = "not measured"
			}
			if !ok || l.most && ratio > l.ratio || !l.most && ratio < l.ratio {
				word = "MISSED"
				missed = append(missed, name+" is "+got)
			}
			fmt.Fprintf(out, "%s  %s: %s (%s)\n", word, name, got, l.text)
		}
	}
	if len(missed) > 0 {
		return fmt.Errorf("limits missed: %s", strings.Join(missed, ", "))
	}
	return nil
}
