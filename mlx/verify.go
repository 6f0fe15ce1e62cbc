package mlx

import (
	"fmt"
	"log/slog"
	"math"
	"slices"
)

// KernelCheck is what came of comparing a kernel with the plain ops that it stands for.
type KernelCheck struct {
	Kernel     string  `json:"kernel"` // with the shapes that it was compared for
	On         bool    `json:"on"`
	Tolerance  float64 `json:"tolerance"`  // of the largest value
	Difference float64 `json:"difference"` // the largest found, by the same measure; −1 where there is none to give
	Reason     string  `json:"reason,omitempty"`
}

// Verify says whether a kernel may be used. The first call for a name runs kernel and twin, which must give arrays of the
// same shapes, and compares them: no value of either may differ by more than tolerance times the largest of its array (or
// 1, if that is more). What differs, fails or is not a number is switched off for as long as the worker lives, with one
// warning, and KernelChecks keeps the reason. Later calls repeat the answer. It waits for the device: call it when a
// model is loaded.
func (s *Scope) Verify(name string, tolerance float64, kernel, twin func(s *Scope) []Array) bool {
	w := s.worker
	w.checksMutex.Lock()
	at := slices.IndexFunc(w.checks, func(c KernelCheck) bool { return c.Kernel == name })
	w.checksMutex.Unlock()
	if at >= 0 {
		return w.checks[at].On
	}
	check := KernelCheck{Kernel: name, Tolerance: tolerance, Difference: -1}
	want, err := s.values(twin)
	if err != nil {
		s.Fail(fmt.Errorf("the plain ops of kernel %s: %w", name, err))
		return false
	}
	if got, err := s.values(kernel); err != nil {
		check.Reason = err.Error()
	} else {
		check.Difference, check.Reason = difference(got, want, tolerance)
	}
	check.On = check.Reason == ""
	w.checksMutex.Lock()
	w.checks = append(w.checks, check)
	w.checksMutex.Unlock()
	if !check.On {
		log := w.opts.Log
		if log == nil {
			log = slog.Default()
		}
		log.Warn("a kernel is switched off: plain ops take its place, slower", "kernel", name, "device", w.device.String(), "reason", check.Reason)
	}
	return check.On
}

// VerifyKernel is Verify of one kernel, noted for Uses. Every shape that the kernel is to be used with should be verified.
func (s *Scope) VerifyKernel(k *Kernel, shape string, tolerance float64, kernel, twin func(s *Scope) []Array) {
	if s.err != nil || !s.CustomKernels() {
		return
	}
	on := s.Verify(k.Name+": "+shape, tolerance, kernel, twin)
	w := s.worker
	if before, known := w.uses[k]; known {
		on = on && before
	}
	if w.uses == nil {
		w.uses = map[*Kernel]bool{}
	}
	w.uses[k] = on
}

// Uses says whether a kernel was verified on this worker, and never found to be wrong.
func (s *Scope) Uses(k *Kernel) bool { return s.worker.uses[k] }

// KernelChecks are the kernels that were compared so far, in that order.
func (w *Worker) KernelChecks() []KernelCheck {
	w.checksMutex.Lock()
	defer w.checksMutex.Unlock()
	return slices.Clone(w.checks)
}

// Wave is made-up values to compare kernels on: float32, of a size of 1, no two of them alike.
func (s *Scope) Wave(frequency float64, shape ...int) Array {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return s.Reshape(s.Sin(s.Multiply(s.Arange(0, float64(n), 1, Float32), s.Scalar(frequency, Float32))), shape)
}

// values are float32, whatever the dtypes.
func (s *Scope) values(make func(s *Scope) []Array) ([][]float32, error) {
	inner := s.Child()
	defer inner.Close()
	var out [][]float32
	for _, a := range make(inner) {
		values, err := inner.Float32s(a)
		if err != nil {
			return nil, err
		}
		out = append(out, values)
	}
	return out, inner.err
}

// difference is the largest between the arrays, as a part of an array's largest value, and why it is too large.
func difference(got, want [][]float32, tolerance float64) (float64, string) {
	if len(got) != len(want) {
		return -1, fmt.Sprintf("%d results, the plain ops give %d", len(got), len(want))
	}
	var worst float64
	for i := range want {
		if len(got[i]) != len(want[i]) {
			return -1, fmt.Sprintf("result %d has %d values, the plain ops give %d", i, len(got[i]), len(want[i]))
		}
		largest := 1.0
		for _, v := range want[i] {
			largest = max(largest, math.Abs(float64(v)))
		}
		for k, v := range want[i] {
			d := math.Abs(float64(got[i][k])-float64(v)) / largest
			if !(d <= tolerance) {
				if math.IsNaN(d) || math.IsInf(d, 0) {
					d = -1 // which JSON has a number for
				}
				return d, fmt.Sprintf("value %d of result %d is %g, the plain ops give %g", k, i, got[i][k], v)
			}
			worst = max(worst, d)
		}
	}
	return worst, ""
}
