package state

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"reprise/mlx"
	"reprise/mlx/mlxtest"
)

var quantizations = []Quantization{{8, 32}, {8, 64}, {4, 32}, {4, 64}}

const (
	quantHeads = 2
	quantDim   = 64
)

// someRows are random keys and values of T tokens, [1, heads, T, dim], and the same as numbers.
func someRows(s *mlx.Scope, rng *rand.Rand, T int, dtype mlx.Dtype) (k, v mlx.Array) {
	one := func() mlx.Array {
		x := make([]float32, quantHeads*T*quantDim)
		for i := range x {
			x[i] = float32(rng.NormFloat64())
		}
		return s.AsType(mlx.New(s, x, 1, quantHeads, T, quantDim), dtype)
	}
	return one(), one()
}

// unpack is a packed column by the definition of the affine form: value i of a group is scale·q + bias, q the i-th lowest
// bits of the group's words. MLX lets the group's end farther from 0 be exact and cuts at the other end, where a value may
// be off by a step: clipped says of which that is true.
func unpack(s *mlx.Scope, p Packed) (out []float64, clipped []bool, err error) {
	words, err := s.Bytes(p.Words)
	if err != nil {
		return nil, nil, err
	}
	scales, err := s.Float32s(p.Scales)
	if err != nil {
		return nil, nil, err
	}
	biases, err := s.Float32s(p.Biases)
	if err != nil {
		return nil, nil, err
	}
	out, clipped = make([]float64, len(words)*8/p.Bits), make([]bool, len(words)*8/p.Bits)
	for i := range out {
		b := uint(words[i*p.Bits/8])
		if p.Bits == 4 {
			b = b >> (4 * uint(i%2)) & 15
		}
		out[i], clipped[i] = float64(scales[i/p.Group])*float64(b)+float64(biases[i/p.Group]), b == 1<<p.Bits-1
	}
	return out, clipped, nil
}

func sameBytes(s *mlx.Scope, got, want mlx.Array) error {
	a, err := s.Bytes(got)
	if err != nil {
		return err
	}
	b, err := s.Bytes(want)
	if err != nil {
		return err
	}
	if got.String() != want.String() || !bytes.Equal(a, b) {
		return fmt.Errorf("%v is not the same as %v", got, want)
	}
	return nil
}

// Rows come back as their words say, within half a step of what was appended but where MLX cuts, and a row is the same in every bit however
// it was appended: in a call of its own or with others, before or behind a growth of the buffer.
func TestQuantizedRows(t *testing.T) {
	for _, q := range quantizations {
		for _, dtype := range []mlx.Dtype{mlx.Float32, mlx.BFloat16} {
			t.Run(fmt.Sprintf("%s/%v", q, dtype), func(t *testing.T) {
				mlxtest.OnWorker(t, func(s *mlx.Scope) error { return quantizedRows(s, q, dtype) })
			})
		}
	}
}

