package weights

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"reprise/mlx"
	"reprise/mlx/mlxtest"
	"reprise/mlx/safetensors"
	"reprise/model/nn"
)

// toy takes what the architecture of these tests wants: a norm [128], a linear layer [64, 128] with a bias, and
// an embedding [96, 128].
func toy(st *Store) {
	st.Tensor("norm.weight", 128)
	st.Linear("layers.3.up", 128, 64)
	st.Embedding("embed", 96, 128)
}

// good is a checkpoint that fits toy, its linear layer packed.
func good() []tensor {
	return append(packed("layers.3.up", 64, 128, 4, 64), f32("norm.weight", 128), f32("layers.3.up.bias", 64), f32("embed.weight", 96, 128))
}

// with is good with the tensors of those names replaced.
func with(replaced ...tensor) []tensor {
	out := good()
	for _, r := range replaced {
		i := slices.IndexFunc(out, func(x tensor) bool { return x.name == r.name })
		if i < 0 {
			out = append(out, r)
		} else {
			out[i] = r
		}
	}
	return out
}

func without(names ...string) []tensor {
	return slices.DeleteFunc(good(), func(x tensor) bool { return slices.Contains(names, x.name) })
}

func TestAGoodCheckpointLoads(t *testing.T) {
	for _, widen := range []bool{false, true} {
		for name, tensors := range map[string][]tensor{
			"as it is": good(), "without a bias": without("layers.3.up.bias"),
			// The config says 4 bits in groups of 64: a conversion left the override out, and the shapes settle it.
			"8 bits, unsaid": with(packed("layers.3.up", 64, 128, 8, 64)...),
		} {
			t.Run(fmt.Sprintf("%s/widen=%v", name, widen), func(t *testing.T) {
				dir, cfg := checkpoint(t, quantized, tensors)
				mlxtest.OnWorker(t, func(s *mlx.Scope) error {
					return load(s, dir, cfg, Options{Dtype: mlx.Float32, Widen: widen}, toy)
				})
			})
		}
	}
}

func TestBadCheckpointsNameTheTensor(t *testing.T) {
	i32 := func(name string, shape ...int64) tensor { return tensor{name, safetensors.I32, shape, nil} }
	for _, c := range []struct {
		name    string
		block   string
		tensors []tensor
		want    []string // in the error
	}{
		{"missing", quantized, without("norm.weight"), []string{"norm.weight", "missing"}},
		{"missing packed weight", quantized, without("layers.3.up.weight"), []string{"layers.3.up.weight", "missing"}},
		{"missing scales", quantized, without("layers.3.up.scales"), []string{"layers.3.up.weight", "[64 16]", "[64 128]"}},
		{"missing biases", quantized, without("layers.3.up.biases"), []string{"layers.3.up", "biases", "affine"}},
		{"wrong shape", quantized, with(f32("norm.weight", 127)), []string{"norm.weight", "[127]", "[128]"}},
		{"transposed", quantized, with(f32("embed.weight", 128, 96)), []string{"embed.weight", "[128 96]", "[96 128]"}},
		{"wrong rank", quantized, with(f32("norm.weight", 1, 128)), []string{"norm.weight", "[1 128]"}},
		{"wrong bias", quantized, with(f32("layers.3.up.bias", 65)), []string{"layers.3.up.bias", "[65]", "[64]"}},
		{"one too many", quantized, with(f32("layers.3.up.lora_a", 4, 4)), []string{"layers.3.up.lora_a", "1 tensors"}},
		{"many too many", quantized, with(f32("x.1", 1), f32("x.2", 1), f32("x.3", 1), f32("x.4", 1), f32("x.5", 1)), []string{"5 tensors", "x.1", "x.4", "…"}},
		{"integers", quantized, with(i32("norm.weight", 128)), []string{"norm.weight", "int32"}},
		{"an integer matrix without scales", "", append(without("layers.3.up.weight", "layers.3.up.scales", "layers.3.up.biases"), i32("layers.3.up.weight", 64, 128)), []string{"layers.3.up.weight", "int32"}},
		{"float instead of packed", quantized, with(f32("layers.3.up.weight", 64, 16)), []string{"layers.3.up.weight", "uint32"}},
		{"no such group", quantized, with(f32("layers.3.up.scales", 64, 3), f32("layers.3.up.biases", 64, 3)), []string{"layers.3.up", "16 packed words", "3 scales"}},
		{"a group that the shapes deny", quantized, with(packed("layers.3.up", 64, 256, 4, 64)...), []string{"layers.3.up.weight", "[64 128]"}},
		{"scales of other rows", quantized, with(f32("layers.3.up.scales", 63, 2)), []string{"layers.3.up.weight", "[63 2]"}},
		{"biases unlike scales", quantized, with(f32("layers.3.up.biases", 64, 1)), []string{"layers.3.up.biases"}},
		{"biases of another mode", `"quantization": {"mode": "mxfp4"}`, with(packed("layers.3.up", 64, 128, 4, 32)...), []string{"layers.3.up", "mxfp4", "biases"}},
		{"scales of rank 1", quantized, with(f32("layers.3.up.scales", 128)), []string{"layers.3.up.weight", "[128]"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, cfg := checkpoint(t, c.block, c.tensors)
			mlxtest.OnWorker(t, func(s *mlx.Scope) error {
				err := load(s, dir, cfg, Options{Dtype: mlx.Float32, Widen: true}, toy)
				mentions(t, err, c.want...)
				return nil
			})
		})
	}
}

