package nn

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"reprise/kvcache/state"
	"reprise/mlx"
	"reprise/mlx/mlxtest"
)

// random are n normal values, the same for a seed.
func random(seed uint64, n int) []float32 {
	rng := rand.New(rand.NewPCG(seed, 1))
	out := make([]float32, n)
	for i := range out {
		out[i] = float32(rng.NormFloat64())
	}
	return out
}

// near compares an array with its shape and values by definition; the tolerance is absolute.
func near(s *mlx.Scope, got mlx.Array, shape []int, want []float64, tolerance float64) error {
	values, err := s.Float32s(got)
	if err != nil {
		return err
	}
	if !slices.Equal(got.Shape(), shape) {
		return fmt.Errorf("got %v, want the shape %v", got, shape)
	}
	for i, w := range want {
		if d := math.Abs(float64(values[i]) - w); !(d <= tolerance) {
			return fmt.Errorf("element %d of %v is %g, by definition %g", i, got, values[i], w)
		}
	}
	return nil
}

// rotate is the definition: element i of the first dims/2 and element i+dims/2 turn by position·frequency(i);
// what is behind dims stays. x is [heads, T, dim] from position offset on.
func rotate(x []float32, T, dim, dims, offset int, frequency func(i int) float64) []float64 {
	out := make([]float64, len(x))
	for row := range len(x) / dim {
		for i := range dim {
			out[row*dim+i] = float64(x[row*dim+i])
		}
		for i := range dims / 2 {
			sin, cos := math.Sincos(float64(offset+row%T) * frequency(i))
			a, b := float64(x[row*dim+i]), float64(x[row*dim+i+dims/2])
			out[row*dim+i], out[row*dim+i+dims/2] = a*cos-b*sin, a*sin+b*cos
		}
	}
	return out
}

func TestRoPE(t *testing.T) {
	const heads, T, dim = 3, 5, 16
	x := random(1, heads*T*dim)
	powers := func(base, scale float64, dims int) func(int) float64 {
		return func(i int) float64 { return scale * math.Pow(base, -2*float64(i)/float64(dims)) }
	}
	wavelengths := []float32{1, 2.5, 7, 30, 100, 333, 1000, 9000} // MLX divides the position by them
	mlxtest.OnWorker(t, func(s *mlx.Scope) error {
		for _, c := range []struct {
			name      string
			rope      RoPE
			offset    int
			frequency func(int) float64
		}{
			{"from the start", RoPE{Dims: dim, Base: 10000, Scale: 1}, 0, powers(10000, 1, dim)},
			{"continued", RoPE{Dims: dim, Base: 10000, Scale: 1}, 700, powers(10000, 1, dim)},
			{"another base", RoPE{Dims: dim, Base: 1e6, Scale: 1}, 700, powers(1e6, 1, dim)},
			{"scaled positions", RoPE{Dims: dim, Base: 10000, Scale: 0.125}, 700, powers(10000, 0.125, dim)},
			{"a part of the head", RoPE{Dims: 4, Base: 10000, Scale: 1}, 9, powers(10000, 1, 4)},
			{"frequencies given", RoPE{Dims: dim, Base: 10000, Scale: 1, Freqs: mlx.New(s, wavelengths, 8)}, 70, func(i int) float64 { return 1 / float64(wavelengths[i]) }},
		} {
			got := c.rope.Forward(s, mlx.New(s, x, 1, heads, T, dim), c.offset)
			if err := near(s, got, []int{1, heads, T, dim}, rotate(x, T, dim, c.rope.Dims, c.offset, c.frequency), 3e-4); err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
		}
		return nil
	})
}

func TestGELUTanh(t *testing.T) {
	var x []float32
	for v := float32(-12); v <= 12; v += 0.0625 {
		x = append(x, v)
	}
	want := make([]float64, len(x))
	for i, v := range x {
		v := float64(v)
		want[i] = v / 2 * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(v+0.044715*v*v*v)))
	}
	mlxtest.OnWorker(t, func(s *mlx.Scope) error {
		if err := near(s, GELUTanh(s, mlx.New(s, x, len(x))), []int{len(x)}, want, 2e-6); err != nil {
			t.Error(err)
		}
		return nil
	})
}

