package qwen35

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"reprise/mlx"
	"reprise/mlx/mlxtest"
)

// sample is T random tokens as the layer makes them: keys of unit length, queries shorter by √keyDim.
type sample struct {
	T, keyHeads, heads, keyDim, valueDim int
	q, k, v, decay, correct              []float32
	start                                []float32 // the matrix before
}

// kinds of tokens: what rates and keys are like.
const (
	ordinary   = iota
	forgetful  // most of the tokens keep next to nothing
	faithful   // everything is kept and corrected: decays of 0 to -1e-6
	mixed      // a token of one of these kinds after the other, and some that keep nothing at all
	repetitive // the same key again and again, all corrected
	kinds
)

func newSample(rng *rand.Rand, T, kind int) *sample {
	x := &sample{T: T, keyHeads: 1 + rng.IntN(3), keyDim: 1 + rng.IntN(9), valueDim: 1 + rng.IntN(9)}
	x.heads = x.keyHeads * (1 + rng.IntN(3))
	x.fill(rng, kind)
	return x
}

func (x *sample) fill(rng *rand.Rand, kind int) {
	normal := func(n int) []float32 {
		out := make([]float32, n)
		for i := range out {
			out[i] = float32(rng.NormFloat64())
		}
		return out
	}
	unit := func(scale float64) []float32 {
		out := normal(x.T * x.keyHeads * x.keyDim)
		for row := range slices.Chunk(out, x.keyDim) {
			var sum float64
			for _, v := range row {
				sum += float64(v) * float64(v)
			}
			for i := range row {
				row[i] *= float32(scale / math.Sqrt(sum+1e-6))
			}
		}
		return out
	}
	x.q, x.k, x.v = unit(1/math.Sqrt(float64(x.keyDim))), unit(1), normal(x.T*x.heads*x.valueDim)
	if kind == repetitive {
		for t := 1; t < x.T; t++ {
			copy(x.k[t*x.keyHeads*x.keyDim:], x.k[:x.keyHeads*x.keyDim])
		}
	}
	for range x.T * x.heads {
		of := kind
		if kind == mixed {
			of = rng.IntN(4)
		}
		decay, correct := -0.3*rng.Float64(), rng.Float64()
		switch of {
		case forgetful:
			decay = -60 * rng.Float64()
		case faithful, repetitive:
			decay, correct = -1e-6*rng.Float64(), 1-1e-3*rng.Float64()
		case mixed:
			decay = -200
			if rng.IntN(3) == 0 {
				decay = math.Inf(-1)
			}
		}
		x.decay, x.correct = append(x.decay, float32(decay)), append(x.correct, float32(correct))
	}
	if x.start = normal(x.heads * x.valueDim * x.keyDim); rng.IntN(3) == 0 {
		clear(x.start)
	}
}

// byDefinition is the recurrence in float64: what each token reads, and the matrix behind each token.
func (x *sample) byDefinition() (reads []float64, matrices [][]float64) {
	m := make([]float64, len(x.start))
	for i, v := range x.start {
		m[i] = float64(v)
	}
	reads = make([]float64, x.T*x.heads*x.valueDim)
	for t := range x.T {
		for h := range x.heads {
			at, keyAt := t*x.heads+h, (t*x.keyHeads+h/(x.heads/x.keyHeads))*x.keyDim
			keep := math.Exp(float64(x.decay[at]))
			for j := range x.valueDim {
				row := m[(h*x.valueDim+j)*x.keyDim:][:x.keyDim]
				var found, read float64
				for i := range row {
					row[i] *= keep
					found += row[i] * float64(x.k[keyAt+i])
				}
				delta := (float64(x.v[at*x.valueDim+j]) - found) * float64(x.correct[at])
				for i := range row {
					row[i] += delta * float64(x.k[keyAt+i])
					read += row[i] * float64(x.q[keyAt+i])
				}
				reads[at*x.valueDim+j] = read
			}
		}
		matrices = append(matrices, slices.Clone(m))
	}
	return reads, matrices
}

