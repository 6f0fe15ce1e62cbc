package state

import (
	"fmt"

	"reprise/mlx"
)

// Quantization is how growing layers keep their rows: each head's dims affine at so many bits, in groups that have a scale
// and a bias of the activations' type. The zero value keeps rows as they come. Sliding and recurrent layers, which do not
// grow, are never quantized.
//
// A row is quantized once, when it is appended, from its own values alone: its bits depend on nothing that comes later.
type Quantization struct{ Bits, Group int }

// DefaultGroup is MLX's.
const DefaultGroup = 64

// On says whether rows are quantized.
func (q Quantization) On() bool { return q.Bits > 0 }

// Check says why heads of that many dims cannot be kept so.
func (q Quantization) Check(dim int) error {
	switch {
	case !q.On() && q.Group == 0:
		return nil
	case q.Bits != 4 && q.Bits != 8:
		return fmt.Errorf("keys and values at %d bits: 4 and 8 are built", q.Bits)
	case q.Group != 32 && q.Group != 64 && q.Group != 128:
		return fmt.Errorf("keys and values in groups of %d: 32, 64 and 128 are built", q.Group)
	case dim%q.Group != 0:
		return &MisfitError{q, dim}
	}
	return nil
}

// ElementBytes is what so many values of that type take, a scale and a bias for each group included.
func (q Quantization) ElementBytes(elements int64, dtype int) int64 {
	if !q.On() {
		return elements * int64(dtype)
	}
	return elements*int64(q.Bits)/8 + elements/int64(q.Group)*2*int64(dtype)
}

// MisfitError is a form that a model's heads cannot be kept in.
type MisfitError struct {
	Quantization
	Dim int
}

func (e *MisfitError) Error() string {
	return fmt.Sprintf("keys and values in groups of %d: heads of %d dims are not whole groups", e.Group, e.Dim)
}

func (q Quantization) String() string {
	if !q.On() {
		return "not quantized"
	}
	return fmt.Sprintf("%d bit in groups of %d", q.Bits, q.Group)
}

// Packed are quantized rows: words [1, heads, rows, dim·bits/32], scales and biases [1, heads, rows, dim/group].
type Packed struct {
	Words, Scales, Biases mlx.Array
	Quantization
}

// Array is the rows as values, [1, heads, rows, dim].
func (p Packed) Array(s *mlx.Scope) mlx.Array {
	return s.Dequantize(p.Words, p.Scales, p.Biases, p.Group, p.Bits, "affine", mlx.Array{}, mlx.DefaultDtype)
}

// columns are what keys and values are kept as: themselves, or each as words, scales and biases.
func (q Quantization) columns(s *mlx.Scope, k, v mlx.Array) []mlx.Array {
	if !q.On() {
		return []mlx.Array{k, v}
	}
	out := make([]mlx.Array, 0, 6)
	for _, x := range []mlx.Array{k, v} {
		if out = append(out, s.Quantize(x, q.Group, q.Bits, "affine", mlx.Array{})...); s.Err() != nil {
			return nil
		}
	}
	return out
}

// count is the number of columns.
func (q Quantization) count() int {
	if q.On() {
		return 6
	}
	return 2
}

// packed are the keys and values that the columns make up.
func (q Quantization) packed(columns []mlx.Array) (keys, values Packed) {
	if len(columns) != 6 {
		return Packed{}, Packed{} // the scope carries the error
	}
	return Packed{columns[0], columns[1], columns[2], q}, Packed{columns[3], columns[4], columns[5], q}
}
