package loop

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"reprise/cmd/internal/console"
	"reprise/kvcache/ledger"
)

// Table shows a run on a terminal while it happens: a line for each turn that has ended, and under them one that is drawn
// anew, which says what the run is at. Both have the columns that the terminal is wide enough for. Close ends it; nothing is drawn
// afterwards.
type Table struct {
	out   io.Writer
	of    int
	now   func() time.Time
	width func() int // of the terminal; 0: not known
	stop  chan struct{}
	done  chan struct{}

	mu    sync.Mutex
	begun time.Time
	turn  int      // that is under way
	shown []string // the columns under the last header
}

// columns are those of the table, in their order.
var columns = []struct {
	name  string
	width int
	text  func(*Record) string
}{
	{"turn", 4, func(r *Record) string { return strconv.Itoa(r.Turn) }},
	{"prompt", 8, prompt},
	{"l0", 7, func(r *Record) string { return tokens(r.Row.L0HitTokens) }},
	{"l1", 7, func(r *Record) string { return tokens(r.Row.L1HitTokens) }},
	{"l2", 7, func(r *Record) string { return tokens(r.Row.L2HitTokens) }},
	{"computed", 8, func(r *Record) string { return tokens(r.Row.PrefillTokens) }},
	{"displaced", 9, func(r *Record) string { return tokens(r.Row.DisplacedTokens) }},
	{"ttft", 7, func(r *Record) string { return shown(r.Row.TTFTMs, console.Millis) }},
	{"decode", 10, func(r *Record) string { return shown(r.Row.DecodeTPS, console.Rate) }},
	{legend, -utf8.RuneCountInString(legend), func(r *Record) string { return bar(&r.Row) }},
}

// legend is the header of the bars, which stand to the left of their column.
const legend = " reused █ recomputed ▒ new ░"

// spared are the columns that a narrow terminal does without, the first ones first.
var spared = []string{legend, "decode", "displaced", "l2", "l1", "l0"}

// fitting are the columns that there is room for.
func (t *Table) fitting() []string {
	names, room := []string{}, t.width()
	for _, c := range columns {
		names = append(names, c.name)
		room -= max(c.width, -c.width) + 1
	}
	for _, name := range spared {
		if t.width() == 0 || room >= 0 {
			break
		}
		for _, c := range columns {
			if c.name == name {
				room += max(c.width, -c.width) + 1
			}
		}
		names = slices.DeleteFunc(names, func(n string) bool { return n == name })
	}
	return names
}

// line is a row of the table with these columns.
func line(names []string, text func(i int) string) string {
	var b strings.Builder
	for i, c := range columns {
		if slices.Contains(names, c.name) {
			fmt.Fprintf(&b, "%*s ", c.width, text(i))
		}
	}
	return strings.TrimRight(b.String(), " ") + "\n"
}

// header names the columns, where they are not those of the header above.
func (t *Table) header() {
	if names := t.fitting(); !slices.Equal(names, t.shown) {
		t.shown = names
		fmt.Fprint(t.out, clearLine+line(names, func(i int) string { return columns[i].name }))
	}
}

// redraw is how often the line under the table is drawn when nothing happens.
const redraw = 500 * time.Millisecond

// barWidth is how many characters the bar of a prompt's tokens has.
const barWidth = 20

// clearLine goes to the beginning of the terminal's line and clears it.
const clearLine = "\r\x1b[K"

// NewTable begins one for a run of so many turns.
func NewTable(out io.Writer, turns int) *Table {
	t := &Table{out: out, of: turns, now: time.Now, width: func() int { return console.Width(out) }, stop: make(chan struct{}), done: make(chan struct{}), turn: 1}
	t.begun = t.now()
	t.header()
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
	if r, n := []rune(text), t.width(); n > 0 && len(r) >= n { // a line that wraps could not be cleared
		text = string(r[:n-1])
	}
	fmt.Fprint(t.out, clearLine+console.Dim(true, text))
}

// Turned adds a turn's line.
func (t *Table) Turned(r *Record) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.header()
	fmt.Fprint(t.out, clearLine+line(t.shown, func(i int) string { return columns[i].text(r) }))
	if t.turn = r.Turn + 1; t.turn <= t.of {
		t.status()
	}
}

// prompt is its length, or an estimate of it.
func prompt(r *Record) string {
	if !r.Row.PromptTokens.Known() {
		return "~" + console.Count(r.Estimated())
	}
	return tokens(r.Row.PromptTokens)
}

func tokens(n ledger.Opt[int]) string { return shown(n, console.Count) }

// shown is a value as people read it, or a dash for what was not measured.
func shown[T int | float64](v ledger.Opt[T], text func(T) string) string {
	if n, ok := v.Get(); ok {
		return text(n)
	}
	return "–"
}

// bar shows where a prompt's tokens came from.
func bar(row *ledger.Row) string {
	all := row.PromptTokens.Or(0)
	if all == 0 {
		return ""
	}
	hit := barWidth * row.LookupHitTokens.Or(0) / all
	again := barWidth*(row.LookupHitTokens.Or(0)+row.RecomputeTokens.Or(0))/all - hit
	return " " + strings.Repeat("█", hit) + strings.Repeat("▒", again) + strings.Repeat("░", barWidth-hit-again)
}

// Close ends the table.
func (t *Table) Close() {
	close(t.stop)
	<-t.done
	fmt.Fprint(t.out, clearLine)
}
