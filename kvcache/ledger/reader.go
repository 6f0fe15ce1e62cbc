package ledger

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// maxLine is the longest line that is looked at. A row has about 3 KB; the file is not trusted.
const maxLine = 1 << 20

// Problem is a line that is not a row.
type Problem struct {
	File string // empty when read from an io.Reader
	Line int    // from 1
	Torn bool   // the last line, without a line feed: a write was cut off
	Err  error
}

func (p Problem) String() string {
	what := "is not a row"
	if p.Torn {
		what = "is cut off"
	}
	return fmt.Sprintf("%s:%d: line %s, skipped: %v", p.File, p.Line, what, p.Err)
}

// Read returns the rows of a JSONL stream and the lines that are none. Fields that this version does not know are
// ignored; blank lines are skipped. The error is the reader's own.
func Read(r io.Reader) ([]Row, []Problem, error) {
	var rows []Row
	var problems []Problem
	in := bufio.NewReaderSize(r, 64<<10)
	for n := 1; ; n++ {
		line, whole, err := readLine(in)
		if text := bytes.TrimSpace(line); len(text) > 0 {
			row, bad := decode(text)
			if bad == nil {
				rows = append(rows, row)
			} else {
				problems = append(problems, Problem{Line: n, Torn: !whole && errors.Is(err, io.EOF), Err: bad})
			}
		}
		if errors.Is(err, io.EOF) {
			return rows, problems, nil
		}
		if err != nil {
			return rows, problems, err
		}
	}
}

// readLine returns a line, cut at maxLine + 1, and whether its line feed was there.
func readLine(in *bufio.Reader) (line []byte, whole bool, err error) {
	for {
		part, err := in.ReadSlice('\n')
		if room := maxLine + 1 - len(line); len(part) > room {
			line = append(line, part[:room]...)
		} else {
			line = append(line, part...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err == nil, err
		}
	}
}

func decode(line []byte) (Row, error) {
	if len(line) > maxLine {
		return Row{}, fmt.Errorf("longer than %d bytes", maxLine)
	}
	if line[0] != '{' {
		return Row{}, errors.New("not a JSON object")
	}
	var row Row
	if err := json.Unmarshal(line, &row); err != nil {
		return Row{}, err
	}
	if row.TurnID == "" {
		return Row{}, errors.New("no turn_id")
	}
	return row, nil
}

// ReadFile reads one ledger file.
func ReadFile(path string) ([]Row, []Problem, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("ledger: %w", err)
	}
	defer f.Close() // only read from
	rows, problems, err := Read(f)
	for i := range problems {
		problems[i].File = path
	}
	if err != nil {
		return rows, problems, fmt.Errorf("ledger %s: %w", path, err)
	}
	return rows, problems, nil
}

// ReadDir reads the segments of a ledger folder, oldest first. A folder that is not there holds no rows.
func ReadDir(dir string) ([]Row, []Problem, error) {
	files, err := Files(dir)
	if err != nil {
		return nil, nil, err
	}
	var rows []Row
	var problems []Problem
	for _, path := range files {
		r, p, err := ReadFile(path)
		rows, problems = append(rows, r...), append(problems, p...)
		if err != nil {
			return rows, problems, err
		}
	}
	return rows, problems, nil
}
