package mlx

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// The fused parts of a layer against their definitions in float64, on every instruction set that this machine has: the
// level is chosen once for a process, so the other levels run in one of their own.
func TestLayerParts(t *testing.T) {
	parts := map[string]func(*testing.T){
		"products": testBlocks, "heads": testPlaceHeads, "attention": testAttention, "layer": testLayerAttention, "rows": testRows, "largest": testLargest,
	}
	for name, part := range parts {
		t.Run(name, part)
	}
	if os.Getenv("REPRISE_CPU_LEVEL") != "" {
		return
	}
	for _, level := range []string{"plain", "avx2", "avx512", "neon"} {
		t.Run("level "+level, func(t *testing.T) {
			cmd := exec.Command(os.Args[0], "-test.run", "^(TestLevelIsThere|TestLayerParts)$", "-test.v")
			cmd.Env = append(os.Environ(), "REPRISE_CPU_LEVEL="+level)
			out, err := cmd.CombinedOutput()
			if strings.Contains(string(out), "no such level") {
				t.Skip("not on this machine")
			}
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
		})
	}
}

// An unknown level counts as plain; the runs above must not pass by that.
func TestLevelIsThere(t *testing.T) {
	want := os.Getenv("REPRISE_CPU_LEVEL")
	w, err := Start(CPU)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if level, threads := w.KernelLevel(); want != "" && level != want {
		t.Fatalf("no such level: %s, got %s", want, level)
	} else if level == "" || threads < 1 {
		t.Errorf("level %q, %d threads", level, threads)
	}
}

func gaussians(seed uint64, n int) []float32 {
	rng := rand.New(rand.NewPCG(seed, 2))
	out := make([]float32, n)
	for i := range out {
		out[i] = float32(rng.NormFloat64())
	}
	return out
}

// compare reports the first value that lies further from its definition than float32 rounding allows.
func compare(t *testing.T, s *Scope, what string, got Array, shape []int, want []float64, tolerance float64) {
	t.Helper()
	values, err := s.Float32s(got)
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	if !slices.Equal(got.Shape(), shape) || len(values) != len(want) {
		t.Errorf("%s is %v, want the shape %v", what, got, shape)
		return
	}
	for i, w := range want {
		if d := math.Abs(float64(values[i]) - w); !(d <= tolerance*(1+math.Abs(w))) {
			t.Errorf("%s: element %d is %g, by definition %g", what, i, values[i], w)
			return
		}
	}
}

// normed is the definition of an RMS norm of one row.
func normed(x []float64, w []float32, eps float64) []float64 {
	var squares float64
	for _, v := range x {
		squares += v * v
	}
	scale := 1 / math.Sqrt(squares/float64(len(x))+eps)
	out := make([]float64, len(x))
	for i, v := range x {
		out[i] = v * scale
		if w != nil {
			out[i] *= float64(w[i])
		}
	}
	return out
}

func wide(x []float32) []float64 {
	out := make([]float64, len(x))
	for i, v := range x {
		out[i] = float64(v)
	}
	return out
}

