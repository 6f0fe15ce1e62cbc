package mlx

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// netEps is large: a read of a few values near zero would have no digits behind a norm with a small one.
const netEps = 1e-2

// netSample is a gated delta net's weights and T tokens.
type netSample struct {
	T                                                   int
	x, a, b, z, taps, rate, bias, norm, start           []float32
	channels, values, keyHeads, heads, keyDim, valueDim int
}

func newNetSample(rng *rand.Rand, T, keyHeads, heads, keyDim, valueDim int) *netSample {
	n := &netSample{T: T, keyHeads: keyHeads, heads: heads, keyDim: keyDim, valueDim: valueDim}
	n.channels, n.values = 2*keyHeads*keyDim+heads*valueDim, heads*valueDim
	normal := func(count int, scale, shift float64) []float32 {
		out := make([]float32, count)
		for i := range out {
			out[i] = float32(scale*rng.NormFloat64() + shift)
		}
		return out
	}
	n.x, n.z = normal((3+T)*n.channels, 1, 0), normal(T*n.values, 2, 0)
	n.a, n.b = normal(T*heads, 4, 0), normal(T*heads, 4, 0)
	n.taps, n.norm, n.bias = normal(4*n.channels, 0.5, 0), normal(valueDim, 0.2, 1), normal(heads, 3, 0)
	n.start = normal(heads*valueDim*keyDim, 1, 0)
	for range heads {
		n.rate = append(n.rate, float32(-math.Exp(3*rng.NormFloat64()))) // from next to nothing to all is forgotten
	}
	return n
}

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// byDefinition is all of it in float64: the results, and the matrix behind each token.
func (n *netSample) byDefinition() (y []float64, matrices [][]float64) {
	m := wide(n.start)
	for t := range n.T {
		conv := make([]float64, n.channels)
		for c := range conv {
			for w := range 4 {
				conv[c] += float64(n.x[(t+w)*n.channels+c]) * float64(n.taps[w*n.channels+c])
			}
			conv[c] *= sigmoid(conv[c])
		}
		unit := func(head int, scale float64) []float64 {
			out := slices.Clone(conv[head*n.keyDim:][:n.keyDim])
			sum := 1e-6
			for _, v := range out {
				sum += v * v
			}
			for i := range out {
				out[i] *= scale / math.Sqrt(sum)
			}
			return out
		}
		for h := range n.heads {
			key := h / (n.heads / n.keyHeads)
			q, k := unit(key, 1/math.Sqrt(float64(n.keyDim))), unit(n.keyHeads+key, 1)
			at := t*n.heads + h
			keep := math.Exp(float64(n.rate[h]) * math.Log1p(math.Exp(float64(n.a[at])+float64(n.bias[h]))))
			reads := make([]float64, n.valueDim)
			for j := range reads {
				row := m[(h*n.valueDim+j)*n.keyDim:][:n.keyDim]
				var found float64
				for i := range row {
					row[i] *= keep
					found += row[i] * k[i]
				}
				delta := (conv[2*n.keyHeads*n.keyDim+h*n.valueDim+j] - found) * sigmoid(float64(n.b[at]))
				for i := range row {
					row[i] += delta * k[i]
					reads[j] += row[i] * q[i]
				}
			}
			for j, v := range normed(reads, n.norm, netEps) {
				z := float64(n.z[t*n.values+h*n.valueDim+j])
				y = append(y, v*z*sigmoid(z))
			}
		}
		matrices = append(matrices, slices.Clone(m))
	}
	return y, matrices
}

