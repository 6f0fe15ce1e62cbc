package engine

import (
	"sync"

	"reprise/kvcache/ledger"
)

// mostBeside is how many requests in a row may be taken for side requests. After that the main line is over: who is left is
// no longer beside anything.
const mostBeside = 64

// lines tells an agent's main line from what it asks beside it: titles, summaries, the flush of its memory before it compacts.
// Those come under the same model's name and say nothing of themselves, but they offer no tools, or few: fewer than the main
// line does. They run beside the cache's budget, and what they leave goes before anything of the main line, so that no number and no
// length of them evicts it. A review in the background, which has the main line's tools and all its messages, counts as the main
// line; it branches off, and takes nothing from it.
type lines struct {
	mu    sync.Mutex
	tools int // that the main line offers
	sides int // requests in a row that were beside it
}

// side says whether a request is one beside the main line, and learns from it. A turn asks once.
func (l *lines) side(req Request) bool {
	if req.Purpose != ledger.PurposeTurn {
		return false // a warm-up is made for a main line to come
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	tools := len(req.Prompt.Tools)
	if tools < l.tools && l.sides < mostBeside {
		l.sides++
		return true
	}
	l.tools, l.sides = tools, 0
	return false
}
