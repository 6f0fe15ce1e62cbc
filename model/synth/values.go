package synth

import (
	"fmt"
	"math"

	"reprise/model/hub"
	"reprise/model/hub/layout"
)

// values are how a tensor's floats are distributed: uniform in [low, high], or else normal. What it takes to make them
// is the same for files and for a device, the bits are not.
type values struct {
	mean, std float64
	low, high float64
	uniform   bool
	log       bool // the logarithm of it
}

// valuesOf are t's in its layout.
func valuesOf(l *layout.Layout, t layout.Tensor) values {
	width := float64(t.Shape[len(t.Shape)-1])
	const spread = 0.05
	switch t.Role {
	case layout.Output: // as many of them as twice the layers are added up
		return values{std: 1 / math.Sqrt(width*2*float64(l.Layers))}
	case layout.NormLess1:
		return values{std: spread}
	case layout.QueryNorm:
		mean := 1 / math.Sqrt(width)
		return values{mean: mean, std: spread * mean}
	case layout.Norm, layout.RouterScale:
		return values{mean: 1, std: spread}
	case layout.Convolution:
		return values{std: 1 / math.Sqrt(float64(t.Shape[len(t.Shape)-2]))}
	case layout.LogDecay: // as the models are initialized
		return values{low: 1, high: 16, uniform: true, log: true}
	case layout.DecayBias:
		return values{low: -5, high: -1, uniform: true}
	}
	return values{std: 1 / math.Sqrt(width)} // projections, and embeddings: rows of length 1
}

// packed are the parameters of a quantized matrix whose quants are random bits.
type packed struct {
	scale  float64 // affine: the middle of the scales, which lie within a tenth of it
	offset float64 // affine: biases are the scales times this
	// In the other modes scales are bytes: low, or with probability share the next one.
	low   uint8
	share float64
}

// fp4 is the deviation of a uniformly chosen e2m1 value: 0, ½, 1, 1½, 2, 3, 4, 6 and their negatives.
var fp4 = math.Sqrt((0.25 + 1 + 2.25 + 4 + 9 + 16 + 36) / 8)

// packedOf are those that give the matrix about the deviation that it would have unquantized.
func packedOf(v values, spec hub.Spec) (packed, error) {
	levels := math.Exp2(float64(spec.Bits))
	switch spec.Mode {
	case "affine":
		return packed{scale: v.std / math.Sqrt((levels*levels-1)/12), offset: -(levels - 1) / 2}, nil
	case "mxfp4": // a byte is an exponent of two, biased by 127
		exponent := math.Log2(v.std / fp4)
		low := math.Floor(exponent)
		return packed{low: uint8(127 + low), share: exponent - low}, nil
	case "nvfp4": // a byte is e4m3: 3 bits of mantissa behind an exponent biased by 7, 2^-9 at least
		code := e4m3(v.std / fp4)
		return packed{low: uint8(code), share: code - math.Floor(code)}, nil
	}
	return packed{}, fmt.Errorf("made-up weights are not to be had in mode %s: affine, mxfp4 and nvfp4 are", spec.Mode)
}

// e4m3 is the code of a positive float in that format, with what lies between two codes as a fraction.
func e4m3(x float64) float64 {
	if x < 1.0/64 { // below the smallest normal one codes are multiples of 2^-9
		return max(1, x*512)
	}
	exponent := math.Floor(math.Log2(x))
	return (exponent+7)*8 + (x/math.Exp2(exponent)-1)*8
}
