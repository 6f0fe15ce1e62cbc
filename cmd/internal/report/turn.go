package report

import (
	"fmt"
	"strings"

	"reprise/cmd/internal/console"
)

// Turn is one line of a run's CSV, as far as the page shows it. Nil: not measured.
type Turn struct {
	Number                                                  int
	ID, Model                                               string
	Prompt, Hit, L0, L1, L2                                 *float64
	Recompute, New, Displaced, PaidAgain, Prefill           *float64
	Ceiling                                                 *float64 // by the oracle, from the run's ids
	TTFT, PrefillTPS, DecodeTPS                             *float64
	Footprint, MLXPeak                                      *float64
	Transfer, L2Transfer                                    *float64 // pd_transfer_ms, l2_transfer_ms
	Miss, LimitedBy, DivergedIn, Finish, Identity, Evidence string
	DivergedAt                                              *float64
	Checksum                                                string // of the prompt's ids; "": not told
	Before, After                                           string // the text that was known there, and this prompt's
	Shared                                                  string // in front of both
}

// Part is a piece of a prompt.
type Part struct {
	Key    string // of its colour
	Name   string
	Tokens float64
}

// parts are the classes of a bar, bottom up. "hit" is what was reused from a tier that the server does not name.
var parts = []struct{ key, name string }{
	{"l0", "memory (L0)"}, {"l1", "disk (L1)"}, {"l2", "shared store (L2)"}, {"hit", "reused, tier not told"},
	{"recompute", "recomputed"}, {"displaced", "moved"}, {"new", "new"}, {"computed", "computed, class not told"},
}

// Parts are where the prompt's tokens came from, as far as it was measured; they add up to the prompt when all of it was.
func (t *Turn) Parts() []Part {
	values := map[string]*float64{"l0": t.L0, "l1": t.L1, "l2": t.L2, "recompute": t.Recompute, "displaced": t.Displaced, "new": t.New}
	if t.New != nil && t.Displaced != nil {
		rest := *t.New - *t.Displaced
		values["new"] = &rest
	} else if t.New == nil {
		values["displaced"] = nil // of what, is not known
	}
	if t.L0 == nil && t.L1 == nil && t.L2 == nil {
		values["hit"] = t.Hit
	}
	if t.New == nil && t.Recompute == nil && t.Prompt != nil && t.Hit != nil {
		rest := *t.Prompt - *t.Hit
		values["computed"] = &rest
	}
	var out []Part
	for _, p := range parts {
		if v := values[p.key]; v != nil {
			out = append(out, Part{p.key, p.name, *v})
		}
	}
	return out
}

// Cost is what the turn paid for although it was known, or, where that was not told, what it computed.
func (t *Turn) Cost() (tokens float64, what string, known bool) {
	switch {
	case t.PaidAgain != nil:
		return *t.PaidAgain, "paid for again", true
	case t.Prompt != nil && t.Hit != nil:
		return *t.Prompt - *t.Hit, "computed", true
	}
	return 0, "", false
}

// Reason is why the turn cost that, in words.
func (t *Turn) Reason() string {
	var out []string
	if n, what, ok := t.Cost(); ok {
		text := fmt.Sprintf("%s tokens %s", console.Count(int(n)), what)
		if t.Recompute != nil && t.Displaced != nil {
			text += fmt.Sprintf(" (%s recomputed, %s moved)", console.Count(int(*t.Recompute)), console.Count(int(*t.Displaced)))
		}
		out = append(out, text)
	}
	if t.Miss != "" {
		out = append(out, "miss: "+t.Miss)
	} else {
		out = append(out, "the reason was not told")
	}
	if t.LimitedBy != "" && t.LimitedBy != "none" {
		out = append(out, "limited by "+t.LimitedBy)
	}
	if t.DivergedAt != nil {
		text := fmt.Sprintf("left what was known at token %s", console.Count(int(*t.DivergedAt)))
		if t.DivergedIn != "" {
			text += ", in " + t.DivergedIn
		}
		out = append(out, text)
	}
	return strings.Join(out, "; ")
}

// Value is the part's tokens as a field that was measured.
func (p Part) Value() *float64 { return &p.Tokens }
