package mlx

/*
#cgo CFLAGS: -std=c11
#cgo linux LDFLAGS: -lreprise_blas -lreprise_kernels -lmlxc -lmlx -lstdc++ -lm
#cgo darwin LDFLAGS: -lreprise_kernels -lmlxc -lmlx -lc++
#include <stdlib.h>
#include "mlx/c/mlx.h"
*/
import "C"

import "sync"

// constants interns the few strings that ops take (modes such as "causal" and "affine"), so that a call
// allocates nothing. The set is bounded by the program's own literals.
var constants sync.Map // string → *C.char

func constant(s string) *C.char {
	if p, ok := constants.Load(s); ok {
		return p.(*C.char)
	}
	p, _ := constants.LoadOrStore(s, C.CString(s))
	return p.(*C.char)
}

// dims carries a shape, axes or offsets to C without touching the heap for ranks up to 8.
type dims struct {
	fixed [8]C.int
}

func (d *dims) set(v []int) *C.int {
	buf := d.fixed[:]
	if len(v) > len(buf) {
		buf = make([]C.int, len(v))
	}
	for i, x := range v {
		buf[i] = C.int(x)
	}
	return &buf[0]
}

func optionalInt(v int) C.mlx_optional_int {
	return C.mlx_optional_int{value: C.int(v), has_value: C.bool(v != 0)}
}

func optionalFloat(v float32) C.mlx_optional_float {
	return C.mlx_optional_float{value: C.float(v), has_value: C.bool(v != 0)}
}

func optionalDtype(d Dtype) C.mlx_optional_dtype {
	if d == DefaultDtype {
		return C.mlx_optional_dtype{}
	}
	return C.mlx_optional_dtype{value: d.c(), has_value: true}
}

// goString takes what mlx-c wrote into a string object and frees it.
func goString(s C.mlx_string) string {
	defer C.mlx_string_free(s)
	return C.GoString(C.mlx_string_data(s))
}
