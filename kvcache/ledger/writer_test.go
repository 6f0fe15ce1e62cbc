package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
)

func turn(n int) Row {
	r := warmTurn()
	r.TurnID = fmt.Sprintf("t%d", n)
	return r
}

func ids(rows []Row) []string {
	names := make([]string, len(rows))
	for i, r := range rows {
		names[i] = r.TurnID
	}
	return names
}

func newWriter(t *testing.T, dir string, o WriterOptions) *Writer {
	t.Helper()
	w, err := NewWriter(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	return w
}

func write(t *testing.T, w *Writer, rows ...Row) {
	t.Helper()
	for _, r := range rows {
		if err := w.Write(r); err != nil {
			t.Fatal(err)
		}
	}
}

func readDir(t *testing.T, dir string) ([]Row, []Problem) {
	t.Helper()
	rows, problems, err := ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return rows, problems
}

func TestWriterIsPrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "home", "ledger")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, newWriter(t, dir, WriterOptions{}), turn(1))
	for path, want := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, "ledger-000001.jsonl"): 0o600} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %o, want %o", path, got, want)
		}
	}
}

func TestBrokenRowIsWritten(t *testing.T) {
	dir := t.TempDir()
	r := turn(1)
	r.PrefillTokens = Some(29)
	write(t, newWriter(t, dir, WriterOptions{}), r)
	rows, problems := readDir(t, dir)
	want := "prefill 29 + unprefilled 0 = recompute 10 + new 20: 29 ≠ 30"
	if len(rows) != 1 || len(problems) > 0 || rows[0].IdentityError.Or("") != want {
		t.Errorf("read %+v, %v", rows, problems)
	}
}

func TestRotation(t *testing.T) {
	line, err := encode(turn(1))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	// A segment is full, to the byte, with its third row.
	o := WriterOptions{SegmentBytes: int64(3 * len(line)), Segments: 3}
	other := filepath.Join(dir, "ledger-1.jsonl") // not a segment's name: never touched
	if err := os.WriteFile(other, nil, 0o600); err != nil {
		t.Fatal(err)
	}

	write(t, newWriter(t, dir, o), turn(1), turn(2), turn(3), turn(4))
	w := newWriter(t, dir, o) // a restart goes on in the same segment
	for n := 5; n <= 9; n++ {
		write(t, w, turn(n))
	}
	rows, problems := readDir(t, dir)
	if got, want := ids(rows), []string{"t1", "t2", "t3", "t4", "t5", "t6", "t7", "t8", "t9"}; !slices.Equal(got, want) || len(problems) > 0 {
		t.Fatalf("three segments hold %v, %v", got, problems)
	}
	write(t, w, turn(0))
	if rows, _ = readDir(t, dir); !slices.Equal(ids(rows), []string{"t4", "t5", "t6", "t7", "t8", "t9", "t0"}) {
		t.Errorf("after the fourth segment began: %v", ids(rows))
	}
	files, err := Files(dir)
	if err != nil || len(files) != 3 || filepath.Base(files[0]) != "ledger-000002.jsonl" {
		t.Errorf("files %v, %v", files, err)
	}
	if _, err := os.Stat(other); err != nil {
		t.Errorf("a file that is no segment: %v", err)
	}
}

func TestTornLastLine(t *testing.T) {
	dir := t.TempDir()
	w := newWriter(t, dir, WriterOptions{})
	write(t, w, turn(1), turn(2))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, segmentName(1))
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	first := bytes.IndexByte(whole, '\n') + 1
	for _, keep := range []int{first + 1, first + 700, len(whole) - 2} {
		if err := os.WriteFile(path, whole[:keep], 0o600); err != nil {
			t.Fatal(err)
		}
		rows, problems := readDir(t, dir)
		if !slices.Equal(ids(rows), []string{"t1"}) {
			t.Errorf("cut at %d: rows %v", keep, ids(rows))
		}
		if len(problems) != 1 || !problems[0].Torn || problems[0].Line != 2 || problems[0].File != path {
			t.Errorf("cut at %d: problems %v", keep, problems)
		}

		write(t, newWriter(t, dir, WriterOptions{}), turn(3)) // the next process
		rows, problems = readDir(t, dir)
		if !slices.Equal(ids(rows), []string{"t1", "t3"}) || len(problems) != 1 || problems[0].Torn {
			t.Errorf("cut at %d, then continued: rows %v, problems %v", keep, ids(rows), problems)
		}
	}
	// Only the line feed is gone: the row is whole.
	if err := os.WriteFile(path, whole[:len(whole)-1], 0o600); err != nil {
		t.Fatal(err)
	}
	write(t, newWriter(t, dir, WriterOptions{}), turn(3))
	if rows, problems := readDir(t, dir); !slices.Equal(ids(rows), []string{"t1", "t2", "t3"}) || len(problems) > 0 {
		t.Errorf("without the last line feed: rows %v, problems %v", ids(rows), problems)
	}
}

