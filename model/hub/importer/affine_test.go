package importer

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"testing"

	"reprise/mlx/safetensors"
)

// tensorData reads one tensor of a safetensors file.
func tensorData(t *testing.T, h *safetensors.Header, name string) (safetensors.Tensor, []byte) {
	t.Helper()
	tensor, ok := h.Lookup(name)
	if !ok {
		t.Fatalf("%s has no tensor %q", h.Path, name)
	}
	f, err := os.Open(h.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	data := make([]byte, tensor.Bytes)
	if _, err := f.ReadAt(data, tensor.Offset); err != nil {
		t.Fatal(err)
	}
	return tensor, data
}

func header(t *testing.T, path string) *safetensors.Header {
	t.Helper()
	h, err := safetensors.ReadHeader(path)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func toFloats(data []byte) []float32 {
	out := make([]float32, len(data)/4)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
	}
	return out
}

// TestQuantizeIsMLX compares quants, packing, scales and biases of every width
// with mx.quantize, bit for bit (testdata/affine.py).
func TestQuantizeIsMLX(t *testing.T) {
	h := header(t, "testdata/affine.safetensors")
	for _, name := range []string{"normal", "edges"} {
		_, raw := tensorData(t, h, name)
		values := toFloats(raw)
		for _, bits := range []int{2, 3, 4, 5, 6, 8} {
			t.Run(fmt.Sprintf("%s/%d", name, bits), func(t *testing.T) {
				part := func(p string) []byte {
					_, data := tensorData(t, h, fmt.Sprintf("%s.%d.%s", name, bits, p))
					return data
				}
				weight, scales, biases := part("weight"), toFloats(part("scales")), toFloats(part("biases"))
				q := make([]uint8, groupSize)
				var packed []byte
				for g := range len(values) / groupSize {
					scale, bias := quantizeGroup(q, values[g*groupSize:][:groupSize], bits)
					if math.Float32bits(scale) != math.Float32bits(scales[g]) || math.Float32bits(bias) != math.Float32bits(biases[g]) {
						t.Errorf("group %d: scale %g and bias %g, MLX has %g and %g", g, scale, bias, scales[g], biases[g])
					}
					packed = pack(packed, q, bits)
				}
				if !bytes.Equal(packed, weight) {
					t.Errorf("packed % x,\nMLX has % x", packed, weight)
				}
			})
		}
	}
}

func TestDeviation(t *testing.T) {
	var d deviation
	d.add([]float32{1, 2, 3, 4}, []uint8{0, 1, 2, 3}, 1, 1)
	if d.max != 0 || d.rms() != 0 || math.Abs(d.rmsOf()-math.Sqrt(30.0/4)) > 1e-12 {
		t.Errorf("exact values: max %g, rms %g of %g", d.max, d.rms(), d.rmsOf())
	}
	d.add([]float32{1, -2, 1, 1}, []uint8{0, 0, 0, 0}, 1, 1)
	if d.max != 3 || math.Abs(d.rms()-math.Sqrt(9.0/8)) > 1e-12 {
		t.Errorf("one value 3 off: max %g, rms %g", d.max, d.rms())
	}
}
