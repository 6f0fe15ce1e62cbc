package convert

import (
	"fmt"
	"slices"
	"strings"

	"reprise/mlx/safetensors"
	"reprise/model/hub"
	"reprise/model/hub/layout"
)

// source is where a module's rows come from in the checkpoint.
type source struct {
	hub.Tensor
	rows, width int64 // of the source: its last axis, and all the others
	// Rows of the module: count in every block of stride rows of the source, from first on. A whole tensor is one block.
	first, count, stride int64
	plusOne              bool // 1 is added: published norms of Qwen 3.5
}

// sources finds every tensor of the layout. What is missing, of another shape or no float is an error that names it.
func sources(c *hub.Config, l *layout.Layout, w *hub.Weights) (map[string]source, error) {
	found := map[string]source{}
	shift := unshifted(w)
	for _, t := range l.Tensors {
		src, err := sourceOf(c, t, w)
		if err != nil {
			return nil, err
		}
		src.plusOne = shift && shiftedNorm(t)
		found[t.Name] = src
	}
	return found, nil
}

// rest sums up the tensors that no module takes, by component. One that not every conversion drops is an error that
// names it.
func rest(l *layout.Layout, w *hub.Weights, found map[string]source) (map[string]int64, error) {
	taken := map[string]bool{}
	for _, src := range found {
		taken[src.Name] = true
	}
	bytes := map[string]int64{}
	for _, t := range w.Tensors {
		if taken[t.Name] {
			continue
		}
		if !dropped(t.Name, l) {
			return nil, fmt.Errorf("tensor %s has no place in this architecture", t.Name)
		}
		bytes[hub.ComponentOf(t.Name)] += t.Bytes
	}
	return bytes, nil
}

// dropped says whether conversions leave the tensor out: towers, multi-token prediction, keys and values of layers that
// reuse others', and a head that is the embedding.
func dropped(name string, l *layout.Layout) bool {
	switch hub.ComponentOf(name) {
	case "vision", "audio", "mtp":
		return true
	case "head":
		return l.Tied
	}
	for _, part := range []string{"rotary_emb", "input_max", "input_min", "output_max", "output_min", ".self_attn.k_proj", ".self_attn.v_proj", ".self_attn.k_norm"} {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}

// unshifted says whether Qwen's norms are the published ones, which are less by 1: its convolutions are as published too.
func unshifted(w *hub.Weights) bool {
	return slices.ContainsFunc(w.Tensors, func(t hub.Tensor) bool {
		return strings.Contains(t.Name, "conv1d.weight") && len(t.Shape) > 0 && t.Shape[len(t.Shape)-1] != 1
	})
}

func shiftedNorm(t layout.Tensor) bool {
	return len(t.Shape) == 1 && slices.ContainsFunc([]string{
		".input_layernorm.weight", ".post_attention_layernorm.weight", "model.norm.weight", ".q_norm.weight", ".k_norm.weight",
	}, func(end string) bool { return strings.HasSuffix(t.Name, end) })
}

// names are those under which a module's tensor may stand, the converted one first.
func names(c *hub.Config, name string) []string {
	all := []string{name}
	inner, nested := strings.CutPrefix(name, "language_model.model.")
	switch {
	case nested:
		all = append(all, "model.language_model."+inner)
		if c.ModelType != "gemma4" {
			all = append(all, "model."+inner)
		}
	case strings.HasPrefix(name, "language_model."):
		all = append(all, strings.TrimPrefix(name, "language_model."))
	}
	return all
}

// stacks are the experts' modules as converted and as published, where gate and up are one tensor.
var stacks = []struct {
	module, published string
	half              int64 // of two; -1: all of it
}{
	{".switch_mlp.gate_proj.weight", ".experts.gate_up_proj", 0}, {".switch_mlp.up_proj.weight", ".experts.gate_up_proj", 1},
	{".switch_mlp.down_proj.weight", ".experts.down_proj", -1},
	{".experts.switch_glu.gate_proj.weight", ".experts.gate_up_proj", 0}, {".experts.switch_glu.up_proj.weight", ".experts.gate_up_proj", 1},
	{".experts.switch_glu.down_proj.weight", ".experts.down_proj", -1},
}

func sourceOf(c *hub.Config, t layout.Tensor, w *hub.Weights) (source, error) {
	for _, name := range names(c, t.Name) {
		if found, ok := w.Lookup(name); ok {
			return whole(t, found)
		}
		for _, s := range stacks {
			if base, ok := strings.CutSuffix(name, s.module); ok {
				if found, ok := w.Lookup(base + s.published); ok {
					return part(t, found, s.half)
				}
			}
		}
	}
	return source{}, fmt.Errorf("tensor %s is missing from the checkpoint", t.Name)
}

func checked(found hub.Tensor) (source, error) {
	if !slices.Contains([]safetensors.DType{safetensors.BF16, safetensors.F16, safetensors.F32}, found.DType) {
		what := fmt.Sprintf("holds %s: only float32, float16 and bfloat16 can be quantized", found.DType)
		if found.DType == safetensors.U32 {
			what = "is quantized already: quantize the original"
		}
		return source{}, fmt.Errorf("%s: tensor %s %s", found.File, found.Name, what)
	}
	src := source{Tensor: found, rows: 1, width: 1}
	for i, d := range found.Shape {
		if i == len(found.Shape)-1 {
			src.width = d
		} else {
			src.rows *= d
		}
	}
	return src, nil
}

// whole is a tensor as it is. A published convolution, [channels, 1, width], has the bytes of the converted one.
func whole(t layout.Tensor, found hub.Tensor) (source, error) {
	src, err := checked(found)
	if err != nil {
		return src, err
	}
	shape := found.Shape
	if t.Role == layout.Convolution && len(shape) == 3 && shape[1] == 1 {
		shape = []int64{shape[0], shape[2], 1}
		src.rows, src.width = shape[0]*shape[1], 1
	}
	if !slices.Equal(shape, t.Shape) {
		return src, fmt.Errorf("%s: tensor %s has shape %v, the config wants %v", found.File, found.Name, found.Shape, t.Shape)
	}
	src.count, src.stride = src.rows, src.rows
	return src, nil
}

// part is the experts' stacked weights, or one half of the rows of each.
func part(t layout.Tensor, found hub.Tensor, half int64) (source, error) {
	src, err := checked(found)
	if err != nil {
		return src, err
	}
	want := slices.Clone(t.Shape)
	if half >= 0 {
		want[1] *= 2
	}
	if !slices.Equal(found.Shape, want) {
		return src, fmt.Errorf("%s: tensor %s has shape %v, the config wants %v", found.File, found.Name, found.Shape, want)
	}
	src.count, src.stride = t.Shape[1], want[1]
	src.first = max(half, 0) * t.Shape[1]
	return src, nil
}
