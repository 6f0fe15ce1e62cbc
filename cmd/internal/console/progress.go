package console

import (
	"fmt"
	"io"
	"time"
)

// How often progress shows: a terminal's line is redrawn, other outputs get a line for what takes long.
const (
	redraw = 100 * time.Millisecond
	relate = 10 * time.Second
)

// Progress reports how far one piece of work is, in bytes.
type Progress struct {
	out      io.Writer
	label    string
	terminal bool
	now      func() time.Time
	last     time.Time
	drawn    bool
}

// NewProgress begins progress of label ("loading gemma-3-270m") on out.
func NewProgress(out io.Writer, label string) *Progress {
	p := &Progress{out: out, label: label, terminal: IsTerminal(out), now: time.Now}
	p.last = p.now()
	return p
}

// Update says that done of total bytes are behind us.
func (p *Progress) Update(done, total int64) {
	interval := relate
	if p.terminal {
		interval = redraw
	}
	now := p.now()
	if total <= 0 || now.Sub(p.last) < interval {
		return
	}
	p.last = now
	line := fmt.Sprintf("%s: %d %% of %s", p.label, done*100/total, Bytes(total))
	if p.terminal {
		fmt.Fprintf(p.out, "\r\x1b[K%s", Dim(true, line))
		p.drawn = true
		return
	}
	fmt.Fprintln(p.out, line)
}

// Close clears the line that a terminal shows.
func (p *Progress) Close() {
	if p.drawn {
		fmt.Fprint(p.out, "\r\x1b[K")
		p.drawn = false
	}
}
