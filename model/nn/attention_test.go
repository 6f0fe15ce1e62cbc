package nn

import (
	"fmt"
	"math"
	"testing"

	"reprise/kvcache/state"
	"reprise/mlx"
	"reprise/mlx/mlxtest"
)

// A layer with norms of queries, keys and values, and one that attends with its own queries to the same rows, call after
// call, against the definition; on the CPU device's kernels and on MLX's ops.
func TestAttentionAndWhatSharesIt(t *testing.T) {
	for _, plain := range []bool{false, true} {
		for _, window := range []int{0, 8} {
			t.Run(fmt.Sprintf("plain=%v/window=%d", plain, window), func(t *testing.T) {
				mlxtest.With(t, mlx.Options{Plain: plain}, func(s *mlx.Scope) error { return attentionCalls(t, s, window) })
			})
		}
	}
}

func attentionCalls(t *testing.T, s *mlx.Scope, window int) error {
	const heads, kvHeads, dim, eps, scale = 4, 2, 8, 0.1, 0.7
	inf := float32(math.Inf(1))
	waves := []float32{1, 5, inf, inf}
	qw, kw := random(20, dim), random(21, dim)
	a := Attention{Heads: heads, KVHeads: kvHeads, Scale: scale, QNorm: &RMSNorm{W: mlx.New(s, qw, dim), Eps: eps}, KNorm: &RMSNorm{W: mlx.New(s, kw, dim), Eps: eps},
		VNorm: &RMSNorm{Eps: eps}, RoPE: RoPE{Dims: dim, Scale: 1, Freqs: mlx.New(s, waves, 4)}}
	other := a
	other.KNorm, other.VNorm = nil, nil
	var kv state.KV = state.NewGrowing()
	if window > 0 {
		kv = state.NewSliding(window)
	}
	defer kv.Free()
	turn := func(i int) float64 { return 1 / float64(waves[i]) }
	var keys, values []float32 // [position][kvHeads·dim], as they should be held
	for call, T := range []int{3, 1, 20, 1, 1, 7, 300, 1} {
		at := len(keys) / (kvHeads * dim)
		seed := uint64(100 + 10*call)
		q, q2, k, v := random(seed, T*heads*dim), random(seed+1, T*heads*dim), random(seed+2, T*kvHeads*dim), random(seed+3, T*kvHeads*dim)
		in := func(x []float32, n int) mlx.Array { return mlx.New(s, x, 1, T, n*dim) }
		mask := kv.Mask(s, T)
		y := a.Forward(s, in(q, heads), in(k, kvHeads), in(v, kvHeads), kv, mask)
		y2 := other.ForwardShared(s, in(q2, heads), Share(s, kv, T), mask)
		last := other.ForwardShared(s, mlx.New(s, q2[(T-1)*heads*dim:], 1, 1, heads*dim), Share(s, kv, 1), state.Mask{})
		keys = append(keys, byPosition(rotate(byHead(normRows(k, kw, dim, eps), T, kvHeads, dim), T, dim, dim, at, turn), T, kvHeads, dim)...)
		values = append(values, normRows(v, nil, dim, eps)...)
		rows := at + T
		sees := func(i, j int) bool { return j <= at+i && (window == 0 || at+i-j < window) }
		define := func(q []float32) []float64 {
			turned := rotate(byHead(normRows(q, qw, dim, eps), T, heads, dim), T, dim, dim, at, turn)
			return attend(narrow(turned), byHead(keys, rows, kvHeads, dim), byHead(values, rows, kvHeads, dim), heads, kvHeads, T, rows, dim, scale, sees)
		}
		want2 := define(q2)
		for _, c := range []struct {
			what  string
			got   mlx.Array
			T     int
			value []float64
		}{{"own", y, T, define(q)}, {"shared", y2, T, want2}, {"shared, the last alone", last, 1, want2[(T-1)*heads*dim:]}} {
			if err := near(s, c.got, []int{1, c.T, heads * dim}, c.value, 1e-4); err != nil {
				t.Errorf("%s, %d tokens from %d: %v", c.what, T, at, err)
			}
		}
	}
	return nil
}

