package tiny

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"reprise/mlx/safetensors"
)

// Dir is where the checkpoints are, from a package under cmd/internal.
const Dir = "../../../model/gemma3/testdata"

// Copy copies the checkpoint of that name ("tiny-f32") into a folder of the test's own.
func Copy(t testing.TB, name string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(Dir, name))); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Config changes keys of the copy's config.json.
func Config(t testing.TB, dir string, change map[string]any) {
	t.Helper()
	path := filepath.Join(dir, "config.json")
	var config map[string]any
	raw, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(raw, &config)
	}
	if err != nil {
		t.Fatal(err)
	}
	for key, value := range change {
		config[key] = value
	}
	if raw, err = json.Marshal(config); err == nil {
		err = os.WriteFile(path, raw, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Truncate cuts bytes off the end of the copy's weights.
func Truncate(t testing.TB, dir string, bytes int64) {
	t.Helper()
	path := weights(dir)
	info, err := os.Stat(path)
	if err == nil {
		err = os.Truncate(path, info.Size()-bytes)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Lie replaces old in the weights' JSON header by something of the same length.
func Lie(t testing.TB, dir, old, replacement string) {
	t.Helper()
	path := weights(dir)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	n := 8 + binary.LittleEndian.Uint64(raw)
	if len(old) != len(replacement) || bytes.Count(raw[:n], []byte(old)) == 0 {
		t.Fatalf("%q cannot replace %q in the header", replacement, old)
	}
	raw = append(bytes.Replace(raw[:n], []byte(old), []byte(replacement), 1), raw[n:]...)
	if err := os.WriteFile(path, raw, 0o644); err != nil {
		t.Fatal(err)
	}
}

// Rewrite writes the weights again with what change makes of each tensor; false leaves it out.
func Rewrite(t testing.TB, dir string, change func(spec *safetensors.Spec) bool) {
	t.Helper()
	path := weights(dir)
	header, err := safetensors.ReadHeader(path)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var specs []safetensors.Spec
	data := map[string][]byte{}
	for _, tensor := range header.Tensors {
		spec := safetensors.Spec{Name: tensor.Name, DType: tensor.DType, Shape: tensor.Shape}
		if change(&spec) {
			specs = append(specs, spec)
			data[spec.Name] = raw[tensor.Offset : tensor.Offset+tensor.Bytes]
		}
	}
	w, err := safetensors.Create(path, specs, header.Metadata)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	for name, b := range data {
		tensor, err := w.Tensor(name)
		if err == nil {
			_, err = tensor.Write(b)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
}

func weights(dir string) string { return filepath.Join(dir, "model.safetensors") }
