package gguf

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// Limits on what a file may claim. Real files stay far below them; they bound
// what a hostile one can make us do before its first contradiction shows.
const (
	maxTensors = 1 << 20
	maxKeys    = 1 << 16
	maxNesting = 4
	maxKeyLen  = 1 << 16
	maxNameLen = 1 << 10
	maxDims    = 4
)

// The metadata value types of the format.
const (
	typeUint8 uint32 = iota
	typeInt8
	typeUint16
	typeInt16
	typeUint32
	typeInt32
	typeFloat32
	typeBool
	typeString
	typeArray
	typeUint64
	typeInt64
	typeFloat64
)

// reader decodes little-endian values and knows how many bytes are left.
// The first error sticks; every later read returns zero values.
type reader struct {
	r    *bufio.Reader
	pos  int64
	size int64
	err  error
}

func newReader(r io.ReaderAt, size int64) *reader {
	return &reader{r: bufio.NewReaderSize(io.NewSectionReader(r, 0, size), 1<<18), size: size}
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format, args...)
	}
}

// bytes reads n bytes, which are checked to be there before they are allocated.
func (r *reader) bytes(n uint64) []byte {
	if r.err != nil {
		return nil
	}
	if n > uint64(r.size-r.pos) {
		r.fail("truncated at byte %d: %d bytes expected, %d left (download it again)", r.pos, n, r.size-r.pos)
		return nil
	}
	b := make([]byte, n)
	got, err := io.ReadFull(r.r, b)
	r.pos += int64(got)
	if err != nil {
		r.fail("reading at byte %d: %w", r.pos, err)
		return nil
	}
	return b
}

// fixed reads an n-byte unsigned integer, n being 1, 2, 4 or 8.
func (r *reader) fixed(n int) uint64 {
	var b [8]byte
	if r.err != nil {
		return 0
	}
	got, err := io.ReadFull(r.r, b[:n])
	r.pos += int64(got)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		r.fail("truncated at byte %d (download it again)", r.pos)
		return 0
	}
	if err != nil {
		r.fail("reading at byte %d: %w", r.pos, err)
		return 0
	}
	return binary.LittleEndian.Uint64(b[:])
}

func (r *reader) u32() uint32 { return uint32(r.fixed(4)) }
func (r *reader) u64() uint64 { return r.fixed(8) }

func (r *reader) string(limit uint64) string {
	n := r.u64()
	if n > limit {
		r.fail("a string of %d bytes at byte %d exceeds the limit of %d", n, r.pos, limit)
		return ""
	}
	return string(r.bytes(n))
}

// value reads one metadata value of the given type. Scalars come as the Go type
// of the same width; arrays as described at [File.Metadata].
func (r *reader) value(t uint32, depth int) any {
	switch t {
	case typeUint8:
		return uint8(r.fixed(1))
	case typeInt8:
		return int8(r.fixed(1))
	case typeUint16:
		return uint16(r.fixed(2))
	case typeInt16:
		return int16(r.fixed(2))
	case typeUint32:
		return uint32(r.fixed(4))
	case typeInt32:
		return int32(r.fixed(4))
	case typeUint64:
		return r.fixed(8)
	case typeInt64:
		return int64(r.fixed(8))
	case typeFloat32:
		return math.Float32frombits(uint32(r.fixed(4)))
	case typeFloat64:
		return math.Float64frombits(r.fixed(8))
	case typeBool:
		b := r.fixed(1)
		if b > 1 {
			r.fail("a bool of %d at byte %d", b, r.pos)
		}
		return b == 1
	case typeString:
		return r.string(math.MaxInt64)
	case typeArray:
		return r.array(depth + 1)
	}
	r.fail("unknown value type %d at byte %d", t, r.pos)
	return nil
}

// minBytes is the least that one array element of a type takes in the file.
func minBytes(t uint32) uint64 {
	switch t {
	case typeUint8, typeInt8, typeBool:
		return 1
	case typeUint16, typeInt16:
		return 2
	case typeUint32, typeInt32, typeFloat32:
		return 4
	case typeArray:
		return 12 // its own type and count
	}
	return 8
}

func (r *reader) array(depth int) any {
	if depth > maxNesting {
		r.fail("arrays nested more than %d deep at byte %d", maxNesting, r.pos)
		return nil
	}
	t, n := r.u32(), r.u64()
	if r.err != nil {
		return nil
	}
	if n > uint64(r.size-r.pos)/minBytes(t) {
		r.fail("truncated: an array of %d elements at byte %d, %d bytes left (download it again)", n, r.pos, r.size-r.pos)
		return nil
	}
	switch t {
	case typeString:
		return elements(r, n, func() string { return r.string(math.MaxInt64) })
	case typeUint8:
		return r.bytes(n)
	case typeInt8:
		return elements(r, n, func() int8 { return int8(r.fixed(1)) })
	case typeUint16:
		return elements(r, n, func() uint16 { return uint16(r.fixed(2)) })
	case typeInt16:
		return elements(r, n, func() int16 { return int16(r.fixed(2)) })
	case typeUint32:
		return elements(r, n, r.u32)
	case typeInt32:
		return elements(r, n, func() int32 { return int32(r.fixed(4)) })
	case typeUint64:
		return elements(r, n, r.u64)
	case typeInt64:
		return elements(r, n, func() int64 { return int64(r.fixed(8)) })
	case typeFloat32:
		return elements(r, n, func() float32 { return math.Float32frombits(r.u32()) })
	case typeFloat64:
		return elements(r, n, func() float64 { return math.Float64frombits(r.u64()) })
	}
	return elements(r, n, func() any { return r.value(t, depth) })
}

// elements reads n values, stopping at the first error. The slice grows as
// values really arrive: a string's Go header is larger than its least share of
// the file, so a claimed count must not size the allocation.
func elements[T any](r *reader, n uint64, read func() T) []T {
	out := make([]T, 0, min(n, 1<<12))
	for range n {
		v := read()
		if r.err != nil {
			return nil
		}
		out = append(out, v)
	}
	return out
}
