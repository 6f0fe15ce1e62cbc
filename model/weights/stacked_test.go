package weights

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"reprise/mlx"
	"reprise/mlx/mlxtest"
	"reprise/mlx/safetensors"
)

const (
	experts, width, hidden = 3, 32, 64
	gatePath, upPath       = "moe.gate_proj", "moe.up_proj"
)

// stackTensors are gate and up [experts, width, hidden] at 4 bits in groups of 32, or dense, by suffix: random values,
// which as uint32 are random bits.
func stackTensors(pack bool) map[string]tensor {
	rng := rand.New(rand.NewPCG(1, 2))
	out := map[string]tensor{}
	add := func(name string, dtype safetensors.DType, last int64) {
		x := tensor{name, dtype, []int64{experts, width, last}, make([]float32, experts*width*last)}
		for i := range x.values {
			x.values[i] = float32(rng.NormFloat64())
		}
		out[name] = x
	}
	for _, path := range []string{gatePath, upPath} {
		if !pack {
			add(path+".weight", safetensors.F32, hidden)
			continue
		}
		add(path+".weight", safetensors.U32, hidden*4/32)
		add(path+".scales", safetensors.F32, hidden/32)
		add(path+".biases", safetensors.F32, hidden/32)
	}
	return out
}

// fused is gate and up in one tensor; apart is a tensor for each expert.
func fused(from map[string]tensor) (out []tensor) {
	for _, suffix := range suffixes {
		gate, ok := from[gatePath+suffix]
		if !ok {
			continue
		}
		x := tensor{"moe.gate_up_proj" + suffix, gate.dtype, []int64{experts, 2 * width, gate.shape[2]}, nil}
		n := int(width * gate.shape[2])
		for e := range experts {
			x.values = append(append(x.values, gate.values[e*n:][:n]...), from[upPath+suffix].values[e*n:][:n]...)
		}
		out = append(out, x)
	}
	return out
}

func apart(from map[string]tensor) (out []tensor) {
	for name, x := range from {
		n := int(x.shape[1] * x.shape[2])
		for e := range experts {
			inner := strings.TrimPrefix(name, "moe.")
			out = append(out, tensor{fmt.Sprintf("moe.%d.%s", e, inner), x.dtype, x.shape[1:], x.values[e*n:][:n]})
		}
	}
	return out
}

func together(from map[string]tensor) (out []tensor) {
	for _, x := range from {
		out = append(out, x)
	}
	return out
}

const byThirtyTwo = `"quantization": {"group_size": 32, "bits": 4}`

func TestStackedReadsEveryLayout(t *testing.T) {
	for _, pack := range []bool{false, true} {
		for _, opts := range []Options{{Dtype: mlx.Float32}, {Dtype: mlx.Float32, AsFiled: true}, {Dtype: mlx.Float32, Widen: true}} {
			want := map[string][]float32{}
			tensors := stackTensors(pack)
			for _, layout := range []struct {
				name    string
				tensors []tensor
			}{{"together", together(tensors)}, {"fused", fused(tensors)}, {"apart", apart(tensors)}} {
				what := fmt.Sprintf("packed %v, %+v, %s", pack, opts, layout.name)
				dir, cfg := checkpoint(t, byThirtyTwo, layout.tensors)
				// MLX's own ops read any strides; the kernels say so when a stack is not contiguous.
				mlxtest.OnWorker(t, func(s *mlx.Scope) error {
					return load(s, dir, cfg, opts, func(st *Store) {
						x := mlx.New(s, oneTo(hidden), 1, 1, hidden)
						choice := mlx.New(s, []int32{2, 0, 1}, 1, 3)
						for _, path := range []string{upPath, gatePath} { // the second half first
							w := st.Stacked(path, experts, width, hidden)
							if st.err != nil {
								return
							}
							got, err := s.Float32s(w.Multiply(s, x, choice, false))
							if err != nil {
								t.Errorf("%s, %s: %v", what, path, err)
								return
							}
							if want[path] == nil {
								want[path] = got
							}
							if !slices.Equal(got, want[path]) || w.Experts() != experts {
								t.Errorf("%s, %s: not what it is in one tensor; %d experts", what, path, w.Experts())
							}
						}
						if slices.Equal(want[gatePath], want[upPath]) {
							t.Errorf("%s: gate and up are the same", what)
						}
					})
				})
			}
		}
	}
}

func oneTo(n int) []float32 {
	out := make([]float32, n)
	for i := range out {
		out[i] = float32(i+1) / float32(n)
	}
	return out
}

func TestBadStacksNameTheTensor(t *testing.T) {
	tensors := stackTensors(true)
	but := func(list []tensor, name string, change func(*tensor)) []tensor {
		var out []tensor
		for _, x := range list {
			if x.name == name && change == nil {
				continue
			}
			if x.name == name {
				x.values = nil
				x.shape = slices.Clone(x.shape)
				change(&x)
			}
			out = append(out, x)
		}
		return out
	}
	for _, c := range []struct {
		name    string
		tensors []tensor
		want    []string
	}{
		{"missing", but(together(tensors), "moe.up_proj.weight", nil), []string{"moe.up_proj.weight", "missing"}},
		{"an expert missing", but(apart(tensors), "moe.2.gate_proj.weight", nil), []string{"moe.2.gate_proj.weight", "missing"}},
		{"an expert's scales missing", but(apart(tensors), "moe.1.gate_proj.scales", nil), []string{"moe.1.gate_proj.scales", "missing"}},
		{"an expert unlike the others", but(apart(tensors), "moe.1.up_proj.scales", func(x *tensor) { x.shape[1] = 3 }), []string{"moe.1.up_proj.scales", "expert 0"}},
		{"an expert too many", append(apart(tensors), f32("moe.3.up_proj.weight", 4, 4)), []string{"moe.3.up_proj.weight", "no place"}},
		{"fused rows of another width", but(fused(tensors), "moe.gate_up_proj.weight", func(x *tensor) { x.shape[1] = 40 }), []string{"moe.gate_up_proj.weight", "[3 40 8]", "[3 64"}},
		{"fused and rank 2", but(fused(tensors), "moe.gate_up_proj.biases", func(x *tensor) { x.shape = x.shape[1:] }), []string{"moe.gate_up_proj.biases", "[64 2]"}},
		{"experts of another number", but(together(tensors), "moe.gate_proj.weight", func(x *tensor) { x.shape[0] = 4 }), []string{"moe.gate_proj.weight", "[4 32 8]", "[3 32 64]"}},
		{"scales of another number", but(together(tensors), "moe.gate_proj.scales", func(x *tensor) { x.shape[0] = 4 }), []string{"moe.gate_proj", "[4 32 2]", "[3 32 64]"}},
		{"rank 2", but(together(tensors), "moe.gate_proj.weight", func(x *tensor) { x.shape = x.shape[1:] }), []string{"moe.gate_proj.weight", "rank 3"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, cfg := checkpoint(t, byThirtyTwo, c.tensors)
			mlxtest.OnWorker(t, func(s *mlx.Scope) error {
				mentions(t, load(s, dir, cfg, Options{Dtype: mlx.Float32}, func(st *Store) {
					st.Stacked(gatePath, experts, width, hidden)
					st.Stacked(upPath, experts, width, hidden)
				}), c.want...)
				return nil
			})
		})
	}
}