func mentions(t *testing.T, err error, want ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("no error; want one with %q", want) // not Fatal: this may run on the worker, which must go on
		return
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("the error %q does not say %q", err, w)
		}
	}
}

func TestOnlyTheFirstErrorIsReported(t *testing.T) {
	dir, cfg := checkpoint(t, quantized, without("norm.weight", "embed.weight"))
	mlxtest.OnWorker(t, func(s *mlx.Scope) error {
		err := load(s, dir, cfg, Options{Dtype: mlx.Float32}, toy)
		mentions(t, err, "norm.weight")
		if strings.Contains(err.Error(), "embed") {
			t.Errorf("the error names a later tensor: %v", err)
		}
		return nil
	})
}

func TestBadFilesAreNamed(t *testing.T) {
	const shard, index = "model-00001-of-00002.safetensors", "model.safetensors.index.json"
	for _, c := range []struct {
		name  string
		spoil func(t *testing.T, dir string)
		want  []string
	}{
		{"no weights", func(t *testing.T, dir string) {}, []string{"model.safetensors", "missing"}},
		{"an absent shard", func(t *testing.T, dir string) {
			writeText(t, filepath.Join(dir, index), `{"weight_map": {"norm.weight": "`+shard+`"}}`)
		}, []string{index, shard, "incomplete"}},
		{"a shard outside the folder", func(t *testing.T, dir string) {
			writeText(t, filepath.Join(dir, index), `{"weight_map": {"norm.weight": "../other.safetensors"}}`)
		}, []string{"norm.weight", "../other.safetensors"}},
		{"an empty index", func(t *testing.T, dir string) { writeText(t, filepath.Join(dir, index), `{}`) }, []string{index, "weight_map"}},
		{"an index that is no JSON", func(t *testing.T, dir string) { writeText(t, filepath.Join(dir, index), `{"weight_map"`) }, []string{index}},
		{"a truncated file", func(t *testing.T, dir string) {
			path := filepath.Join(dir, "model.safetensors")
			writeFile(t, path, good())
			info, err := os.Stat(path)
			if err == nil {
				err = os.Truncate(path, info.Size()-100)
			}
			if err != nil {
				t.Fatal(err)
			}
		}, []string{"model.safetensors", "truncated", "norm.weight"}}, // the last of the file
		{"a second shard cut to nothing", func(t *testing.T, dir string) {
			writeFile(t, filepath.Join(dir, shard), good())
			writeText(t, filepath.Join(dir, "b.safetensors"), "")
			writeText(t, filepath.Join(dir, index), `{"weight_map": {"norm.weight": "`+shard+`", "x": "b.safetensors"}}`)
		}, []string{"b.safetensors", "truncated"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			cfg := config(t, dir, quantized)
			c.spoil(t, dir)
			mlxtest.OnWorker(t, func(s *mlx.Scope) error {
				mentions(t, load(s, dir, cfg, Options{Dtype: mlx.Float32}, toy), c.want...)
				return nil
			})
		})
	}
}

func TestRenameAndMap(t *testing.T) {
	dir, cfg := checkpoint(t, "", []tensor{{"text.a", safetensors.F32, []int64{3}, []float32{1, 2, 3}}, f32("vision.b", 1000)})
	mlxtest.OnWorker(t, func(s *mlx.Scope) error {
		return load(s, dir, cfg, Options{Dtype: mlx.BFloat16}, func(st *Store) {
			st.Rename(func(name string) string {
				inner, ok := strings.CutPrefix(name, "text.")
				if !ok {
					return "" // dropped, and no error in the end
				}
				return inner
			})
			if st.Has("text.a") || !st.Has("a") || st.Has("vision.b") {
				t.Error("Rename left the old names")
			}
			if got := st.Dropped(); len(got) != 1 || got["vision"] != 4000 {
				t.Errorf("dropped: %v", got)
			}
			a := st.Map("a", []int{3}, func(s *mlx.Scope, a mlx.Array) mlx.Array { return s.Add(a, s.Scalar(1, a.Dtype())) })
			got, err := s.Float32s(a)
			if err != nil || !slices.Equal(got, []float32{2, 3, 4}) || a.Dtype() != mlx.BFloat16 {
				t.Errorf("Map gives %v as %v, %v", got, a, err)
			}
			if st.Has("a") || st.Bytes() != 6 {
				t.Errorf("after it was taken: Has %v, %d bytes", st.Has("a"), st.Bytes())
			}
		})
	})
}

