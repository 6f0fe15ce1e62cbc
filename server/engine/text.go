package engine

import (
	"strings"

	"reprise/model/tokenizer"
)

// answer turns generated ids into the text that is delivered: whole characters only, nothing from a stop text
// on, and nothing that could still become one.
type answer struct {
	stream  *tokenizer.Stream
	stops   []string
	held    string // decoded, not yet delivered
	text    strings.Builder
	stopped bool
}

func newAnswer(tok *tokenizer.Tokenizer, stops []string) *answer {
	return &answer{stream: tok.NewStream(true), stops: stops}
}

// push takes the next id and returns the text that may go out; stopped is set when a stop text is complete.
func (a *answer) push(id int32) string { return a.release(a.stream.Push(id), false) }

// flush returns the rest.
func (a *answer) flush() string {
	if a.stopped {
		return ""
	}
	return a.release(a.stream.Flush(), true)
}

func (a *answer) release(text string, last bool) string {
	a.held += text
	cut, end := len(a.held), len(a.held)+1
	for _, stop := range a.stops {
		// The one that is complete first wins, not the one that starts first: so pieces of any length cut alike.
		i := strings.Index(a.held, stop)
		if e := i + len(stop); i >= 0 && (e < end || e == end && i < cut) {
			cut, end, a.stopped = i, e, true
		}
	}
	if !a.stopped && !last {
		cut -= a.pending()
	}
	out := a.held[:cut]
	a.held = a.held[cut:]
	a.text.WriteString(out)
	return out
}

// pending is the length of the longest tail of held that begins a stop text.
func (a *answer) pending() int {
	longest := 0
	for _, stop := range a.stops {
		for n := min(len(stop)-1, len(a.held)); n > longest; n-- {
			if strings.HasSuffix(a.held, stop[:n]) {
				longest = n
			}
		}
	}
	return longest
}