// run feeds the tokens to a form: the reads, the captured matrices and the last one.
func (x *sample) run(s *mlx.Scope, by form, captures []int) (reads []float32, matrices [][]float32, err error) {
	tokens := tokens{
		q: mlx.New(s, x.q, 1, x.T, x.keyHeads, x.keyDim), k: mlx.New(s, x.k, 1, x.T, x.keyHeads, x.keyDim),
		v:     mlx.New(s, x.v, 1, x.T, x.heads, x.valueDim),
		decay: mlx.New(s, x.decay, 1, x.T, x.heads), correct: mlx.New(s, x.correct, 1, x.T, x.heads),
	}
	y, last, captured := by(&tokens, s, mlx.New(s, x.start, 1, x.heads, x.valueDim, x.keyDim), captures)
	for _, m := range append(captured, last) {
		values, err := s.Float32s(m)
		if err != nil {
			return nil, nil, err
		}
		if want := []int{1, x.heads, x.valueDim, x.keyDim}; !slices.Equal(m.Shape(), want) {
			return nil, nil, fmt.Errorf("a matrix is %v, want the shape %v", m, want)
		}
		matrices = append(matrices, values)
	}
	reads, err = s.Float32s(y)
	return reads, matrices, err
}

// check compares a form with the definition, and a run with captures, bit for bit, with one without.
func (x *sample) check(s *mlx.Scope, by form, captures []int) error {
	inner := s.Child()
	defer inner.Close()
	plain, plainLast, err := x.run(inner, by, nil)
	if err != nil {
		return err
	}
	reads, matrices, err := x.run(inner, by, captures)
	if err != nil {
		return err
	}
	if !slices.Equal(plain, reads) || !slices.Equal(plainLast[0], matrices[len(captures)]) {
		return fmt.Errorf("captures at %v changed the pass", captures)
	}
	wantReads, wantMatrices := x.byDefinition()
	if err := near(reads, wantReads); err != nil {
		return fmt.Errorf("reads: %w", err)
	}
	for i, at := range append(slices.Clone(captures), x.T) {
		if err := near(matrices[i], wantMatrices[at-1]); err != nil {
			return fmt.Errorf("the matrix behind %d: %w", at, err)
		}
	}
	return nil
}

func near(got []float32, want []float64) error {
	if len(got) != len(want) {
		return fmt.Errorf("%d values, want %d", len(got), len(want))
	}
	for i, w := range want {
		if d := math.Abs(float64(got[i]) - w); !(d <= 1e-5) {
			return fmt.Errorf("value %d is %g, by definition %g", i, got[i], w)
		}
	}
	return nil
}

// offsets are up to n of 1…T, ascending.
func offsets(rng *rand.Rand, n, T int) []int {
	var out []int
	for range rng.IntN(n + 1) {
		out = append(out, 1+rng.IntN(T))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// The forms of plain ops are the definition for every number of tokens, whatever the rates, from any matrix, with captures anywhere.
// On a GPU run it with MLX_ENABLE_TF32=0: by default products there have ten bits.
func TestForms(t *testing.T) {
	onDevices(t, func(t *testing.T, s *mlx.Scope) error {
		for name, by := range map[string]form{"plain": (*tokens).plain, "chunked": (*tokens).chunked} {
			rng := rand.New(rand.NewPCG(1, 2))
			for T := 1; T <= 200; T++ {
				kind := T % kinds
				if name == "plain" && T > 40 && T%20 > kinds {
					continue // slow, and one token after the other alike
				}
				x := newSample(rng, T, kind)
				if err := x.check(s, by, offsets(rng, 4, T)); err != nil {
					t.Errorf("%s, %d tokens of kind %d: %v", name, T, kind, err)
				}
			}
		}
		return nil
	})
}

// onDevices runs fn on the CPU device, and on a GPU where there is one.
func onDevices(t *testing.T, fn func(t *testing.T, s *mlx.Scope) error) {
	for _, device := range []mlx.Device{mlx.CPU, mlx.GPU} {
		t.Run(device.String(), func(t *testing.T) {
			if device == mlx.GPU && !mlx.HasGPU() {
				t.Skip("no GPU")
			}
			mlxtest.OnWorkerWith(t, device, mlx.Options{}, func(s *mlx.Scope) error { return fn(t, s) })
		})
	}
}
