package importer

import (
	"encoding/binary"
	"math"
)

// groupSize is the number of weights that share a scale and a bias: ggml's block
// of 32, which MLX supports too.
const groupSize = 32

// fallbackBits is the width for what the affine form cannot hold exactly.
const fallbackBits = 8

// pack appends quants of the given width to dst as MLX stores them: a stream of
// bits, lowest first, in little-endian words. For 2, 4 and 8 bits these are
// uint32 with the first quant lowest; for 3, 5 and 6 bits MLX packs bytes, and
// 32 quants fill whole words again.
func pack(dst []byte, quants []uint8, bits int) []byte {
	var word uint64
	have := 0
	for _, q := range quants {
		word |= uint64(q) << have
		for have += bits; have >= 32; have -= 32 {
			dst = binary.LittleEndian.AppendUint32(dst, uint32(word))
			word >>= 32
		}
	}
	return dst
}

// quantizeGroup is the rule of mx.quantize in affine mode, in float32: scale and
// bias are chosen so that the end of the range that is larger in magnitude, and
// zero when it is inside, are hit exactly.
func quantizeGroup(q []uint8, values []float32, bits int) (scale, bias float32) {
	const smallest = 1e-7
	levels := float32(int(1)<<bits - 1)
	low, high := float32(math.Inf(1)), float32(math.Inf(-1))
	for _, v := range values {
		low, high = min(low, v), max(high, v)
	}
	scale = max((high-low)/levels, smallest)
	edge := low
	if abs(low) <= abs(high) {
		scale, edge = -scale, high
	}
	if steps := roundEven(edge / scale); steps != 0 {
		scale, bias = edge/steps, edge
	}
	for i, v := range values {
		q[i] = uint8(min(max(roundEven((v-bias)/scale), 0), levels))
	}
	return scale, bias
}

func abs(v float32) float32       { return float32(math.Abs(float64(v))) }
func roundEven(v float32) float32 { return float32(math.RoundToEven(float64(v))) }

// deviation accumulates how far scale·q + bias lies from the source.
type deviation struct {
	max, squares, energy float64
	count                int64
}

// add compares one group.
func (d *deviation) add(values []float32, q []uint8, scale, bias float32) {
	for i, v := range values {
		// The conversion keeps a compiler from fusing the two operations.
		e := float64(float32(scale*float32(q[i]))+bias) - float64(v)
		if e != 0 {
			d.max = math.Max(d.max, math.Abs(e))
			d.squares += e * e
		}
		d.energy += float64(v) * float64(v)
	}
	d.count += int64(len(values))
}

func (d *deviation) rms() float64   { return math.Sqrt(d.squares / float64(max(1, d.count))) }
func (d *deviation) rmsOf() float64 { return math.Sqrt(d.energy / float64(max(1, d.count))) }
