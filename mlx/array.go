package mlx

/*
#cgo noescape reprise_array_form
#cgo nocallback reprise_array_form
#include "capture.h"
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
	var f form
	n := f.read(a)
	if i < 0 {
		i += n
	}
	if n > len(f.lengths) {
		return a.Shape()[i]
	}
	return int(f.lengths[:n][i])
}

// Shape is a copy of the axes' lengths.
func (a Array) Shape() []int {
	if a.ctx == nil {
		return nil
	}
	var f form
	n := f.read(a)
	lengths := f.lengths[:]
	if n > len(lengths) {
		lengths = unsafe.Slice(C.mlx_array_shape(a.c()), n)
	}
	shape := make([]int, n)
	for i := range shape {
		shape[i] = int(lengths[i])
	}
	return shape
}

// Rows are the last axis' length, how many rows of it there are, and the dtype; of none there are none.
func (a Array) Rows() (rows, width int, dtype Dtype) {
	if a.ctx == nil {
		return 0, 0, DefaultDtype
	}
	var f form
	n := f.read(a)
	if n == 0 || n > len(f.lengths) {
		return 1, a.Size(), a.Dtype()
	}
	rows = 1
	for _, d := range f.lengths[:n-1] {
		rows *= int(d)
	}
	return rows, int(f.lengths[n-1]), fromC(C.mlx_dtype(f.dtype))
}

// form is what an array looks like, in one crossing.
type form struct {
	lengths [8]C.int
	dtype   C.int
}

func (f *form) read(a Array) (axes int) {
	return int(C.reprise_array_form(a.ctx, &f.lengths[0], &f.dtype))
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
