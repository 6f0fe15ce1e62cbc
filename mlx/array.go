package mlx

/*
#include "mlx/c/array.h"
#include "mlx/c/vector.h"
*/
import "C"

import (
	"fmt"
	"unsafe"
)

// Array is a handle to an MLX array: possibly a graph node not evaluated yet. The zero Array is "none", for
// optional arguments. Copying the handle does not copy or retain the array; its owner is a Scope or, after
// Keep, whoever called it.
type Array struct{ ctx unsafe.Pointer }

func (a Array) c() C.mlx_array { return C.mlx_array{ctx: a.ctx} }

// Valid is false for the zero Array.
func (a Array) Valid() bool { return a.ctx != nil }

// Ndim is the number of axes.
func (a Array) Ndim() int { return int(C.mlx_array_ndim(a.c())) }

// Dim is the length of axis i; negative i counts from the last.
func (a Array) Dim(i int) int {
	if i < 0 {
		i += a.Ndim()
	}
	return a.Shape()[i]
}

// Shape is a copy of the axes' lengths.
func (a Array) Shape() []int {
	if a.ctx == nil {
		return nil
	}
	n := a.Ndim()
	shape := make([]int, n)
	if n > 0 {
		for i, d := range unsafe.Slice(C.mlx_array_shape(a.c()), n) {
			shape[i] = int(d)
		}
	}
	return shape
}

// Strides are in elements. They are known once the array has been evaluated.
func (a Array) Strides() []int {
	if a.ctx == nil {
		return nil
	}
	n := a.Ndim()
	strides := make([]int, n)
	if n > 0 {
		for i, d := range unsafe.Slice(C.mlx_array_strides(a.c()), n) {
			strides[i] = int(d)
		}
	}
	return strides
}

// Size is the number of elements.
func (a Array) Size() int { return int(C.mlx_array_size(a.c())) }

// Nbytes is Size times the element size: what the array's values take, not what its buffer holds.
func (a Array) Nbytes() int { return int(C.mlx_array_nbytes(a.c())) }

// Dtype is the element type.
func (a Array) Dtype() Dtype { return fromC(C.mlx_array_dtype(a.c())) }

// String names dtype and shape, without evaluating anything.
func (a Array) String() string {
	if a.ctx == nil {
		return "none"
	}
	return fmt.Sprintf("%v%v", a.Dtype(), a.Shape())
}

// Free releases an array that Keep took out of its scope. The zero Array is allowed.
func (a Array) Free() {
	if a.ctx != nil {
		live.Add(-1)
		C.mlx_array_free(a.c())
	}
}

func newVector(arrays []Array) C.mlx_vector_array {
	v := C.mlx_vector_array_new()
	for _, a := range arrays {
		C.mlx_vector_array_append_value(v, a.c())
	}
	return v
}

func freeVector(v C.mlx_vector_array) { C.mlx_vector_array_free(v) }
