package hub

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"reprise/mlx/safetensors"
)

// write makes files, and the folders they need, under root.
func write(t *testing.T, root string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, files)
	return dir
}

// weight declares a tensor of a test checkpoint; its bytes are fill, repeated.
type weight struct {
	name  string
	dtype safetensors.DType
	shape []int64
	fill  byte
}

func writeWeights(t *testing.T, path string, weights ...weight) {
	t.Helper()
	var specs []safetensors.Spec
	for _, w := range weights {
		specs = append(specs, safetensors.Spec{Name: w.name, DType: w.dtype, Shape: w.shape})
	}
	out, err := safetensors.Create(path, specs, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Abort()
	for _, w := range weights {
		tensor, err := out.Tensor(w.name)
		if err != nil {
			t.Fatal(err)
		}
		size := elements(w.shape) * w.dtype.Size()
		if _, err := tensor.Write([]byte(strings.Repeat(string([]byte{w.fill}), int(size)))); err != nil {
			t.Fatal(err)
		}
	}
	if err := out.Commit(); err != nil {
		t.Fatal(err)
	}
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// wantError checks that err's text has every part.
func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("no error; want one with %q", parts)
		return
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q lacks %q", err, part)
		}
	}
}
