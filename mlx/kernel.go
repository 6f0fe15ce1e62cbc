package mlx

/*
#cgo noescape reprise_kernel_launch
#cgo nocallback reprise_kernel_launch
#include <stdlib.h>
#include "kernels/launch.h"
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

// CUDA says whether the scope's device is MLX's CUDA backend, which lacks some of Metal's products or has slower ones.
func (s *Scope) CUDA() bool {
	return s.worker.opts.Emulate == nil && s.worker.device == GPU && kernelBackend() == C.REPRISE_CUDA
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
	s.launch(k, l, inputs, out)
	return s.madeAll(k.Name, out)
}

// launch leaves out as it is on an error.
func (s *Scope) launch(k *Kernel, l Launch, inputs, out []Array) {
	handle := s.worker.compiled(k)
	if handle == nil {
		s.fail(k.Name, inputs...)
		return
	}
	var c C.reprise_launch
	var results [C.REPRISE_KERNEL_OUTPUTS]C.mlx_array
	if len(inputs) > len(c.inputs) || len(l.Outputs) > len(c.outputs) || len(l.Template) > len(c.args) {
		s.Fail(fmt.Errorf("mlx kernel %s: %d inputs, %d outputs, %d template arguments are too many", k.Name, len(inputs), len(l.Outputs), len(l.Template)))
		return
	}
	c.input_count, c.output_count, c.arg_count = C.int(len(inputs)), C.int(len(l.Outputs)), C.int(len(l.Template))
	for axis := range l.Grid {
		c.grid[axis], c.group[axis] = C.int(l.Grid[axis]), C.int(l.Group[axis])
	}
	for i, a := range inputs {
		c.inputs[i] = C.uintptr_t(uintptr(a.ctx))
	}
	for i, o := range l.Outputs {
		c.outputs[i].rank, c.outputs[i].dtype = C.int(len(o.Shape)), o.Dtype.c()
		for axis, n := range o.Shape {
			c.outputs[i].shape[axis] = C.int(n)
		}
	}
	for i, a := range l.Template {
		c.args[i].value = C.int(a.Int)
		if a.Dtype != DefaultDtype {
			c.args[i].is_dtype, c.args[i].value = 1, C.int(a.Dtype.c())
		}
	}
	rc := C.reprise_kernel_launch(&results[0], handle, &c, nil, s.stream)
	if rc == newWay {
		var names [C.REPRISE_KERNEL_ARGS]*C.char
		for i, a := range l.Template {
			names[i] = constant(a.Name)
		}
		rc = C.reprise_kernel_launch(&results[0], handle, &c, &names[0], s.stream)
	}
	if rc != 0 {
		s.fail(k.Name, inputs...)
		return
	}
	for i := range out {
		out[i] = s.own(results[i])
	}
}

// newWay is how a launch asks for the template's names.
const newWay = 2

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

// compact leaves comments and indentation out: each way of launching a kernel keeps its source.
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
func (w *Worker) compiled(k *Kernel) *C.reprise_kernel {
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
			w.kernels = map[*Kernel]*C.reprise_kernel{}
		}
		w.kernels[k] = handle
	}
	return handle
}

func (w *Worker) freeKernels() {
	for _, handle := range w.kernels {
		C.reprise_kernel_free(handle)
	}
	w.kernels = nil
}