// normRows norms each stretch of dim.
func normRows(x, w []float32, dim int, eps float64) []float32 {
	out := make([]float32, len(x))
	for at := 0; at < len(x); at += dim {
		var mean float64
		for _, v := range x[at:][:dim] {
			mean += float64(v) * float64(v) / float64(dim)
		}
		for i, v := range x[at:][:dim] {
			y := float64(v) / math.Sqrt(mean+eps)
			if w != nil {
				y *= float64(w[i])
			}
			out[at+i] = float32(y)
		}
	}
	return out
}

// byHead is [T][heads][dim] → [heads][T][dim].
func byHead(x []float32, T, heads, dim int) []float32 {
	out := make([]float32, len(x))
	for i := range T {
		for h := range heads {
			copy(out[(h*T+i)*dim:][:dim], x[(i*heads+h)*dim:][:dim])
		}
	}
	return out
}

// byPosition is byHead's inverse.
func byPosition(x []float64, T, heads, dim int) []float32 {
	out := make([]float32, len(x))
	for i := range T {
		for h := range heads {
			for d := range dim {
				out[(i*heads+h)*dim+d] = float32(x[(h*T+i)*dim+d])
			}
		}
	}
	return out
}

func narrow(x []float64) []float32 {
	out := make([]float32, len(x))
	for i, v := range x {
		out[i] = float32(v)
	}
	return out
}

// Attention over quantized rows is that over what their words are worth, for one query and for many, own and shared.
func TestAttentionOverQuantizedRows(t *testing.T) {
	for _, plain := range []bool{false, true} {
		for _, q := range []state.Quantization{{Bits: 8, Group: 32}, {Bits: 4, Group: 64}} {
			t.Run(fmt.Sprintf("plain=%v/%s", plain, q), func(t *testing.T) {
				mlxtest.With(t, mlx.Options{Plain: plain}, func(s *mlx.Scope) error { return quantizedCalls(t, s, q) })
			})
		}
	}
}

func quantizedCalls(t *testing.T, s *mlx.Scope, q state.Quantization) error {
	const heads, kvHeads, dim, scale = 4, 2, 64, 0.15
	a := Attention{Heads: heads, KVHeads: kvHeads, Scale: scale, RoPE: RoPE{Dims: dim, Base: 10000, Scale: 1}}
	turn := func(i int) float64 { return math.Pow(10000, -2*float64(i)/dim) }
	kv := state.NewQuantized(q)
	defer kv.Free()
	for call, T := range []int{5, 1, 1, 40, 1} {
		at := kv.Offset()
		seed := uint64(500 + 10*call)
		qs, q2, k, v := random(seed, T*heads*dim), random(seed+1, T*heads*dim), random(seed+2, T*kvHeads*dim), random(seed+3, T*kvHeads*dim)
		in := func(x []float32, n int) mlx.Array { return mlx.New(s, x, 1, T, n*dim) }
		mask := kv.Mask(s, T)
		y := a.Forward(s, in(qs, heads), in(k, kvHeads), in(v, kvHeads), kv, mask)
		y2 := a.ForwardShared(s, in(q2, heads), Share(s, kv, T), mask)
		pk, pv := kv.Packed(s)
		keys, err := s.Float32s(pk.Array(s))
		if err != nil {
			return err
		}
		values, err := s.Float32s(pv.Array(s))
		if err != nil {
			return err
		}
		rows := at + T
		for _, c := range []struct {
			what string
			got  mlx.Array
			q    []float32
		}{{"own", y, qs}, {"shared", y2, q2}} {
			turned := rotate(byHead(c.q, T, heads, dim), T, dim, dim, at, turn)
			want := attend(narrow(turned), keys, values, heads, kvHeads, T, rows, dim, scale, func(i, j int) bool { return j <= at+i })
			if err := near(s, c.got, []int{1, T, heads * dim}, want, 1e-4); err != nil {
				t.Errorf("%s, %d tokens from %d: %v", c.what, T, at, err)
			}
		}
	}
	return nil
}
