package tier

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Verified is what a Verify found.
type Verified struct {
	Blocks   int
	Bytes    int64
	Partial  int // temporary files of writes under way, or broken off
	Problems []string
}

// VerifyDir reads every block of a folder whole. A server may be using it meanwhile.
func VerifyDir(dir string) (*Verified, error) {
	v := &Verified{}
	var paths []string
	err := walk(dir, func(path string, e fs.DirEntry) {
		if strings.HasPrefix(e.Name(), tempPrefix) {
			v.Partial++
			return
		}
		paths = append(paths, path)
	})
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		n, err := verifyFile(dir, path)
		switch {
		case errors.Is(err, fs.ErrNotExist): // evicted meanwhile
		case err != nil:
			v.Problems = append(v.Problems, fmt.Sprintf("%s: %v", path, err))
		default:
			v.Blocks, v.Bytes = v.Blocks+1, v.Bytes+n
		}
	}
	return v, nil
}

func verifyFile(dir, path string) (int64, error) {
	full := filepath.Join(dir, path)
	h, info, err := readHeader(full)
	if err != nil {
		return 0, err
	}
	if h.path() != path {
		return 0, bad("its name is that of another")
	}
	if mode := info.Mode().Perm(); mode != 0o600 {
		return 0, fmt.Errorf("its mode is %o, not 600", mode)
	}
	data, err := os.ReadFile(full)
	if err != nil {
		return 0, err
	}
	_, err = decodeBlock(data, h)
	return int64(len(data)), err
}
