package mlx

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"reprise/mlx/safetensors"
)

// unbound are the mlx-c functions that have vectors and no binding. TestEveryBoundOpHasACase fails when one of
// them becomes bound, so that its vectors are put to use.
var unbound = []string{
	"all", "all_axes", "all_axis", "any", "any_axes", "any_axis", "argmax", "argmin", "expand_dims_axes", "floor_divide",
	"isinf", "logaddexp", "logsumexp", "logsumexp_axes", "max", "max_axes", "mean", "mean_axes", "min", "min_axes", "prod",
	"prod_axes", "random_categorical_num_samples", "random_split_num", "reciprocal", "remainder", "round", "sign",
	"softmax_axes", "squeeze", "sum", "sum_axes", "take", "transpose", "tril", "triu", "var", "var_axes", "var_axis",
}

// tested are the bound ops whose test is not a vector.
var tested = map[string]func(*testing.T){"random_bits": TestRandomBitsAreThreefry}

// opCase is one case of testdata/ops.json; README.md there says what the fields mean.
type opCase struct {
	Op, Case        string
	Inputs, Outputs []string
	Attrs           attrs
	Tol             float64
	Compare         string
	Views           map[int]struct {
		Transpose []int
		Slice     [][]int // start, stop, strides
	}
	CPUOnly bool `json:"cpu_only"`
}

type attrs map[string]json.RawMessage

// get reads an attribute that must be there: a dispatch that misspells one fails its case.
func get[T any](a attrs, name string) T {
	var v T
	if err := json.Unmarshal(a[name], &v); err != nil {
		panic(fmt.Sprintf("attribute %q: %v", name, err))
	}
	return v
}

func (a attrs) null(name string) bool { return string(a[name]) == "null" }

// axis is the attribute axis, or the only one of axes.
func (a attrs) axis() int {
	if _, ok := a["axis"]; ok {
		return get[int](a, "axis")
	}
	axes := get[[]int](a, "axes")
	if len(axes) != 1 {
		panic(fmt.Sprintf("axes %v: the op takes one", axes))
	}
	return axes[0]
}

func (a attrs) dtype() Dtype {
	d, err := parseDtype(get[string](a, "dtype"))
	if err != nil {
		panic(err)
	}
	return d
}

// ropeBase is 0 where freqs stand in its place, as the bindings have it.
func (a attrs) ropeBase() float32 {
	if a.null("base") {
		return 0
	}
	return get[float32](a, "base")
}

// function is the mlx-c function, without its mlx_, that this case is for: python's one name stands for several.
func (c *opCase) function() string {
	axes := func() string { // the suffix of the form of the op
		switch {
		case c.Attrs.null("axes"), c.Attrs.null("axis"):
			return ""
		case c.Attrs["axes"] != nil && len(get[[]int](c.Attrs, "axes")) != 1:
			return "_axes"
		}
		return "_axis"
	}
	choose := func(isFirst bool, first, second string) string {
		if isFirst {
			return first
		}
		return second
	}
	switch c.Op {
	case "sum", "mean", "max", "min", "prod", "logsumexp", "var", "all", "any", "softmax", "squeeze", "argmax", "argmin",
		"cumsum", "sort", "argsort", "partition", "argpartition", "topk", "concatenate", "stack", "repeat", "take":
		return c.Op + axes()
	case "expand_dims":
		return strings.TrimSuffix(c.Op+axes(), "_axis")
	case "transpose":
		return choose(c.Attrs.null("axes"), "transpose", "transpose_axes")
	case "split":
		return choose(c.Attrs["indices"] == nil, "split", "split_sections")
	case "rms_norm", "layer_norm", "scaled_dot_product_attention":
		return "fast_" + c.Op
	case "rope":
		return choose(get[bool](c.Attrs, "offset_array"), "fast_rope_dynamic", "fast_rope")
	case "random_split":
		return choose(get[int](c.Attrs, "num") == 2, "random_split", "random_split_num")
	case "random_categorical":
		return choose(c.Attrs.null("num_samples"), "random_categorical", "random_categorical_num_samples")
	}
	return c.Op
}

func readCases(t *testing.T) []opCase {
	t.Helper()
	raw, err := os.ReadFile("testdata/ops.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Cases []opCase }
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatalf("ops.json: %v", err)
	}
	if len(file.Cases) == 0 {
		t.Fatal("ops.json: no cases")
	}
	return file.Cases
}

// readBound gives the functions of ops.txt, without mlx_.
func readBound(t *testing.T) []string {
	t.Helper()
	raw, err := os.ReadFile("ops.txt")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for line := range strings.Lines(string(raw)) {
		line, _, _ = strings.Cut(line, "#")
		if f := strings.Fields(line); len(f) >= 2 {
			names = append(names, strings.TrimPrefix(f[1], "mlx_"))
		}
	}
	return names
}

