package tier

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

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
