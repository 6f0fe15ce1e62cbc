package hub

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestReadWeightsSharded(t *testing.T) {
	dir := folder(t, map[string]string{indexName: `{"metadata":{},"weight_map":{"b":"model-2.safetensors","a":"model-1.safetensors","c":"model-1.safetensors"}}`})
	writeWeights(t, filepath.Join(dir, "model-1.safetensors"), weight{"c", "F32", []int64{2, 3}, 1}, weight{"a", "BF16", []int64{4}, 2})
	writeWeights(t, filepath.Join(dir, "model-2.safetensors"), weight{"b", "U32", []int64{1}, 3})
	w, err := ReadWeights(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, tensor := range w.Tensors {
		names = append(names, tensor.Name+" in "+filepath.Base(tensor.File))
	}
	if want := []string{"a in model-1.safetensors", "b in model-2.safetensors", "c in model-1.safetensors"}; !slices.Equal(names, want) {
		t.Errorf("%v, want %v", names, want)
	}
	if w.Bytes() != 24+8+4 {
		t.Errorf("%d bytes, want 36", w.Bytes())
	}
	if c, ok := w.Lookup("c"); !ok || !slices.Equal(c.Shape, []int64{2, 3}) {
		t.Errorf("c: %+v %v", c, ok)
	}
	if _, ok := w.Lookup("d"); ok {
		t.Error("found a tensor that is not there")
	}
}

func TestReadWeightsErrors(t *testing.T) {
	one := func(t *testing.T, dir, file, tensor string) {
		writeWeights(t, filepath.Join(dir, file), weight{tensor, "F32", []int64{1}, 0})
	}
	tests := []struct {
		name  string
		setUp func(t *testing.T, dir string)
		parts []string
	}{
		{"nothing", func(*testing.T, string) {}, []string{"has no model.safetensors"}},
		{"index of an absent shard", func(t *testing.T, dir string) {
			write(t, dir, map[string]string{indexName: `{"weight_map":{"a":"model-9.safetensors"}}`})
		}, []string{indexName, "model-9.safetensors", "absent"}},
		{"index of a link to nothing", func(t *testing.T, dir string) {
			write(t, dir, map[string]string{indexName: `{"weight_map":{"a":"model-9.safetensors"}}`})
			if err := os.Symlink("../blobs/123", filepath.Join(dir, "model-9.safetensors")); err != nil {
				t.Fatal(err)
			}
		}, []string{"model-9.safetensors", "link to ../blobs/123"}},
		{"a shard outside the folder", func(t *testing.T, dir string) {
			write(t, dir, map[string]string{indexName: `{"weight_map":{"a":"../model.safetensors"}}`})
		}, []string{`"../model.safetensors"`, "no file name"}},
		{"an empty index", func(t *testing.T, dir string) { write(t, dir, map[string]string{indexName: `{}`}) }, []string{"weight_map is absent"}},
		{"a broken index", func(t *testing.T, dir string) { write(t, dir, map[string]string{indexName: `{`}) }, []string{indexName}},
		{"a tensor not where the index says", func(t *testing.T, dir string) {
			write(t, dir, map[string]string{indexName: `{"weight_map":{"a":"model-1.safetensors","b":"model-1.safetensors"}}`})
			one(t, dir, "model-1.safetensors", "a")
		}, []string{"tensor b should be in model-1.safetensors"}},
		{"a name twice", func(t *testing.T, dir string) {
			one(t, dir, "model-1.safetensors", "a")
			one(t, dir, "model-2.safetensors", "a")
		}, []string{"tensor a is in both"}},
		{"a truncated shard", func(t *testing.T, dir string) {
			one(t, dir, "model.safetensors", "a")
			if err := os.Truncate(filepath.Join(dir, "model.safetensors"), 20); err != nil {
				t.Fatal(err)
			}
		}, []string{"model.safetensors"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			test.setUp(t, dir)
			_, err := ReadWeights(dir)
			wantError(t, err, test.parts...)
		})
	}
}

// checkpointForFingerprint has one tensor longer than two samples.
func checkpointForFingerprint(t *testing.T) string {
	t.Helper()
	dir := folder(t, map[string]string{"config.json": `{"model_type":"x"}`, "tokenizer.json": "{}", "generation_config.json": "{}"})
	writeWeights(t, filepath.Join(dir, "model.safetensors"),
		weight{"big", "U8", []int64{3 * sampleBytes}, 1}, weight{"small", "F32", []int64{2, 3}, 2})
	return dir
}

func TestFingerprint(t *testing.T) {
	fingerprint := func(dir string) string {
		t.Helper()
		f, err := Fingerprint(dir)
		if err != nil || len(f) != 64 {
			t.Fatalf("%q, %v", f, err)
		}
		return f
	}
	base := fingerprint(checkpointForFingerprint(t))
	if again := fingerprint(checkpointForFingerprint(t)); again != base {
		t.Errorf("the same content in another folder: %s, then %s", base, again)
	}

	big := func(dir string) Tensor {
		w, err := ReadWeights(dir)
		if err != nil {
			t.Fatal(err)
		}
		tensor, _ := w.Lookup("big")
		return tensor
	}
	flip := func(at int64) func(dir string) { // a byte of the big tensor; from its end when negative
		return func(dir string) {
			tensor := big(dir)
			if at < 0 {
				at += tensor.Bytes
			}
			f, err := os.OpenFile(tensor.File, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if _, err := f.WriteAt([]byte{99}, tensor.Offset+at); err != nil {
				t.Fatal(err)
			}
		}
	}
	rewrite := func(weights ...weight) func(dir string) {
		return func(dir string) { writeWeights(t, filepath.Join(dir, "model.safetensors"), weights...) }
	}
	long := weight{"big", "U8", []int64{3 * sampleBytes}, 1}
	tests := []struct {
		name    string
		change  func(dir string)
		changes bool
	}{
		{"config", func(dir string) { write(t, dir, map[string]string{"config.json": `{"model_type":"y"}`}) }, true},
		{"tokenizer", func(dir string) { write(t, dir, map[string]string{"tokenizer.json": "{ }"}) }, true},
		{"generation config: no part of the state", func(dir string) { write(t, dir, map[string]string{"generation_config.json": "{ }"}) }, false},
		{"first byte", flip(0), true},
		{"last byte of the head", flip(sampleBytes - 1), true},
		{"middle", flip(sampleBytes), false},
		{"first byte of the tail", flip(-sampleBytes), true},
		{"last byte", flip(-1), true},
		{"shape", rewrite(long, weight{"small", "F32", []int64{3, 2}, 2}), true},
		{"dtype", rewrite(long, weight{"small", "I32", []int64{2, 3}, 2}), true},
		{"name", rewrite(long, weight{"smell", "F32", []int64{2, 3}, 2}), true},
		{"one tensor less", rewrite(long), true},
		{"two shards", func(dir string) {
			if err := os.Remove(filepath.Join(dir, "model.safetensors")); err != nil {
				t.Fatal(err)
			}
			writeWeights(t, filepath.Join(dir, "model-1.safetensors"), weight{"small", "F32", []int64{2, 3}, 2})
			writeWeights(t, filepath.Join(dir, "model-2.safetensors"), long)
		}, false},
	}
	for _, test := range tests {
		dir := checkpointForFingerprint(t)
		test.change(dir)
		if got := fingerprint(dir); (got != base) != test.changes {
			t.Errorf("%s: the fingerprint changes is %v, want %v", test.name, got != base, test.changes)
		}
	}
}

func TestFingerprintErrors(t *testing.T) {
	for _, name := range []string{"config.json", "tokenizer.json", "model.safetensors"} {
		dir := checkpointForFingerprint(t)
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		_, err := Fingerprint(dir)
		wantError(t, err, name)
	}
}
