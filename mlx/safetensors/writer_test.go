package safetensors

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

var testSpecs = []Spec{
	{"z", U32, []int64{2}}, {"b", U8, []int64{3}}, {"a", F64, nil}, {"h", F16, []int64{1, 1}}, {"m", F32, []int64{1}},
}

// fill writes every tensor's own name over and over, in chunks of step bytes.
func fill(t *testing.T, w *Writer, names []string, bytes map[string]int, step int) {
	t.Helper()
	for _, name := range names {
		tensor, err := w.Tensor(name)
		if err != nil {
			t.Fatal(err)
		}
		for data := strings.Repeat(name, bytes[name]); data != ""; {
			n := min(step, len(data))
			if _, err := tensor.Write([]byte(data[:n])); err != nil {
				t.Fatal(err)
			}
			data = data[n:]
		}
	}
}

var testBytes = map[string]int{"z": 8, "b": 3, "a": 8, "h": 2, "m": 4}

// TestWriterBytes states the whole file: the layout is part of the contract
// that the same tensors give the same bytes.
func TestWriterBytes(t *testing.T) {
	const header = `{"__metadata__":{"format":"mlx"},` +
		`"a":{"dtype":"F64","shape":[],"data_offsets":[0,8]},` +
		`"b":{"dtype":"U8","shape":[3],"data_offsets":[22,25]},` +
		`"h":{"dtype":"F16","shape":[1,1],"data_offsets":[20,22]},` +
		`"m":{"dtype":"F32","shape":[1],"data_offsets":[8,12]},` +
		`"z":{"dtype":"U32","shape":[2],"data_offsets":[12,20]}}`
	padded := header + strings.Repeat(" ", (8-len(header)%8)%8)
	want := string(file(padded, 0)) + "aaaaaaaa" + "mmmm" + "zzzzzzzz" + "hh" + "bbb"

	orders := [][]string{{"z", "b", "a", "h", "m"}, {"a", "b", "h", "m", "z"}}
	for step, order := range orders {
		path := filepath.Join(t.TempDir(), "out.safetensors")
		w, err := Create(path, testSpecs, map[string]string{"format": "mlx"})
		if err != nil {
			t.Fatal(err)
		}
		fill(t, w, order, testBytes, step+1)
		if err := w.Commit(); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != want {
			t.Errorf("order %v: wrote %q, want %q", order, got, want)
		}
		h, err := ReadHeader(path)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, tensor := range h.Tensors {
			names = append(names, tensor.Name)
			if size := tensor.DType.Size(); tensor.Offset%size != 0 {
				t.Errorf("%s at %d is not aligned to %d", tensor.Name, tensor.Offset, size)
			}
		}
		if want := []string{"a", "m", "z", "h", "b"}; !reflect.DeepEqual(names, want) {
			t.Errorf("order of data %v, want %v", names, want)
		}
	}
}

func TestWriterLeavesNothingUnfinished(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "out.safetensors")
	expectEmpty := func(when string) {
		t.Helper()
		entries, err := os.ReadDir(dir)
		if err != nil || len(entries) != 0 {
			t.Errorf("%s: directory holds %v (%v)", when, entries, err)
		}
	}
	w, err := Create(path, testSpecs, nil)
	if err != nil {
		t.Fatal(err)
	}
	fill(t, w, []string{"z", "b", "a", "h"}, testBytes, 4)
	if err := w.Commit(); err == nil || !strings.Contains(err.Error(), `"m" has 0 of 4 bytes`) {
		t.Errorf("an incomplete file: error %v", err)
	}
	expectEmpty("after an incomplete commit")
	if err := w.Commit(); err == nil {
		t.Error("a second commit succeeded")
	}

	if w, err = Create(path, testSpecs, nil); err != nil {
		t.Fatal(err)
	}
	w.Abort()
	w.Abort()
	expectEmpty("after an abort")
}

func TestWriterRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out.safetensors")
	for _, c := range []struct {
		name  string
		specs []Spec
		want  string
	}{
		{"duplicate", []Spec{{"a", U8, nil}, {"a", U8, nil}}, `"a" is declared twice`},
		{"dtype", []Spec{{"a", "F7", nil}}, `unknown dtype "F7"`},
		{"overflow", []Spec{{"a", F64, []int64{1 << 30, 1 << 30, 1}}}, "overflows"},
		{"metadata name", []Spec{{"__metadata__", U8, nil}}, "not a tensor name"},
	} {
		if _, err := Create(path, c.specs, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
	}
	w, err := Create(path, []Spec{{"a", U8, []int64{2}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	if _, err := w.Tensor("b"); err == nil || !strings.Contains(err.Error(), `"b" was not declared`) {
		t.Errorf("undeclared tensor: error %v", err)
	}
	a, err := w.Tensor("a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Write(make([]byte, 3)); err == nil || !strings.Contains(err.Error(), "3 bytes written where 2 are left") {
		t.Errorf("too much data: error %v", err)
	}
}