func testBlocks(t *testing.T) {
	const K, N = 64, 37
	const eps, postEps = 1e-3, 1e-2
	onWorker(t, func(s *Scope) error {
		norm, post := gaussians(1, K), gaussians(2, N)
		var matrices []Packed
		var values [][]float32
		for i, bits := range []int{4, 8, 0} { // affine, affine, dense
			w := New(s, gaussians(uint64(10+i), N*K), N, K)
			m := Packed{W: w}
			if bits > 0 {
				q := s.Quantize(w, 32, bits, "affine", Array{})
				m = Packed{W: q[0], Scales: q[1], Biases: q[2], GroupSize: 32, Bits: bits, Mode: "affine"}
				w = s.Dequantize(q[0], q[1], q[2], 32, bits, "affine", Array{}, Float32)
			}
			v, err := s.Float32s(w)
			if err != nil {
				return err
			}
			matrices, values = append(matrices, m), append(values, v)
		}
		act := map[Gate]func(float64) float64{
			GateSiLU: func(g float64) float64 { return g / (1 + math.Exp(-g)) },
			GateGELU: func(g float64) float64 {
				return g / 2 * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(g+0.044715*g*g*g)))
			},
		}
		for _, T := range []int{1, 3, 4, 5, 40} {
			x, residual := gaussians(uint64(20+T), T*K), gaussians(uint64(30+T), T*N)
			for _, c := range []struct {
				name string
				b    Block
				use  []int
			}{
				{"three products", Block{}, []int{0, 1, 2}},
				{"normed before", Block{Norm: &Norm{W: New(s, norm, K), Eps: eps}}, []int{0, 2}},
				{"GELU", Block{Norm: &Norm{W: New(s, norm, K), Eps: eps}, Gate: GateGELU}, []int{0, 1}},
				{"SiLU", Block{Gate: GateSiLU}, []int{1, 2}},
				{"normed behind, onto a residual", Block{PostNorm: &Norm{W: New(s, post, N), Eps: postEps}, Residual: New(s, residual, 1, T, N)}, []int{0}},
				{"normed by nothing", Block{Norm: &Norm{Eps: eps}, PostNorm: &Norm{Eps: postEps}}, []int{2}},
				{"onto a residual", Block{Residual: New(s, residual, 1, T, N)}, []int{1}},
			} {
				var use []Packed
				for _, i := range c.use {
					use = append(use, matrices[i])
				}
				got := s.Products(New(s, x, 1, T, K), c.b, use...)
				want := make([][]float64, len(c.use))
				for row := range T {
					in := wide(x[row*K:][:K])
					if c.b.Norm != nil {
						w := norm
						if !c.b.Norm.W.Valid() {
							w = nil
						}
						in = normed(in, w, eps)
					}
					out := make([][]float64, len(c.use))
					for j, i := range c.use {
						for n := range N {
							var sum float64
							for k := range K {
								sum += in[k] * float64(values[i][n*K+k])
							}
							out[j] = append(out[j], sum)
						}
					}
					if f := act[c.b.Gate]; f != nil {
						for n := range N {
							out[0][n] = f(out[0][n]) * out[1][n]
						}
						out = out[:1]
					}
					if c.b.PostNorm != nil {
						w := post
						if !c.b.PostNorm.W.Valid() {
							w = nil
						}
						out[0] = normed(out[0], w, postEps)
					}
					if c.b.Residual.Valid() {
						for n := range N {
							out[0][n] += float64(residual[row*N+n])
						}
					}
					for j := range out {
						want[j] = append(want[j], out[j]...)
					}
				}
				tolerance := 3e-5
				if c.b.Gate != NoGate {
					tolerance = 3e-4 // the rounding of one product is multiplied by the other, here up to 25
				}
				for j := range got {
					compare(t, s, fmt.Sprintf("%s, %d rows, result %d", c.name, T, j), got[j], []int{1, T, N}, want[j], tolerance)
				}
			}
		}
		for name, bad := range map[string]func(s *Scope) Array{
			"a residual of another shape": func(s *Scope) Array {
				return s.Products(New(s, make([]float32, K), 1, 1, K), Block{Residual: New(s, make([]float32, K), 1, 1, K)}, matrices[0])[0]
			},
			"a norm of another width": func(s *Scope) Array {
				return s.Products(New(s, make([]float32, K), 1, 1, K), Block{Norm: &Norm{W: New(s, post, N), Eps: eps}}, matrices[0])[0]
			},
			"x of another width": func(s *Scope) Array {
				return s.Products(New(s, make([]float32, 32), 1, 1, 32), Block{}, matrices[0])[0]
			},
		} {
			child := s.Child()
			if bad(child); child.Err() == nil {
				t.Errorf("%s is accepted", name)
			}
			child.Close()
		}
		return nil
	})
}

