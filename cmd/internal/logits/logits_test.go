package logits

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"reprise/cmd/internal/tiny"
	"reprise/mlx/safetensors"
	"reprise/model"
)

// tolerance is acceptance line 1.4's.
const tolerance = 1e-4

// read gives a tensor of 32-bit elements with its shape, without MLX.
func read(t *testing.T, path, name string) ([]uint32, []int64) {
	t.Helper()
	header, err := safetensors.ReadHeader(path)
	if err != nil {
		t.Fatal(err)
	}
	tensor, ok := header.Lookup(name)
	if !ok {
		t.Fatalf("%s has no tensor %s", path, name)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	words := make([]uint32, tensor.Bytes/4)
	for i := range words {
		words[i] = binary.LittleEndian.Uint32(raw[tensor.Offset+4*int64(i):])
	}
	return words, tensor.Shape
}

// The written file holds mlx-lm's logits and greedy ids, also of a bfloat16 checkpoint, also in chunks.
func TestFileAgreesWithMLXLM(t *testing.T) {
	for _, tt := range []struct {
		checkpoint string
		chunk      int
	}{{"tiny-f32", 0}, {"tiny-f32", 7}, {"tiny-bf16-untied", 0}} {
		dir := filepath.Join(tiny.Dir, tt.checkpoint)
		reference := filepath.Join(dir, "expected.safetensors")
		ids, _ := read(t, reference, "ids/2")
		o := Options{Model: dir, Chunk: tt.chunk, Decode: 12}
		for _, id := range ids {
			o.IDs = append(o.IDs, int32(id))
		}
		r, err := Compute(context.Background(), o)
		if err != nil {
			t.Fatal(err)
		}
		out := filepath.Join(t.TempDir(), "out.safetensors")
		if err := r.Write(out); err != nil {
			t.Fatal(err)
		}
		got, shape := read(t, out, "logits")
		want, wantShape := read(t, reference, "logits/2")
		if !slices.Equal(shape, wantShape) {
			t.Fatalf("%s: logits %v, want %v", tt.checkpoint, shape, wantShape)
		}
		for i := range want {
			if d := math.Abs(float64(math.Float32frombits(got[i])) - float64(math.Float32frombits(want[i]))); !(d <= tolerance) {
				t.Fatalf("%s in chunks of %d: element %d differs by %g", tt.checkpoint, tt.chunk, i, d)
			}
		}
		greedy, shape := read(t, out, "greedy")
		wantGreedy, _ := read(t, reference, "greedy/2")
		if !slices.Equal(shape, []int64{12}) || !slices.Equal(greedy, wantGreedy[:12]) || r.MinGap <= 0 {
			t.Errorf("%s: greedy %v %v with a lead of %v, want %v", tt.checkpoint, shape, greedy, r.MinGap, wantGreedy[:12])
		}
	}
}

func TestWithoutDecodeThereIsNoGreedy(t *testing.T) {
	r := &Result{Vocab: 2, Logits: []float32{1, 2, 3, 4}}
	out := filepath.Join(t.TempDir(), "out.safetensors")
	if err := r.Write(out); err != nil {
		t.Fatal(err)
	}
	header, err := safetensors.ReadHeader(out)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := header.Lookup("greedy"); ok || len(header.Tensors) != 1 {
		t.Errorf("%+v", header.Tensors)
	}
}

func TestIDsFile(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"[2, 818]", ""}, {" [ ]\n", ""}, {"", "empty"}, {"{}", "JSON object"}, {"7", "JSON number"}, {"null", "null"}, {"[1, 2", "valid JSON"},
		{"[1] [2]", "behind the array"}, {"[1] x", "behind the array"}, {"[1, 2.5]", "element 1 is 2.5"}, {`[1, "2"]`, `element 1 is "2"`},
		{"[-1]", "element 0 is -1"}, {"[2147483648]", "element 0"}, {"[1, null]", "element 1 is null"}, {"[[1]]", "element 0"},
	} {
		path := filepath.Join(t.TempDir(), "ids.json")
		if err := os.WriteFile(path, []byte(tt.text), 0o644); err != nil {
			t.Fatal(err)
		}
		ids, err := ReadIDs(path)
		if tt.want == "" {
			var want []int32
			if err != nil || json.Unmarshal([]byte(tt.text), &want) != nil || !slices.Equal(ids, want) {
				t.Errorf("%q gave %v, %v", tt.text, ids, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%q: %v, want %q and the file's name", tt.text, err, tt.want)
		}
	}
}

func TestIDsMustFitTheModel(t *testing.T) {
	info := model.Info{Vocab: 96, Context: 8}
	for _, tt := range []struct {
		ids    []int32
		decode int
		want   string
	}{
		{[]int32{0, 95}, 6, ""}, {nil, 0, "no ids"}, {[]int32{1, 96}, 0, "id 1 of the ids file (counted from 0) is 96: this model's ids are 0 to 95"},
		{make([]int32, 9), 0, "context of 8"}, {make([]int32, 5), 4, "5 ids and 4"},
	} {
		err := Check(tt.ids, tt.decode, info)
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%v and %d: %v, want %q", tt.ids, tt.decode, err, tt.want)
		}
	}
}
