package tier

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cespare/xxhash/v2"

	"reprise/kvcache"
)

// A block as bytes, little-endian:
//
//	magic "rpsb", version u16, zero u16, length of the header u32, its xxhash u64
//	header: model, slot, from, to, base, parent, digest, flags, dtype, ids, runs, parts (see encode)
//	the parts' bytes, in order
//
// In the header a list or a text is its length u32 and its elements.
const (
	magic      = "rpsb"
	version    = 1
	prefixSize = 4 + 2 + 2 + 4 + 8
	maxHeader  = 64 << 20
	maxOffset  = 1 << 40

	flagKept   = 1
	flagStatic = 2
)

// BadBlock says that bytes are not the block that they should be.
type BadBlock struct{ Why string }

func (e *BadBlock) Error() string { return "bad block: " + e.Why }

func bad(format string, args ...any) error { return &BadBlock{fmt.Sprintf(format, args...)} }

func sum(b []byte) uint64 { return xxhash.Sum64(b) }

var le = binary.LittleEndian

// encode is the header with what stands before it.
func (h *Header) encode() []byte {
	b := make([]byte, prefixSize, prefixSize+300+len(h.IDs))
	text := func(s []byte) { b = append(le.AppendUint32(b, uint32(len(s))), s...) }
	num := func(n int) { b = le.AppendUint64(b, uint64(n)) }
	text([]byte(h.Model))
	b = append(b, h.Slot[:]...)
	num(h.From)
	num(h.To)
	num(h.Base)
	b = append(append(b, h.Parent[:]...), h.Digest[:]...)
	flags := 0
	if h.Kept {
		flags |= flagKept
	}
	if h.Static {
		flags |= flagStatic
	}
	num(flags)
	text([]byte(h.Dtype))
	text(h.IDs)
	b = le.AppendUint32(b, uint32(len(h.Runs)))
	for _, r := range h.Runs {
		for _, n := range []int{r.Start, r.Width, r.Count, r.Batch} {
			num(n)
		}
		text([]byte(r.Purpose))
		text(r.Beyond)
	}
	b = le.AppendUint32(b, uint32(len(h.Parts)))
	for _, p := range h.Parts {
		b = append(b, byte(p.Kind), byte(p.Codec))
		num(int(p.Stored))
		num(int(p.Raw))
		b = le.AppendUint64(b, p.Sum)
	}
	copy(b, magic)
	le.PutUint16(b[4:], version)
	le.PutUint32(b[8:], uint32(len(b)-prefixSize))
	le.PutUint64(b[12:], sum(b[prefixSize:]))
	return b
}

// headerSize is what the first prefixSize bytes say of the header's length.
func headerSize(prefix []byte) (int, error) {
	switch {
	case len(prefix) < prefixSize:
		return 0, bad("%d bytes", len(prefix))
	case string(prefix[:4]) != magic:
		return 0, bad("it does not begin like one")
	case le.Uint16(prefix[4:]) != version:
		return 0, bad("format %d, this program reads %d", le.Uint16(prefix[4:]), version)
	case le.Uint32(prefix[8:]) > maxHeader:
		return 0, bad("a header of %d bytes", le.Uint32(prefix[8:]))
	}
	return int(le.Uint32(prefix[8:])), nil
}

