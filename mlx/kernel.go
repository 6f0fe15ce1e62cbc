package mlx

/*
#include <stdlib.h>
#include "launch.h"
#include "mlx/c/mlx.h"
*/
import "C"

import (
	"fmt"
	"hash/fnv"
	"math"
	"strings"
	"sync"
	"unsafe"
)

// Kernel is a custom kernel, compiled by the device's own compiler when it is first launched. It is a variable of the
// package that knows what it computes; each worker compiles it for itself and frees that when it closes.
//
// One body serves Metal and CUDA: it is written with Metal's names, and dialect.go says what CUDA makes of them. MLX
// puts the function's head around it: each input and output is a pointer under its name, NAME_shape an input's shape, and
// the template arguments are constants and types.
type Kernel struct {
	Name            string
	Inputs, Outputs []string
	Helpers         string // functions that the body calls
	Body            string
}

// Launch is one run of a kernel.
type Launch struct {
	Grid, Group [3]int // threads in all, whole groups of them, and in a group
	Template    []TemplateArg
	Outputs     []Spec
}

// TemplateArg is a constant of the compiled kernel: a type where Dtype is given, else an integer.
type TemplateArg struct {
	Name  string
	Dtype Dtype
	Int   int
}

// FloatArg is a float32 that the body reads with float_of: a constant that needs no array.
func FloatArg(name string, x float32) TemplateArg {
	return TemplateArg{Name: name, Int: int(int32(math.Float32bits(x)))}
}

// Spec is an array to be made.
type Spec struct {
	Shape []int
	Dtype Dtype
}

// Emulator runs a kernel on the host: tests put one in the place of a GPU. It gets inputs evaluated and row-major, and
// returns the outputs' bytes.
type Emulator interface {
	Run(k *Kernel, l Launch, inputs []HostArray) ([][]byte, error)
}

// HostArray is an array's values.
type HostArray struct {
	Spec
	Bytes []byte
}

// CustomKernels says whether the scope's device compiles custom kernels. The CPU device does not: it has mlx/kernels.
func (s *Scope) CustomKernels() bool {
	return s.worker.opts.Emulate != nil || s.worker.device == GPU && !s.worker.opts.Plain
}

// Launch runs a kernel over inputs, which it gets row-major. Only where CustomKernels.
func (s *Scope) Launch(k *Kernel, l Launch, inputs ...Array) []Array {
	out := make([]Array, len(l.Outputs))
	if s.err != nil {
		return out
	}
	for i, n := range l.Grid {
		if l.Group[i] < 1 || n < 1 || n%l.Group[i] != 0 {
			s.Fail(fmt.Errorf("mlx kernel %s: a grid of %v threads is not whole groups of %v", k.Name, l.Grid, l.Group))
			return out
		}
	}
	if len(inputs) != len(k.Inputs) || len(l.Outputs) != len(k.Outputs) {
		s.Fail(fmt.Errorf("mlx kernel %s: %d inputs and %d outputs, it has %d and %d", k.Name, len(inputs), len(l.Outputs), len(k.Inputs), len(k.Outputs)))
		return out
	}
	if s.worker.opts.Emulate != nil {
		return s.emulate(k, l, inputs)
	}
	made := s.launch(k, l, inputs)
	if made == nil {
		return out
	}
	return s.madeAll(k.Name, made)
}

// launch is nil on an error.
func (s *Scope) launch(k *Kernel, l Launch, inputs []Array) []Array {
	handle := s.worker.compiled(k)
	if handle == nil {
		s.fail(k.Name, inputs...)
		return nil
	}
	var in [16]C.mlx_array
	var outputs [8]C.reprise_output
	var args [16]C.reprise_template
	if len(inputs) > len(in) || len(l.Outputs) > len(outputs) || len(l.Template) > len(args) {
		s.Fail(fmt.Errorf("mlx kernel %s: %d inputs, %d outputs, %d template arguments are too many", k.Name, len(inputs), len(l.Outputs), len(l.Template)))
		return nil
	}
	for i, a := range inputs {
		in[i] = a.c()
	}
	for i, o := range l.Outputs {
		outputs[i].rank, outputs[i].dtype = C.int(len(o.Shape)), o.Dtype.c()
		for axis, n := range o.Shape {
			outputs[i].shape[axis] = C.int(n)
		}
	}
	for i, a := range l.Template {
		args[i] = C.reprise_template{name: constant(a.Name), value: C.int(a.Int)}
		if a.Dtype != DefaultDtype {
			args[i].is_dtype, args[i].value = 1, C.int(a.Dtype.c())
		}
	}
	grid := [3]C.int{C.int(l.Grid[0]), C.int(l.Grid[1]), C.int(l.Grid[2])}
	group := [3]C.int{C.int(l.Group[0]), C.int(l.Group[1]), C.int(l.Group[2])}
	result := C.mlx_vector_array_new()
	if C.reprise_launch(&result, kernelBackend(), handle, &in[0], C.int(len(inputs)), &outputs[0], C.int(len(l.Outputs)),
		&grid[0], &group[0], &args[0], C.int(len(l.Template)), s.stream) != 0 {
		freeVector(result)
		s.fail(k.Name, inputs...)
		return nil
	}
	return s.ownVector(result)
}

