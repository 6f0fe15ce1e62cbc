package nn

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"reprise/mlx"
	"reprise/mlx/mlxtest"
)

// form is a way in which a checkpoint holds a stack; no mode is dense.
type form struct {
	mode        string
	group, bits int
	dtype       mlx.Dtype // of dense weights
}

func (f form) String() string {
	if f.mode == "" {
		return f.dtype.String()
	}
	return fmt.Sprintf("%s %d bits by %d", f.mode, f.bits, f.group)
}

var forms = []form{
	{dtype: mlx.Float32}, {dtype: mlx.BFloat16}, {dtype: mlx.Float16}, {mode: "mxfp4", group: 32, bits: 4}, {mode: "nvfp4", group: 16, bits: 4},
	{mode: "affine", group: 32, bits: 2}, {mode: "affine", group: 64, bits: 3}, {mode: "affine", group: 64, bits: 4}, {mode: "affine", group: 32, bits: 5},
	{mode: "affine", group: 64, bits: 6}, {mode: "affine", group: 32, bits: 8},
}

// stack is a random stack [experts, out, in] in a form, and its values as that form holds them.
func (f form) stack(s *mlx.Scope, seed uint64, experts, out, in int) (Stacked, []float32, error) {
	values := random(seed, experts*out*in)
	for i := range values {
		values[i] /= float32(math.Sqrt(float64(in)))
	}
	w := mlx.New(s, values, experts, out, in)
	if f.mode == "" {
		w = s.AsType(w, f.dtype)
		held, err := s.Float32s(w)
		return NewStacked(s, Matrix{W: w}), held, err
	}
	q := s.Quantize(w, f.group, f.bits, f.mode, mlx.Array{})
	if s.Err() != nil {
		return Stacked{}, nil, s.Err()
	}
	m := Matrix{W: q[0], Scales: q[1], GroupSize: f.group, Bits: f.bits, Mode: f.mode}
	if len(q) > 2 {
		m.Biases = q[2]
	}
	held, err := s.Float32s(s.Dequantize(m.W, m.Scales, m.Biases, f.group, f.bits, f.mode, mlx.Array{}, mlx.Float32))
	return NewStacked(s, m), held, err
}

// mixture is a small layer of experts with a router's answer for T tokens.
type mixture struct {
	experts, width, hidden, k int
	gate, up, down            []float32
	x, weights                []float32
	chosen                    []int32
}

// route draws T tokens and the k experts of each; the last expert is nobody's.
func (m *mixture) route(seed uint64, T int) {
	m.x, m.weights, m.chosen = random(seed, T*m.hidden), random(seed+1, T*m.k), nil
	rng := rand.New(rand.NewPCG(seed, 2))
	for range T {
		for _, e := range rng.Perm(m.experts - 1)[:m.k] {
			m.chosen = append(m.chosen, int32(e))
		}
	}
}

// byDefinition loops over tokens and their experts in float64.
func (m *mixture) byDefinition(act func(float64) float64) []float64 {
	out := make([]float64, len(m.x))
	rows := func(w []float32, e, n, in int, x []float64) []float64 {
		y := make([]float64, n)
		for i := range y {
			for j, v := range x {
				y[i] += v * float64(w[(e*n+i)*in+j])
			}
		}
		return y
	}
	for pair, e := range m.chosen {
		token := pair / m.k
		x := make([]float64, m.hidden)
		for i := range x {
			x[i] = float64(m.x[token*m.hidden+i])
		}
		h, up := rows(m.gate, int(e), m.width, m.hidden, x), rows(m.up, int(e), m.width, m.hidden, x)
		for i := range h {
			h[i] = act(h[i]) * up[i]
		}
		for i, v := range rows(m.down, int(e), m.hidden, m.width, h) {
			out[token*m.hidden+i] += v * float64(m.weights[pair])
		}
	}
	return out
}

