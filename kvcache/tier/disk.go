package tier

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"reprise/kvcache"
)

// DiskOptions are the limits of a folder.
type DiskOptions struct {
	Dir   string
	Limit int64 // bytes of all blocks; 0: DefaultDiskLimit
	Daily int64 // bytes that may be written a day; 0: DefaultDaily
	Log   *slog.Logger
}

// Limits when nobody says otherwise. A consumer SSD of 500 GB is rated for about 300 TB: 50 GB a day are 16 years of it.
const (
	DefaultDiskLimit = 20e9
	DefaultDaily     = 50e9
)

const (
	blockSuffix = ".blk"
	tempPrefix  = ".tmp-"
	retryAfter  = time.Minute // a disk that failed is tried again then
)

// Disk is L1. It is safe for concurrent use, and the folder for several processes.
type Disk struct {
	opts DiskOptions

	mu     sync.Mutex
	files  map[string]*file // by path below the folder
	slots  map[Slot][]*file
	rows   map[kvcache.Digest]int // files of rows that lead to a digest
	bytes  int64
	seen   map[string]time.Time // models' folders, as they were listed
	wear   wear
	off    time.Time // writes are off until then
	warned bool
	stats  DiskStats

	read func(path string) ([]byte, error) // os.ReadFile; tests make it slow
}

type file struct {
	*Header
	path string // below the folder
	size int64
	used time.Time
}