// placed is the definition of a head's row: normed, then rotated for its position.
func placed(x []float32, w []float32, eps float64, r Rotary, wavelengths []float32, position int) []float64 {
	out := wide(x)
	if eps >= 0 {
		out = normed(out, w, eps)
	}
	half := r.Dims / 2
	for i := range half {
		frequency := math.Pow(float64(r.Base), -2*float64(i)/float64(r.Dims))
		if wavelengths != nil {
			frequency = 1 / float64(wavelengths[i])
		}
		sin, cos := math.Sincos(float64(position) * float64(r.Scale) * frequency)
		a, b := out[i], out[i+half]
		out[i], out[i+half] = a*cos-b*sin, a*sin+b*cos
	}
	return out
}

var waves = []float32{1, 3, 10, float32(math.Inf(1))}

func testPlaceHeads(t *testing.T) {
	const heads, dim, eps = 3, 20, 1e-3
	onWorker(t, func(s *Scope) error {
		w := gaussians(3, dim)
		for _, T := range []int{1, 6, 300} {
			x := gaussians(uint64(T), T*heads*dim)
			for _, c := range []struct {
				name   string
				norm   *Norm
				w      []float32
				rotary *Rotary
				waves  []float32
				offset int
			}{
				{"all", &Norm{W: New(s, w, dim), Eps: eps}, w, &Rotary{Dims: dim, Base: 1e4, Scale: 1}, nil, 5},
				{"a part rotated, positions scaled", &Norm{Eps: eps}, nil, &Rotary{Dims: 8, Base: 1e6, Scale: 0.125}, nil, 700},
				{"wavelengths", nil, nil, &Rotary{Dims: 8, Scale: 1, Wavelengths: New(s, waves, 4)}, waves, 17},
				{"only moved", nil, nil, nil, nil, 3},
			} {
				e, r := -1.0, Rotary{}
				if c.norm != nil {
					e = eps
				}
				if c.rotary != nil {
					r = *c.rotary
				}
				var want []float64
				for h := range heads {
					for i := range T {
						want = append(want, placed(x[(i*heads+h)*dim:][:dim], c.w, e, r, c.waves, c.offset+i)...)
					}
				}
				got := s.PlaceHeads(New(s, x, 1, T, heads*dim), heads, c.norm, c.rotary, c.offset)
				compare(t, s, fmt.Sprintf("%s, %d rows", c.name, T), got, []int{1, heads, T, dim}, want, 3e-4)
			}
		}
		return nil
	})
}

// attended is the definition: T queries, the last of rows, over q [heads][T][dim], k and v [kv][rows][dim] → [T][heads·dim].
func attended(q, k, v []float64, heads, kv, T, rows, dim, window int, scale float64) []float64 {
	out := make([]float64, T*heads*dim)
	for h := range heads {
		g := h / (heads / kv)
		for i := range T {
			position := rows - T + i
			first := 0
			if window > 0 {
				first = max(0, position+1-window)
			}
			var total float64
			dst := out[(i*heads+h)*dim:][:dim]
			for r := first; r <= position; r++ {
				var score float64
				for d := range dim {
					score += q[(h*T+i)*dim+d] * k[(g*rows+r)*dim+d]
				}
				w := math.Exp(score * scale)
				total += w
				for d := range dim {
					dst[d] += w * v[(g*rows+r)*dim+d]
				}
			}
			for d := range dst {
				dst[d] /= total
			}
		}
	}
	return out
}

