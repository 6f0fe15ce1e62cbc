package mlx

/*
#include "kernels/primitives.h"
*/
import "C"

import "fmt"

// Packed is a weight matrix [out, in] as a checkpoint holds it, or, with a third axis in front, one for each expert.
type Packed struct {
	W Array // quantized: uint32 [out, in·bits/32]; dense: float32, bfloat16 or float16 [out, in]
	// Scales [out, in/group] make it quantized. Biases belong to mode "affine" only; without them its quants are
	// centred: bias = −2^(Bits−1)·scale.
	Scales, Biases  Array
	GroupSize, Bits int
	Mode            string // "affine", "mxfp4", "nvfp4"
}

// Kernels says whether the scope's ops can use the CPU device's own kernels (mlx/kernels): products that take
// weights as the file has them, and the fused parts of a layer. Elsewhere MLX's ops do the same.
func (s *Scope) Kernels() bool { return s.worker.pool != nil && !s.worker.kernelsOff.Load() }

// SwitchOffKernels leaves the CPU device's kernels out from now on, because Verify found one that is wrong. Call it before
// anything is made with them.
func (s *Scope) SwitchOffKernels() { s.worker.kernelsOff.Store(true) }

// Int8 says whether activations enter the kernels' products with 8 bits.
func (s *Scope) Int8() bool { return s.worker.opts.Int8 }

// KernelLevel is the instruction set that the CPU device's kernels use, and their number of threads; 0 threads
// where the worker has none.
func (w *Worker) KernelLevel() (level string, threads int) {
	if w.pool == nil || w.kernelsOff.Load() {
		return "", 0
	}
	return C.GoString(C.reprise_cpu_level()), int(C.reprise_pool_threads(w.pool))
}

// hugeFrom is the size from which an array spans whole huge pages.
const hugeFrom = 4 << 20

// SettleWeights prepares evaluated weights for being read on every step: big ones get huge pages where the system has
// them. Only where Kernels.
func (s *Scope) SettleWeights(weights ...Array) {
	for _, w := range weights {
		if w.Valid() && w.Nbytes() >= hugeFrom {
			C.reprise_huge_pages(w.c())
		}
	}
}

// Product is x·Wᵀ: [..., in] → [..., out], in x's dtype. Only where Kernels.
func (s *Scope) Product(x Array, w Packed) Array {
	if s.err != nil {
		return Array{}
	}
	var r C.mlx_array
	var rc C.int
	if w.Scales.Valid() {
		rc = C.reprise_quantized_matmul(&r, x.c(), w.W.c(), w.Scales.c(), w.Biases.c(), C.int(w.GroupSize), C.int(w.Bits),
			constant(w.Mode), s.worker.activation(), s.worker.pool, s.stream)
	} else {
		rc = C.reprise_dense_matmul(&r, x.c(), w.W.c(), s.worker.pool, s.stream)
	}
	if rc != 0 {
		s.fail("Product", x, w.W, w.Scales, w.Biases)
		return Array{}
	}
	out := s.own(r)
	if s.worker.profile.Load() != nil {
		return s.made("product: "+w.size(), out)
	}
	return out
}

// GatheredProduct multiplies each part of x by the matrix of a stack that choice names for it, as MLX's gather_qmm and
// gather_mm do with rhs_indices: x [..., M, in] and choice [...], which broadcast, give [..., M, out]. Only where Kernels.
func (s *Scope) GatheredProduct(x Array, w Packed, choice Array) Array {
	if s.err != nil {
		return Array{}
	}
	var r C.mlx_array
	if C.reprise_gather_qmm(&r, x.c(), w.W.c(), w.Scales.c(), w.Biases.c(), C.mlx_array{}, choice.c(), C.int(w.GroupSize), C.int(w.Bits),
		constant(w.Mode), s.worker.activation(), s.worker.pool, s.stream) != 0 {
		s.fail("GatheredProduct", x, w.W, w.Scales, w.Biases, choice)
		return Array{}
	}
	return s.made("GatheredProduct", s.own(r))
}

// size names a matrix in profiles: rows, and bits when quantized.
func (p Packed) size() string {
	if p.Scales.Valid() {
		return fmt.Sprintf("%d rows, %d bit", p.W.Dim(-2), p.Bits)
	}
	return fmt.Sprintf("%d rows, %v", p.W.Dim(-2), p.W.Dtype())
}

// Activations is how x enters a product with quantized weights: "float" or "int8".
func (w *Worker) Activations() string {
	if w.opts.Int8 && w.pool != nil {
		return "int8"
	}
	return "float"
}

func (w *Worker) activation() C.reprise_activation {
	if w.opts.Int8 {
		return C.REPRISE_ACT_INTEGER
	}
	return C.REPRISE_ACT_FLOAT
}
