package mlx

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// dense is an operand in Go: 4-byte elements (float32 or uint32) by their bits, row-major.
type dense struct {
	bits  []uint32
	dtype Dtype
	shape []int
}

// layouts make an array that holds d's values and is not row-major in memory. What lies between the values is
// NaN, so that a kernel that ignores strides or offsets is seen.
var layouts = []struct {
	name string
	make func(s *Scope, d dense) Array
}{
	{"transposed", func(s *Scope, d dense) Array { return swapped(s, d, len(d.shape)-2, len(d.shape)-1) }},
	{"outer_swapped", func(s *Scope, d dense) Array { return swapped(s, d, 0, len(d.shape)-2) }}, // of [H, L, D] what a model's head split makes
	{"stepped", stepped},
	{"offset", offset},
}

func (d dense) array(s *Scope) Array {
	raw, err := binary.Append(nil, binary.LittleEndian, d.bits)
	if err != nil {
		s.Fail(err)
	}
	return s.FromBytes(raw, d.dtype, d.shape...)
}

// swapped stores d with two axes exchanged and exchanges them back as a view.
func swapped(s *Scope, d dense, a, b int) Array {
	shape := slices.Clone(d.shape)
	shape[a], shape[b] = shape[b], shape[a]
	stored := dense{make([]uint32, len(d.bits)), d.dtype, shape}
	at := make([]int, len(shape)) // the multi-index of element i of d
	for i, v := range d.bits {
		rest := i
		for axis := len(at) - 1; axis >= 0; axis-- {
			at[axis], rest = rest%d.shape[axis], rest/d.shape[axis]
		}
		at[a], at[b] = at[b], at[a]
		to := 0
		for axis, k := range at {
			to = to*shape[axis] + k
		}
		stored.bits[to] = v
	}
	return s.SwapAxes(stored.array(s), a, b)
}

// stepped stores d in every second place of rows of twice the width.
func stepped(s *Scope, d dense) Array {
	last := len(d.shape) - 1
	stored := dense{make([]uint32, 0, 2*len(d.bits)), d.dtype, slices.Clone(d.shape)}
	stored.shape[last] *= 2
	for _, v := range d.bits {
		stored.bits = append(stored.bits, v, math.Float32bits(float32(math.NaN())))
	}
	start, strides := make([]int, last+1), slices.Repeat([]int{1}, last+1)
	strides[last] = 2
	return s.Slice(stored.array(s), start, stored.shape, strides)
}

// offset stores one more column before each row of d.
func offset(s *Scope, d dense) Array {
	last, nan := len(d.shape)-1, math.Float32bits(float32(math.NaN()))
	stored := dense{nil, d.dtype, slices.Clone(d.shape)}
	stored.shape[last]++
	for row := range slices.Chunk(d.bits, d.shape[last]) {
		stored.bits = append(append(stored.bits, nan), row...)
	}
	start, strides := make([]int, last+1), slices.Repeat([]int{1}, last+1)
	start[last] = 1
	return s.Slice(stored.array(s), start, stored.shape, strides)
}

