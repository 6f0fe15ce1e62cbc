package tier

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"reprise/kvcache"
)

// file is what the index knows of a block.
type file struct {
	*Header
	path string // below the folder
	size int64
	used time.Time
}

// place is a state of a model's: other producers' states of the same calls have the same digest, and are another model's.
type place struct {
	model  string
	digest kvcache.Digest
}

func (h *Header) end() place    { return place{h.Model, h.Digest} }
func (h *Header) behind() place { return place{h.Model, h.Parent} }

const (
	blockSuffix = ".blk"
	tempPrefix  = ".tmp-"

	folderName   = 8  // bytes of a model's hash that name its folder
	digestInName = 16 // bytes of a block's digest that name its file
)

func folderOf(model string) string {
	h := sha256.Sum256([]byte(model))
	return hex.EncodeToString(h[:folderName])
}

func (h *Header) name() string {
	return h.Slot.String() + "-" + hex.EncodeToString(h.Digest[:digestInName])
}

func (h *Header) path() string { return filepath.Join(folderOf(h.Model), h.name()+blockSuffix) }

// list gives the blocks of each slot.
func (d *Disk) list(slots []Slot) [][]*Entry {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.refresh(false)
	out := make([][]*Entry, len(slots))
	for i, s := range slots {
		for _, f := range d.slots[s] {
			out[i] = append(out[i], &Entry{f.Header, 1})
		}
	}
	return out
}

// Has says whether the block is there, and notes that it was wanted.
func (d *Disk) Has(h *Header) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.files[h.path()]
	if f != nil {
		d.touch(f)
	}
	return f != nil
}

// touch notes a use, for other processes and the next start, too; not every second.
func (d *Disk) touch(f *file) {
	now := time.Now()
	if now.Sub(f.used) > 10*time.Second {
		_ = os.Chtimes(filepath.Join(d.opts.Dir, f.path), now, now) // without it, it is evicted sooner
	}
	f.used = now
}

// learn adds a file to the index.
func (d *Disk) learn(f *file) {
	d.forget(f.path)
	d.files[f.path] = f
	if folder := filepath.Dir(f.path); d.seen[folder].IsZero() {
		d.seen[folder] = time.Time{} // it is there, and not listed yet
	}
	d.slots[f.Slot] = append(d.slots[f.Slot], f)
	if !f.Kept {
		d.rows[f.end()]++
	}
	d.bytes += f.size
}

// forget takes a file out of the index.
func (d *Disk) forget(path string) {
	f := d.files[path]
	if f == nil {
		return
	}
	delete(d.files, path)
	if !f.Kept {
		if d.rows[f.end()]--; d.rows[f.end()] == 0 {
			delete(d.rows, f.end())
		}
	}
	d.bytes -= f.size
	list := d.slots[f.Slot]
	for i, x := range list {
		if x == f {
			list = append(list[:i:i], list[i+1:]...)
			break
		}
	}
	if d.slots[f.Slot] = list; len(list) == 0 {
		delete(d.slots, f.Slot)
	}
}

// remove deletes a file that nobody should read.
func (d *Disk) remove(path string) {
	if err := d.delete(path); err != nil {
		d.forget(path)
		d.opts.Log.Warn("a block of the disk cache cannot be removed", "file", path, "err", err)
	}
}

// delete deletes a file. One that cannot be deleted stays in the index.
func (d *Disk) delete(path string) error {
	err := os.Remove(filepath.Join(d.opts.Dir, path))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	d.forget(path)
	return nil
}

// Drop removes these blocks: an audit found what they hold wrong.
func (d *Disk) Drop(entries []*Entry) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range entries {
		d.remove(e.path())
	}
}

// Clear removes every block, also those that are written elsewhere meanwhile, and what is left of broken writes.
func (d *Disk) Clear() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	var errs []error
	err := walk(d.opts.Dir, func(path string, _ fs.DirEntry) {
		d.forget(path)
		if err := os.Remove(filepath.Join(d.opts.Dir, path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	})
	return errors.Join(append(errs, err)...)
}

// walk calls f for every block and every temporary file, with paths below the folder.
func walk(dir string, f func(path string, entry fs.DirEntry)) error {
	models, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, m := range models {
		if !isModel(m) {
			continue
		}
		files, err := os.ReadDir(filepath.Join(dir, m.Name()))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		for _, e := range files {
			if name := e.Name(); isBlock(name) || strings.HasPrefix(name, tempPrefix) {
				f(filepath.Join(m.Name(), name), e)
			}
		}
	}
	return nil
}
