package prompt

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
)

// OpenRecord returns a record that is kept in a file, with what the file holds. Each change is appended, in one write, before
// Add or Echo returns, so that it survives the process; the file is written anew at the start when most of it is outdated.
// Several processes may append to one file; each sees the others' entries at its start. A file that cannot be written costs one
// warning: the record goes on in memory.
func OpenRecord(path string, limit int64, log *slog.Logger) *Record {
	r := NewRecord(limit, nil)
	size, broken := r.load(path, log)
	if size > 2*r.Bytes()+1<<20 || broken {
		if err := r.rewrite(path); err != nil {
			log.Warn("the record of conversations could not be tidied up", "file", path, "err", err)
		}
	}
	var told atomic.Bool
	r.changed = func(e Entry) {
		err := appendEntry(path, e)
		if err != nil && !told.Swap(true) {
			log.Warn("answers are not remembered on disk: after a restart their conversations are computed anew", "file", path, "err", err)
		}
	}
	return r
}

// load adds what the file holds. What is damaged is skipped, up to the next entry.
func (r *Record) load(path string, log *slog.Logger) (size int64, broken bool) {
	data, err := os.ReadFile(path)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			log.Warn("the record of conversations cannot be read", "file", path, "err", err)
		}
		return 0, false
	}
	for rest := data; len(rest) > 0; {
		e, n, err := DecodeEntry(rest)
		if err != nil {
			broken = true
			rest = rest[1:]
			continue
		}
		r.Add(e)
		rest = rest[n:]
	}
	return int64(len(data)), broken
}

// rewrite replaces the file by what the record holds.
func (r *Record) rewrite(path string) error {
	var all [][]byte
	for e := range r.All() {
		b, err := e.AppendBinary(nil)
		if err != nil {
			return err
		}
		all = append(all, b)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".tmp-record-")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // renamed, when all went well
	for i := len(all) - 1; i >= 0 && err == nil; i-- {
		_, err = f.Write(all[i])
	}
	if other := f.Close(); err == nil {
		err = other
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// appendEntry opens the file each time: another process may have written it anew.
func appendEntry(path string, e Entry) error {
	b, err := e.AppendBinary(nil)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if other := f.Close(); err == nil {
		err = other
	}
	if err != nil {
		return fmt.Errorf("appending to %s: %w", path, err)
	}
	return nil
}