// run feeds the tokens in calls of these widths: results, the captured matrices of the first call, and the last one.
func (n *netSample) run(s *Scope, widths, captures []int) (y []float32, matrices [][]float32, err error) {
	d := DeltaNet{
		KeyHeads: n.keyHeads, ValueHeads: n.heads, KeyDim: n.keyDim, ValueDim: n.valueDim, ConvWidth: 4,
		Taps: New(s, n.taps, 4, n.channels), Rate: New(s, n.rate, n.heads), Bias: New(s, n.bias, n.heads),
		Norm: Norm{W: New(s, n.norm, n.valueDim), Eps: netEps},
	}
	matrix := New(s, n.start, 1, n.heads, n.valueDim, n.keyDim)
	t := 0
	for i, width := range widths {
		part := func(values []float32, row, more int) Array {
			return New(s, values[t*row:(t+width+more)*row], 1, width+more, row)
		}
		var captured []Array
		var out Array
		out, matrix, captured = s.DeltaNet(d, part(n.x, n.channels, 3), part(n.a, n.heads, 0), part(n.b, n.heads, 0), part(n.z, n.values, 0), matrix, captures)
		if i > 0 || s.Err() != nil {
			captured = nil
		}
		if i == len(widths)-1 {
			captured = append(captured, matrix)
		}
		for _, m := range captured {
			values, err := s.Float32s(m)
			if err != nil {
				return nil, nil, err
			}
			matrices = append(matrices, values)
		}
		values, err := s.Float32s(out)
		if err != nil {
			return nil, nil, err
		}
		y, captures, t = append(y, values...), nil, t+width
	}
	return y, matrices, nil
}

// The definition, captures anywhere, and the bits of any other cut into calls.
func (n *netSample) check(t *testing.T, s *Scope, rng *rand.Rand) error {
	inner := s.Child()
	defer inner.Close()
	what := fmt.Sprintf("%d tokens, %d key heads of %d, %d heads of %d", n.T, n.keyHeads, n.keyDim, n.heads, n.valueDim)
	captures := []int{1 + rng.IntN(n.T), 1 + rng.IntN(n.T), n.T}
	slices.Sort(captures)
	captures = slices.Compact(captures)
	y, matrices, err := n.run(inner, []int{n.T}, captures)
	if err != nil {
		return err
	}
	want, states := n.byDefinition()
	shape := []int{len(want)}
	compare(t, inner, what, New(inner, y, len(y)), shape, want, 2e-5)
	for i, at := range append(captures, n.T) {
		compare(t, inner, fmt.Sprintf("%s, the matrix behind %d", what, at), New(inner, matrices[i], len(n.start)), []int{len(n.start)}, states[at-1], 1e-5)
	}
	first := 1 + rng.IntN(n.T)
	widths := []int{first}
	if first < n.T {
		widths = append(widths, n.T-first)
	}
	other, last, err := n.run(inner, widths, nil)
	if err != nil {
		return err
	}
	if !slices.Equal(other, y) || !slices.Equal(last[0], matrices[len(captures)]) {
		t.Errorf("%s: calls of %v without captures give other bits", what, widths)
	}
	return nil
}

func testDeltaNet(t *testing.T) {
	onWorker(t, func(s *Scope) error {
		rng := rand.New(rand.NewPCG(7, 8))
		for T := 1; T <= 200; T++ {
			keyHeads := 1 + rng.IntN(2)
			if err := newNetSample(rng, T, keyHeads, keyHeads*(1+rng.IntN(3)), 3+rng.IntN(24), 1+rng.IntN(9)).check(t, s, rng); err != nil {
				return err
			}
		}
		for _, T := range []int{1, 2, 130, 300} { // whole vectors, several blocks of rows, several segments
			if err := newNetSample(rng, T, 2, 4, 128, 70).check(t, s, rng); err != nil {
				return err
			}
		}
		bad := s.Child()
		defer bad.Close()
		n := newNetSample(rng, 3, 1, 1, 4, 4)
		if n.a = n.a[:2]; true {
			n.T = 2
		}
		if _, _, err := n.run(bad, []int{2}, []int{2, 1}); err == nil {
			t.Error("captures that do not ascend are taken")
		}
		return nil
	})
}
