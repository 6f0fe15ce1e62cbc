package weights

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"reprise/mlx"
	"reprise/mlx/safetensors"
	"reprise/model/hub"
)

// tensor is what a test writes: zeros but for values, where given.
type tensor struct {
	name   string
	dtype  safetensors.DType
	shape  []int64
	values []float32 // of an F32 tensor
}

func f32(name string, shape ...int64) tensor { return tensor{name, safetensors.F32, shape, nil} }

// packed are the three tensors of a matrix [out, in] at bits in groups of group.
func packed(path string, out, in, bits, group int64) []tensor {
	return []tensor{
		{path + ".weight", safetensors.U32, []int64{out, in * bits / 32}, nil},
		f32(path+".scales", out, in/group),
		f32(path+".biases", out, in/group),
	}
}

// writeFile writes the tensors as one safetensors file.
func writeFile(t *testing.T, path string, tensors []tensor) {
	t.Helper()
	specs := make([]safetensors.Spec, len(tensors))
	for i, x := range tensors {
		specs[i] = safetensors.Spec{Name: x.name, DType: x.dtype, Shape: x.shape}
	}
	w, err := safetensors.Create(path, specs, map[string]string{"format": "mlx"})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	for _, x := range tensors {
		n := x.dtype.Size()
		for _, d := range x.shape {
			n *= d
		}
		data := make([]byte, n)
		for i, v := range x.values {
			binary.LittleEndian.PutUint32(data[4*i:], math.Float32bits(v))
		}
		tw, err := w.Tensor(x.name)
		if err == nil {
			_, err = tw.Write(data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
}

const quantized = `"quantization": {"group_size": 64, "bits": 4}`

// checkpoint writes a folder with one file of weights; block is config.json's quantization, or "".
func checkpoint(t *testing.T, block string, tensors []tensor) (dir string, cfg *hub.Config) {
	t.Helper()
	dir = t.TempDir()
	if len(tensors) > 0 {
		writeFile(t, filepath.Join(dir, "model.safetensors"), tensors)
	}
	return dir, config(t, dir, block)
}

func config(t *testing.T, dir, block string) *hub.Config {
	t.Helper()
	if block != "" {
		block = ", " + block
	}
	writeText(t, filepath.Join(dir, "config.json"), fmt.Sprintf(`{"model_type": "toy"%s}`, block))
	cfg, err := hub.ReadConfig(dir)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func writeText(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// load opens a checkpoint, lets build take from it, and closes it, as an architecture's Build does.
func load(s *mlx.Scope, dir string, cfg *hub.Config, opts Options, build func(*Store)) error {
	owner := s.Child()
	defer owner.Close()
	st, err := Open(s, owner, dir, cfg, opts)
	if err != nil {
		return err
	}
	defer st.Discard()
	build(st)
	return st.Close()
}
