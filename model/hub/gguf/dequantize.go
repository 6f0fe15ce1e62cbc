package gguf

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Dequantize widens whole blocks of type t from src into dst, with the values
// that ggml's reference code gives in float32. len(dst) is the element count,
// a multiple of the type's block; len(src) the bytes of those blocks.
//
// Every product below is exact in float32 (an 11-bit significand times a scale
// of at most 7 bits times a quant of at most 7), so each value is rounded once,
// in its only addition: a compiler that fuses the two changes nothing.
func Dequantize(t Type, dst []float32, src []byte) error {
	block := blockFunc(t)
	if block == nil {
		return fmt.Errorf("gguf: dequantizing %s is not supported", t)
	}
	n, size := t.BlockElements(), t.BlockBytes()
	if len(dst)%n != 0 || len(dst)/n*size != len(src) {
		return fmt.Errorf("gguf: %d elements of %s need whole blocks, got %d bytes", len(dst), t, len(src))
	}
	for len(dst) > 0 {
		block(dst[:n], src[:size])
		dst, src = dst[n:], src[size:]
	}
	return nil
}

// CanDequantize reports whether Dequantize supports the type.
func CanDequantize(t Type) bool { return blockFunc(t) != nil }

func blockFunc(t Type) func(dst []float32, src []byte) {
	switch t {
	case F32:
		return func(dst []float32, b []byte) { dst[0] = math.Float32frombits(binary.LittleEndian.Uint32(b)) }
	case F16:
		return func(dst []float32, b []byte) { dst[0] = half(b) }
	case BF16:
		return func(dst []float32, b []byte) {
			dst[0] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(b)) << 16)
		}
	case Q4_0:
		return blockQ4_0
	case Q4_1:
		return blockQ4_1
	case Q5_0:
		return blockQ5_0
	case Q5_1:
		return blockQ5_1
	case Q8_0:
		return blockQ8_0
	case Q4_K:
		return blockQ4_K
	case Q5_K:
		return blockQ5_K
	case Q6_K:
		return blockQ6_K
	}
	return nil
}

// half widens the little-endian IEEE half-precision number at b[0:2].
func half(b []byte) float32 {
	h := uint32(binary.LittleEndian.Uint16(b))
	sign, exponent, fraction := h>>15<<31, h>>10&0x1f, h&0x3ff
	switch exponent {
	case 0: // zero and subnormals: fraction × 2^-24, exact in float32
		v := float32(fraction) * (1.0 / (1 << 24))
		return math.Float32frombits(math.Float32bits(v) | sign)
	case 0x1f: // infinities and NaNs keep their payload
		return math.Float32frombits(sign | 0xff<<23 | fraction<<13)
	}
	return math.Float32frombits(sign | (exponent+127-15)<<23 | fraction<<13)
}

// Half is v in IEEE half precision, and whether that is v itself.
func Half(v float32) (h uint16, exact bool) {
	bits := math.Float32bits(v)
	sign, exponent, fraction := uint16(bits>>31<<15), int(bits>>23&0xff)-127, bits&0x7fffff
	switch {
	case bits<<1 == 0:
		return sign, true
	case exponent >= -14 && exponent <= 15:
		return sign | uint16(exponent+15)<<10 | uint16(fraction>>13), fraction&0x1fff == 0
	case exponent >= -24 && exponent < -14: // subnormal: a multiple of 2^-24
		shift := uint(13 + (-14 - exponent))
		full := fraction | 0x800000
		return sign | uint16(full>>shift), full&(1<<shift-1) == 0
	}
	return sign, false
}

// quants4 unpacks the 32 four-bit quants of Q4_0, Q4_1, Q5_0 and Q5_1: the low
// nibbles of 16 bytes, then the high ones.
func quants4(q *[32]uint8, nibbles []byte) {
	for i, b := range nibbles[:16] {
		q[i], q[i+16] = b&15, b>>4
	}
}

// quants5 is quants4 with the fifth bit of quant i taken from bit i of high.
func quants5(q *[32]uint8, high, nibbles []byte) {
	quants4(q, nibbles)
	bits := binary.LittleEndian.Uint32(high)
	for i := range q {
		q[i] |= uint8(bits>>i&1) << 4
	}
}

// Q4_0: a half d, 16 bytes of nibbles; value d·(q−8).
func blockQ4_0(dst []float32, b []byte) {
	var q [32]uint8
	quants4(&q, b[2:])
	d := half(b)
	for i := range q {
		dst[i] = float32(int(q[i])-8) * d
	}
}

// Q4_1: halves d and m, 16 bytes of nibbles; value d·q + m.
func blockQ4_1(dst []float32, b []byte) {
	var q [32]uint8
	quants4(&q, b[4:])
	d, m := half(b), half(b[2:])
	for i := range q {
		dst[i] = float32(q[i])*d + m
	}
}

// Q5_0: a half d, 4 bytes of fifth bits, 16 of nibbles; value d·(q−16).
func blockQ5_0(dst []float32, b []byte) {
	var q [32]uint8
	quants5(&q, b[2:], b[6:])
	d := half(b)
	for i := range q {
		dst[i] = float32(int(q[i])-16) * d
	}
}

// Q5_1: halves d and m, 4 bytes of fifth bits, 16 of nibbles; value d·q + m.
func blockQ5_1(dst []float32, b []byte) {
	var q [32]uint8
	quants5(&q, b[4:], b[8:])
	d, m := half(b), half(b[2:])
	for i := range q {
		dst[i] = float32(q[i])*d + m
	}
}

// Q8_0: a half d, 32 signed bytes; value d·q.
func blockQ8_0(dst []float32, b []byte) {
	d := half(b)
	for i := range dst[:32] {
		dst[i] = float32(int8(b[2+i])) * d
	}
}
