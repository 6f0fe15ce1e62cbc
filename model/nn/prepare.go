package nn

import (
	"fmt"
	"math"

	"reprise/kvcache/state"
	"reprise/mlx"
)

// tolerance is what a kernel's result may differ from the plain ops', of its largest value: in float32 by the order of its
// sums, and on a GPU by what the plain ops' own products lack there, which have ten bits unless MLX_ENABLE_TF32=0;
// elsewhere by the last step of the type.
func tolerance(s *mlx.Scope, dtype mlx.Dtype) float64 {
	switch {
	case dtype != mlx.Float32:
		return 1.0 / 64
	case s.Device() == mlx.GPU:
		return 1e-3
	}
	return 1e-5
}

// wave is Scope.Wave of that type.
func wave(s *mlx.Scope, dtype mlx.Dtype, frequency float64, shape ...int) mlx.Array {
	return s.AsType(s.Wave(frequency, shape...), dtype)
}

// Prepare compares the kernels of a layer's ends with their plain ops, once for each width; they are used where they
// agree. It runs when a model is built.
func Prepare(owner *mlx.Scope, dtype mlx.Dtype, width int, act mlx.Gate) {
	if _, simds := threadsOf(width); owner.Err() != nil || !owner.CustomKernels() || simds > 32 {
		return
	}
	s := owner.Child()
	defer s.Close()
	residual, y, factor := wave(s, dtype, 0.31, 1, 2, width), wave(s, dtype, 0.77, 1, 2, width), wave(s, dtype, 1.1, 2)
	factor = s.Slice(factor, []int{1}, []int{2}, []int{1})
	norm := &RMSNorm{W: wave(s, dtype, 0.13, width), Eps: 1e-6}
	next := &RMSNorm{W: wave(s, dtype, 0.17, width), Eps: 1e-5}
	owner.VerifyKernel(normAddKernel, fmt.Sprintf("%d wide, %v", width, dtype), tolerance(owner, dtype), func(s *mlx.Scope) []mlx.Array {
		times, onto, plain := normAdd(s, residual, y, norm, factor, nil), normAdd(s, residual, y, norm, mlx.Array{}, next), normAdd(s, residual, y, nil, mlx.Array{}, next)
		return []mlx.Array{times.X, onto.X, onto.normed, plain.X, plain.normed}
	}, func(s *mlx.Scope) []mlx.Array {
		sum := s.Add(residual, norm.Forward(s, y))
		plain := s.Add(residual, y)
		return []mlx.Array{s.Multiply(sum, factor), sum, next.Forward(s, sum), plain, next.Forward(s, plain)}
	})
	a, b, half := s.Multiply(residual, s.Scalar(6, dtype)), y, []int{1, 1, width}
	owner.VerifyKernel(gateKernel, fmt.Sprintf("%v, %v", act, dtype), tolerance(owner, dtype), func(s *mlx.Scope) []mlx.Array {
		return []mlx.Array{gateOf(s, act, a, b, a.Shape(), 0), gateOf(s, act, a, a, half, width)}
	}, func(s *mlx.Scope) []mlx.Array {
		rows := s.Split(a, 2, 1)
		return []mlx.Array{activatePlain(s, act, a, b), activatePlain(s, act, rows[0], rows[1])}
	})
	owner.Fail(s.Err())
}

// PrepareGate compares the kernel of products that end in act of l's, for Gated and GatedBy.
func (l *Linear) PrepareGate(owner *mlx.Scope, act mlx.Gate) {
	if l.stream.rows > 0 && owner.Err() == nil {
		verifyMatvec(owner, l.W.Dim(1)*8, l.GroupSize, l.stream.dtype, act)
	}
}

// fitsGroup says whether a row of x is not too wide for normAddKernel.
func fitsGroup(x mlx.Array) bool {
	if !x.Valid() {
		return false
	}
	_, simds := threadsOf(x.Dim(-1))
	return simds <= 32
}