func TestFolderEmptiedUnderTheWriter(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ledger")
	w := newWriter(t, dir, WriterOptions{})
	write(t, w, turn(1))
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	write(t, w, turn(2))
	if rows, _ := readDir(t, dir); !slices.Equal(ids(rows), []string{"t2"}) {
		t.Errorf("rows %v", ids(rows))
	}
}

func TestWritersShareAFolder(t *testing.T) {
	dir := t.TempDir()
	const writers, each = 4, 50
	var wg sync.WaitGroup
	for n := range writers {
		w := newWriter(t, dir, WriterOptions{SegmentBytes: 30_000, Segments: 1000})
		for half := range 2 { // and two goroutines share a writer
			wg.Go(func() {
				for i := range each {
					if err := w.Write(turn(n*1000 + half*100 + i)); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	wg.Wait()
	rows, problems := readDir(t, dir)
	names := ids(rows)
	slices.Sort(names)
	if got := len(slices.Compact(names)); got != writers*2*each || len(rows) != got || len(problems) > 0 {
		t.Errorf("%d rows, %d of them different, want %d; problems %v", len(rows), got, writers*2*each, problems)
	}
	files, err := Files(dir)
	if err != nil || len(files) < 5 {
		t.Errorf("%d segments, %v: the test should rotate", len(files), err)
	}
}

// smallDisk fails writes once it is full; what still fits is written, as a disk does it.
type smallDisk struct {
	segment
	room int
}

func (d *smallDisk) Write(b []byte) (int, error) {
	if len(b) <= d.room {
		d.room -= len(b)
		return d.segment.Write(b)
	}
	n, err := d.segment.Write(b[:d.room])
	d.room = 0
	return n, errors.Join(err, syscall.ENOSPC)
}

func TestDiskFull(t *testing.T) {
	dir := t.TempDir()
	var log bytes.Buffer
	l, err := Open(Options{Dir: dir, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	l.Record(turn(1))
	disk := &smallDisk{segment: l.writer.file, room: 1000}
	l.writer.file = disk
	l.Record(turn(2)) // half of it fits
	l.Record(turn(3))
	if got := l.Totals().WriteErrors; got != 2 {
		t.Errorf("%d write errors, want 2", got)
	}
	disk.room = 1 << 20
	l.Record(turn(4))
	l.Record(turn(5))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l.Record(turn(6))

	rows, problems := readDir(t, dir)
	if !slices.Equal(ids(rows), []string{"t1", "t4", "t5"}) || len(problems) != 1 || problems[0].Line != 2 {
		t.Errorf("rows %v, problems %v", ids(rows), problems)
	}
	if got := ids(l.Recent().Rows()); len(got) != 6 {
		t.Errorf("in memory: %v", got)
	}
	if got := l.Totals(); got.WriteErrors != 3 || got.Purposes[PurposeTurn].Turns != 6 {
		t.Errorf("totals %+v", got)
	}
	if got := strings.Count(log.String(), "\n"); got != 1 || !strings.Contains(log.String(), "no space left") {
		t.Errorf("%d warnings, want one:\n%s", got, log.String())
	}
}

// TestRealDiskFull has the kernel refuse the write.
func TestRealDiskFull(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("/dev/full is Linux's")
	}
	dir := t.TempDir()
	if err := os.Symlink("/dev/full", filepath.Join(dir, segmentName(1))); err != nil {
		t.Fatal(err)
	}
	if err := newWriter(t, dir, WriterOptions{}).Write(turn(1)); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Write returned %v", err)
	}
}

func TestFolderThatCannotBe(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{file, filepath.Join(file, "ledger")} {
		if _, err := Open(Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("Open(%s) returned %v", dir, err)
		}
	}
}
