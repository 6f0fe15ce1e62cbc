package hub

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Spec says how a matrix is quantized: groups of GroupSize inputs share a
// scale, each weight has Bits bits, and Mode is MLX's name for the rule.
type Spec struct {
	GroupSize int    `json:"group_size"`
	Bits      int    `json:"bits"`
	Mode      string `json:"mode"`
}

// Quantization is config.json's quantization block: a rule for every quantized
// module, and exceptions by module path.
type Quantization struct {
	Spec
	Overrides map[string]*Spec // nil: this module is not quantized
}

// For returns the rule for the module at path ("model.layers.3.mlp.up_proj",
// no ".weight"), or false when the block says that it is not quantized. The
// block need not say so: a module without a ".scales" tensor is not either.
// Paths with and without a leading "language_model." mean the same module.
func (q *Quantization) For(path string) (Spec, bool) {
	if q == nil {
		return Spec{}, false
	}
	const prefix = "language_model."
	inner := strings.TrimPrefix(path, prefix)
	for _, key := range []string{path, inner, prefix + inner} {
		if spec, ok := q.Overrides[key]; ok {
			if spec == nil {
				return Spec{}, false
			}
			return *spec, true
		}
	}
	return q.Spec, true
}

// Fit returns the rule for the module at path as its tensors' shapes have it.
// packed and scales are the last dimensions of ".weight" (uint32 words) and
// ".scales". Some conversions leave out an override: then the bits follow from
// the shapes, with the block's group size kept where it can be.
func (q *Quantization) Fit(path string, packed, scales int64) (Spec, error) {
	spec, ok := q.For(path)
	if !ok {
		spec = Spec{GroupSize: 64, Bits: 4, Mode: "affine"}
		if q != nil {
			spec = q.Spec
		}
	}
	if packed > 0 && scales > 0 && packed*32%scales == 0 {
		bitsPerGroup := int(packed * 32 / scales)
		if bitsPerGroup == spec.Bits*spec.GroupSize {
			return spec, nil
		}
		for _, group := range []int{spec.GroupSize, 32, 64, 128} {
			if bits := bitsPerGroup / group; bits*group == bitsPerGroup && slices.Contains(affineBits, bits) && spec.Mode == "affine" {
				return Spec{GroupSize: group, Bits: bits, Mode: spec.Mode}, nil
			}
		}
	}
	return Spec{}, fmt.Errorf("%s: %d packed words and %d scales a row fit no quantization of mode %s (config.json says %d bits, group %d)",
		path, packed, scales, spec.Mode, spec.Bits, spec.GroupSize)
}

// affineBits are the widths of MLX's affine mode; group sizes are 32, 64, 128.
var affineBits = []int{2, 3, 4, 5, 6, 8}

// modeDefaults are MLX's group size and bits where a block leaves them out.
var modeDefaults = map[string]Spec{
	"affine": {64, 4, "affine"},
	"mxfp4":  {32, 4, "mxfp4"},
	"mxfp8":  {32, 8, "mxfp8"},
	"nvfp4":  {16, 4, "nvfp4"},
}

// parseQuantization reads the block. Its keys are the rule's own fields and
// module paths, whose values are objects, or false for "not quantized".
func parseQuantization(raw json.RawMessage) (*Quantization, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		return nil, fmt.Errorf("quantization: %w", err)
	}
	if fields == nil { // null
		return nil, nil
	}
	if method, ok := fields["quant_method"]; ok {
		return nil, fmt.Errorf("quantization: the method %s is not supported: MLX's affine, mxfp4, mxfp8 and nvfp4 are", method)
	}
	spec, err := parseSpec(raw)
	if err != nil {
		return nil, fmt.Errorf("quantization: %w", err)
	}
	q := &Quantization{Spec: spec, Overrides: map[string]*Spec{}}
	for path, value := range fields {
		override, isPath, err := parseOverride(value, spec)
		if err != nil {
			return nil, fmt.Errorf("quantization of %s: %w", path, err)
		}
		if isPath {
			q.Overrides[path] = override
		}
	}
	return q, nil
}

// parseOverride reads one value of the block; isPath is false for the rule's
// own fields, which are numbers and strings.
func parseOverride(value json.RawMessage, base Spec) (spec *Spec, isPath bool, err error) {
	switch string(value) {
	case "false":
		return nil, true, nil
	case "true":
		return &base, true, nil
	}
	if value[0] != '{' {
		return nil, false, nil
	}
	own, err := parseSpec(value)
	return &own, true, err
}

// parseSpec reads a rule. What an override leaves out is its mode's default,
// not the block's value: so MLX reads it.
func parseSpec(raw json.RawMessage) (Spec, error) {
	var fields struct {
		GroupSize *int    `json:"group_size"`
		Bits      *int    `json:"bits"`
		Mode      *string `json:"mode"`
	}
	if err := json.Unmarshal(raw, &fields); err != nil {
		return Spec{}, err
	}
	mode := "affine"
	if fields.Mode != nil {
		mode = *fields.Mode
	}
	spec, ok := modeDefaults[mode]
	if !ok {
		return Spec{}, fmt.Errorf("mode %q is not supported: affine, mxfp4, mxfp8 and nvfp4 are", mode)
	}
	if fields.GroupSize != nil {
		spec.GroupSize = *fields.GroupSize
	}
	if fields.Bits != nil {
		spec.Bits = *fields.Bits
	}
	return spec, spec.validate()
}

// NewSpec is the rule of that mode; 0 bits and a group of 0 are the mode's defaults. What MLX does not have is an error.
func NewSpec(mode string, bits, group int) (Spec, error) {
	spec, ok := modeDefaults[mode]
	if !ok {
		return Spec{}, fmt.Errorf("mode %q is not supported: affine, mxfp4, mxfp8 and nvfp4 are", mode)
	}
	if bits != 0 {
		spec.Bits = bits
	}
	if group != 0 {
		spec.GroupSize = group
	}
	return spec, spec.validate()
}

func (s Spec) validate() error {
	if s.Mode != "affine" {
		if s != modeDefaults[s.Mode] {
			return fmt.Errorf("mode %s with %d bits and group %d is not supported: it has %d bits and group %d",
				s.Mode, s.Bits, s.GroupSize, modeDefaults[s.Mode].Bits, modeDefaults[s.Mode].GroupSize)
		}
		return nil
	}
	if !slices.Contains(affineBits, s.Bits) {
		return fmt.Errorf("%d bits are not supported: 2, 3, 4, 5, 6 and 8 are", s.Bits)
	}
	if s.GroupSize != 32 && s.GroupSize != 64 && s.GroupSize != 128 {
		return fmt.Errorf("groups of %d are not supported: 32, 64 and 128 are", s.GroupSize)
	}
	return nil
}
