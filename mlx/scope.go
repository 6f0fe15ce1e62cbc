package mlx

/*
#include "capture.h"
#include "mlx/c/mlx.h"
*/
import "C"

import (
	"sync/atomic"
	"time"
	"unsafe"
)

// live counts the arrays that exist on the Go side, in scopes and kept.
var live atomic.Int64

// LiveArrays is the number of array handles not yet freed. It returns to its value from before when every
// scope is closed and every kept array freed: the leak test of everything above this package.
func LiveArrays() int { return int(live.Load()) }

// Scope is an arena: the arrays that ops make in it live until Close. A step of inference opens one, builds
// its graph, evaluates, keeps what outlives the step, and closes. Only the worker's goroutine may use it.
type Scope struct {
	worker *Worker
	stream C.mlx_stream
	arrays []unsafe.Pointer
	err    error
}

// Err is the first error of an op in this scope.
func (s *Scope) Err() error { return s.err }

// Fail makes err the scope's error unless it has one, so that code that builds graphs can report its own
// errors the way ops do.
func (s *Scope) Fail(err error) {
	if s.err == nil {
		s.err = err
	}
}

// evaluatedFrom is the size from which Within evaluates its result on the CPU device: a chunk of a prefill, never a
// decode step, which must not wait.
const evaluatedFrom = 256 << 10

// Within builds in a scope of its own and keeps the result alone: what else build made lives only as long as the
// graph needs it, so that evaluation frees a layer's arrays before it makes the next one's. MLX's CPU device allocates
// when it sends an op out, and sends a hundred before the first has run: there a big result is evaluated at once, or
// a chunk would hold every layer's arrays.
func (s *Scope) Within(build func(inner *Scope) Array) Array {
	var out Array
	s.WithinAll(func(inner *Scope) []*Array { out = build(inner); return []*Array{&out} })
	return out
}

// WithinAll is Within of several results, which build has written where it says; none stays none.
func (s *Scope) WithinAll(build func(inner *Scope) []*Array) {
	inner := s.Child()
	defer inner.Close()
	results := build(inner)
	s.Fail(inner.err)
	for _, out := range results {
		if s.err != nil || out.ctx == nil {
			*out = Array{}
			continue
		}
		*out = s.Adopt(inner.Keep(*out))
		if s.worker.device == CPU && out.Nbytes() >= evaluatedFrom {
			_ = s.Eval(*out) // an error sticks to the scope
		}
	}
}

// Child opens a scope inside s, with the same stream; the caller closes it.
func (s *Scope) Child() *Scope { return &Scope{worker: s.worker, stream: s.stream} }

// Device is where the scope's ops run.
func (s *Scope) Device() Device { return s.worker.device }

// Close frees every array that was not kept.
func (s *Scope) Close() {
	if n := len(s.arrays); n > 0 {
		live.Add(int64(-n))
		C.reprise_free_arrays(&s.arrays[0], C.size_t(n))
		s.arrays = s.arrays[:0]
	}
}

// Keep takes a out of the scope: the caller owns it and must Free it. It returns a, for use in assignments.
// Keeping, rather than adding a second handle, lets MLX see that an update is the buffer's only user, and so
// write in place.
func (s *Scope) Keep(a Array) Array {
	for i := len(s.arrays) - 1; i >= 0; i-- {
		if s.arrays[i] == a.ctx {
			last := len(s.arrays) - 1
			s.arrays[i] = s.arrays[last]
			s.arrays = s.arrays[:last]
			return a
		}
	}
	if a.ctx != nil {
		panic("mlx: Keep of an array that this scope does not own")
	}
	return a
}

// Adopt puts an array that the caller owned into the scope, which then frees it.
func (s *Scope) Adopt(a Array) Array {
	if a.ctx != nil {
		s.arrays = append(s.arrays, a.ctx)
	}
	return a
}

// Copy is a second handle to the same array, owned by the scope.
func (s *Scope) Copy(a Array) Array {
	if s.err != nil || a.ctx == nil {
		return Array{}
	}
	var r C.mlx_array
	if C.mlx_array_set(&r, a.c()) != 0 {
		s.fail("Copy", a)
		return Array{}
	}
	return s.own(r)
}

// Eval computes the arrays and waits for them. It reports the scope's error first.
func (s *Scope) Eval(arrays ...Array) error { return s.evaluate(false, arrays) }

// AsyncEval starts computing the arrays and returns. On the CPU device MLX works on a thread of its own.
func (s *Scope) AsyncEval(arrays ...Array) error { return s.evaluate(true, arrays) }

func (s *Scope) evaluate(async bool, arrays []Array) error {
	if s.err != nil {
		return s.err
	}
	v := newVector(arrays)
	defer freeVector(v)
	if c := s.worker.count.Load(); c != nil {
		c.add(v)
	}
	var rc C.int
	if async {
		start := time.Now()
		rc = C.mlx_async_eval(v)
		s.worker.sent.Add(int64(time.Since(start)))
	} else {
		rc = C.mlx_eval(v)
	}
	if rc != 0 {
		s.fail("Eval", arrays...)
	}
	return s.err
}

func (s *Scope) own(a C.mlx_array) Array {
	live.Add(1)
	s.arrays = append(s.arrays, a.ctx)
	return Array{a.ctx}
}

func (s *Scope) ownVector(v C.mlx_vector_array) []Array {
	defer freeVector(v)
	out := make([]Array, int(C.mlx_vector_array_size(v)))
	for i := range out {
		var a C.mlx_array
		if C.mlx_vector_array_get(&a, v, C.size_t(i)) != 0 {
			s.fail("vector")
			return nil
		}
		out[i] = s.own(a)
	}
	return out
}

func (s *Scope) fail(op string, inputs ...Array) { s.Fail(lastError(op, inputs...)) }
