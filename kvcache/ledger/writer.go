package ledger

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// WriterOptions bound the files of a ledger. Zero values take the defaults.
type WriterOptions struct {
	SegmentBytes int64 // a segment that has reached this is not written to any more; default 16 MB
	Segments     int   // how many to keep, the one being written included; default 16, at least 2
}

func (o WriterOptions) withDefaults() WriterOptions {
	if o.SegmentBytes <= 0 {
		o.SegmentBytes = 16_000_000
	}
	if o.Segments <= 0 {
		o.Segments = 16
	}
	o.Segments = max(2, o.Segments)
	return o
}

// Writer appends rows to a folder's segments, one line and one system call each. It is safe for concurrent use,
// and several processes may write into one folder. Lines are not synced: they survive kill -9, while a power cut
// may tear the last one, which the next writer closes off and the reader skips.
type Writer struct {
	dir  string
	opts WriterOptions

	mu     sync.Mutex
	file   segment
	number int
	torn   bool // the segment may end in half a line
	closed bool
}

// segment is what the writer needs of an *os.File.
type segment interface {
	io.WriteCloser
	Sync() error
}

// NewWriter makes the folder (0700). Segments (0600) are opened when the first row comes.
func NewWriter(dir string, opts WriterOptions) (*Writer, error) {
	if err := privateDir(dir); err != nil {
		return nil, err
	}
	return &Writer{dir: dir, opts: opts.withDefaults()}, nil
}

// Write appends a row, sealed on the way if it was not. After an error the row is not in the file as a whole line;
// later rows are tried again.
func (w *Writer) Write(r Row) error {
	line, err := encode(Seal(r))
	if err != nil {
		return fmt.Errorf("ledger: turn %s: %w", r.TurnID, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.append(line); err != nil {
		return fmt.Errorf("ledger: turn %s: %w", r.TurnID, err)
	}
	return nil
}

func (w *Writer) append(line []byte) error {
	if w.closed {
		return os.ErrClosed
	}
	if err := w.ready(); err != nil {
		return err
	}
	if w.torn {
		line = append([]byte{'\n'}, line...)
	}
	n, err := w.file.Write(line)
	if err != nil {
		w.torn = w.torn || n > 0
		return err
	}
	w.torn = false
	return nil
}

// ready leaves w.file at a segment with room. It looks at the segment's name rather than at the open file, so that
// a folder emptied by its owner is noticed and begun anew.
func (w *Writer) ready() error {
	if w.file == nil {
		return w.openNewest()
	}
	for {
		info, err := os.Stat(w.path(w.number))
		if errors.Is(err, fs.ErrNotExist) {
			return w.openNewest()
		}
		if err != nil {
			return err
		}
		if info.Size() < w.opts.SegmentBytes {
			return nil
		}
		if err := w.open(w.number + 1); err != nil {
			return err
		}
		w.prune()
	}
}

// openNewest goes on where the last writer stopped.
func (w *Writer) openNewest() error {
	if err := privateDir(w.dir); err != nil {
		return err
	}
	numbers, err := segments(w.dir)
	if err != nil {
		return err
	}
	newest := 1
	if len(numbers) > 0 {
		newest = numbers[len(numbers)-1]
	}
	if err := w.open(newest); err != nil {
		return err
	}
	return w.ready() // the newest may be full
}

func (w *Writer) path(number int) string { return filepath.Join(w.dir, segmentName(number)) }

// open moves on to a segment; the present one stays in place if that fails.
func (w *Writer) open(number int) error {
	f, err := os.OpenFile(w.path(number), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	if w.file != nil {
		// Its lines are written already; nothing is left that a failing close could lose.
		_ = w.file.Close()
	}
	w.file, w.number, w.torn = f, number, endsTorn(f)
	return nil
}

// endsTorn says that a file does not end with a whole line. An extra line feed does no harm, a missing one would
// cost the next row, so doubt counts as torn.
func endsTorn(f *os.File) bool {
	info, err := f.Stat()
	if err != nil {
		return true
	}
	if info.Size() == 0 {
		return false
	}
	var last [1]byte
	_, err = f.ReadAt(last[:], info.Size()-1)
	return err != nil || last[0] != '\n'
}

// prune removes the oldest segments beyond the count. What cannot be removed now is tried at the next rotation.
func (w *Writer) prune() {
	numbers, err := segments(w.dir)
	if err != nil {
		return
	}
	for len(numbers) > w.opts.Segments && numbers[0] < w.number {
		_ = os.Remove(w.path(numbers[0]))
		numbers = numbers[1:]
	}
}

// Close syncs and closes the segment. Rows written afterwards are refused.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	if w.file == nil {
		return nil
	}
	err := errors.Join(w.file.Sync(), w.file.Close())
	w.file = nil
	if err != nil {
		return fmt.Errorf("ledger: close: %w", err)
	}
	return nil
}
