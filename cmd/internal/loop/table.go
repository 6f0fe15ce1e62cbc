package loop

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"reprise/cmd/internal/console"
	"reprise/kvcache/ledger"
)

// Table shows a run on a terminal while it happens: a line for each turn that has ended, and under them one that is drawn
// anew, which says what the run is at. Close ends it; nothing is drawn afterwards.
type Table struct {
	out  io.Writer
	of   int
	now  func() time.Time
	stop chan struct{}
	done chan struct{}

	mu    sync.Mutex
	begun time.Time
	turn  int // that is under way
}

// redraw is how often the line under the table is drawn when nothing happens.
const redraw = 500 * time.Millisecond

// barWidth is how many characters the bar of a prompt's tokens has.
const barWidth = 20

// clearLine goes to the beginning of the terminal's line and clears it.
const clearLine = "\r\x1b[K"

// NewTable begins one for a run of so many turns.
func NewTable(out io.Writer, turns int) *Table {
	t := &Table{out: out, of: turns, now: time.Now, stop: make(chan struct{}), done: make(chan struct{}), turn: 1}
	t.begun = t.now()
	fmt.Fprintf(out, "%5s %8s %8s %8s %8s %8s %9s %9s %10s  reused █ recomputed ▒ new ░\n", "turn", "prompt", "l0", "l1", "l2", "computed", "displaced", "ttft", "decode")
	t.status()
	go t.keep()
	return t
}

func (t *Table) keep() {
	defer close(t.done)
	tick := time.NewTicker(redraw)
	defer tick.Stop()
	for {
		select {
		case <-t.stop:
			return
		case <-tick.C:
			t.mu.Lock()
			t.status()
			t.mu.Unlock()
		}
	}
}

// status draws the line under the table.
func (t *Table) status() {
	spent := t.now().Sub(t.begun)
	text := fmt.Sprintf("turn %d of %d, %s", t.turn, t.of, spent.Round(time.Second))
	if n := t.turn - 1; n > 0 {
		text += fmt.Sprintf(", about %s left", (spent * time.Duration(t.of-n) / time.Duration(n)).Round(time.Second))
	}
	fmt.Fprint(t.out, clearLine+console.Dim(true, text))
}

// Turned adds a turn's line.
func (t *Table) Turned(r *Record) {
	t.mu.Lock()
	defer t.mu.Unlock()
	row := &r.Row
	n := func(f ledger.Opt[int]) string {
		if v, ok := f.Get(); ok {
			return console.Count(v)
		}
		return "–"
	}
	ms, speed := "–", "–"
	if v, ok := row.TTFTMs.Get(); ok {
		ms = console.Millis(v)
	}
	if v, ok := row.DecodeTPS.Get(); ok {
		speed = console.Rate(v)
	}
	prompt := n(row.PromptTokens)
	if !row.PromptTokens.Known() {
		prompt = "~" + console.Count(r.Estimated())
	}
	fmt.Fprintf(t.out, "%s%5d %8s %8s %8s %8s %8s %9s %9s %10s  %s\n", clearLine, r.Turn, prompt, n(row.L0HitTokens), n(row.L1HitTokens), n(row.L2HitTokens), n(row.PrefillTokens),
		n(row.DisplacedTokens), ms, speed, bar(row))
	if t.turn = r.Turn + 1; t.turn <= t.of {
		t.status()
	}
}

// bar shows where a prompt's tokens came from.
func bar(row *ledger.Row) string {
	all := row.PromptTokens.Or(0)
	if all == 0 {
		return ""
	}
	hit := barWidth * row.LookupHitTokens.Or(0) / all
	again := barWidth*(row.LookupHitTokens.Or(0)+row.RecomputeTokens.Or(0))/all - hit
	return strings.Repeat("█", hit) + strings.Repeat("▒", again) + strings.Repeat("░", barWidth-hit-again)
}

// Close ends the table.
func (t *Table) Close() {
	close(t.stop)
	<-t.done
	fmt.Fprint(t.out, clearLine)
}
