package gguf

import (
	"fmt"
	"math"
)

// AffineGroup is the number of elements that share a scale and a bias in the
// form that Affine gives.
const AffineGroup = 32

// AffineBits says whether values of type t are scale·q + bias with one scale
// and one bias for 32 neighbours, and how many bits the unsigned q has.
func AffineBits(t Type) (bits int, ok bool) {
	switch t {
	case Q4_0, Q4_1, Q4_K:
		return 4, true
	case Q5_0, Q5_1, Q5_K:
		return 5, true
	case Q8_0:
		return 8, true
	}
	return 0, false
}

// HalfAffine says whether the scales and biases that Affine gives for these whole blocks are all numbers of half
// precision, as those of the types with one scale a block are unless a scale is huge: then a bias, its multiple, is
// beyond the largest half.
func HalfAffine(t Type, src []byte) bool {
	limit := float32(math.MaxFloat32)
	switch t {
	case Q4_1, Q5_1:
	case Q4_0:
		limit = maxHalf / 8
	case Q5_0:
		limit = maxHalf / 16
	case Q8_0:
		limit = maxHalf / 128
	default:
		return false // K-quants: a half times an integer
	}
	for at := 0; at < len(src); at += t.BlockBytes() {
		if d := half(src[at:]); d > limit || d < -limit {
			return false
		}
	}
	return true
}

const maxHalf = 65504.0

// Affine unpacks whole blocks of a type for which AffineBits holds. Per group
// of 32 elements, in order, it gives 32 quants, a scale and a bias, all exact:
// scale·q + bias in float32 has the bits that Dequantize gives, save that a
// group cannot yield −0 where Q4_0, Q5_0 and Q8_0 have a negative scale or a
// negative multiple of zero; there it yields +0.
func Affine(t Type, q []uint8, scales, biases []float32, src []byte) error {
	group := affineFunc(t)
	if group == nil {
		return fmt.Errorf("gguf: %s has no affine form", t)
	}
	groups, size := t.BlockElements()/AffineGroup, t.BlockBytes()
	n := len(src) / size * groups
	if len(src)%size != 0 || len(q) != n*AffineGroup || len(scales) != n || len(biases) != n {
		return fmt.Errorf("gguf: %d bytes of %s do not fill %d quants, %d scales and %d biases",
			len(src), t, len(q), len(scales), len(biases))
	}
	for i := range n {
		block := src[i/groups*size:][:size]
		scales[i], biases[i] = group((*[AffineGroup]uint8)(q[i*AffineGroup:]), block, i%groups)
	}
	return nil
}

// affineFunc gives the function that unpacks group j of a block.
func affineFunc(t Type) func(q *[AffineGroup]uint8, block []byte, j int) (scale, bias float32) {
	switch t {
	case Q4_0:
		return func(q *[AffineGroup]uint8, b []byte, _ int) (float32, float32) {
			quants4(q, b[2:])
			return half(b), -8 * half(b)
		}
	case Q4_1:
		return func(q *[AffineGroup]uint8, b []byte, _ int) (float32, float32) {
			quants4(q, b[4:])
			return half(b), half(b[2:])
		}
	case Q5_0:
		return func(q *[AffineGroup]uint8, b []byte, _ int) (float32, float32) {
			quants5(q, b[2:], b[6:])
			return half(b), -16 * half(b)
		}
	case Q5_1:
		return func(q *[AffineGroup]uint8, b []byte, _ int) (float32, float32) {
			quants5(q, b[4:], b[8:])
			return half(b), half(b[2:])
		}
	case Q8_0:
		return func(q *[AffineGroup]uint8, b []byte, _ int) (float32, float32) {
			for i := range q {
				q[i] = b[2+i] ^ 0x80 // two's complement + 128
			}
			return half(b), -128 * half(b)
		}
	case Q4_K:
		return func(q *[AffineGroup]uint8, b []byte, j int) (float32, float32) {
			quantsK4(q, b[16:], j)
			return scaleBiasK(b, j)
		}
	case Q5_K:
		return func(q *[AffineGroup]uint8, b []byte, j int) (float32, float32) {
			quantsK5(q, b[16:48], b[48:], j)
			return scaleBiasK(b, j)
		}
	}
	return nil
}