// Models hand ops views (heads split by a transpose, a cache's rows by a slice): the result must not depend on
// how an operand lies in memory. The reference is the same op on row-major copies that Go laid out.
func TestOpsAgreeOnStridedInputs(t *testing.T) {
	const group, bits = 32, 4
	rng := rand.New(rand.NewPCG(1, 2))
	onWorker(t, func(s *Scope) error {
		weight, scales, biases, err := quantized(s, normals(rng, 2, 24, 64), group, bits)
		if err != nil {
			return err
		}
		for _, op := range []struct {
			name string
			in   []dense
			run  func(s *Scope, in []Array) Array
		}{
			{"matmul", []dense{normals(rng, 2, 5, 16), normals(rng, 2, 16, 7)},
				func(s *Scope, in []Array) Array { return s.Matmul(in[0], in[1]) }},
			{"matmul_row", []dense{normals(rng, 2, 1, 16), normals(rng, 2, 16, 7)},
				func(s *Scope, in []Array) Array { return s.Matmul(in[0], in[1]) }},
			{"softmax", []dense{normals(rng, 3, 5, 9)},
				func(s *Scope, in []Array) Array { return s.SoftmaxAxis(in[0], -1, false) }},
			{"softmax_middle", []dense{normals(rng, 3, 5, 9)},
				func(s *Scope, in []Array) Array { return s.SoftmaxAxis(in[0], 1, true) }},
			{"rms_norm", []dense{normals(rng, 3, 5, 16)},
				func(s *Scope, in []Array) Array { return s.RMSNorm(in[0], s.Arange(1, 17, 1, Float32), 1e-6) }},
			{"rope", []dense{normals(rng, 2, 3, 5, 16)},
				func(s *Scope, in []Array) Array { return s.RoPE(in[0], 16, false, 1e4, 1, 3, Array{}) }},
			{"rope_partial_traditional", []dense{normals(rng, 2, 3, 5, 16)},
				func(s *Scope, in []Array) Array { return s.RoPE(in[0], 8, true, 1e4, 1, 3, Array{}) }},
			{"sdpa", []dense{normals(rng, 2, 4, 6, 16), normals(rng, 2, 2, 9, 16), normals(rng, 2, 2, 9, 16)},
				func(s *Scope, in []Array) Array {
					return s.SDPA(in[0], in[1], in[2], 0.25, "causal", Array{}, Array{}, false)
				}},
			{"sdpa_decode", []dense{normals(rng, 2, 4, 1, 64), normals(rng, 2, 2, 9, 64), normals(rng, 2, 2, 9, 64)},
				func(s *Scope, in []Array) Array {
					return s.SDPA(in[0], in[1], in[2], 0.125, "", Array{}, Array{}, false)
				}},
			{"quantized_matmul", []dense{normals(rng, 2, 3, 64), weight, scales, biases},
				func(s *Scope, in []Array) Array {
					return s.QuantizedMatmul(in[0], in[1], in[2], in[3], true, group, bits, "affine")
				}},
			{"quantized_matmul_row", []dense{normals(rng, 2, 1, 64), weight, scales, biases},
				func(s *Scope, in []Array) Array {
					return s.QuantizedMatmul(in[0], in[1], in[2], in[3], true, group, bits, "affine")
				}},
		} {
			if err := checkLayouts(t, s, op.name, op.in, op.run); err != nil {
				return err
			}
		}
		return nil
	})
}

// checkLayouts runs the op on row-major operands, then with each one, and at last all, in each layout.
func checkLayouts(t *testing.T, s *Scope, name string, operands []dense, run func(*Scope, []Array) Array) error {
	plain := make([]Array, len(operands))
	for i, d := range operands {
		plain[i] = d.array(s)
	}
	want, err := float64s(s, run(s, plain))
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	for _, layout := range layouts {
		views, strided := make([]Array, len(operands)), false
		for i, d := range operands {
			views[i] = layout.make(s, d)
			if err := s.Eval(views[i]); err != nil {
				return err
			}
			strided = strided || !slices.Equal(views[i].Strides(), plain[i].Strides())
		}
		if !strided {
			t.Errorf("%s, %s: no operand is strided: the case tests nothing", name, layout.name)
		}
		for i := range len(operands) + 1 {
			in := slices.Clone(plain)
			if i < len(in) {
				in[i] = views[i]
			} else {
				in = views
			}
			got, err := float64s(s, run(s, in))
			if err != nil {
				return fmt.Errorf("%s, %s: %w", name, layout.name, err)
			}
			if err := compareFloats(got, want, 2e-6); err != nil {
				t.Errorf("%s, %s, operand %d of %d: %v", name, layout.name, i, len(operands), err)
			}
		}
	}
	return nil
}

func normals(rng *rand.Rand, shape ...int) dense {
	n := 1
	for _, d := range shape {
		n *= d
	}
	d := dense{make([]uint32, n), Float32, shape}
	for i := range d.bits {
		d.bits[i] = math.Float32bits(float32(rng.NormFloat64()))
	}
	return d
}

// quantized gives the packed weights, scales and biases of w, in Go.
func quantized(s *Scope, w dense, group, bits int) (weight, scales, biases dense, err error) {
	var parts [3]dense
	for i, a := range s.Quantize(w.array(s), group, bits, "affine", Array{}) {
		raw, err := s.Bytes(a)
		if err != nil {
			return weight, scales, biases, err
		}
		parts[i] = dense{make([]uint32, a.Size()), a.Dtype(), a.Shape()}
		if _, err := binary.Decode(raw, binary.LittleEndian, parts[i].bits); err != nil {
			return weight, scales, biases, err
		}
	}
	return parts[0], parts[1], parts[2], s.Err()
}