// One token, a few, and so many that they are sorted, in every form, with the CPU device's kernels and with MLX's ops.
func TestExpertsByDefinition(t *testing.T) {
	silu := func(v float64) float64 { return v / (1 + math.Exp(-v)) }
	gelu := func(v float64) float64 {
		return v / 2 * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(v+0.044715*v*v*v)))
	}
	for _, plain := range []bool{false, true} {
		for i, f := range forms {
			t.Run(fmt.Sprintf("%v/plain=%v", f, plain), func(t *testing.T) {
				mlxtest.With(t, mlx.Options{Plain: plain}, func(s *mlx.Scope) error {
					m := mixture{experts: 7, width: 64, hidden: 128, k: 3}
					if f.mode == "" {
						m.width, m.hidden = 37, 51
					}
					layer := Experts{Act: mlx.GateSiLU}
					act := silu
					if i%2 == 1 {
						layer.Act, act = mlx.GateGELU, gelu
					}
					var errs [3]error
					layer.Gate, m.gate, errs[0] = f.stack(s, 20, m.experts, m.width, m.hidden)
					layer.Up, m.up, errs[1] = f.stack(s, 21, m.experts, m.width, m.hidden)
					layer.Down, m.down, errs[2] = f.stack(s, 22, m.experts, m.hidden, m.width)
					if err := errorsOf(errs[:]); err != nil {
						return err
					}
					for _, T := range []int{1, 5, 21, 22, 60} { // 63 pairs are not sorted, 66 are
						m.route(uint64(30+T), T)
						got := layer.Forward(s, mlx.New(s, m.x, 1, T, m.hidden), mlx.New(s, m.chosen, 1, T, m.k), mlx.New(s, m.weights, 1, T, m.k))
						if err := near(s, got, []int{1, T, m.hidden}, m.byDefinition(act), 5e-5); err != nil {
							return fmt.Errorf("%d tokens: %w", T, err)
						}
					}
					return nil
				})
			})
		}
	}
}

func errorsOf(errs []error) error {
	i := slices.IndexFunc(errs, func(err error) bool { return err != nil })
	if i < 0 {
		return nil
	}
	return errs[i]
}

// As on a GPU, which the tests do not have: bfloat16 goes through packed experts, sorted and not, without promotion.
func TestExpertsKeepTheDtype(t *testing.T) {
	for _, plain := range []bool{false, true} {
		mlxtest.With(t, mlx.Options{Plain: plain}, func(s *mlx.Scope) error {
			pack := func(seed uint64) Stacked {
				q := s.Quantize(s.AsType(mlx.New(s, random(seed, 4*64*64), 4, 64, 64), mlx.BFloat16), 64, 4, "affine", mlx.Array{})
				return NewStacked(s, Matrix{W: q[0], Scales: q[1], Biases: q[2], GroupSize: 64, Bits: 4, Mode: "affine"})
			}
			layer := Experts{Gate: pack(1), Up: pack(2), Down: pack(3), Act: mlx.GateSiLU}
			if layer.Gate.Experts() != 4 || layer.Gate.Bytes() != 4*64*(64/2+2*2) {
				t.Errorf("%d experts of %d bytes", layer.Gate.Experts(), layer.Gate.Bytes())
			}
			for _, T := range []int{1, 40} {
				ids := make([]uint32, 2*T)
				for i := range ids {
					ids[i] = uint32(i*i) % 4
				}
				y := layer.Forward(s, s.AsType(mlx.New(s, random(4, T*64), 1, T, 64), mlx.BFloat16), mlx.New(s, ids, 1, T, 2),
					s.AsType(mlx.New(s, random(5, T*2), 1, T, 2), mlx.BFloat16))
				if err := s.Eval(y); err != nil {
					return err
				}
				if y.Dtype() != mlx.BFloat16 {
					t.Errorf("%d tokens: %v", T, y)
				}
			}
			return nil
		})
	}
}