func testAttention(t *testing.T) {
	onWorker(t, func(s *Scope) error {
		for _, c := range []struct{ heads, kv, T, rows, dim, window int }{
			{4, 1, 1, 1, 32, 0}, {4, 1, 1, 700, 64, 0}, {4, 1, 1, 700, 64, 130}, {6, 2, 1, 300, 20, 0}, {9, 3, 1, 257, 13, 64},
			{4, 1, 2, 5, 32, 0}, {4, 1, 7, 300, 64, 0}, {4, 2, 33, 33, 24, 0}, {2, 2, 130, 400, 16, 100}, {8, 1, 64, 200, 48, 33},
			{3, 1, 17, 150, 7, 1}, {1, 1, 256, 640, 256, 512},
		} {
			q, k, v := gaussians(1, c.heads*c.T*c.dim), gaussians(2, c.kv*c.rows*c.dim), gaussians(3, c.kv*c.rows*c.dim)
			got := s.Attention(New(s, q, 1, c.heads, c.T, c.dim), New(s, k, 1, c.kv, c.rows, c.dim), New(s, v, 1, c.kv, c.rows, c.dim), 0.3, c.window)
			want := attended(wide(q), wide(k), wide(v), c.heads, c.kv, c.T, c.rows, c.dim, c.window, 0.3)
			compare(t, s, fmt.Sprintf("%+v", c), got, []int{1, c.T, c.heads * c.dim}, want, 2e-5)
		}
		// Scores far apart, as an untrained head may give: the softmax must not overflow.
		q := []float32{300, -300}
		got := s.Attention(New(s, q, 1, 1, 1, 2), New(s, []float32{1, 0, 0, 1, -1, 0}, 1, 1, 3, 2), New(s, []float32{1, 2, 3, 4, 5, 6}, 1, 1, 3, 2), 1, 0)
		compare(t, s, "scores of ±300", got, []int{1, 1, 2}, []float64{1, 2}, 1e-6)
		return nil
	})
}

// A layer's calls one after the other on one pair of buffers: rows go where they should, and nowhere else. Another
// layer's queries attend to the same rows.
func testLayerAttention(t *testing.T) {
	layerCalls(t, nil)
	layerCalls(t, &Norm{Eps: 0.3})
}

func layerCalls(t *testing.T, valueNorm *Norm) {
	const heads, kv, dim, capacity, eps, window = 4, 2, 16, 90, 1e-3, 20
	place := wide // a value's head
	if valueNorm != nil {
		place = func(x []float32) []float64 { return normed(wide(x), nil, float64(valueNorm.Eps)) }
	}
	onWorker(t, func(s *Scope) error {
		qw, kw := gaussians(5, dim), gaussians(6, dim)
		keys, values := s.Full([]int{1, kv, capacity, dim}, s.Scalar(7, Float32), Float32), s.Full([]int{1, kv, capacity, dim}, s.Scalar(7, Float32), Float32)
		if err := s.Eval(keys, values); err != nil {
			return err
		}
		rotary := Rotary{Dims: dim, Base: 1e4, Scale: 1}
		var kRows, vRows [][]float64 // [position][kv·dim]
		for at := 0; at < 80; at = len(kRows) {
			T := min([]int{9, 1, 30, 1, 2, 37}[at%6], 80-at)
			q, k, v := gaussians(uint64(at), T*heads*dim), gaussians(uint64(at+1), T*kv*dim), gaussians(uint64(at+2), T*kv*dim)
			from := max(0, at-window+1)
			layer := LayerAttention{
				Heads: heads, KVHeads: kv, QNorm: &Norm{W: New(s, qw, dim), Eps: eps}, KNorm: &Norm{W: New(s, kw, dim), Eps: eps}, VNorm: valueNorm,
				Rotary: rotary, Offset: 100 + at, At: at, From: from, Scale: 0.2, Window: window,
			}
			queries := New(s, q, 1, T, heads*dim)
			y, newKeys, newValues := s.LayerAttention(layer, queries, New(s, k, 1, T, kv*dim), New(s, v, 1, T, kv*dim), keys, values)
			layer.KNorm, layer.VNorm = nil, nil
			shared, none, _ := s.LayerAttention(layer, queries, Array{}, Array{}, newKeys, newValues)
			if none.Valid() {
				t.Error("queries alone give buffers")
			}
			var qs []float64
			for h := range heads {
				for i := range T {
					qs = append(qs, placed(q[(i*heads+h)*dim:][:dim], qw, eps, rotary, nil, 100+at+i)...)
				}
			}
			for i := range T {
				var kr, vr []float64
				for g := range kv {
					kr = append(kr, placed(k[(i*kv+g)*dim:][:dim], kw, eps, rotary, nil, 100+at+i)...)
					vr = append(vr, place(v[(i*kv+g)*dim:][:dim])...)
				}
				kRows, vRows = append(kRows, kr), append(vRows, vr)
			}
			byHead := func(rows [][]float64, n int, rest float64) (out []float64) {
				for g := range kv {
					for r := range n {
						for d := range dim {
							if r < len(rows) {
								out = append(out, rows[r][g*dim+d])
							} else {
								out = append(out, rest)
							}
						}
					}
				}
				return out
			}
			n := at + T
			want := attended(qs, byHead(kRows, n, 0), byHead(vRows, n, 0), heads, kv, T, n, dim, window, 0.2)
			what := fmt.Sprintf("rows %d to %d", at, n)
			compare(t, s, what, y, []int{1, T, heads * dim}, want, 3e-5)
			compare(t, s, what+", queries alone", shared, []int{1, T, heads * dim}, want, 3e-5)
			compare(t, s, what+", keys", newKeys, []int{1, kv, capacity, dim}, byHead(kRows, capacity, 7), 3e-5)
			compare(t, s, what+", values", newValues, []int{1, kv, capacity, dim}, byHead(vRows, capacity, 7), 1e-6)
			keys, values = newKeys, newValues
		}
		return nil
	})
}

