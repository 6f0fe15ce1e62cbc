package tier

import (
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// refresh lists the folders that changed since they were listed, and reads the headers of what is new. At the start it also
// removes what broken writes left behind.
func (d *Disk) refresh(start bool) {
	models, err := os.ReadDir(d.opts.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return
	}
	d.vanished(models)
	var fresh []string
	for _, m := range models {
		info, err := m.Info()
		if err != nil || !isModel(m) || info.ModTime().Equal(d.seen[m.Name()]) {
			continue
		}
		if d.seen[m.Name()] = info.ModTime(); time.Since(info.ModTime()).Abs() < clockTick {
			d.seen[m.Name()] = time.Time{} // another change in the same tick of the file system's clock would not show
		}
		files, err := os.ReadDir(filepath.Join(d.opts.Dir, m.Name()))
		if err != nil {
			continue
		}
		there := make(map[string]bool, len(files))
		for _, f := range files {
			path := filepath.Join(m.Name(), f.Name())
			switch {
			case isBlock(f.Name()):
				if there[path] = true; d.files[path] == nil {
					fresh = append(fresh, path)
				}
			case start && strings.HasPrefix(f.Name(), tempPrefix) && abandoned(f):
				_ = os.Remove(filepath.Join(d.opts.Dir, path)) // tried again at the next start
			}
		}
		for path := range d.files {
			if filepath.Dir(path) == m.Name() && !there[path] {
				d.forget(path)
			}
		}
	}
	d.scan(fresh)
}

// clockTick is more than what the time of a folder's last change is rounded to.
const clockTick = 100 * time.Millisecond

// vanished forgets the blocks of models whose folder somebody deleted: what is listed is not written again.
func (d *Disk) vanished(models []fs.DirEntry) {
	there := make(map[string]bool, len(models))
	for _, m := range models {
		there[m.Name()] = true
	}
	for name := range d.seen {
		if there[name] {
			continue
		}
		delete(d.seen, name)
		for path := range d.files {
			if filepath.Dir(path) == name {
				d.forget(path)
			}
		}
	}
}

// isModel says whether an entry of the folder is a model's, by its name: what else lies there is somebody else's.
func isModel(e fs.DirEntry) bool { return e.IsDir() && isHex(e.Name(), folderName) }

// isBlock says whether a file of a model's folder has the name of a block.
func isBlock(name string) bool {
	name, suffixed := strings.CutSuffix(name, blockSuffix)
	slot, digest, _ := strings.Cut(name, "-")
	return suffixed && isHex(slot, len(Slot{})) && isHex(digest, digestInName)
}

func isHex(s string, bytes int) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == bytes
}

// readers is how many headers are read at once.
const readers = 8

// scan reads headers and adds the files to the index. Bad ones are removed: nobody can use them.
func (d *Disk) scan(paths []string) {
	type found struct {
		h    *Header
		info fs.FileInfo
		err  error
	}
	out := make([]found, len(paths))
	var wg sync.WaitGroup
	for w := range min(readers, len(paths)) {
		wg.Go(func() {
			for i := w; i < len(paths); i += readers {
				f := &out[i]
				f.h, f.info, f.err = readHeader(filepath.Join(d.opts.Dir, paths[i]))
				if f.err == nil && f.h.path() != paths[i] {
					f.err = bad("its name is that of another")
				}
			}
		})
	}
	wg.Wait()
	for i, f := range out {
		var wrong *BadBlock
		switch {
		case f.err == nil:
			d.learn(&file{Header: f.h, path: paths[i], size: f.info.Size(), used: f.info.ModTime()})
		case errors.As(f.err, &wrong):
			d.stats.Bad++
			d.opts.Log.Warn("a block of the disk cache is damaged; it is removed", "file", paths[i], "err", f.err)
			d.remove(paths[i])
		}
	}
}

// abandoned says whether a temporary file's writer is gone. Its name has the writer's process id.
func abandoned(f fs.DirEntry) bool {
	info, err := f.Info()
	if err != nil {
		return false
	}
	if time.Since(info.ModTime()) > time.Hour {
		return true
	}
	digits, _, _ := strings.Cut(strings.TrimPrefix(f.Name(), tempPrefix), "-")
	pid, err := strconv.Atoi(digits)
	return err == nil && pid > 0 && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
}
