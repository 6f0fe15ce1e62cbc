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

// sample is T random tokens as the layer makes them: keys of unit length, queries shorter by √keyDim, rates in (0, 1).
type sample struct {
	T, heads, keyDim, valueDim int
	q, k, v, keep, correct     []float32
	start                      []float32 // the matrix before
}

func newSample(rng *rand.Rand, T int, zero bool) *sample {
	x := &sample{T: T, heads: 1 + rng.IntN(3), keyDim: 1 + rng.IntN(9), valueDim: 1 + rng.IntN(9)}
	normal := func(n int) []float32 {
		out := make([]float32, n)
		for i := range out {
			out[i] = float32(rng.NormFloat64())
		}
		return out
	}
	unit := func(scale float64) []float32 {
		out := normal(T * x.heads * x.keyDim)
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
	x.q, x.k, x.v = unit(1/math.Sqrt(float64(x.keyDim))), unit(1), normal(T*x.heads*x.valueDim)
	for range T * x.heads {
		x.keep, x.correct = append(x.keep, float32(0.7+0.3*rng.Float64())), append(x.correct, rng.Float32())
	}
	if x.start = normal(x.heads * x.valueDim * x.keyDim); zero {
		clear(x.start)
	}
	return x
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
			at := t*x.heads + h
			for j := range x.valueDim {
				row := m[(h*x.valueDim+j)*x.keyDim:][:x.keyDim]
				var found, read float64
				for i := range row {
					row[i] *= float64(x.keep[at])
					found += row[i] * float64(x.k[at*x.keyDim+i])
				}
				delta := (float64(x.v[at*x.valueDim+j]) - found) * float64(x.correct[at])
				for i := range row {
					row[i] += delta * float64(x.k[at*x.keyDim+i])
					read += row[i] * float64(x.q[at*x.keyDim+i])
				}
				reads[at*x.valueDim+j] = read
			}
		}
		matrices = append(matrices, slices.Clone(m))
	}
	return reads, matrices
}

func (x *sample) run(s *mlx.Scope, captures []int) (reads []float32, matrices [][]float32, err error) {
	tokens := tokens{
		q: mlx.New(s, x.q, 1, x.T, x.heads, x.keyDim), k: mlx.New(s, x.k, 1, x.T, x.heads, x.keyDim),
		v:    mlx.New(s, x.v, 1, x.T, x.heads, x.valueDim),
		keep: mlx.New(s, x.keep, 1, x.T, x.heads), correct: mlx.New(s, x.correct, 1, x.T, x.heads),
	}
	y, last, captured := tokens.run(s, mlx.New(s, x.start, 1, x.heads, x.valueDim, x.keyDim), captures)
	for _, m := range append(captured, last) {
		values, err := s.Float32s(m)
		if err != nil {
			return nil, nil, err
		}
		matrices = append(matrices, values)
	}
	reads, err = s.Float32s(y)
	return reads, matrices, err
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

// The recurrence and what it captures are the definition's, and a capture changes no bit of the rest.
func TestRecurrence(t *testing.T) {
	mlxtest.OnWorker(t, func(s *mlx.Scope) error {
		rng := rand.New(rand.NewPCG(1, 2))
		for n, T := range []int{1, 1, 2, 3, 5, 8, 17, 64, 65, 200} {
			x := newSample(rng, T, n%2 == 0)
			captures := []int{}
			for range rng.IntN(4) {
				captures = append(captures, 1+rng.IntN(T))
			}
			slices.Sort(captures)
			captures = slices.Compact(captures)
			plain, plainLast, err := x.run(s, nil)
			if err != nil {
				return err
			}
			reads, matrices, err := x.run(s, captures)
			if err != nil {
				return err
			}
			if !slices.Equal(plain, reads) || !slices.Equal(plainLast[0], matrices[len(captures)]) {
				t.Errorf("%d tokens: captures at %v changed the pass", T, captures)
			}
			wantReads, wantMatrices := x.byDefinition()
			if err := near(reads, wantReads); err != nil {
				t.Errorf("%d tokens, reads: %v", T, err)
			}
			for i, at := range append(captures, T) {
				if err := near(matrices[i], wantMatrices[at-1]); err != nil {
					t.Errorf("%d tokens, the matrix behind %d: %v", T, at, err)
				}
			}
		}
		return nil
	})
}
