package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"reprise/mlx"
)

// A frame is a snapshot or rows as bytes, little-endian, before any MLX array exists:
//
//	magic "rpst", version u16, type u16 (1 snapshot, 2 rows), from u64, to u64 (equal in a snapshot), layers u32
//	a layer:  kind u8, bits u8, group u8 (how its rows are quantized, 0 0: not), tensors u8
//	a tensor: dtype u8, rank u8, rank × u32, length u64, data, row-major
//
// There is no checksum and no identity in it: who stores frames adds both. Bytes are not trusted all the same: parse
// checks every length before it uses it, takes nothing that append would not have written, and never panics.
type frame struct {
	rows     bool
	from, to int
	layers   []frameLayer
}

type frameLayer struct {
	kind         Kind
	quantization Quantization
	tensors      []tensor
}

type tensor struct {
	dtype mlx.Dtype
	shape []int
	data  []byte // of the frame's bytes, not a copy
}

const (
	frameMagic   = "rpst"
	frameVersion = 2 // 1 knew no quantized rows
	maxRank      = 5
	maxOffset    = 1 << 40
)

// The codes are fixed by the format; 0 is none.
var (
	kindCodes  = []Kind{1: Growing, 2: Sliding, 3: Recurrent}
	dtypeCodes = []mlx.Dtype{1: mlx.Float32, 2: mlx.BFloat16, 3: mlx.Float16, 4: mlx.Uint32}
)

func code[T comparable](codes []T, v T) (byte, error) {
	for i, x := range codes {
		if i > 0 && x == v {
			return byte(i), nil
		}
	}
	return 0, fmt.Errorf("state: %v has no place in a frame", v)
}

func decoded[T any](codes []T, c byte) (v T, err error) {
	if c == 0 || int(c) >= len(codes) {
		return v, fmt.Errorf("unknown code %d", c)
	}
	return codes[c], nil
}

// append writes the frame behind b.
func (f *frame) append(b []byte) ([]byte, error) {
	le, kind := binary.LittleEndian, uint16(1)
	if f.rows {
		kind = 2
	}
	b = append(b, frameMagic...)
	b = le.AppendUint16(b, frameVersion)
	b = le.AppendUint16(b, kind)
	b = le.AppendUint64(b, uint64(f.from))
	b = le.AppendUint64(b, uint64(f.to))
	b = le.AppendUint32(b, uint32(len(f.layers)))
	for _, l := range f.layers {
		c, err := code(kindCodes, l.kind)
		if err != nil {
			return nil, err
		}
		b = append(b, c, byte(l.quantization.Bits), byte(l.quantization.Group), byte(len(l.tensors)))
		for _, t := range l.tensors {
			if c, err = code(dtypeCodes, t.dtype); err != nil {
				return nil, err
			}
			b = append(b, c, byte(len(t.shape)))
			for _, d := range t.shape {
				b = le.AppendUint32(b, uint32(d))
			}
			b = le.AppendUint64(b, uint64(len(t.data)))
			b = append(b, t.data...)
		}
	}
	return b, nil
}

// size is what append writes.
func (f *frame) size() int {
	n := len(frameMagic) + 2 + 2 + 8 + 8 + 4
	for _, l := range f.layers {
		n += 4
		for _, t := range l.tensors {
			n += 2 + 4*len(t.shape) + 8 + len(t.data)
		}
	}
	return n
}

// parseFrame reads one frame that fills data.
func parseFrame(data []byte) (f frame, err error) {
	r := reader{left: data}
	if string(r.bytes(4)) != frameMagic {
		return f, errors.New("state: these bytes are no snapshot and no rows")
	}
	if v := r.u16(); v != frameVersion {
		return f, fmt.Errorf("state: a frame of version %d, this program reads %d", v, frameVersion)
	}
	kind := r.u16()
	from, to, layers := r.u64(), r.u64(), r.u32()
	switch {
	case r.err != nil:
	case kind != 1 && kind != 2:
		r.fail("type %d is neither snapshot nor rows", kind)
	case from > to || to > maxOffset || kind == 1 && from != to:
		r.fail("it claims the offsets %d to %d", from, to)
	case uint64(layers)*4 > uint64(len(r.left)):
		r.fail("it claims %d layers", layers)
	}
	f = frame{rows: kind == 2, from: int(from), to: int(to)}
	for i := uint32(0); i < layers && r.err == nil; i++ {
		f.layers = append(f.layers, r.layer())
	}
	if r.err == nil && len(r.left) > 0 {
		r.fail("%d bytes follow it", len(r.left))
	}
	if r.err != nil {
		return frame{}, fmt.Errorf("state: bad frame of %d bytes: %w", len(data), r.err)
	}
	return f, nil
}

// reader takes values off the front. After the first error it gives zeros.
type reader struct {
	left []byte
	err  error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format, args...)
	}
}

func (r *reader) bytes(n int) []byte {
	if r.err == nil && n > len(r.left) {
		r.fail("it ends %d bytes early", n-len(r.left))
	}
	if r.err != nil {
		return make([]byte, min(n, 8))
	}
	b := r.left[:n:n]
	r.left = r.left[n:]
	return b
}

func (r *reader) u8() byte    { return r.bytes(1)[0] }
func (r *reader) u16() uint16 { return binary.LittleEndian.Uint16(r.bytes(2)) }
func (r *reader) u32() uint32 { return binary.LittleEndian.Uint32(r.bytes(4)) }
func (r *reader) u64() uint64 { return binary.LittleEndian.Uint64(r.bytes(8)) }

func (r *reader) layer() (l frameLayer) {
	var err error
	if l.kind, err = decoded(kindCodes, r.u8()); err != nil {
		r.fail("layer kind: %w", err)
	}
	l.quantization = Quantization{Bits: int(r.u8()), Group: int(r.u8())}
	if err := l.quantization.Check(l.quantization.Group); err != nil {
		r.fail("a layer of %w", err)
	} else if l.quantization.On() && l.kind != Growing {
		r.fail("a quantized layer that is %v", l.kind)
	}
	for n := r.u8(); n > 0 && r.err == nil; n-- {
		l.tensors = append(l.tensors, r.tensor())
	}
	return l
}

func (r *reader) tensor() (t tensor) {
	var err error
	if t.dtype, err = decoded(dtypeCodes, r.u8()); err != nil {
		r.fail("dtype: %w", err)
	}
	rank := r.u8()
	if rank == 0 || rank > maxRank {
		r.fail("a tensor of rank %d", rank)
	}
	want := uint64(t.dtype.Size())
	for ; rank > 0 && r.err == nil; rank-- {
		d := r.u32()
		if d == 0 || d > math.MaxInt32 || uint64(d) > uint64(len(r.left))/want {
			r.fail("a dimension of %d", d)
		}
		want *= uint64(d) // at most the bytes left: no overflow
		t.shape = append(t.shape, int(d))
	}
	if n := r.u64(); r.err == nil && n != want {
		r.fail("%d bytes for %v%v", n, t.dtype, t.shape)
	}
	if r.err == nil {
		t.data = r.bytes(int(want))
	}
	return t
}
