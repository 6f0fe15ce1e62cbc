package selftest

import (
	"context"
	"embed"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path"
	"path/filepath"
	"strings"

	"reprise/mlx"
	"reprise/mlx/safetensors"
	"reprise/model/arch"
	"reprise/model/gemma3"
	"reprise/model/gemma4"
	"reprise/model/probe"
	"reprise/model/qwen35"
)

// vectors are checkpoints with mlx-lm's logits of every position, in float32.
var vectors = []struct {
	name string
	dir  string
	fs   *embed.FS
}{
	{"Gemma 3, 4 bit", "testdata/tiny-q4", &gemma3.Vectors},
	{"Gemma 4, 4 bit", "testdata/tiny-q4", &gemma4.Vectors},
	{"Gemma 4 with experts, 4 bit", "testdata/tiny-q4-moe", &gemma4.Vectors},
	{"Qwen3.6, 4 bit", "testdata/tiny-q4", &qwen35.Vectors},
	{"Qwen3.6 with experts, 4 bit", "testdata/tiny-moe-q4", &qwen35.Vectors},
}

// tolerance is how far logits may lie from the references': the bound of the parity tests for quantized checkpoints. Greedy
// ids must be equal, but where two lead by less than nearTie.
const (
	tolerance = 2e-3
	nearTie   = 1e-3
)

// decoded is how many greedy ids are compared.
const decoded = 16

// parity compares the models on this device with mlx-lm's values, in float32, whole and in chunks.
func (r *Report) parity(ctx context.Context, o Options) {
	if o.Device == mlx.GPU && os.Getenv("MLX_ENABLE_TF32") == "" {
		// NVIDIA's products have ten bits by default; a float32 reference needs all. MLX reads it at the first product.
		if err := os.Setenv("MLX_ENABLE_TF32", "0"); err != nil {
			r.check("parity", "float32 products", err, nil, "")
		}
	}
	dir, err := os.MkdirTemp("", "reprise-selftest-*")
	if err != nil {
		r.check("parity", "vectors", err, nil, "")
		return
	}
	defer os.RemoveAll(dir)
	w, err := mlx.Start(o.Device)
	if err != nil {
		r.check("parity", "device", err, nil, "%s", o.Device)
		return
	}
	defer w.Close()
	if info, err := w.Info(ctx); err == nil {
		r.DeviceName, r.WorkingSet = info.Name, info.RecommendedWorkingSet
	}
	for i, v := range vectors {
		at := filepath.Join(dir, fmt.Sprint(i))
		err := unpack(v.fs, v.dir, at)
		var d distance
		if err == nil {
			err = w.Do(ctx, func(s *mlx.Scope) error { return d.measure(s, at, o.Device) })
		}
		if err == nil && d.logits > tolerance {
			err = fmt.Errorf("more than %g apart", tolerance)
		}
		if err == nil && d.wrong > 0 {
			err = fmt.Errorf("%d greedy ids differ where the lead is more than %g", d.wrong, nearTie)
		}
		r.check("parity", v.name, err, map[string]any{"largest_difference": d.logits, "values": d.values, "greedy_ids": d.greedy, "greedy_ties": d.ties},
			"%d logits within %.1e of mlx-lm's, %d greedy ids", d.values, d.logits, d.greedy)
	}
}

// distance is how far this machine's values lie from the references'.
type distance struct {
	logits                      float64
	values, greedy, ties, wrong int
}

// measure loads the checkpoint in float32 and compares its prompts.
func (d *distance) measure(s *mlx.Scope, dir string, device mlx.Device) error {
	want, err := tensors(filepath.Join(dir, "expected.safetensors"))
	if err != nil {
		return err
	}
	opts := arch.Options(device)
	opts.Dtype = mlx.Float32
	m, err := arch.Load(s, dir, opts)
	if err != nil {
		return err
	}
	defer m.Free()
	for i := 0; ; i++ {
		ids, ok := want[fmt.Sprintf("ids/%d", i)]
		if !ok {
			return d.none()
		}
		for _, chunk := range []int{0, 7} {
			got, st, err := probe.Logits(s, m, ids.ints(), chunk)
			if err != nil {
				return err
			}
			st.Free()
			if err := d.compare(got, want[fmt.Sprintf("logits/%d", i)].floats()); err != nil {
				return err
			}
		}
		greedy, gaps := want[fmt.Sprintf("greedy/%d", i)].ints(), want[fmt.Sprintf("gaps/%d", i)].floats()
		choices, err := probe.Greedy(s, m, ids.ints(), min(decoded, len(greedy)), 0)
		if err != nil {
			return err
		}
		for k, c := range choices {
			if d.greedy++; c.ID == greedy[k] {
				continue
			}
			if gaps[k] < nearTie {
				d.ties++
			} else {
				d.wrong++
			}
			break // what follows another id is another text
		}
	}
}

// none is an error when nothing was compared.
func (d *distance) none() error {
	if d.values == 0 || d.greedy == 0 {
		return errors.New("the vectors are empty")
	}
	return nil
}

func (d *distance) compare(got, want []float32) error {
	if len(got) != len(want) {
		return fmt.Errorf("%d logits, the reference has %d", len(got), len(want))
	}
	for i := range got {
		x := math.Abs(float64(got[i]) - float64(want[i]))
		if math.IsNaN(x) {
			return fmt.Errorf("logit %d is %v", i, got[i])
		}
		d.logits = max(d.logits, x)
	}
	d.values += len(got)
	return nil
}

func unpack(from *embed.FS, dir, to string) error {
	if err := os.Mkdir(to, 0o700); err != nil {
		return err
	}
	entries, err := from.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		raw, err := from.ReadFile(path.Join(dir, e.Name()))
		if err == nil {
			err = os.WriteFile(filepath.Join(to, e.Name()), raw, 0o600)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// values are a tensor's bytes, of four-byte elements.
type values []byte

func (v values) ints() []int32 {
	out := make([]int32, len(v)/4)
	for i := range out {
		out[i] = int32(binary.LittleEndian.Uint32(v[4*i:]))
	}
	return out
}

func (v values) floats() []float32 {
	out := make([]float32, len(v)/4)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(v[4*i:]))
	}
	return out
}

// tensors reads a file of float32 and int32.
func tensors(file string) (map[string]values, error) {
	h, err := safetensors.ReadHeader(file)
	if err != nil {
		return nil, err
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	out := map[string]values{}
	for _, t := range h.Tensors {
		if !strings.HasSuffix(string(t.DType), "32") {
			return nil, fmt.Errorf("%s: %s is %s", file, t.Name, t.DType)
		}
		out[t.Name] = raw[t.Offset : t.Offset+t.Bytes]
	}
	return out, nil
}