// decodeHeader reads what encode wrote. The bytes may be anything.
func decodeHeader(b []byte) (*Header, error) {
	n, err := headerSize(b)
	switch {
	case err != nil:
		return nil, err
	case len(b) != prefixSize+n:
		return nil, bad("%d bytes for a header of %d", len(b), prefixSize+n)
	case sum(b[prefixSize:]) != le.Uint64(b[12:]):
		return nil, bad("the header fails its checksum")
	}
	r := reader{left: b[prefixSize:]}
	h := &Header{Model: string(r.text())}
	copy(h.Slot[:], r.take(len(h.Slot)))
	h.From, h.To, h.Base = r.num(), r.num(), r.num()
	copy(h.Parent[:], r.take(len(h.Parent)))
	copy(h.Digest[:], r.take(len(h.Digest)))
	flags := r.num()
	h.Kept, h.Static = flags&flagKept != 0, flags&flagStatic != 0
	h.Dtype, h.IDs = string(r.text()), r.text()
	for i := r.count(32); i > 0 && r.err == nil; i-- {
		run := kvcache.Run{Start: r.num(), Width: r.num(), Count: r.num(), Batch: r.num()}
		run.Purpose, run.Beyond = string(r.text()), r.text()
		h.Runs = append(h.Runs, run)
	}
	for i := r.count(26); i > 0 && r.err == nil; i-- {
		k := r.take(2)
		h.Parts = append(h.Parts, Part{Kind: PartKind(k[0]), Codec: Codec(k[1]), Stored: int64(r.num()), Raw: int64(r.num()), Sum: le.Uint64(r.take(8))})
	}
	if r.err == nil && len(r.left) > 0 {
		r.err = bad("%d bytes follow the header", len(r.left))
	}
	if r.err != nil {
		return nil, r.err
	}
	return h, h.check()
}

// check is what must hold of a header whatever its block is.
func (h *Header) check() error {
	switch {
	case h.From < 0 || h.From > h.To || h.To > maxOffset || h.From%Step != 0 || h.To == 0:
		return bad("it claims ids [%d, %d)", h.From, h.To)
	case h.Base != h.From && h.Base != 0:
		return bad("its ids begin at %d, it at %d", h.Base, h.From)
	case !h.Kept && h.To != h.From+Step, h.Kept && h.To >= h.From+Step:
		return bad("[%d, %d) is not the length of its kind", h.From, h.To)
	}
	for _, p := range h.Parts {
		if p.Kind != Rows && p.Kind != Snapshot || p.Codec > Zstd || p.Stored < 1 || p.Stored > maxPart || p.Raw < 1 || p.Raw > maxPart || p.Codec == Plain && p.Raw != p.Stored {
			return bad("a part of kind %d, codec %d, %d bytes for %d", p.Kind, p.Codec, p.Stored, p.Raw)
		}
	}
	return nil
}

// checkPart compares a part's bytes with the header and gives them as they were stored by New.
func (p *Part) check(data []byte) ([]byte, error) {
	if int64(len(data)) != p.Stored || sum(data) != p.Sum {
		return nil, bad("a part of %d bytes fails its checksum", p.Stored)
	}
	if p.Codec == Plain {
		return data, nil
	}
	raw, err := decompress(data, p.Raw)
	if err != nil {
		return nil, bad("a part does not unpack: %v", err)
	}
	return raw, nil
}

var errShort = errors.New("it ends early")

// reader takes values off the front; after an error it gives zeros.
type reader struct {
	left []byte
	err  error
}

func (r *reader) take(n int) []byte {
	if r.err == nil && (n < 0 || n > len(r.left)) {
		r.err = bad("%v", errShort)
	}
	if r.err != nil {
		return make([]byte, min(max(n, 8), 64))
	}
	b := r.left[:n:n]
	r.left = r.left[n:]
	return b
}

// num is a number that can be no negative one.
func (r *reader) num() int {
	n := le.Uint64(r.take(8))
	if n > maxOffset && r.err == nil {
		r.err = bad("a number of %d", n)
	}
	return int(n & (maxOffset<<1 - 1))
}

// count is the length of a list whose elements take at least so many bytes.
func (r *reader) count(each int) int {
	n := int(le.Uint32(r.take(4)))
	if r.err == nil && n > len(r.left)/each {
		r.err = bad("a list of %d", n)
	}
	return n
}

func (r *reader) text() []byte {
	n := r.count(1)
	if r.err != nil {
		return nil
	}
	return r.take(n)
}
