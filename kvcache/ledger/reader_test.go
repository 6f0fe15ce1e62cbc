package ledger

import (
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

func TestReadSkipsWhatIsNoRow(t *testing.T) {
	golden, err := os.ReadFile("testdata/row.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	line := strings.TrimSpace(string(golden))
	newer := strings.Replace(line, `"session_id"`, `"invented_later":{"a":[1]},"session_id"`, 1)
	for _, tt := range []struct {
		name, text string
		rows       int
		lines      []int // of the problems
		torn       bool  // the last problem
	}{
		{"nothing", "", 0, nil, false},
		{"blank lines", "\n \n" + line + "\n\n" + line + "\n", 2, nil, false},
		{"a newer version's field", newer + "\n", 1, nil, false},
		{"line feed missing", line + "\n" + line, 2, nil, false},
		{"wrong type", strings.Replace(line, `"prompt_tokens":100`, `"prompt_tokens":"100"`, 1) + "\n" + line + "\n", 1, []int{1}, false},
		{"not JSON", line + "\nhello\n" + line + "\n", 2, []int{2}, false},
		{"other JSON", "null\n[]\n{}\n3\n" + line + "\n", 1, []int{1, 2, 3, 4}, false},
		{"two rows on a line", line + line + "\n" + line + "\n", 1, []int{1}, false},
		{"zeros of a lost block", strings.Repeat("\x00", 5000) + "\n" + line + "\n", 1, []int{1}, false},
		{"too long", `{"turn_id":"` + strings.Repeat("x", maxLine) + "\"}\n" + line + "\n", 1, []int{1}, false},
		{"torn", line + "\n" + line[:len(line)/2], 1, []int{2}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rows, problems, err := Read(strings.NewReader(tt.text))
			if err != nil {
				t.Fatal(err)
			}
			var lines []int
			for _, p := range problems {
				lines = append(lines, p.Line)
			}
			if len(rows) != tt.rows || !slices.Equal(lines, tt.lines) {
				t.Errorf("%d rows, problems %v; want %d and lines %v", len(rows), problems, tt.rows, tt.lines)
			}
			if n := len(problems); n > 0 && problems[n-1].Torn != tt.torn {
				t.Errorf("torn = %v: %v", problems[n-1].Torn, problems)
			}
		})
	}
}

func TestReadErrors(t *testing.T) {
	broken := errors.New("cable pulled")
	line, err := encode(turn(1))
	if err != nil {
		t.Fatal(err)
	}
	rows, _, err := Read(io.MultiReader(bytes.NewReader(line), iotest.ErrReader(broken)))
	if !errors.Is(err, broken) || len(rows) != 1 {
		t.Errorf("%d rows, error %v", len(rows), err)
	}
	if _, _, err := ReadFile("testdata/none.jsonl"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
	if rows, problems, err := ReadDir("testdata/none"); err != nil || rows != nil || problems != nil {
		t.Errorf("missing folder: %v, %v, %v", rows, problems, err)
	}
}

// FuzzRead: any bytes are read to their end, every line is a row, a problem or blank, and every row can be checked,
// written and read again as the same line.
func FuzzRead(f *testing.F) {
	golden, err := os.ReadFile("testdata/row.jsonl")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(golden)
	f.Add(append(golden[:len(golden):len(golden)], golden[:300]...))
	f.Add([]byte("{\"turn_id\":\"x\",\"time\":\"9999-12-31T23:59:59-23:00\"}\n{}\n\n\x00"))
	f.Add([]byte(`{"turn_id":"\ud800","evidence":null,"prefill_tps":1e308,"matched_path":[]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		rows, problems, err := Read(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		blank := 0
		lines := bytes.Split(text, []byte{'\n'})
		for _, line := range lines {
			if len(bytes.TrimSpace(line)) == 0 {
				blank++
			}
		}
		if len(rows)+len(problems)+blank != len(lines) {
			t.Fatalf("%d rows + %d problems + %d blank ≠ %d lines", len(rows), len(problems), blank, len(lines))
		}
		for _, r := range rows {
			_ = Check(&r)
			line, err := encode(r)
			if err != nil {
				t.Fatalf("a row that was read cannot be written: %v", err)
			}
			again, problems, err := Read(bytes.NewReader(line))
			if err != nil || len(again) != 1 || len(problems) > 0 {
				t.Fatalf("%s\nread again as %d rows, %v, %v", line, len(again), problems, err)
			}
			if twice, err := encode(again[0]); err != nil || !bytes.Equal(line, twice) {
				t.Fatalf("written\n%s\nthen\n%s (%v)", line, twice, err)
			}
		}
	})
}
