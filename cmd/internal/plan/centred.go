package plan

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"os"

	"reprise/mlx/safetensors"
	"reprise/model/hub"
)

// most values of a matrix's scales and biases that are compared.
const most = 2048

// centred says whether the biases of a packed matrix follow from its scales, as far as its first values say: then the CPU
// device does not hold them (model/weights).
func centred(scales, biases hub.Tensor, bits int) (bool, error) {
	s, err := head(scales)
	if err != nil {
		return false, err
	}
	b, err := head(biases)
	if err != nil {
		return false, err
	}
	for i := range min(len(s), len(b)) {
		if b[i] != -s[i]*float32(int(1)<<(bits-1)) {
			return false, nil
		}
	}
	return len(s) > 0, nil
}

// head reads a tensor's first values.
func head(t hub.Tensor) (_ []float32, err error) {
	f, err := os.Open(t.File)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size := t.DType.Size()
	raw := make([]byte, min(t.Bytes, most*size))
	if _, err := io.ReadFull(io.NewSectionReader(f, t.Offset, int64(len(raw))), raw); err != nil {
		return nil, fmt.Errorf("%s: %s: %w", t.File, t.Name, err)
	}
	out := make([]float32, int64(len(raw))/size)
	for i := range out {
		switch t.DType {
		case safetensors.F32:
			out[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
		case safetensors.BF16:
			out[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(raw[2*i:])) << 16)
		case safetensors.F16:
			out[i] = half(binary.LittleEndian.Uint16(raw[2*i:]))
		default:
			return nil, nil // whatever it is, nothing follows from it
		}
	}
	return out, nil
}

// half is the value of a float16.
func half(bits uint16) float32 {
	exponent, fraction := int(bits>>10&31), float64(bits&1023)
	x := math.Ldexp(1024+fraction, exponent-25)
	switch exponent {
	case 0:
		x = math.Ldexp(fraction, -24)
	case 31:
		x = math.Inf(1)
	}
	if bits>>15 == 1 {
		x = -x
	}
	return float32(x)
}
