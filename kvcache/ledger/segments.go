package ledger

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A ledger on disk is a folder of numbered segments: ledger-000001.jsonl, … Only the highest number is written to,
// and only once it is full does a writer go on to the next. So several processes may share the folder: all of them
// append to the same segment and agree on the next one, without a lock.

const (
	segmentPrefix = "ledger-"
	segmentSuffix = ".jsonl"
)

func segmentName(n int) string { return fmt.Sprintf("%s%06d%s", segmentPrefix, n, segmentSuffix) }

// segmentNumber is 0 for a file that is no segment.
func segmentNumber(name string) int {
	digits, ok := strings.CutPrefix(name, segmentPrefix)
	if !ok {
		return 0
	}
	if digits, ok = strings.CutSuffix(digits, segmentSuffix); !ok {
		return 0
	}
	n, err := strconv.Atoi(digits)
	if err != nil || n < 1 || segmentName(n) != name {
		return 0
	}
	return n
}

// segments lists the numbers in a folder, oldest first. A folder that is not there has none.
func segments(dir string) ([]int, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("ledger folder: %w", err)
	}
	var numbers []int
	for _, e := range entries {
		if n := segmentNumber(e.Name()); n > 0 {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

// Files lists the ledger files of a folder, oldest first.
func Files(dir string) ([]string, error) {
	numbers, err := segments(dir)
	files := make([]string, len(numbers))
	for i, n := range numbers {
		files[i] = filepath.Join(dir, segmentName(n))
	}
	return files, err
}

// privateDir makes the folder for its owner alone, also when it was there before.
func privateDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("ledger folder: %w", err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("ledger folder: %w", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("ledger folder %s: not a folder", dir)
	}
	if info.Mode().Perm()&0o077 != 0 {
		if err := os.Chmod(dir, 0o700); err != nil {
			return fmt.Errorf("ledger folder: %w", err)
		}
	}
	return nil
}
