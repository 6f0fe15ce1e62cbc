package qwen35_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"reprise/mlx"
	"reprise/mlx/mlxtest"
	"reprise/model"
	"reprise/model/arch"
	"reprise/model/hub"
	"reprise/model/probe/probetest"
)

// rewritten is a copy of a checkpoint and its expectations with other tensors.
func rewritten(t *testing.T, dir string, change func(s *mlx.Scope, tensors map[string]mlx.Array)) string {
	t.Helper()
	to := t.TempDir()
	for _, name := range []string{"config.json", "expected.json", "expected.safetensors"} {
		raw, err := os.ReadFile(filepath.Join(dir, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(to, name), raw, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	mlxtest.OnWorker(t, func(s *mlx.Scope) error {
		tensors, _, err := s.Load(filepath.Join(dir, "model.safetensors"))
		if err != nil {
			return err
		}
		change(s, tensors)
		return s.Save(filepath.Join(to, "model.safetensors"), tensors, nil)
	})
	return to
}

// Raw checkpoints may have a module for each expert.
func TestATensorForEachExpert(t *testing.T) {
	dir := rewritten(t, "testdata/tiny-moe-raw", func(s *mlx.Scope, tensors map[string]mlx.Array) {
		for _, name := range slices.Sorted(maps.Keys(tensors)) {
			at, leaf, ok := strings.Cut(name, ".experts.")
			if !ok {
				continue
			}
			stack := tensors[name]
			delete(tensors, name)
			parts := []mlx.Array{stack}
			leaves := []string{leaf}
			if leaf == "gate_up_proj" {
				parts, leaves = s.Split(stack, 2, 1), []string{"gate_proj", "up_proj"}
			}
			for i, part := range parts {
				for e, one := range s.Split(part, part.Dim(0), 0) {
					tensors[fmt.Sprintf("%s.experts.%d.%s.weight", at, e, leaves[i])] = s.Contiguous(s.SqueezeAxis(one, 0), false)
				}
			}
		}
	})
	probetest.Parity(t, dir, false, toleranceOf("tiny-moe-raw"))
}

// A raw text-only checkpoint has no language_model in its names, whatever its model_type.
func TestModelTypesAndTextOnlyNames(t *testing.T) {
	for dir, types := range map[string][2]string{
		"testdata/tiny-raw":     {"qwen3_5", "qwen3_5_text"},
		"testdata/tiny-moe-raw": {"qwen3_5_moe", "qwen3_5_moe_text"},
	} {
		to := rewritten(t, dir, func(s *mlx.Scope, tensors map[string]mlx.Array) {
			for name, a := range maps.Clone(tensors) {
				delete(tensors, name)
				if !strings.Contains(name, ".visual.") {
					tensors[strings.Replace(name, "model.language_model.", "model.", 1)] = a
				}
			}
		})
		flatten(t, to, types[1])
		probetest.Parity(t, to, false, toleranceOf(dir))
		probetest.WithModel(t, to, false, func(s *mlx.Scope, m model.Model) error {
			if got := m.Info().ModelType; got != types[1] {
				t.Errorf("%s is %s", types[1], got)
			}
			return nil
		})
		if !slices.Contains(arch.Supported(), types[0]) {
			t.Errorf("%s is not supported", types[0])
		}
	}
}

// flatten puts text_config's fields at the top of config.json.
func flatten(t *testing.T, dir, modelType string) {
	t.Helper()
	path := filepath.Join(dir, "config.json")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var c map[string]any
	if err := json.Unmarshal(raw, &c); err != nil {
		t.Fatal(err)
	}
	text := c["text_config"].(map[string]any)
	text["model_type"] = modelType
	if raw, err = json.Marshal(text); err == nil {
		err = os.WriteFile(path, raw, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// bfloat16 norms of a raw checkpoint get their 1 in float32, as in transformers: in bfloat16 it would take their low bits.
func TestRawNormsGetTheirOneInFloat32(t *testing.T) {
	const name, w = "model.language_model.norm.weight", 1.0 / 1024
	with := func(value float64) string {
		return rewritten(t, "testdata/tiny-moe-raw", func(s *mlx.Scope, tensors map[string]mlx.Array) {
			tensors[name] = s.Full(tensors[name].Shape(), s.Scalar(value, mlx.BFloat16), mlx.BFloat16)
		})
	}
	last := func(dir string) (rows []float32) {
		probetest.WithModel(t, dir, false, func(s *mlx.Scope, m model.Model) (err error) {
			st := m.NewState()
			defer st.Free()
			rows, err = s.Float32s(m.Forward(s, mlx.New(s, []int32{3, 50, 9}, 1, 3), st))
			return err
		})
		return rows
	}
	want := last(with(0))
	for i := range want {
		want[i] *= 1 + w
	}
	if err := near(last(with(w)), want, 1e-6); err != nil {
		t.Error(err)
	}
}

// The tensors for multi-token prediction are not loaded, but inspect counts them.
func TestMultiTokenPredictionIsReported(t *testing.T) {
	for _, dir := range []string{"testdata/tiny-raw", "testdata/tiny-moe-f32"} {
		in, err := hub.Inspect(dir, arch.Supported())
		if err != nil {
			t.Fatal(err)
		}
		want := hub.Component{Name: "mtp", Tensors: 3, Bytes: (2*40*40 + 2*40) * 4}
		i := slices.IndexFunc(in.Components, func(c hub.Component) bool { return c.Name == want.Name })
		if i < 0 || in.Components[i].Tensors != want.Tensors || in.Components[i].Bytes != want.Bytes {
			t.Errorf("%s: %+v, want %+v among them", dir, in.Components, want)
		}
		if len(in.Notes) != 1 || !strings.Contains(in.Notes[0], "multi-token prediction (3 tensors, 13.1 kB)") {
			t.Errorf("%s: notes %q", dir, in.Notes)
		}
	}
}

// What a decode step reads, by the shapes of the config.
func TestInfoOfAMixture(t *testing.T) {
	probetest.WithModel(t, "testdata/tiny-moe-f32", false, func(s *mlx.Scope, m model.Model) error {
		const experts, chosen, layers, hidden, width, vocab, float = 7, 3, 3, 40, 20, 96, 4
		info := m.Info()
		want := info.Bytes - layers*(experts-chosen)*3*width*hidden*float - (vocab-1)*hidden*float
		if info.ActiveBytes != want || info.ModelType != "qwen3_5_moe" {
			t.Errorf("%+v: %d bytes are active, want %d", info, info.ActiveBytes, want)
		}
		return nil
	})
}