// verifyMatvec compares matvecKernel with sums in float32 for rows of so many columns: MLX's own product of one row in
// bfloat16 lies up to 3 % of the largest result away from them on an H100. Each way that a product ends is compiled by
// itself, which takes a CUDA device a second: without an act only plain products are compared.
func verifyMatvec(owner *mlx.Scope, in, group int, dtype mlx.Dtype, act mlx.Gate) {
	if owner.Err() != nil || !owner.CustomKernels() || owner.Device() == mlx.GPU && !owner.CUDA() {
		return // Metal's own is near the memory's speed
	}
	s := owner.Child()
	defer s.Close()
	x := wave(s, dtype, 0.29, 1, 1, in)
	parts := s.Quantize(wave(s, dtype, 0.0137, 40, in), group, 4, "affine", mlx.Array{})
	if s.Err() != nil {
		owner.Fail(s.Err())
		return
	}
	m := Matrix{W: parts[0], Scales: parts[1], Biases: parts[2], GroupSize: group, Bits: 4, Mode: "affine"}
	m.stream = m.asStream()
	by, what := wave(s, dtype, 0.41, 1, 1, 40), fmt.Sprintf("%d columns, group %d, %v", in, group, dtype)
	product := func(s *mlx.Scope) mlx.Array {
		w := s.Dequantize(m.W, s.AsType(m.Scales, mlx.Float32), s.AsType(m.Biases, mlx.Float32), group, 4, "affine", mlx.Array{}, mlx.Float32)
		y := s.SumAxis(s.Multiply(w, s.AsType(s.Reshape(x, []int{1, in}), mlx.Float32)), 1, false)
		return s.AsType(s.Reshape(y, []int{1, 1, -1}), dtype)
	}
	if act == mlx.NoGate {
		owner.VerifyKernel(matvecKernel, what, tolerance(owner, dtype), one(func(s *mlx.Scope) mlx.Array { return m.matvec(s, x, epilogue{}) }), one(product))
		return
	}
	owner.VerifyKernel(matvecKernel, fmt.Sprintf("%s, %v", what, act), tolerance(owner, dtype), func(s *mlx.Scope) []mlx.Array {
		return []mlx.Array{m.matvec(s, x, epilogue{act: act, gated: true}), m.matvec(s, x, epilogue{act: act, by: by})}
	}, func(s *mlx.Scope) []mlx.Array {
		y := product(s)
		half := s.Split(y, 2, 2)
		return []mlx.Array{activatePlain(s, act, half[0], half[1]), activatePlain(s, act, y, by)}
	})
}

// Prepare compares the kernels of attention with their plain ops for heads of that width, and makes what they read.
func (a *Attention) Prepare(owner *mlx.Scope, dtype mlx.Dtype, dim int) {
	if owner.Err() != nil || !owner.CustomKernels() || a.RoPE.Dims%2 != 0 || a.RoPE.Dims < 2 {
		return
	}
	a.frequency = a.RoPE.frequencies(owner)
	s := owner.Child()
	defer s.Close()
	const T, offset = 3, 1000
	kv := max(a.KVHeads, 1)
	q, k, v := wave(s, dtype, 0.37, 1, T, a.Heads*dim), wave(s, dtype, 0.61, 1, T, kv*dim), wave(s, dtype, 0.43, 1, T, kv*dim)
	place := mlx.New(s, []int32{offset, 0, 0}, 3)
	shape := fmt.Sprintf("%d query and %d KV heads of %d, %d turn, %v", a.Heads, kv, dim, a.RoPE.Dims, dtype)
	angles := max(tolerance(owner, dtype), 1e-3) // MLX's angles are an exponential of a rounded logarithm
	owner.VerifyKernel(placeKernel, shape, angles, func(s *mlx.Scope) []mlx.Array {
		three := a.place(s, a.headsOf(q, k, v), place)
		first := s.Concatenate([]mlx.Array{rowOf(s, q), rowOf(s, k), rowOf(s, v)}, 2)
		one := a.place(s, heads{q: first, k: first, v: first, dim: dim, kAt: a.Heads * dim, vAt: (a.Heads + kv) * dim}, place)
		return append(three[:], one[:]...)
	}, func(s *mlx.Scope) []mlx.Array {
		plain := func(q, k, v mlx.Array) []mlx.Array {
			values := Heads(s, v, kv)
			if a.VNorm != nil {
				values = a.VNorm.Forward(s, values)
			}
			return []mlx.Array{PlaceHeads(s, q, a.Heads, a.QNorm, &a.RoPE, offset), PlaceHeads(s, k, kv, a.KNorm, &a.RoPE, offset), HeadsFirst(s, values)}
		}
		return append(plain(q, k, v), plain(rowOf(s, q), rowOf(s, k), rowOf(s, v))...)
	})
	a.verifyAttend(owner, s, dtype, dim, shape)
	owner.Fail(s.Err())
}

