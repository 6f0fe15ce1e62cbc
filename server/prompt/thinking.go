package prompt

import (
	"strings"

	"reprise/model/tokenizer"
)

// dialect is a pair of tokens that reasoning stands between.
type dialect struct{ open, shut string }

// dialects are those of the models that reprise serves. One whose tokens the vocabulary lacks is not used.
var dialects = []dialect{{"<think>", "</think>"}, {"<|channel>", "<channel|>"}}

// strip removes reasoning from a text: what stands between the two, what stands before a first closing that nothing
// opened (the opening was in the prompt), and what follows an opening that nothing closes. Models repeat closings:
// those go too.
func (d dialect) strip(text string) string {
	var out strings.Builder
	for first := true; ; first = false {
		shut := strings.Index(text, d.shut)
		open := strings.Index(text, d.open)
		switch {
		case shut < 0 && open < 0:
			out.WriteString(text)
			return out.String()
		case shut < 0:
			out.WriteString(text[:open])
			return out.String()
		case open >= 0 && open < shut:
			out.WriteString(text[:open])
		case !first:
			out.WriteString(text[:shut])
		}
		text = text[shut+len(d.shut):]
	}
}

// leftOpen tells whether a template's text ends within reasoning.
func leftOpen(text string) bool {
	for _, d := range dialects {
		if strings.LastIndex(text, d.open) > strings.LastIndex(text, d.shut) {
			return true
		}
	}
	return false
}

// reasoner finds reasoning among ids.
type reasoner struct {
	opens, shuts map[int32]bool
}

func newReasoner(t *tokenizer.Tokenizer) reasoner {
	r := reasoner{map[int32]bool{}, map[int32]bool{}}
	for _, d := range dialects {
		open, ok1 := t.ID(d.open)
		shut, ok2 := t.ID(d.shut)
		if ok1 && ok2 {
			r.opens[open], r.shuts[shut] = true, true
		}
	}
	return r
}

// open tells whether ids end inside of reasoning.
func (r reasoner) open(ids []int32) bool {
	for i := len(ids) - 1; i >= 0; i-- {
		switch {
		case r.opens[ids[i]]:
			return true
		case r.shuts[ids[i]]:
			return false
		}
	}
	return false
}

// ranges lists the [from, to) of ids that are reasoning, markers included, as strip does with text. inside says that
// they begin within it.
func (r reasoner) ranges(ids []int32, inside bool) [][2]int {
	var out [][2]int
	from := 0
	for i, id := range ids {
		switch {
		case !inside && r.opens[id]:
			inside, from = true, i
		case !r.shuts[id]:
		case inside || len(out) == 0:
			inside = false
			out = append(out, [2]int{from, i + 1})
		default: // a closing once more
			out = append(out, [2]int{i, i + 1})
		}
	}
	if inside && len(ids) > from {
		out = append(out, [2]int{from, len(ids)})
	}
	return out
}

// without returns ids less some ranges of them.
func without(ids []int32, ranges [][2]int) []int32 {
	var out []int32
	at := 0
	for _, x := range ranges {
		out = append(out, ids[at:x[0]]...)
		at = x[1]
	}
	return append(out, ids[at:]...)
}
