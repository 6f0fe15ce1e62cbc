package tier

import (
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"
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

// Disk is L1. It is safe for concurrent use, and the folder for several processes.
type Disk struct {
	opts DiskOptions

	mu     sync.Mutex
	files  map[string]*file // by path below the folder
	slots  map[Slot][]*file
	rows   map[place]int // files of rows that lead there
	bytes  int64
	seen   map[string]time.Time // models' folders, as they were listed
	wear   wear
	off    time.Time // writes are off until then
	warned bool
	narrow bool // a block was larger than the limit, and that was said
	stats  DiskStats

	read func(path string) ([]byte, error) // os.ReadFile; tests make it slow
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
	Skipped      int64   `json:"skipped_blocks"` // not stored: over the daily budget, or larger than the limit
	Failed       int64   `json:"failures"`       // the disk refused
	WriteBytes   int64   `json:"write_bytes"`
	ReadBytes    int64   `json:"read_bytes"`
	StoreMs      float64 `json:"store_ms"`
	LoadMs       float64 `json:"load_ms"`
	OpenMs       float64 `json:"open_ms"` // reading the headers at the start
	Off          bool    `json:"off"`     // it refused lately: nothing is stored for a minute
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

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
	d := &Disk{opts: o, files: map[string]*file{}, slots: map[Slot][]*file{}, rows: map[place]int{}, seen: map[string]time.Time{}, read: os.ReadFile}
	start := time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.usable(); err != nil {
		d.fail(err)
	}
	d.refresh(true)
	if err := d.evict(o.Limit); err != nil { // the limit may be a smaller one than the last time
		d.fail(err)
	}
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

const retryAfter = time.Minute // a disk that failed is tried again then

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

// Folder is where a model's blocks are, for what else belongs to it.
func (d *Disk) Folder(model string) string { return filepath.Join(d.opts.Dir, folderOf(model)) }