func (s *Scope) emulate(k *Kernel, l Launch, inputs []Array) []Array {
	out := make([]Array, len(l.Outputs))
	host := make([]HostArray, len(inputs))
	for i, a := range inputs {
		bytes, err := s.Bytes(a)
		if err != nil {
			return out
		}
		host[i] = HostArray{Spec{a.Shape(), a.Dtype()}, bytes}
	}
	results, err := s.worker.opts.Emulate.Run(k, l, host)
	if err != nil {
		s.Fail(fmt.Errorf("mlx kernel %s: %w", k.Name, err))
		return out
	}
	for i, o := range l.Outputs {
		out[i] = s.FromBytes(results[i], o.Dtype, o.Shape...)
	}
	return out
}

// kernelBackend is which of mlx-c's two families of calls this MLX has a device for. Both are always there to be linked.
var kernelBackend = sync.OnceValue(func() C.int {
	var metal C.bool
	C.mlx_metal_is_available(&metal)
	if metal {
		return C.REPRISE_METAL
	}
	return C.REPRISE_CUDA
})

// Source is what is compiled behind that dialect: what stands before the function, and the function's body.
func (k *Kernel) Source(dialect string) (header, body string) {
	return compact(dialect + k.Helpers), compact(k.Body)
}

// compact leaves comments and indentation out: MLX puts the whole source together again at every launch.
func compact(source string) string {
	var b strings.Builder
	for line := range strings.Lines(source) {
		line, _, _ = strings.Cut(line, "//")
		if line = strings.TrimSpace(line); line != "" {
			b.WriteString(line + "\n")
		}
	}
	return b.String()
}

// compiled is the worker's handle of a kernel, null after an error. The name carries a checksum of the source, because
// MLX keeps what it compiled for CUDA by name, on disk too.
func (w *Worker) compiled(k *Kernel) unsafe.Pointer {
	if handle, ok := w.kernels[k]; ok {
		return handle
	}
	backend := kernelBackend()
	header := CUDADialect
	if backend == C.REPRISE_METAL {
		header = MetalDialect
	}
	header, body := k.Source(header)
	sum := fnv.New64a()
	_, _ = sum.Write([]byte(header + body))
	var free []func()
	text := func(s string) *C.char {
		c, done := cString(s)
		free = append(free, done)
		return c
	}
	list := func(names []string) **C.char {
		p := (*[16]*C.char)(C.malloc(16 * C.size_t(unsafe.Sizeof((*C.char)(nil)))))
		free = append(free, func() { C.free(unsafe.Pointer(p)) })
		for i, n := range names {
			p[i] = text(n)
		}
		return &p[0]
	}
	defer func() {
		for _, f := range free {
			f()
		}
	}()
	handle := C.reprise_kernel_new(backend, text(fmt.Sprintf("%s_%x", k.Name, sum.Sum64())), list(k.Inputs), C.int(len(k.Inputs)),
		list(k.Outputs), C.int(len(k.Outputs)), text(header), text(body))
	if handle != nil {
		if w.kernels == nil {
			w.kernels = map[*Kernel]unsafe.Pointer{}
		}
		w.kernels[k] = handle
	}
	return handle
}

func (w *Worker) freeKernels() {
	for _, handle := range w.kernels {
		C.reprise_kernel_free(kernelBackend(), handle)
	}
	w.kernels = nil
}
