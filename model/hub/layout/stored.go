package layout

import (
	"slices"
	"strings"

	"reprise/mlx/safetensors"
	"reprise/model/hub"
)

// Dtype is the type of what is not quantized: the config's, bfloat16 where it says none.
func Dtype(c *hub.Config) safetensors.DType {
	switch c.DType {
	case "float32":
		return safetensors.F32
	case "float16":
		return safetensors.F16
	}
	return safetensors.BF16
}

// Rule is how the config has t quantized. A matrix whose rows do not fill groups is left as it is, as MLX leaves it.
func Rule(c *hub.Config, t Tensor) (hub.Spec, bool) {
	if !t.Quantizable {
		return hub.Spec{}, false
	}
	spec, ok := c.Quantization.For(t.Module())
	return spec, ok && t.Shape[len(t.Shape)-1]%int64(spec.GroupSize) == 0
}

// Stored are the tensors that t is in a checkpoint whose config is c: itself, or packed words with scales and, in affine
// mode, biases.
func Stored(c *hub.Config, t Tensor) []safetensors.Spec {
	spec, ok := Rule(c, t)
	if !ok {
		dtype := Dtype(c)
		if t.Float32 {
			dtype = safetensors.F32
		}
		return []safetensors.Spec{{Name: t.Name, DType: dtype, Shape: t.Shape}}
	}
	return Packed(t, spec, Dtype(c))
}

// Packed are t's tensors quantized by spec; affine scales and biases are of type dtype, those of the other modes are
// bytes.
func Packed(t Tensor, spec hub.Spec, dtype safetensors.DType) []safetensors.Spec {
	in := t.Shape[len(t.Shape)-1]
	with := func(last int64) []int64 { return append(slices.Clone(t.Shape[:len(t.Shape)-1]), last) }
	words, groups := with(in*int64(spec.Bits)/32), with(in/int64(spec.GroupSize))
	if spec.Mode != "affine" {
		return []safetensors.Spec{{Name: t.Name, DType: safetensors.U32, Shape: words}, {Name: t.Module() + ".scales", DType: safetensors.U8, Shape: groups}}
	}
	return []safetensors.Spec{
		{Name: t.Name, DType: safetensors.U32, Shape: words},
		{Name: t.Module() + ".scales", DType: dtype, Shape: groups},
		{Name: t.Module() + ".biases", DType: dtype, Shape: groups},
	}
}

// Weights are the headers that a checkpoint of c would have, without files.
func (l *Layout) Weights(c *hub.Config) *hub.Weights {
	w := &hub.Weights{}
	for _, t := range l.Tensors {
		for _, s := range Stored(c, t) {
			n := s.DType.Size()
			for _, d := range s.Shape {
				n *= d
			}
			w.Tensors = append(w.Tensors, hub.Tensor{Tensor: safetensors.Tensor{Name: s.Name, DType: s.DType, Shape: s.Shape, Bytes: n}})
		}
	}
	slices.SortFunc(w.Tensors, func(a, b hub.Tensor) int { return strings.Compare(a.Name, b.Name) })
	return w
}
