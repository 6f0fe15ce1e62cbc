package loop

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"reprise/cmd/internal/console"
	"reprise/kvcache/ledger"
)

// The files of a run.
const (
	TurnsFile   = "turns.csv"    // a header and a line per turn, under the ledger's names
	TraceFile   = "trace.jsonl"  // a Record per turn
	SummaryFile = "summary.json" // a Summary
	ClaimsFile  = "claims.txt"   // its claims, for people
)

// Record is a line of the trace: what was sent and computed, with the row. Package oracle reads it.
type Record struct {
	Turn         int         `json:"turn"`
	Conversation string      `json:"conversation"`
	Line         int         `json:"line_tokens_est"` // what the profile asks for; 0: it does not
	Characters   int         `json:"characters"`
	Markup       *int        `json:"markup_characters"` // what the template added; null: not known
	Answer       string      `json:"answer"`
	ClientTTFT   *float64    `json:"client_ttft_ms"` // to the first text; null: none came
	Prompt       []int32     `json:"prompt_ids"`
	Generated    []int32     `json:"generated_ids"`
	Computed     int         `json:"computed_tokens"` // of prompt and generated together
	Static       int         `json:"static_tokens"`   // of the prompt, its static prefix; less than 0: not known
	Row          ledger.Row  `json:"row"`
	Prefill      *ledger.Row `json:"prefill_row"` // of the process that computed the prompt for another; null: the same did both
	Spans        []Span      `json:"spans"`
}

// Estimated tokens of the prompt.
func (r *Record) Estimated() int { return r.Characters / 4 }

// files writes a run down while it happens. The zero value, without a folder, keeps nothing.
type files struct {
	dir   string
	trace *os.File
	rows  []ledger.Row
}

// create makes the folder and begins the files anew.
func create(dir string) (*files, error) {
	f := &files{dir: dir}
	if dir == "" {
		return f, nil
	}
	err := os.MkdirAll(dir, 0o755)
	if err == nil {
		f.trace, err = os.Create(filepath.Join(dir, TraceFile))
	}
	if err == nil {
		err = f.csv()
	}
	if err != nil {
		return nil, fmt.Errorf("--out %s cannot be written: %w", dir, err)
	}
	return f, nil
}

// add writes a turn.
func (f *files) add(r *Record) error {
	f.rows = append(f.rows, r.Row)
	if f.dir == "" {
		return nil
	}
	w := bufio.NewWriterSize(f.trace, 1<<20)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	if err := errors.Join(enc.Encode(r), w.Flush(), f.csv()); err != nil {
		return fmt.Errorf("writing to %s: %w", f.dir, err)
	}
	return nil
}

func (f *files) csv() error {
	return replace(filepath.Join(f.dir, TurnsFile), func(w io.Writer) error { return ledger.WriteCSV(w, f.rows) })
}

// summary writes the summary as it stands.
func (f *files) summary(s *Summary) error {
	if f.dir == "" {
		return nil
	}
	if err := replace(filepath.Join(f.dir, ClaimsFile), s.writeClaims); err != nil {
		return err
	}
	return replace(filepath.Join(f.dir, SummaryFile), func(w io.Writer) error { return console.WriteJSON(w, s) })
}

// Rewrite writes a finished run's summary and claims again.
func (s *Summary) Rewrite(dir string) error { return (&files{dir: dir}).summary(s) }

func (f *files) close() error {
	if f.trace == nil {
		return nil
	}
	return f.trace.Close()
}

// replace writes a file beside its place and then puts it there: a reader finds the old one or the new one.
func replace(path string, write func(io.Writer) error) (err error) {
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(tmp.Name())
		}
	}()
	if err = errors.Join(write(tmp), tmp.Chmod(0o644), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}
