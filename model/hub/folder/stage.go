package folder

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Stage is a directory under construction: a hidden sibling of the final one,
// so that the last step is a rename within one file system.
type Stage struct {
	Dir     string // the sibling; "" once committed
	final   string
	replace bool
}

// New makes the sibling; doing ("importing") is a part of its name. A final
// directory with anything in it is an error unless it is to be replaced. The
// caller ends with Commit or Abort; Abort after Commit does nothing.
func New(final, doing string, replace bool) (*Stage, error) {
	final, err := filepath.Abs(final)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(final)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if len(entries) > 0 && !replace {
		return nil, fmt.Errorf("%s is not empty: remove it or choose another directory", final)
	}
	if err := os.MkdirAll(filepath.Dir(final), 0o755); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(filepath.Dir(final), "."+filepath.Base(final)+"."+doing+"-*")
	if err != nil {
		return nil, err
	}
	return &Stage{Dir: dir, final: final, replace: replace}, os.Chmod(dir, 0o755)
}

// Write creates a file of the directory and brings it to disk.
func (s *Stage) Write(name string, fill func(w io.Writer) error) error {
	f, err := os.OpenFile(filepath.Join(s.Dir, name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	err = fill(f)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// Commit gives the directory its name. An old one is moved aside first and
// removed after, so there is no moment with half of either.
func (s *Stage) Commit() error {
	old := s.Dir + ".old"
	if s.replace {
		if err := os.Rename(s.final, old); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		defer os.RemoveAll(old)
	} else if err := os.Remove(s.final); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err // it was empty when the import began and is not now
	}
	if err := os.Rename(s.Dir, s.final); err != nil {
		if s.replace {
			err = errors.Join(err, os.Rename(old, s.final))
		}
		return err
	}
	s.Dir = ""
	return nil
}

// Abort removes what was not committed.
func (s *Stage) Abort() {
	if s.Dir != "" {
		os.RemoveAll(s.Dir)
	}
}

// WriteJSON writes a file of indented JSON with sorted keys.
func (s *Stage) WriteJSON(name string, v any) error {
	return s.Write(name, func(w io.Writer) error {
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		return enc.Encode(v)
	})
}

// Text writes a file.
func (s *Stage) Text(name string, text []byte) error {
	return s.Write(name, func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	})
}