// attend is the definition, in float64, of q [heads, T, dim] over k and v [kvHeads, rows, dim]; sees says which
// row a query looks at. The result is [T, heads·dim].
func attend(q, k, v []float32, heads, kvHeads, T, rows, dim int, scale float64, sees func(i, j int) bool) []float64 {
	out := make([]float64, T*heads*dim)
	for h := range heads {
		kv := h / (heads / kvHeads)
		for i := range T {
			dst := out[(i*heads+h)*dim:][:dim]
			var sum float64
			for j := range rows {
				if !sees(i, j) {
					continue
				}
				var dot float64
				for d := range dim {
					dot += float64(q[(h*T+i)*dim+d]) * float64(k[(kv*rows+j)*dim+d])
				}
				w := math.Exp(scale * dot)
				sum += w
				for d := range dim {
					dst[d] += w * float64(v[(kv*rows+j)*dim+d])
				}
			}
			for d := range dst {
				dst[d] /= sum
			}
		}
	}
	return out
}

func TestAttend(t *testing.T) {
	const heads, kvHeads, dim, rows = 4, 2, 8, 11
	mlxtest.OnWorker(t, func(s *mlx.Scope) error {
		odd := make([]bool, 3*rows)
		for i := range odd {
			odd[i] = i%2 == 1 || i%rows == 0
		}
		for _, c := range []struct {
			name string
			T    int
			mask state.Mask
			sees func(i, j int) bool
		}{
			{"one query sees all", 1, state.Mask{}, func(i, j int) bool { return true }},
			{"causal, the queries last", 3, state.Mask{Mode: "causal"}, func(i, j int) bool { return j <= rows-3+i }},
			{"causal from the start", rows, state.Mask{Mode: "causal"}, func(i, j int) bool { return j <= i }},
			{"an array", 3, state.Mask{Mode: "array", Array: mlx.New(s, odd, 3, rows)}, func(i, j int) bool { return odd[i*rows+j] }},
		} {
			q, k, v := random(2, heads*c.T*dim), random(3, kvHeads*rows*dim), random(4, kvHeads*rows*dim)
			got := Attend(s, mlx.New(s, q, 1, heads, c.T, dim), mlx.New(s, k, 1, kvHeads, rows, dim), mlx.New(s, v, 1, kvHeads, rows, dim), 0.3, c.mask)
			want := attend(q, k, v, heads, kvHeads, c.T, rows, dim, 0.3, c.sees)
			if err := near(s, got, []int{1, c.T, heads * dim}, want, 1e-5); err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
		}
		return nil
	})
}

func TestRMSNorm(t *testing.T) {
	const T, width = 3, 32
	const eps = 1e-2 // large, so that it shows
	x, w := random(5, T*width), random(6, width)
	want, plain := make([]float64, len(x)), make([]float64, len(x))
	for row := range T {
		var mean float64
		for i := range width {
			mean += float64(x[row*width+i]) * float64(x[row*width+i]) / width
		}
		for i := range width {
			plain[row*width+i] = float64(x[row*width+i]) / math.Sqrt(mean+eps)
			want[row*width+i] = plain[row*width+i] * float64(w[i])
		}
	}
	mlxtest.OnWorker(t, func(s *mlx.Scope) error {
		a := mlx.New(s, x, 1, T, width)
		if err := near(s, (&RMSNorm{W: mlx.New(s, w, width), Eps: eps}).Forward(s, a), []int{1, T, width}, want, 1e-5); err != nil {
			t.Error(err)
		}
		if err := near(s, (&RMSNorm{Eps: eps}).Forward(s, a), []int{1, T, width}, plain, 1e-5); err != nil {
			t.Errorf("without a weight: %v", err)
		}
		return nil
	})
}

func TestHeads(t *testing.T) {
	const T, heads, dim = 3, 2, 4
	x := random(7, T*heads*dim)
	mlxtest.OnWorker(t, func(s *mlx.Scope) error {
		want := make([]float64, len(x))
		for i := range T {
			for h := range heads {
				for d := range dim {
					want[(h*T+i)*dim+d] = float64(x[(i*heads+h)*dim+d])
				}
			}
		}
		if err := near(s, HeadsFirst(s, Heads(s, mlx.New(s, x, 1, T, heads*dim), heads)), []int{1, heads, T, dim}, want, 0); err != nil {
			t.Error(err)
		}
		return nil
	})
}

