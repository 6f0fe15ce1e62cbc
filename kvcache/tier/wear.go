package tier

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// wear counts the bytes that all processes wrote into a folder today: each write appends eight bytes to the day's file, which
// the system does whole.
type wear struct {
	day    string
	read   int64 // bytes of the file that were added up
	amount int64
}

const wearPrefix = "written-"

func (w *wear) path(dir string) string { return filepath.Join(dir, wearPrefix+w.day) }

// today adds up what is new. A file that cannot be read counts nothing: the budget is a care, not a promise.
func (w *wear) today(dir string) int64 {
	if day := time.Now().UTC().Format(time.DateOnly); day != w.day {
		*w = wear{day: day}
		w.clean(dir)
	}
	f, err := os.Open(w.path(dir))
	if err != nil {
		return w.amount
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() < w.read { // somebody deleted it, and it was begun anew
		w.read = 0
	}
	if _, err := f.Seek(w.read, io.SeekStart); err != nil {
		return w.amount
	}
	data, err := io.ReadAll(io.LimitReader(f, 1<<24))
	if err != nil {
		return w.amount
	}
	for ; len(data) >= 8; data = data[8:] {
		w.amount += int64(le.Uint64(data) & (1<<62 - 1))
		w.read += 8
	}
	return w.amount
}

func (w *wear) add(dir string, bytes int64) {
	w.today(dir)
	f, err := os.OpenFile(w.path(dir), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		w.amount += bytes
		return
	}
	_, err = f.Write(le.AppendUint64(nil, uint64(bytes)))
	if other := f.Close(); err != nil || other != nil {
		w.amount += bytes
	}
	w.today(dir) // before anybody deletes the file
}

// clean removes the files of other days.
func (w *wear) clean(dir string) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, f := range files {
		if strings.HasPrefix(f.Name(), wearPrefix) && f.Name() != wearPrefix+w.day {
			_ = os.Remove(filepath.Join(dir, f.Name())) // tried again tomorrow
		}
	}
}
