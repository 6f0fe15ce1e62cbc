package mlx

/*
#include "capture.h"
#include "kernels/launch.h"
#include "kernels/primitives.h"
#include "mlx/c/mlx.h"
*/
import "C"

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// Device is where ops run.
type Device uint8

// The two devices: GPU is Metal on macOS and CUDA on Linux.
const (
	CPU Device = iota
	GPU
)

func (d Device) String() string { return [...]string{"cpu", "gpu"}[d] }

// ErrClosed is what Do returns after Close.
var ErrClosed = errors.New("mlx worker is closed")

// Worker is the one goroutine, locked to one OS thread, on which MLX runs.
type Worker struct {
	device Device
	opts   Options
	pool   *C.reprise_pool // threads of the CPU device's kernels; nil without them
	// kernelsOff leaves these kernels out all the same: one of them was found wrong.
	kernelsOff atomic.Bool

	sent    atomic.Int64            // nanoseconds, see Sent
	profile atomic.Pointer[profile] // nil unless ops are timed
	count   atomic.Pointer[counter] // nil unless nodes are counted

	kernels     map[*Kernel]*C.reprise_kernel // compiled custom kernels
	uses        map[*Kernel]bool              // the verified ones
	checksMutex sync.Mutex
	checks      []KernelCheck

	jobs chan job
	quit chan struct{}
	done chan struct{}
}

type job struct {
	run  func(*Scope) error
	done chan error
}

// HasGPU says whether this MLX has a GPU backend and finds a device for it.
func HasGPU() bool {
	var metal, cuda C.bool
	C.mlx_metal_is_available(&metal)
	C.mlx_cuda_is_available(&cuda)
	return bool(metal) || bool(cuda)
}

// BestDevice is the GPU where there is one.
func BestDevice() Device {
	if HasGPU() {
		return GPU
	}
	return CPU
}

// Options are mostly those of the CPU device; the zero value is the default.
type Options struct {
	// Threads compute the products; 0 is one for each physical core.
	Threads int
	// Int8 rounds what enters a product with quantized weights to 8 bits per row and block of 32 columns: faster,
	// and less exact (products.h has the bound).
	Int8 bool
	// Plain leaves the kernels out: MLX's own ops, the reference that the kernels are compared with.
	Plain bool
	// Emulate runs custom kernels, in tests; the device is the CPU.
	Emulate Emulator
	// Log gets the warning about a kernel that is switched off; nil is slog's default.
	Log *slog.Logger
}

// Start starts a worker whose ops run on device, with the default options.
func Start(device Device) (*Worker, error) { return StartWith(device, Options{}) }

// StartWith starts a worker whose ops run on device. A process has one; tests and `reprise logits`, which wants
// the CPU device whatever the machine has, may start their own.
func StartWith(device Device, opts Options) (*Worker, error) {
	w := &Worker{device: device, opts: opts, jobs: make(chan job), quit: make(chan struct{}), done: make(chan struct{})}
	C.reprise_tune_heap()
	ready := make(chan error)
	go w.loop(ready)
	if err := <-ready; err != nil {
		return nil, err
	}
	return w, nil
}

// Device is where this worker's ops run.
func (w *Worker) Device() Device { return w.device }

// Do runs fn on the worker, in a scope that is closed when fn returns, and reports fn's error or the scope's.
// ctx is honoured while the call waits for the worker, not while fn runs. A panic in fn comes back as an
// error that carries the stack.
func (w *Worker) Do(ctx context.Context, fn func(*Scope) error) error {
	j := job{run: fn, done: make(chan error, 1)}
	select {
	case w.jobs <- j:
		return <-j.done
	case <-w.quit:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close ends the worker after the job in progress.
func (w *Worker) Close() {
	close(w.quit)
	<-w.done
}

func (w *Worker) loop(ready chan<- error) {
	// Never unlocked: when the goroutine ends, the runtime ends the thread and MLX's streams with it.
	runtime.LockOSThread()
	defer close(w.done)
	C.reprise_capture_errors()
	stream, err := w.openStream()
	ready <- err
	if err != nil {
		return
	}
	defer C.mlx_stream_free(stream)
	defer w.closePool(stream)
	defer w.freeKernels()
	for {
		select {
		case j := <-w.jobs:
			j.done <- w.runJob(stream, j.run)
		case <-w.quit:
			return
		}
	}
}

func (w *Worker) openStream() (C.mlx_stream, error) {
	kind := C.mlx_device_type(C.MLX_CPU)
	if w.device == GPU {
		if !HasGPU() {
			return C.mlx_stream{}, errors.New("this MLX finds no GPU; use --device cpu")
		}
		kind = C.MLX_GPU
	}
	device := C.mlx_device_new_type(kind, 0)
	defer C.mlx_device_free(device)
	stream := C.mlx_stream_new()
	if C.mlx_set_default_device(device) != 0 || C.mlx_get_default_stream(&stream, device) != 0 {
		return stream, lastError("open stream on " + w.device.String())
	}
	if w.device == CPU && w.opts.Threads > 0 {
		setBLASThreads(w.opts.Threads)
	}
	if w.device == CPU && !w.opts.Plain {
		if w.pool = C.reprise_pool_new(C.int(w.opts.Threads), -1); w.pool == nil {
			return stream, errors.New("the system gives no threads for the CPU device's products; lower --threads")
		}
	}
	return stream, nil
}

// closePool waits for what is still computed: its products run on the pool.
func (w *Worker) closePool(stream C.mlx_stream) {
	if w.pool != nil {
		C.mlx_synchronize(stream)
		C.reprise_pool_free(w.pool)
	}
}

func (w *Worker) runJob(stream C.mlx_stream, fn func(*Scope) error) (err error) {
	s := &Scope{worker: w, stream: stream}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic on the mlx worker: %v\n%s", p, debug.Stack())
		}
		s.Close()
	}()
	if err := fn(s); err != nil {
		return err
	}
	return s.err
}
