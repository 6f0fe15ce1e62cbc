package convert

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"reprise/model/hub"
	"reprise/model/hub/layout"
)

// Override is an exception by module path. Of several that match the last one counts.
type Override struct {
	Pattern string    // as path.Match has it; * stands for any characters, dots too
	Spec    *hub.Spec // nil: not quantized
}

// ParseOverride reads "PATTERN=false", "PATTERN=BITS", "PATTERN=BITS:GROUP" and "PATTERN=BITS:GROUP:MODE".
func ParseOverride(text string) (Override, error) {
	pattern, rule, ok := strings.Cut(text, "=")
	if !ok || pattern == "" {
		return Override{}, fmt.Errorf("%q is not PATTERN=BITS:GROUP or PATTERN=false", text)
	}
	if _, err := path.Match(pattern, ""); err != nil {
		return Override{}, fmt.Errorf("pattern %q: %w", pattern, err)
	}
	if rule == "false" {
		return Override{Pattern: pattern}, nil
	}
	parts := strings.Split(rule, ":")
	numbers := make([]int, 2)
	for i, part := range parts[:min(len(parts), 2)] {
		n, err := strconv.Atoi(part)
		if err != nil || n < 1 {
			return Override{}, fmt.Errorf("%q is not PATTERN=BITS:GROUP or PATTERN=false", text)
		}
		numbers[i] = n
	}
	mode := "affine"
	if len(parts) > 2 {
		mode = strings.Join(parts[2:], ":")
	}
	spec, err := hub.NewSpec(mode, numbers[0], numbers[1])
	if err != nil {
		return Override{}, fmt.Errorf("%s: %w", text, err)
	}
	return Override{Pattern: pattern, Spec: &spec}, nil
}

// Recipes mix two widths, as mlx-lm's do: values, outputs of the MLP in some layers and the head get the higher one.
var Recipes = map[string][2]int{"mixed_2_6": {2, 6}, "mixed_3_4": {3, 4}, "mixed_3_6": {3, 6}, "mixed_4_6": {4, 6}}

// RecipeNames are the recipes, sorted.
func RecipeNames() []string {
	var names []string
	for name := range Recipes {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Rules decide how each module is quantized.
type Rules struct {
	Spec      hub.Spec
	Recipe    string // "" or one of Recipes; its widths stand for Spec's
	Overrides []Override
}

// Base is the rule that most modules have.
func (r Rules) Base() hub.Spec {
	base := r.Spec
	if widths, ok := Recipes[r.Recipe]; ok {
		base.Bits = widths[0]
	}
	return base
}

// For is the rule of t in a model of that many layers; false: it stays as it is.
func (r Rules) For(t layout.Tensor, layers int) (hub.Spec, bool) {
	base := r.Base()
	if !t.Quantizable || t.Shape[len(t.Shape)-1]%int64(base.GroupSize) != 0 {
		return hub.Spec{}, false
	}
	module := t.Module()
	for _, o := range slices.Backward(r.Overrides) {
		if ok, _ := path.Match(o.Pattern, module); ok {
			if o.Spec == nil || t.Shape[len(t.Shape)-1]%int64(o.Spec.GroupSize) != 0 {
				return hub.Spec{}, false
			}
			return *o.Spec, true
		}
	}
	eight := hub.Spec{GroupSize: 64, Bits: 8, Mode: "affine"}
	switch {
	case router(module), base.Bits < 8 && strings.HasSuffix(module, "embed_tokens_per_layer"):
		return eight, t.Shape[len(t.Shape)-1]%64 == 0
	}
	if widths, ok := Recipes[r.Recipe]; ok && higher(module, layers) {
		base.Bits = widths[1]
	}
	return base, true
}

func router(module string) bool {
	return strings.HasSuffix(module, "router.proj") || strings.HasSuffix(module, "mlp.gate") || strings.HasSuffix(module, "shared_expert_gate")
}

var layerNumber = regexp.MustCompile(`(?:^|\.)layers\.(\d+)\.`)

// higher is mlx-lm's rule for its mixed recipes.
func higher(module string, layers int) bool {
	index := 0
	if m := layerNumber.FindStringSubmatch(module); m != nil {
		index, _ = strconv.Atoi(m[1])
	}
	more := index < layers/8 || index >= 7*layers/8 || (index-layers/8)%3 == 2
	return strings.Contains(module, "lm_head") || more && (strings.Contains(module, "v_proj") || strings.Contains(module, "down_proj"))
}

// unmatched is an override whose pattern is no module's, "" when there is none: it is mistyped.
func (r Rules) unmatched(l *layout.Layout) string {
	for _, o := range r.Overrides {
		if !slices.ContainsFunc(l.Tensors, func(t layout.Tensor) bool {
			ok, _ := path.Match(o.Pattern, t.Module())
			return ok && t.Quantizable
		}) {
			return o.Pattern
		}
	}
	return ""
}

// block is config.json's: the base rule, and every module that has another one.
func (r Rules) block(l *layout.Layout) map[string]any {
	base := r.Base()
	block := map[string]any{"group_size": base.GroupSize, "bits": base.Bits, "mode": base.Mode}
	for _, t := range l.Tensors {
		spec, ok := r.For(t, l.Layers)
		switch {
		case !t.Quantizable || ok && spec == base:
		case !ok && t.Shape[len(t.Shape)-1]%int64(base.GroupSize) != 0: // MLX leaves it out by itself
		case !ok:
			block[t.Module()] = false
		case spec.Mode == "affine": // the mode that an entry has when it names none
			block[t.Module()] = map[string]any{"group_size": spec.GroupSize, "bits": spec.Bits}
		default:
			block[t.Module()] = map[string]any{"group_size": spec.GroupSize, "bits": spec.Bits, "mode": spec.Mode}
		}
	}
	return block
}
