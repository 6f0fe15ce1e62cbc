package importer

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"reprise/model/hub/gguf"
)

// architecture says how a GGUF architecture becomes a checkpoint.
type architecture struct {
	modelType string
	// sizes reads the sizes that shapes are written in.
	sizes func(f *gguf.File) (sizes, error)
	// global and block list the tensors by their names in the GGUF, block ones
	// without their "blk.N." and for the Hugging Face name without layerPrefix.
	global, block map[string]target
	layerPrefix   string // of the Hugging Face name, with %d for the layer
	config        func(f *gguf.File, s sizes) (map[string]any, error)
}

// sizes of a model, in elements.
type sizes struct {
	layers, hidden, ffn, heads, kvHeads, headDim, vocab int64
}

// target is what a tensor of the file becomes.
type target struct {
	name     string
	shape    func(s sizes) []int64
	plusOne  bool // the file holds 1 + w, the checkpoint w
	optional bool
}

// architectureOf finds the architecture of a file by the name in its metadata.
func architectureOf(f *gguf.File) (*architecture, error) {
	name, err := gguf.Value[string](f, "general.architecture")
	if err != nil {
		return nil, err
	}
	switch name {
	case "gemma3":
		return gemma3(), nil
	}
	return nil, fmt.Errorf("%s: architecture %q cannot be imported (gemma3 can)", f.Path, name)
}

// placed is a tensor of the file with the place it goes to.
type placed struct {
	source  gguf.Tensor
	name    string // Hugging Face name, ending in ".weight"
	plusOne bool
	half    bool // its scales and biases are written in half precision, exactly (findHalves)
}

// place maps every tensor of the file, and fails by name on one that is
// unknown, missing, of the wrong shape or of a type that cannot be read.
// The result is sorted by name.
func (a *architecture) place(f *gguf.File, s sizes) ([]placed, error) {
	var out []placed
	have := make(map[string]bool, len(f.Tensors))
	for _, t := range f.Tensors {
		to, name, ok := a.find(t.Name, s)
		if !ok {
			return nil, fmt.Errorf("%s: tensor %q is not part of %s", f.Path, t.Name, a.modelType)
		}
		if want := to.shape(s); !slices.Equal(t.Shape, want) {
			return nil, fmt.Errorf("%s: tensor %q has shape %v, %s needs %v", f.Path, t.Name, t.Shape, a.modelType, want)
		}
		if !gguf.CanDequantize(t.Type) {
			return nil, fmt.Errorf("%s: tensor %q is %s, which cannot be imported", f.Path, t.Name, t.Type)
		}
		if !isFloat(t.Type) && (to.plusOne || len(t.Shape) != 2 || t.Columns()%groupSize != 0) {
			return nil, fmt.Errorf("%s: tensor %q is %s of shape %v: quantized tensors must be matrices with rows of whole groups of %d",
				f.Path, t.Name, t.Type, t.Shape, groupSize)
		}
		have[t.Name] = true
		out = append(out, placed{source: t, name: name, plusOne: to.plusOne})
	}
	if missing := a.missing(have, s); missing != "" {
		return nil, fmt.Errorf("%s: tensor %q is missing", f.Path, missing)
	}
	slices.SortFunc(out, func(a, b placed) int { return strings.Compare(a.name, b.name) })
	return out, nil
}

// find looks a GGUF tensor name up in the tables.
func (a *architecture) find(name string, s sizes) (to target, hfName string, ok bool) {
	rest, isBlock := strings.CutPrefix(name, "blk.")
	if !isBlock {
		to, ok = a.global[name]
		return to, to.name, ok
	}
	number, rest, _ := strings.Cut(rest, ".")
	layer, err := strconv.ParseInt(number, 10, 32)
	// The comparison refuses second spellings of a layer, such as "+1" and "01".
	if err != nil || layer < 0 || layer >= s.layers || number != strconv.FormatInt(layer, 10) {
		return target{}, "", false
	}
	to, ok = a.block[rest]
	return to, fmt.Sprintf(a.layerPrefix, layer) + to.name, ok
}

// missing names the first required tensor that the file lacks, or "".
func (a *architecture) missing(have map[string]bool, s sizes) string {
	var lacks []string
	for name, to := range a.global {
		if !to.optional && !have[name] {
			lacks = append(lacks, name)
		}
	}
	for name, to := range a.block {
		for layer := range s.layers {
			if full := fmt.Sprintf("blk.%d.%s", layer, name); !to.optional && !have[full] {
				lacks = append(lacks, full)
				break
			}
		}
	}
	if len(lacks) == 0 {
		return ""
	}
	return slices.Min(lacks)
}

func isFloat(t gguf.Type) bool { return t == gguf.F32 || t == gguf.F16 || t == gguf.BF16 }