func quantizedRows(s *mlx.Scope, q Quantization, dtype mlx.Dtype) error {
	const T = 325
	k, v := someRows(s, rand.New(rand.NewPCG(1, 2)), T, dtype)
	whole, parts := NewQuantized(q), NewQuantized(q)
	defer whole.Free()
	defer parts.Free()
	wholeKeys, wholeValues := whole.AppendPacked(s, k, v)
	at := 0
	for _, n := range []int{3, 1, 20, 1, 300} {
		if keys, _ := parts.Append(s, rows(s, k, at, at+n), rows(s, v, at, at+n)); s.Err() == nil && (keys.Dim(2) != at+n || keys.Dtype() != dtype) {
			return fmt.Errorf("%v after %d tokens", keys, at+n)
		}
		at += n
	}
	partKeys, partValues := parts.Packed(s)
	for i, pair := range [][2]Packed{{wholeKeys, partKeys}, {wholeValues, partValues}} {
		for c := range 3 {
			a, b := []mlx.Array{pair[0].Words, pair[0].Scales, pair[0].Biases}[c], []mlx.Array{pair[1].Words, pair[1].Scales, pair[1].Biases}[c]
			if err := sameBytes(s, a, b); err != nil {
				return fmt.Errorf("column %d of %d depends on how rows came: %w", c, i, err)
			}
		}
		want, err := s.Float32s([]mlx.Array{k, v}[i])
		if err != nil {
			return err
		}
		scales, err := s.Float32s(pair[0].Scales)
		if err != nil {
			return err
		}
		defined, clipped, err := unpack(s, pair[0])
		if err != nil {
			return err
		}
		got, err := s.Float32s(pair[0].Array(s))
		if err != nil {
			return err
		}
		rounding := 1e-6
		if dtype == mlx.BFloat16 {
			rounding = 1.0 / 64 // of a value up to 4, added to a bias that was rounded too
		}
		for j := range want {
			step, most := math.Abs(float64(scales[j/q.Group])), 0.51
			if clipped[j] {
				most = 1.01
			}
			if off := math.Abs(float64(got[j]) - defined[j]); off > 4*rounding {
				return fmt.Errorf("value %d is %g, its words say %g", j, got[j], defined[j])
			}
			if off := math.Abs(defined[j] - float64(want[j])); off > step*most+4*rounding {
				return fmt.Errorf("value %d is %g, %g was appended; a step is %g", j, defined[j], want[j], step)
			}
		}
	}
	if got, want := parts.Bytes(), int64(parts.capacity)*q.ElementBytes(2*quantHeads*quantDim, dtype.Size()); got != want {
		return fmt.Errorf("%d rows hold %d bytes, predicted %d", parts.capacity, got, want)
	}
	return nil
}

// What is copied out, through bytes, and moved in again is the same in every bit; what was quantized otherwise is refused.
func TestQuantizedRowsMove(t *testing.T) {
	for _, q := range quantizations {
		mlxtest.OnWorker(t, func(s *mlx.Scope) error {
			st := New(s, NewQuantized(q))
			defer st.Free()
			rng := rand.New(rand.NewPCG(3, 4))
			for _, n := range []int{200, 100} {
				k, v := someRows(s, rng, n, mlx.Float32)
				st.KV(0).Append(s, k, v)
				if err := st.Advance(n); err != nil {
					return err
				}
			}
			copied, err := st.CopyRows(10, 290)
			if err != nil {
				return err
			}
			defer copied.Free()
			data, err := EncodeRows(s, copied)
			if err != nil {
				return err
			}
			read, err := DecodeRows(s, data)
			if err != nil {
				return err
			}
			defer read.Free()
			first, err := st.CopyRows(0, 10)
			if err != nil {
				return err
			}
			defer first.Free()
			segments := []Segment{{Rows: first, From: 0, To: 10}, {Rows: read, From: 10, To: 280}}
			back := New(s, NewQuantized(q))
			defer back.Free()
			if err := back.MoveTo(280, 0, segments, nil); err != nil {
				return err
			}
			if err := st.Trim(280); err != nil {
				return err
			}
			a, b := st.layers[0].(*GrowingKV), back.layers[0].(*GrowingKV)
			for i := range a.view(s, 0, 280) {
				if err := sameBytes(s, a.view(s, 0, 280)[i], b.view(s, 0, 280)[i]); err != nil {
					return fmt.Errorf("%s, column %d: %w", q, i, err)
				}
			}
			for _, other := range append(quantizations, Quantization{}) {
				if other == q {
					continue
				}
				stranger := New(s, NewQuantized(other))
				if err := stranger.MoveTo(280, 0, segments, nil); err == nil || stranger.Offset() != 0 {
					t.Errorf("rows of %s were taken by a state of %s", q, other)
				}
				stranger.Free()
			}
			return nil
		})
	}
}

// Ways of keeping rows that are not built are refused by name, and heads that are not whole groups too.
func TestQuantizationsThatAreNotBuilt(t *testing.T) {
	for q, want := range map[Quantization]string{{5, 64}: "5 bits", {8, 48}: "groups of 48", {8, 128}: "heads of 96 dims", {0, 64}: "0 bits"} {
		if err := q.Check(96); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", q, err, want)
		}
	}
	for _, q := range append(quantizations[:1:1], Quantization{}) {
		if err := q.Check(96); err != nil {
			t.Error(err)
		}
	}
}
