package synth

import (
	"encoding/binary"
	"math"

	"reprise/mlx/safetensors"
)

// random is SplitMix64: every 64-bit state in turn, scrambled. It is the same on every machine, and fast.
type random uint64

func (r *random) next() uint64 {
	*r += 0x9e3779b97f4a7c15
	z := uint64(*r)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// unit is uniform in [0, 1).
func (r *random) unit() float64 { return float64(r.next()>>11) / (1 << 53) }

// normal is near enough to one: the sum of four uniform ones, of mean 0 and deviation 1, within ±3.47.
func (r *random) normal() float64 {
	z := r.next()
	sum := int(z&0xffff) + int(z>>16&0xffff) + int(z>>32&0xffff) + int(z>>48)
	return float64(sum-2*0xffff) / (65536 * 0.5773502691896258)
}

// draw is one value. Conversions keep a compiler from fusing the two operations, which would change bits by machine.
func (v values) draw(r *random) float32 {
	switch {
	case v.log:
		return float32(math.Log(v.low + float64((v.high-v.low)*r.unit())))
	case v.uniform:
		return float32(v.low + float64((v.high-v.low)*r.unit()))
	}
	return float32(v.mean + float64(v.std*r.normal()))
}

// appendFloat appends x in the type's little-endian form, rounded to nearest even.
func appendFloat(dst []byte, x float32, d safetensors.DType) []byte {
	bits := math.Float32bits(x)
	switch d {
	case safetensors.F32:
		return binary.LittleEndian.AppendUint32(dst, bits)
	case safetensors.F16:
		return binary.LittleEndian.AppendUint16(dst, half(bits))
	}
	return binary.LittleEndian.AppendUint16(dst, uint16((bits+0x7fff+bits>>16&1)>>16))
}

// half is the float16 nearest to a float32; the values here are finite and far below its largest.
func half(bits uint32) uint16 {
	sign := uint16(bits >> 16 & 0x8000)
	exponent := int(bits>>23&0xff) - 127
	mantissa := bits&0x7fffff | 0x800000
	shift := 13
	if exponent < -14 { // subnormal: the unit is 2^-24
		shift += -14 - exponent
		if shift > 24 {
			return sign
		}
	}
	rounded := mantissa >> shift
	if rest, middle := mantissa&(1<<shift-1), uint32(1)<<(shift-1); rest > middle || rest == middle && rounded&1 == 1 {
		rounded++ // a carry runs into the exponent, as it should
	}
	if exponent < -14 {
		return sign | uint16(rounded)
	}
	return sign | uint16(uint32(exponent+14)<<10+rounded)
}

// bfloat rounds to bfloat16 and back.
func rounded(x float32, d safetensors.DType) float32 {
	if d != safetensors.BF16 {
		return x
	}
	bits := math.Float32bits(x)
	return math.Float32frombits((bits + 0x7fff + bits>>16&1) &^ 0xffff)
}
