package ledger

import (
	"fmt"
	"log/slog"
	"slices"
	"sync"
)

// Options make a Ledger. Zero values take the defaults.
type Options struct {
	Dir    string        // REPRISE_HOME/ledger; empty keeps rows in memory only
	Files  WriterOptions // rotation
	Recent int           // rows held in memory; default 4,096 (about 10 MB)
	Log    *slog.Logger  // where the one warning goes; default slog.Default()
}

// Ledger records rows: it seals them, counts them, keeps the last ones and writes them down. It is safe for
// concurrent use.
type Ledger struct {
	ring     *Ring
	counters counters
	writer   *Writer // nil: memory only
	log      *slog.Logger
	warn     sync.Once

	mu       sync.Mutex
	watchers []func(*Row)
}

// Open makes a ledger. A folder that cannot be made is an error here, where somebody can still choose another;
// later failures to write are not.
func Open(o Options) (*Ledger, error) {
	if o.Recent <= 0 {
		o.Recent = 4096
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	l := &Ledger{ring: NewRing(o.Recent), log: o.Log}
	if o.Dir == "" {
		return l, nil
	}
	w, err := NewWriter(o.Dir, o.Files)
	if err != nil {
		return nil, fmt.Errorf("%w (REPRISE_HOME names another place)", err)
	}
	l.writer = w
	return l, nil
}

// Record seals a row and returns it as everyone will see it. It never fails the turn: a row that cannot be written
// down stays in memory and is counted, with one warning for the whole run.
func (l *Ledger) Record(r Row) Row {
	r = Seal(r)
	l.counters.add(&r)
	l.ring.Add(r)
	l.mu.Lock()
	watchers := l.watchers
	l.mu.Unlock()
	for _, see := range watchers {
		see(&r)
	}
	if l.writer == nil {
		return r
	}
	if err := l.writer.Write(r); err != nil {
		l.counters.writeFailed()
		l.warn.Do(func() {
			l.log.Warn("ledger rows are not being written; they stay in memory, and writing is tried again with every turn",
				"dir", l.writer.dir, "error", err)
		})
	}
	return r
}

// Watch has see called with every row from now on, sealed, on the goroutine that records it. see must be quick, and may
// not keep or change the row.
func (l *Ledger) Watch(see func(*Row)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.watchers = append(slices.Clip(l.watchers), see)
}

// Recent is the last rows.
func (l *Ledger) Recent() *Ring { return l.ring }

// Totals is what all rows so far add up to.
func (l *Ledger) Totals() Totals { return l.counters.snapshot() }

// Close closes the file.
func (l *Ledger) Close() error {
	if l.writer == nil {
		return nil
	}
	return l.writer.Close()
}
