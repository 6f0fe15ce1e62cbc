package cachecmd

import (
	"fmt"
	"io"
	"path/filepath"

	"reprise/cmd/internal/console"
	"reprise/kvcache/ledger"
	"reprise/server/engine"
)

// Verification is what was checked and found.
type Verification struct {
	Dir      string   `json:"ledger"`
	Files    int      `json:"files"`
	Rows     int      `json:"rows"`
	Problems []string `json:"problems"` // of the files

	Server        string   `json:"server"`         // that was asked
	Answered      bool     `json:"server_answers"` // false: its cache was not checked
	CacheProblems []string `json:"cache_problems"`

	Disk         string   `json:"cache_disk"` // folder of blocks that was read; "": there is none
	Blocks       int      `json:"blocks"`
	BlockBytes   int64    `json:"block_bytes"`
	Partial      int      `json:"partial_writes"` // under way, or broken off: nobody reads them
	DiskProblems []string `json:"disk_problems"`
}

// VerifyDisk reads every block of a folder whole.
func (v *Verification) VerifyDisk(dir string) error {
	found, err := engine.VerifyDisk(dir)
	if err != nil {
		return err
	}
	v.Disk, v.Blocks, v.BlockBytes, v.Partial = dir, found.Blocks, found.Bytes, found.Partial
	for _, p := range found.Problems {
		v.DiskProblems = append(v.DiskProblems, console.Printable(p))
	}
	return nil
}

// Count is the number of problems.
func (v *Verification) Count() int {
	return len(v.Problems) + len(v.CacheProblems) + len(v.DiskProblems)
}

func (v *Verification) fail(format string, args ...any) {
	v.Problems = append(v.Problems, console.Printable(fmt.Sprintf(format, args...)))
}

// VerifyLedger reads every file of a ledger: each line is a row, each row keeps the identities, no row is there twice.
func VerifyLedger(dir string) (*Verification, error) {
	v := &Verification{Dir: dir, Problems: []string{}, CacheProblems: []string{}, DiskProblems: []string{}}
	files, err := ledger.Files(dir)
	if err != nil {
		return nil, err
	}
	v.Files = len(files)
	first := map[string]string{} // the file that a turn's row was in first
	for _, path := range files {
		rows, problems, err := ledger.ReadFile(path)
		if err != nil {
			return nil, err
		}
		v.Rows += len(rows)
		for _, p := range problems {
			v.fail("%v", p)
		}
		name := filepath.Base(path)
		for i := range rows {
			r := &rows[i]
			v.identities(name, r)
			if other, twice := first[r.TurnID]; twice {
				v.fail("%s: turn %s is there twice, first in %s", name, r.TurnID, other)
			} else {
				first[r.TurnID] = name
			}
		}
	}
	return v, nil
}

// identities checks a row again, and against what it says of itself.
func (v *Verification) identities(file string, r *ledger.Row) {
	said, then := r.IdentityError.Get()
	found, now := ledger.Seal(*r).IdentityError.Get()
	switch {
	case then && now:
		v.fail("%s: turn %s breaks an identity: %s", file, r.TurnID, found)
	case now:
		v.fail("%s: turn %s breaks an identity and does not say so, so it was changed, or written by another version: %s", file, r.TurnID, found)
	case then:
		v.fail("%s: turn %s says that it breaks an identity, and breaks none: %s", file, r.TurnID, said)
	}
}

// mostShown bounds the problems that are printed.
const mostShown = 20

// WriteText prints what was found.
func (v *Verification) WriteText(out io.Writer) error {
	fmt.Fprintf(out, "ledger   %s: %d files, %s rows, %d problems\n", v.Dir, v.Files, console.Count(v.Rows), len(v.Problems))
	shown(out, v.Problems)
	if v.Disk != "" {
		fmt.Fprintf(out, "disk     %s: %s blocks of %s read whole, %d problems; %d broken-off writes\n", v.Disk, console.Count(v.Blocks), console.Bytes(v.BlockBytes), len(v.DiskProblems), v.Partial)
		shown(out, v.DiskProblems)
	}
	var err error
	if v.Answered {
		_, err = fmt.Fprintf(out, "cache    %s counted it again: %d problems\n", v.Server, len(v.CacheProblems))
		shown(out, v.CacheProblems)
	} else {
		_, err = fmt.Fprintf(out, "cache    not checked: no server answers at %s\n", v.Server)
	}
	return err
}

func shown(out io.Writer, problems []string) {
	for i, p := range problems {
		if i == mostShown {
			fmt.Fprintf(out, "  … and %s more; --json has them all\n", console.Count(len(problems)-i))
			return
		}
		fmt.Fprintf(out, "  %s\n", console.OneLine(p))
	}
}