// matrices are one matrix [out, in] in the forms that a checkpoint has, with its values as that form holds them.
func matrices(s *mlx.Scope, values []float32, out, in int) (map[string]Matrix, error) {
	w := mlx.New(s, values, out, in)
	ms := map[string]Matrix{"dense": {W: w}}
	for name, m := range map[string]Matrix{
		"affine 4": {GroupSize: 64, Bits: 4, Mode: "affine"}, "affine 8": {GroupSize: 32, Bits: 8, Mode: "affine"}, "mxfp4": {GroupSize: 32, Bits: 4, Mode: "mxfp4"},
	} {
		q := s.Quantize(w, m.GroupSize, m.Bits, m.Mode, mlx.Array{})
		if s.Err() != nil {
			return nil, s.Err()
		}
		m.W, m.Scales = q[0], q[1]
		if len(q) > 2 {
			m.Biases = q[2]
		}
		ms[name] = m
	}
	return ms, nil
}

func TestMatrixMultipliesAndLooksUp(t *testing.T) {
	const T, out, in = 3, 12, 128
	mlxtest.OnWorker(t, func(s *mlx.Scope) error {
		ms, err := matrices(s, random(8, out*in), out, in)
		if err != nil {
			return err
		}
		x, bias := random(9, T*in), random(10, out)
		for name, form := range ms {
			m := NewMatrix(s, form)
			if m.Quantized() == (name == "dense") {
				t.Errorf("%s: Quantized is %v", name, m.Quantized())
			}
			w := form.W
			if m.Quantized() {
				w = s.Dequantize(form.W, form.Scales, form.Biases, form.GroupSize, form.Bits, form.Mode, mlx.Array{}, mlx.Float32)
			}
			held, err := s.Float32s(w)
			if err != nil {
				return err
			}
			want := make([]float64, T*out)
			for i := range want {
				want[i] = float64(bias[i%out])
				for k := range in {
					want[i] += float64(x[i/out*in+k]) * float64(held[i%out*in+k])
				}
			}
			l := Linear{Matrix: m, Bias: mlx.New(s, bias, out)}
			if err := near(s, l.Forward(s, mlx.New(s, x, 1, T, in)), []int{1, T, out}, want, 1e-4); err != nil {
				t.Errorf("%s, product: %v", name, err)
			}
			ids := []int32{11, 0, 5, 5}
			rows := make([]float64, 0, len(ids)*in)
			for _, id := range ids {
				for _, v := range held[int(id)*in:][:in] {
					rows = append(rows, float64(v))
				}
			}
			e := Embedding{Matrix: m, Dtype: mlx.Float32}
			if err := near(s, e.Forward(s, mlx.New(s, ids, 1, len(ids))), []int{1, len(ids), in}, rows, 1e-6); err != nil {
				t.Errorf("%s, rows: %v", name, err)
			}
		}
		return nil
	})
}

// No layer changes the dtype of what it is given.
func TestLayersKeepTheDtype(t *testing.T) {
	mlxtest.OnWorker(t, func(s *mlx.Scope) error {
		for _, dtype := range []mlx.Dtype{mlx.Float32, mlx.BFloat16, mlx.Float16} {
			x := s.AsType(mlx.New(s, random(11, 2*64), 1, 1, 2, 64), dtype)
			flat := s.Reshape(x, []int{1, 2, 64})
			q := s.Quantize(s.AsType(mlx.New(s, random(12, 64*64), 64, 64), dtype), 64, 4, "affine", mlx.Array{})
			m := NewMatrix(s, Matrix{W: q[0], Scales: q[1], Biases: q[2], GroupSize: 64, Bits: 4, Mode: "affine"})
			ids := mlx.New(s, []int32{1, 2}, 1, 2)
			for name, y := range map[string]mlx.Array{
				"GELUTanh": GELUTanh(s, x), "RoPE": (&RoPE{Dims: 64, Base: 1e4, Scale: 1}).Forward(s, x, 3),
				"RMSNorm": (&RMSNorm{W: s.Ones([]int{64}, dtype), Eps: 1e-6}).Forward(s, x), "Attend": Attend(s, x, x, x, 1, state.Mask{Mode: "causal"}),
				"Multiply": m.Multiply(s, flat), "Embedding": (&Embedding{Matrix: m, Dtype: dtype}).Forward(s, ids),
			} {
				if err := s.Eval(y); err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
				if y.Dtype() != dtype {
					t.Errorf("%s makes %v of %v", name, y.Dtype(), dtype)
				}
			}
		}
		return nil
	})
}
