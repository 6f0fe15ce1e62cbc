package mlx

/*
#include "mlx/c/array.h"
*/
import "C"

import (
	"fmt"

	"reprise/mlx/safetensors"
)

// Dtype is an element type. The zero value stands for "the op's default" where an op has one.
type Dtype uint8

// MLX's element types, in MLX's order after the zero value.
const (
	DefaultDtype Dtype = iota
	Bool
	Uint8
	Uint16
	Uint32
	Uint64
	Int8
	Int16
	Int32
	Int64
	Float16
	Float32
	Float64
	BFloat16
	Complex64
)

var dtypes = [...]struct {
	name string
	size int
}{
	DefaultDtype: {"default", 0}, Bool: {"bool", 1}, Uint8: {"uint8", 1}, Uint16: {"uint16", 2}, Uint32: {"uint32", 4},
	Uint64: {"uint64", 8}, Int8: {"int8", 1}, Int16: {"int16", 2}, Int32: {"int32", 4}, Int64: {"int64", 8},
	Float16: {"float16", 2}, Float32: {"float32", 4}, Float64: {"float64", 8}, BFloat16: {"bfloat16", 2}, Complex64: {"complex64", 8},
}

// Size is the bytes of one element.
func (d Dtype) Size() int { return dtypes[d].size }

func (d Dtype) String() string {
	if int(d) < len(dtypes) {
		return dtypes[d].name
	}
	return fmt.Sprintf("dtype(%d)", uint8(d))
}

// IsFloat says whether d is one of the real floating-point types.
func (d Dtype) IsFloat() bool {
	return d == Float16 || d == Float32 || d == Float64 || d == BFloat16
}

// FloatOf is the type of a checkpoint's floats. Of what is none it is BFloat16, as which such weights are made.
func FloatOf(d safetensors.DType) Dtype {
	switch d {
	case safetensors.F16:
		return Float16
	case safetensors.F32:
		return Float32
	}
	return BFloat16
}

func (d Dtype) c() C.mlx_dtype { return C.mlx_dtype(d - 1) }

func fromC(d C.mlx_dtype) Dtype { return Dtype(d + 1) }