func TestRenameToOneName(t *testing.T) {
	dir, cfg := checkpoint(t, "", []tensor{f32("text.a", 3), f32("model.text.a", 3)})
	mlxtest.OnWorker(t, func(s *mlx.Scope) error {
		mentions(t, load(s, dir, cfg, Options{Dtype: mlx.Float32}, func(st *Store) {
			st.Rename(func(string) string { return "a" })
			st.Tensor("a", 3)
		}), "two tensors", "are a,")
		return nil
	})
}

// matrices is how many layers the checkpoint of the memory test has.
const matrices = 12

// writeMatrices writes matrices of [1024, 512], made by MLX: packed, or bfloat16.
func writeMatrices(s *mlx.Scope, path string, pack bool) error {
	s = s.Child()
	defer s.Close()
	tensors := map[string]mlx.Array{}
	for i := range matrices {
		w := s.RandomNormal([]int{1024, 512}, mlx.BFloat16, 0, 1, s.Key(uint64(i)))
		name := fmt.Sprintf("layers.%d", i)
		if !pack {
			tensors[name+".weight"] = w
			continue
		}
		q := s.Quantize(w, 64, 4, "affine", mlx.Array{})
		tensors[name+".weight"], tensors[name+".scales"], tensors[name+".biases"] = q[0], q[1], q[2]
	}
	return s.Save(path, tensors, nil)
}

// A load peaks at the weights plus one tensor, and Bytes and Progress tell what is held and read.
func TestLoadPeaksAtTheWeightsPlusOneTensor(t *testing.T) {
	for _, c := range []struct {
		name        string
		pack, widen bool
		each        int64 // bytes held for one matrix in float32
		one         int64 // bytes of one tensor while it is made, beside the result
	}{
		// On the CPU device MLX's Dequantize multiplies before it adds: one more of the widened size, and the source,
		// whose scales and biases are there in bfloat16 and in float32.
		{"widened", true, true, 1024 * 512 * 4, 1024*512*4 + 1024*512/2 + 2*1024*8*(2+4)},
		{"packed", true, false, 1024*512/2 + 2*1024*8*4, 2 * 1024 * 8 * 2},
		{"cast", false, false, 1024 * 512 * 4, 1024 * 512 * 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			block := ""
			if c.pack {
				block = quantized
			}
			dir, cfg := checkpoint(t, block, nil)
			file := filepath.Join(dir, "model.safetensors")
			mlxtest.OnWorker(t, func(s *mlx.Scope) error { return writeMatrices(s, file, c.pack) })
			mlxtest.OnWorker(t, func(s *mlx.Scope) error {
				mlx.ClearCache()
				before := mlx.ReadMemory().Active
				mlx.ResetPeak()
				var held, done, total, calls int64
				opts := Options{Dtype: mlx.Float32, Widen: c.widen, Progress: func(d, n int64) {
					if d < done {
						t.Errorf("progress went back from %d to %d", done, d)
					}
					done, total = d, n
					calls++
				}}
				err := load(s, dir, cfg, opts, func(st *Store) {
					var ms []nn.Matrix
					for i := range matrices {
						ms = append(ms, st.Matrix(fmt.Sprintf("layers.%d", i), 1024, 512))
					}
					if ms[0].Quantized() != (c.pack && !c.widen) || !ms[0].Quantized() && ms[0].W.Dtype() != mlx.Float32 {
						t.Errorf("widen %v holds %v, packed: %v", c.widen, ms[0].W, ms[0].Quantized())
					}
					held = st.Bytes()
				})
				if err != nil {
					return err
				}
				if held != matrices*c.each {
					t.Errorf("Bytes is %d, want %d", held, matrices*c.each)
				}
				const page = 16 << 10
				if extra := mlx.ReadMemory().Peak - before; extra < held || extra > held+c.one+page {
					t.Errorf("the load peaked at %d bytes, allowed are the weights' %d and %d for one tensor", extra, held, c.one)
				}
				if done != total || calls != matrices {
					t.Errorf("progress ended at %d of %d after %d calls", done, total, calls)
				}
				return nil
			})
		})
	}
}
