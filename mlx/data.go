package mlx

/*
#include "mlx/c/mlx.h"
*/
import "C"

import (
	"fmt"
	"math"
	"unsafe"
)

// Element is a Go type that maps to an MLX dtype without conversion.
type Element interface {
	bool | uint8 | uint16 | uint32 | uint64 | int8 | int16 | int32 | int64 | float32 | float64
}

func dtypeOf[T Element]() Dtype {
	var zero T
	switch any(zero).(type) {
	case bool:
		return Bool
	case uint8:
		return Uint8
	case uint16:
		return Uint16
	case uint32:
		return Uint32
	case uint64:
		return Uint64
	case int8:
		return Int8
	case int16:
		return Int16
	case int32:
		return Int32
	case int64:
		return Int64
	case float32:
		return Float32
	default:
		return Float64
	}
}

// New makes an array from a copy of data, row-major.
func New[T Element](s *Scope, data []T, shape ...int) Array {
	n := 1
	for _, d := range shape {
		n *= d
	}
	if n != len(data) {
		s.Fail(fmt.Errorf("mlx New: %d values do not fill shape %v", len(data), shape))
		return Array{}
	}
	return s.fromBytes(unsafe.Pointer(unsafe.SliceData(data)), dtypeOf[T](), shape)
}

// FromBytes makes an array of any dtype (bfloat16 among them) from a copy of its little-endian bytes.
func (s *Scope) FromBytes(data []byte, dtype Dtype, shape ...int) Array {
	n := dtype.Size()
	for _, d := range shape {
		n *= d
	}
	if n != len(data) {
		s.Fail(fmt.Errorf("mlx FromBytes: %d bytes do not fill %v%v", len(data), dtype, shape))
		return Array{}
	}
	return s.fromBytes(unsafe.Pointer(unsafe.SliceData(data)), dtype, shape)
}

func (s *Scope) fromBytes(data unsafe.Pointer, dtype Dtype, shape []int) Array {
	if s.err != nil {
		return Array{}
	}
	var b dims
	r := C.mlx_array_new_data(data, b.set(shape), C.int(len(shape)), dtype.c())
	if r.ctx == nil {
		s.fail("New")
		return Array{}
	}
	return s.own(r)
}

// Scalar is a rank-0 array of the given dtype: scalars are given a dtype here so that none of them promotes
// the arrays it meets.
func (s *Scope) Scalar(v float64, dtype Dtype) Array {
	if s.err != nil {
		return Array{}
	}
	r := C.mlx_array_new_float32(C.float(v))
	switch dtype {
	case Float32:
		return s.own(r)
	case Int32:
		C.mlx_array_free(r)
		return s.own(C.mlx_array_new_int(C.int(v)))
	default:
		return s.AsType(s.own(r), dtype)
	}
}

// Key is a random key: a uint32 array of two.
func (s *Scope) Key(seed uint64) Array {
	return New(s, []uint32{uint32(seed >> 32), uint32(seed)}, 2)
}

// Read evaluates a and copies its values out, row-major. T must be the array's own element type.
func Read[T Element](s *Scope, a Array) ([]T, error) {
	if s.err == nil && a.Valid() && a.Dtype() != dtypeOf[T]() {
		s.Fail(fmt.Errorf("mlx Read: the array holds %v, not %v", a.Dtype(), dtypeOf[T]()))
	}
	raw, err := s.raw(a)
	if err != nil {
		return nil, err
	}
	out := make([]T, a.Size())
	copy(out, unsafe.Slice((*T)(raw), len(out)))
	return out, nil
}

// Float32s evaluates a, whatever its dtype, and copies it out as float32.
func (s *Scope) Float32s(a Array) ([]float32, error) {
	if s.err == nil && a.Valid() && a.Dtype() != Float32 {
		a = s.AsType(a, Float32)
	}
	return Read[float32](s, a)
}

// Bytes evaluates a and copies its bytes out, row-major, for every dtype.
func (s *Scope) Bytes(a Array) ([]byte, error) {
	raw, err := s.raw(a)
	if err != nil {
		return nil, err
	}
	return append([]byte(nil), unsafe.Slice((*byte)(raw), a.Nbytes())...), nil
}

// Int reads an int32 or uint32 array of one element: how a decode step learns its token. It waits for a only.
func (s *Scope) Int(a Array) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	if !a.Valid() || a.Size() != 1 {
		return 0, fmt.Errorf("mlx Int: %v is not one element", a)
	}
	var rc C.int
	var u C.uint32_t
	var i C.int32_t
	if a.Dtype() == Uint32 {
		rc = C.mlx_array_item_uint32(&u, a.c())
		i = C.int32_t(u)
	} else {
		rc = C.mlx_array_item_int32(&i, a.c())
	}
	if rc != 0 {
		s.fail("Int", a)
		return 0, s.err
	}
	return int(i), nil
}

// raw evaluates a, makes it row-major, and points at its first byte; valid while the scope is open.
func (s *Scope) raw(a Array) (unsafe.Pointer, error) {
	if s.err != nil {
		return nil, s.err
	}
	if !a.Valid() {
		return nil, fmt.Errorf("mlx: reading an array that is none")
	}
	a = s.Contiguous(a, false)
	if err := s.Eval(a); err != nil {
		return nil, err
	}
	p := unsafe.Pointer(C.mlx_array_data_uint8(a.c()))
	if p == nil && a.Size() > 0 {
		s.fail("data", a)
		return nil, s.err
	}
	return p, nil
}

// RoundToBFloat16 is the bfloat16 nearest to v, ties to even.
func RoundToBFloat16(v float32) float32 {
	bits := math.Float32bits(v)
	return math.Float32frombits((bits + 0x7fff + bits>>16&1) &^ 0xffff)
}