func TestEveryBoundOpHasACase(t *testing.T) {
	cases, bound := make(map[string]int), readBound(t)
	for _, c := range readCases(t) {
		cases[c.function()]++
	}
	for _, name := range bound {
		switch {
		case slices.Contains(unbound, name):
			t.Errorf("%s is bound now: add it to dispatch and take it out of the list unbound", name)
		case tested[name] != nil:
		case dispatch[name] == nil:
			t.Errorf("%s is bound in ops.txt and not in the table dispatch", name)
		case cases[name] == 0:
			t.Errorf("%s has no case in testdata/ops.json: add one to make_ops.py", name)
		}
	}
	for name := range dispatch {
		if name != "random_key" && !slices.Contains(bound, name) { // Scope.Key is ours
			t.Errorf("dispatch has %s, ops.txt has not", name)
		}
	}
	for _, name := range unbound {
		if cases[name] == 0 {
			t.Errorf("the list unbound has %s, which no case needs", name)
		}
	}
}

func TestOpsMatchTheirReference(t *testing.T) {
	devices := []Device{CPU}
	if HasGPU() {
		devices = append(devices, GPU)
	}
	cases, tensors := readCases(t), readVectors(t)
	for _, device := range devices {
		t.Run(device.String(), func(t *testing.T) {
			before := LiveArrays()
			w, err := Start(device)
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			for _, c := range cases {
				t.Run(c.Op+"/"+c.Case, func(t *testing.T) { c.check(t, w, tensors) })
			}
			if n := LiveArrays() - before; n != 0 {
				t.Errorf("%d arrays leaked", n)
			}
		})
	}
}

// vectors are the tensors of testdata/ops.safetensors. They are read in Go: MLX loads no float64.
type vectors struct {
	file   []byte
	header *safetensors.Header
}

func readVectors(t *testing.T) *vectors {
	t.Helper()
	const path = "testdata/ops.safetensors"
	header, err := safetensors.ReadHeader(path)
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return &vectors{file, header}
}

var vectorDtypes = map[safetensors.DType]Dtype{
	safetensors.Bool: Bool, safetensors.U8: Uint8, safetensors.U16: Uint16, safetensors.U32: Uint32, safetensors.U64: Uint64,
	safetensors.I8: Int8, safetensors.I16: Int16, safetensors.I32: Int32, safetensors.I64: Int64,
	safetensors.F16: Float16, safetensors.BF16: BFloat16, safetensors.F32: Float32, safetensors.F64: Float64,
}

func (v *vectors) array(s *Scope, name string) Array {
	t, ok := v.header.Lookup(name)
	if !ok {
		s.Fail(fmt.Errorf("ops.safetensors has no tensor %q", name))
		return Array{}
	}
	shape := make([]int, len(t.Shape))
	for i, d := range t.Shape {
		shape[i] = int(d)
	}
	return s.FromBytes(v.file[t.Offset:t.Offset+t.Bytes], vectorDtypes[t.DType], shape...)
}

func (c *opCase) check(t *testing.T, w *Worker, tensors *vectors) {
	name := c.function()
	run := dispatch[name]
	switch {
	case slices.Contains(unbound, name):
		t.Skipf("mlx_%s is not bound", name)
	case run == nil:
		t.Fatalf("mlx_%s is neither in the table dispatch nor in the list unbound", name)
	case c.CPUOnly && w.Device() != CPU:
		t.Skip("GPUs have no float64")
	}
	err := w.Do(context.Background(), func(s *Scope) error {
		in := make([]Array, len(c.Inputs))
		for i, key := range c.Inputs {
			in[i] = c.viewed(s, i, tensors.array(s, key))
		}
		out := run(s, in, c.Attrs)
		if err := s.Err(); err != nil {
			return err
		}
		if len(out) != len(c.Outputs) {
			return fmt.Errorf("%d outputs, want %d", len(out), len(c.Outputs))
		}
		for i, key := range c.Outputs {
			if err := c.compare(s, in, out[i], tensors.array(s, key)); err != nil {
				return fmt.Errorf("output %d: %w", i, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func (c *opCase) viewed(s *Scope, i int, a Array) Array {
	v := c.Views[i]
	if v.Transpose != nil {
		return s.Transpose(a, v.Transpose)
	}
	if v.Slice != nil {
		return s.Slice(a, v.Slice[0], v.Slice[1], v.Slice[2])
	}
	return a
}

// parseDtype takes the names that the cases have ("float32", "bfloat16", …).
func parseDtype(name string) (Dtype, error) {
	for d := Bool; int(d) < len(dtypes); d++ {
		if dtypes[d].name == name {
			return d, nil
		}
	}
	return DefaultDtype, fmt.Errorf("unknown dtype %q", name)
}
