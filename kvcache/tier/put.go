package tier

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"
)

// Errors of a Put that are no block's fault.
var (
	ErrDaily = errors.New("the day's write budget is spent")
	ErrOff   = errors.New("the disk took no block lately")
	// ErrOrphan: the block that it hangs on is not there, so nobody could use it.
	ErrOrphan = errors.New("the block before is not there")
	// ErrLarge: all blocks together may not be as large as this one.
	ErrLarge = errors.New("the block is larger than the disk cache may be")
)

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
	case size > d.opts.Limit: // nothing is evicted for it
		d.stats.Skipped++
		if !d.narrow {
			d.narrow = true
			d.opts.Log.Warn("the disk cache is smaller than one of its blocks, which is not stored: give it a larger --cache-disk-limit", "dir", d.opts.Dir, "limit", d.opts.Limit, "block", size)
		}
		return ErrLarge
	}
	if err := d.evict(d.opts.Limit - size); err != nil {
		d.fail(err)
		return err
	}
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
	return d.rows[h.behind()] > 0
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
