package gguf

import (
	"math"
	"testing"
)

// read gives a tensor of testdata/vectors.gguf, raw and widened.
func read(t *testing.T, f *File, name string) (Tensor, []byte, []float32) {
	t.Helper()
	tensor, ok := f.Lookup(name)
	if !ok {
		t.Fatalf("vectors.gguf has no %q: run testdata/vectors.py", name)
	}
	raw := make([]byte, tensor.Bytes)
	if err := f.ReadAt(tensor, raw, 0); err != nil {
		t.Fatal(err)
	}
	values := make([]float32, tensor.Rows()*tensor.Columns())
	if err := Dequantize(tensor.Type, values, raw); err != nil {
		t.Fatal(err)
	}
	return tensor, raw, values
}

var vectorTypes = []Type{F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K, Q6_K}

// TestDequantize compares with gguf-py bit for bit, signs of zeros included.
func TestDequantize(t *testing.T) {
	f, err := Open("testdata/vectors.gguf")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, typ := range vectorTypes {
		t.Run(typ.String(), func(t *testing.T) {
			tensor, _, got := read(t, f, typ.String())
			if tensor.Type != typ {
				t.Fatalf("tensor is %s", tensor.Type)
			}
			_, _, want := read(t, f, typ.String()+".expected")
			if len(got) != len(want) || len(got) == 0 {
				t.Fatalf("%d values, want %d", len(got), len(want))
			}
			for i := range want {
				if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
					t.Fatalf("value %d: %g, gguf-py has %g", i, got[i], want[i])
				}
			}
		})
	}
}

// TestAffineIsExact rebuilds every value from the affine form. Only zeros may
// differ, in their sign.
func TestAffineIsExact(t *testing.T) {
	f, err := Open("testdata/vectors.gguf")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	affine := 0
	for _, typ := range vectorTypes {
		bits, ok := AffineBits(typ)
		if !ok {
			continue
		}
		affine++
		_, raw, want := read(t, f, typ.String())
		n := len(want) / AffineGroup
		q, scales, biases := make([]uint8, len(want)), make([]float32, n), make([]float32, n)
		if err := Affine(typ, q, scales, biases, raw); err != nil {
			t.Fatal(err)
		}
		for i := range want {
			if int(q[i]) >= 1<<bits {
				t.Fatalf("%s value %d: quant %d has more than %d bits", typ, i, q[i], bits)
			}
			got := float32(scales[i/AffineGroup]*float32(q[i])) + biases[i/AffineGroup]
			if math.Float32bits(got) != math.Float32bits(want[i]) && (got != 0 || want[i] != 0) {
				t.Fatalf("%s value %d: %g·%d + %g = %g, want %g", typ, i, scales[i/AffineGroup], q[i], biases[i/AffineGroup], got, want[i])
			}
		}
	}
	if affine != 7 {
		t.Errorf("%d affine types tested, want 7", affine)
	}
}

func TestWrongLengths(t *testing.T) {
	if err := Dequantize(Q8_0, make([]float32, 32), make([]byte, 33)); err == nil {
		t.Error("Dequantize took half a block")
	}
	if err := Dequantize(Type(10), make([]float32, 256), make([]byte, 84)); err == nil {
		t.Error("Dequantize took Q2_K")
	}
	if err := Affine(Q8_0, make([]uint8, 32), make([]float32, 1), nil, make([]byte, 34)); err == nil {
		t.Error("Affine took no biases")
	}
	if err := Affine(Q6_K, nil, nil, nil, nil); err == nil {
		t.Error("Affine took Q6_K")
	}
}

// Every half, widened and back, is itself; what lies between two is not exact.
func TestHalfInvertsWidening(t *testing.T) {
	for h := range 1 << 16 {
		v := half([]byte{byte(h), byte(h >> 8)})
		if v-v != 0 {
			continue // infinities and NaNs are refused elsewhere
		}
		if got, exact := Half(v); !exact || int(got) != h {
			t.Fatalf("half %#04x is %g, which comes back as %#04x, exact: %v", h, v, got, exact)
		}
		if between := math.Nextafter32(v, 1e30); between != v {
			if got, exact := Half(between); exact {
				t.Fatalf("%g, beside half %#04x, counts as the half %#04x", between, h, got)
			}
		}
	}
	for _, v := range []float32{65520, -1e6, 1e-9} {
		if _, exact := Half(v); exact {
			t.Errorf("%g counts as a half", v)
		}
	}
}

func TestHalfAffineMindsTheBias(t *testing.T) {
	block := make([]byte, Q8_0.BlockBytes())
	for _, c := range []struct {
		scale uint16
		fits  bool
	}{{0x5fff, true}, {0x5ff0, true}, {0x6000, false}, {0xe000, false}, {0x0001, true}} { // 511.9, 511, 512, -512, 2^-24
		block[0], block[1] = byte(c.scale), byte(c.scale>>8)
		if got := HalfAffine(Q8_0, block); got != c.fits {
			t.Errorf("scale %#04x: HalfAffine is %v", c.scale, got)
		}
	}
	if HalfAffine(Q4_K, make([]byte, Q4_K.BlockBytes())) {
		t.Error("a K-quant's scales are products of a half and an integer")
	}
}