// DiskStats are a disk's counters since the process began, and what it holds.
type DiskStats struct {
	Dir          string  `json:"dir"`
	Blocks       int     `json:"blocks"`
	Bytes        int64   `json:"bytes"`
	Limit        int64   `json:"limit_bytes"`
	WrittenToday int64   `json:"written_today_bytes"` // by all processes that share the folder
	Daily        int64   `json:"daily_write_budget_bytes"`
	Stores       int64   `json:"stored_blocks"`
	Loads        int64   `json:"loaded_blocks"`
	Evicted      int64   `json:"evicted_blocks"`
	Bad          int64   `json:"bad_blocks"`
	Skipped      int64   `json:"skipped_blocks"` // not stored: over the daily budget
	Failed       int64   `json:"failures"`       // the disk refused
	WriteBytes   int64   `json:"write_bytes"`
	ReadBytes    int64   `json:"read_bytes"`
	StoreMs      float64 `json:"store_ms"`
	LoadMs       float64 `json:"load_ms"`
	OpenMs       float64 `json:"open_ms"` // reading the headers at the start
	Off          bool    `json:"off"`     // it refused lately: nothing is stored for a minute
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// Errors of a Put that are no block's fault.
var (
	ErrDaily = errors.New("the day's write budget is spent")
	ErrOff   = errors.New("the disk took no block lately")
	// ErrOrphan: the block that it hangs on is not there, so nobody could use it.
	ErrOrphan = errors.New("the block before is not there")
)

// OpenDisk reads the headers of what is there. It never fails: a folder that cannot be used is off, and said once.
func OpenDisk(o DiskOptions) *Disk {
	if o.Limit <= 0 {
		o.Limit = DefaultDiskLimit
	}
	if o.Daily <= 0 {
		o.Daily = DefaultDaily
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	d := &Disk{opts: o, files: map[string]*file{}, slots: map[Slot][]*file{}, rows: map[kvcache.Digest]int{}, seen: map[string]time.Time{}, read: os.ReadFile}
	start := time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.usable(); err != nil {
		d.fail(err)
	}
	d.refresh(true)
	d.stats.OpenMs = ms(time.Since(start))
	return d
}

// usable makes the folder and tries to write in it.
func (d *Disk) usable() error {
	if err := os.MkdirAll(d.opts.Dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(d.opts.Dir, tempPrefix)
	if err != nil {
		return err
	}
	_ = f.Close() // empty
	return os.Remove(f.Name())
}

// fail switches writes off for a while, with one warning.
func (d *Disk) fail(err error) {
	d.stats.Failed++
	d.off = time.Now().Add(retryAfter)
	if !d.warned {
		d.opts.Log.Warn("the disk cache takes no blocks: the server goes on without, and tries again every minute", "dir", d.opts.Dir, "err", err)
		d.warned = true
	}
}

// Off says whether writes are off.
func (d *Disk) Off() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return time.Now().Before(d.off)
}

// Stats reads the counters.
func (d *Disk) Stats() DiskStats {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.stats
	s.Dir, s.Blocks, s.Bytes, s.Limit, s.Daily, s.Off = d.opts.Dir, len(d.files), d.bytes, d.opts.Limit, d.opts.Daily, time.Now().Before(d.off)
	s.WrittenToday = d.wear.today(d.opts.Dir)
	return s
}

func folderOf(model string) string {
	h := sha256.Sum256([]byte(model))
	return hex.EncodeToString(h[:8])
}

func (h *Header) name() string {
	return h.Slot.String() + "-" + hex.EncodeToString(h.Digest[:16])
}

func (h *Header) path() string { return filepath.Join(folderOf(h.Model), h.name()+blockSuffix) }

// Folder is where a model's blocks are, for what else belongs to it.
func (d *Disk) Folder(model string) string { return filepath.Join(d.opts.Dir, folderOf(model)) }

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

// errGone says that another process deleted the block.
var errGone = errors.New("the block is gone")

// load reads a block and checks it. A bad one is removed.
func (d *Disk) load(e *Entry) (*Block, error) {
	start := time.Now()
	path := e.path()
	data, err := d.read(filepath.Join(d.opts.Dir, path))
	var b *Block
	if err == nil {
		b, err = decodeBlock(data, e.Header)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stats.LoadMs += ms(time.Since(start))
	var wrong *BadBlock
	switch {
	case err == nil:
		d.stats.Loads++
		d.stats.ReadBytes += int64(len(data))
		if f := d.files[path]; f != nil {
			d.touch(f)
		}
		return b, nil
	case errors.Is(err, fs.ErrNotExist):
		d.forget(path)
		return nil, errGone
	case errors.As(err, &wrong):
		d.stats.Bad++
		d.opts.Log.Warn("a block of the disk cache is damaged; it is removed", "file", path, "err", err)
		d.remove(path)
	}
	return nil, err
}

// decodeBlock checks a file's bytes against the header that was promised.
func decodeBlock(data []byte, want *Header) (*Block, error) {
	n, err := headerSize(data)
	if err != nil {
		return nil, err
	}
	if len(data) < prefixSize+n {
		return nil, bad("it ends within its header")
	}
	h, err := decodeHeader(data[:prefixSize+n])
	if err != nil {
		return nil, err
	}
	if h.Model != want.Model || h.Slot != want.Slot || h.Digest != want.Digest || h.From != want.From || h.To != want.To || h.Kept != want.Kept {
		return nil, bad("it is another block: [%d, %d) in place of [%d, %d)", h.From, h.To, want.From, want.To)
	}
	b := &Block{Header: *h}
	data = data[prefixSize+n:]
	for i := range h.Parts {
		p := &h.Parts[i]
		if p.Stored > int64(len(data)) {
			return nil, bad("it ends %d bytes early", p.Stored-int64(len(data)))
		}
		raw, err := p.check(data[:p.Stored:p.Stored])
		if err != nil {
			return nil, err
		}
		b.Data, data = append(b.Data, raw), data[p.Stored:]
	}
	if len(data) > 0 {
		return nil, bad("%d bytes follow it", len(data))
	}
	return b, nil
}

// Put stores a block, if it is not there and the limits allow it, and says how many bytes it wrote.
func (d *Disk) Put(b *Block) (written int64, err error) {
	if d.Has(&b.Header) {
		return 0, nil
	}
	head := b.encode()
	size := int64(len(head)) + b.Bytes()
	if err := d.admit(&b.Header, size); err != nil {
		return 0, err
	}
	start := time.Now()
	err = d.write(b.path(), head, b.Data)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stats.StoreMs += ms(time.Since(start))
	if err != nil {
		d.fail(err)
		return 0, err
	}
	d.warned = false
	d.stats.Stores++
	d.stats.WriteBytes += size
	d.wear.add(d.opts.Dir, size)
	h := b.Header
	d.learn(&file{Header: &h, path: b.path(), size: size, used: time.Now()})
	return size, nil
}

// admit makes room for so many bytes, or says why they may not be written.
func (d *Disk) admit(h *Header, size int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case h.Base > 0 && !d.hasRows(h):
		return ErrOrphan
	case time.Now().Before(d.off):
		return ErrOff
	case d.wear.today(d.opts.Dir)+size > d.opts.Daily:
		d.stats.Skipped++
		return ErrDaily
	}
	d.evict(d.opts.Limit - size)
	switch {
	case d.bytes+size > d.opts.Limit:
		return fmt.Errorf("%d bytes do not fit into %d", size, d.opts.Limit)
	case h.Base > 0 && !d.hasRows(h):
		return ErrOrphan // it had to go
	}
	return nil
}

// hasRows says whether the rows that a block hangs on are there.
func (d *Disk) hasRows(h *Header) bool {
	return d.rows[h.Parent] > 0
}

// write puts a file in place whole. See the package's comment for why there is no fsync.
func (d *Disk) write(path string, head []byte, data [][]byte) (err error) {
	dest := filepath.Join(d.opts.Dir, path)
	if err := os.MkdirAll(filepath.Dir(dest), 0o700); err != nil {
		return err
	}
	temp := filepath.Join(filepath.Dir(dest), fmt.Sprintf("%s%d-%x", tempPrefix, os.Getpid(), rand.Uint64()))
	f, err := os.OpenFile(temp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(temp)
		}
	}()
	if _, err = f.Write(head); err == nil {
		for _, p := range data {
			if _, err = f.Write(p); err != nil {
				break
			}
		}
	}
	if other := f.Close(); err == nil {
		err = other
	}
	if err != nil {
		return err
	}
	return os.Rename(temp, dest)
}

// learn adds a file to the index.
func (d *Disk) learn(f *file) {
	d.forget(f.path)
	d.files[f.path] = f
	d.slots[f.Slot] = append(d.slots[f.Slot], f)
	if !f.Kept {
		d.rows[f.Digest]++
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
		if d.rows[f.Digest]--; d.rows[f.Digest] == 0 {
			delete(d.rows, f.Digest)
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

// remove deletes a file.
func (d *Disk) remove(path string) {
	d.forget(path)
	if err := os.Remove(filepath.Join(d.opts.Dir, path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		d.opts.Log.Warn("a block of the disk cache cannot be removed", "file", path, "err", err)
	}
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
		if !m.IsDir() {
			continue
		}
		files, err := os.ReadDir(filepath.Join(dir, m.Name()))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		for _, e := range files {
			if name := e.Name(); strings.HasSuffix(name, blockSuffix) || strings.HasPrefix(name, tempPrefix) {
				f(filepath.Join(m.Name(), name), e)
			}
		}
	}
	return nil
}

// readHeader reads only the header of a file, and its size.
func readHeader(path string) (h *Header, info fs.FileInfo, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil {
		return nil, nil, err
	}
	buf := make([]byte, 4096)
	n, err := io.ReadFull(f, buf)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return nil, nil, err
	}
	size, err := headerSize(buf[:n])
	if err != nil {
		return nil, info, err
	}
	if size += prefixSize; size > n {
		if int64(size) > info.Size() {
			return nil, info, bad("it ends within its header")
		}
		more := make([]byte, size-n)
		if _, err := io.ReadFull(f, more); err != nil {
			return nil, info, bad("it ends within its header")
		}
		buf = append(buf[:n], more...)
	}
	if h, err = decodeHeader(buf[:size]); err != nil {
		return nil, info, err
	}
	if want := int64(size) + h.Bytes(); want != info.Size() {
		return nil, info, bad("%d bytes, it claims %d", info.Size(), want)
	}
	return h, info, nil
}

// Statics are the chains to the static prefixes of a model that were used last, the last one first.
func (d *Disk) Statics(model string, most int) []Found {
	d.mu.Lock()
	defer d.mu.Unlock()
	rows := map[kvcache.Digest]*file{}
	var ends []*file
	for _, f := range d.files {
		switch {
		case f.Model != model:
		case !f.Kept:
			rows[f.Digest] = f
		case f.Static:
			ends = append(ends, f)
		}
	}
	slices.SortFunc(ends, func(x, y *file) int { return y.used.Compare(x.used) })
	var out []Found
	for _, f := range ends[:min(len(ends), most)] {
		chain := []*Entry{{f.Header, 1}}
		for at := f.Base; at > 0; at = chain[0].Base {
			up := rows[chain[0].Parent]
			if up == nil || up.To != at {
				chain = nil
				break
			}
			chain = append([]*Entry{{up.Header, 1}}, chain...)
		}
		if chain != nil {
			out = append(out, Found{Entries: chain, To: f.To, Matched: f.To})
		}
	}
	return out
}

// IDs are the chain's ids; false where media are among them.
func (f *Found) IDs() ([]int32, bool) {
	var out []int32
	for _, e := range f.Entries {
		for b := e.IDs; len(b) > 0; b = b[4:] {
			if len(b) < 4 || le.Uint32(b) >= 1<<31 {
				return nil, false
			}
			out = append(out, int32(le.Uint32(b)))
		}
	}
	return out, len(out) == f.To
}