func testRows(t *testing.T) {
	const N, K = 11, 96
	onWorker(t, func(s *Scope) error {
		ids := []int32{10, 0, 3, 3}
		for _, m := range []struct {
			mode        string
			group, bits int
		}{{"affine", 32, 2}, {"affine", 32, 3}, {"affine", 32, 4}, {"affine", 32, 5}, {"affine", 32, 6}, {"affine", 32, 8}, {"mxfp4", 32, 4}, {"nvfp4", 16, 4}, {}} {
			w := New(s, gaussians(9, N*K), N, K)
			p, name := Packed{W: w}, "dense"
			if m.bits > 0 {
				q := s.Quantize(w, m.group, m.bits, m.mode, Array{})
				p, name = Packed{W: q[0], Scales: q[1], GroupSize: m.group, Bits: m.bits, Mode: m.mode}, fmt.Sprintf("%s %d", m.mode, m.bits)
				if len(q) > 2 {
					p.Biases = q[2]
				}
				w = s.Dequantize(p.W, p.Scales, p.Biases, m.group, m.bits, m.mode, Array{}, Float32)
			}
			values, err := s.Float32s(w)
			if err != nil {
				return err
			}
			var want []float64
			for _, id := range ids {
				for _, v := range values[int(id)*K:][:K] {
					want = append(want, 2.5*float64(v))
				}
			}
			compare(t, s, name, s.Rows(New(s, ids, 1, 4), p, 2.5), []int{1, 4, K}, want, 1e-6)
		}
		lost, err := s.Float32s(s.Rows(New(s, []int32{N, -1}, 2), Packed{W: New(s, gaussians(9, N*K), N, K)}, 1))
		if err != nil {
			return err
		}
		for _, v := range lost {
			if v == v {
				t.Error("an id that names no row gives a number")
				break
			}
		}
		return nil
	})
}

func testLargest(t *testing.T) {
	onWorker(t, func(s *Scope) error {
		for _, n := range []int{1, 7, 16384, 16385, 50000} {
			x := gaussians(uint64(n), 2*n)
			x[n/2] = 100
			x[n-1] = 100 // the first of equals wins
			x[n+n/3] = 200
			got, err := Read[uint32](s, s.Largest(New(s, x, 2, n)))
			if err != nil {
				return err
			}
			if int(got[0]) != n/2 || int(got[1]) != n/3 {
				t.Errorf("of %d: %v, want %d and %d", n, got, n/2, n/3)
			}
		}
		got, err := Read[uint32](s, s.Largest(New(s, []float32{float32(math.NaN()), float32(math.NaN())}, 1, 2)))
		if err == nil && got[0] > 1 {
			t.Errorf("of NaN: %v, which is no index", got)
		}
		return err
	})
}