// rowOf is the first token's row of x [1, T, width].
func rowOf(s *mlx.Scope, x mlx.Array) mlx.Array {
	if s.Err() != nil {
		return mlx.Array{}
	}
	return s.Slice(x, []int{0, 0, 0}, []int{1, 1, x.Dim(2)}, []int{1, 1, 1})
}

// verifyAttend is about one part and about several.
func (a *Attention) verifyAttend(owner, s *mlx.Scope, dtype mlx.Dtype, dim int, shape string) {
	if !fits(dim) {
		return
	}
	for _, rows := range []int{37, 900} {
		const from = 3
		query := wave(s, dtype, 0.37, 1, a.Heads, 1, dim)
		slot := state.Slot{Keys: wave(s, dtype, 0.011, 1, a.KVHeads, rows+2, dim), Values: wave(s, dtype, 0.017, 1, a.KVHeads, rows+2, dim), At: rows - 1, From: from}
		if owner.Device() != mlx.GPU && rows > 100 && a.Heads*dim > 4096 {
			continue // an emulated device takes its time
		}
		place := mlx.New(s, []int32{0, from, int32(rows)}, 3)
		verify := func(k *mlx.Kernel) {
			owner.VerifyKernel(k, fmt.Sprintf("%s, %d rows", shape, rows), tolerance(owner, dtype), func(s *mlx.Scope) []mlx.Array {
				return []mlx.Array{a.attend(s, query, slot, place)}
			}, func(s *mlx.Scope) []mlx.Array {
				cut := func(x mlx.Array) mlx.Array {
					return s.Slice(x, []int{0, 0, from, 0}, []int{1, a.KVHeads, rows, dim}, []int{1, 1, 1, 1})
				}
				return []mlx.Array{Attend(s, query, cut(slot.Keys), cut(slot.Values), a.Scale, state.Mask{})}
			})
		}
		if verify(attendKernel); partsOf(rows-from) > 1 {
			verify(mergeKernel)
		}
	}
}

// fits says whether attendKernel takes heads of that width: a lane holds whole parts of it, and what the simdgroups put
// together fits into a group's memory.
func fits(dim int) bool { return dim%32 == 0 && dim <= 512 }

// placed and attended say whether the kernels do it.
func (a *Attention) placed(s *mlx.Scope, mask state.Mask) bool {
	return a.frequency.Valid() && mask.Place.Valid() && s.Uses(placeKernel)
}

func (a *Attention) attended(s *mlx.Scope, q mlx.Array) bool {
	return s.Err() == nil && q.Dim(2) == 1 && fits(q.Dim(3)) && s.Uses(attendKernel) && s.Uses(mergeKernel)
}

// frequencies [Dims/2] are what positions are multiplied by.
func (r *RoPE) frequencies(owner *mlx.Scope) mlx.Array {
	out := make([]float32, r.Dims/2)
	var wavelengths []float32
	if r.Freqs.Valid() {
		var err error
		if wavelengths, err = owner.Float32s(r.Freqs); err != nil {
			return mlx.Array{}
		}
	}
	for i := range out {
		if wavelengths != nil {
			out[i] = r.Scale / wavelengths[i]
		} else {
			out[i] = r.Scale * float32(math.Pow(float64(r.Base), -2*float64(i)/float64(r.Dims)))
		}
	}
	return mlx.New(owner, out, len(out))
}
