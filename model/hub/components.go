package hub

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"reprise/mlx/safetensors"
)

// Component is a part of the model.
type Component struct {
	Name    string `json:"name"`
	Tensors int    `json:"tensors"`
	Bytes   int64  `json:"bytes"` // in the files
	// Held is what a GPU holds of it: floats in bfloat16 but for the few that stay float32, towers and multi-token
	// prediction not at all.
	Held int64 `json:"held_bytes"`
	// Active is what a decode step of one token reads of Held: of a table its row, of the experts those that the token
	// goes through.
	Active int64 `json:"active_bytes"`
}

// rules name a tensor's component by a part of its name; the first match wins.
var rules = []struct{ part, component string }{
	{"vision_", "vision"}, {"visual.", "vision"}, {"embed_vision", "vision"}, {"multi_modal_projector", "vision"},
	{"audio_", "audio"}, {"embed_audio", "audio"},
	{"mtp.", "mtp"},
	{"norm", "norms"},
	{"embed_tokens_per_layer", "per_layer_table"},
	{"per_layer", "per_layer_projections"},
	{"embed_tokens", "embedding"},
	{"lm_head", "head"},
	{"self_attn.", "attention"},
	{"linear_attn.", "linear_attention"},
	{"shared_expert", "shared_expert"}, // with its gate
	{"router.", "router"}, {"mlp.gate.", "router"},
	{"experts.", "experts"}, {"switch_mlp.", "experts"},
	{"mlp.", "mlp"},
}

// ComponentOf is the part of a model that the tensor of that name belongs to.
func ComponentOf(name string) string {
	for _, r := range rules {
		if strings.Contains(name, r.part) {
			return r.component
		}
	}
	return "other"
}

// staysFloat32 are the ends of the names of what is held in float32 whatever the compute dtype: the gated delta net's and
// routers' own floats.
var staysFloat32 = []string{".conv1d.weight", ".A_log", ".dt_bias", ".linear_attn.norm.weight", ".router.per_expert_scale"}

// held is what a GPU holds of t.
func (s shape) held(t Tensor) int64 {
	switch s.componentOf(t.Name) {
	case "vision", "audio", "mtp", unusedPart:
		return 0
	}
	switch t.DType {
	case safetensors.F32, safetensors.F16, safetensors.BF16:
		if slices.ContainsFunc(staysFloat32, func(end string) bool { return strings.HasSuffix(t.Name, end) }) {
			return 4 * elements(t.Shape)
		}
		return 2 * elements(t.Shape)
	}
	return t.Bytes
}

// reads says how much of each tensor, as it is held, a decode step of one token reads.
func (s shape) reads(w *Weights) func(t Tensor) int64 {
	tied := !slices.ContainsFunc(w.Tensors, func(t Tensor) bool { return ComponentOf(t.Name) == "head" })
	return func(t Tensor) int64 {
		held := s.held(t)
		part := s.componentOf(t.Name)
		switch {
		case part == "embedding" && !tied, part == "per_layer_table": // a tied embedding is the head too
			return held / max(1, first(t.Shape))
		case part == "experts" && s.Experts > 0 && s.topK() > 0:
			return held * min(s.topK(), s.Experts) / s.Experts
		}
		return held
	}
}

func first(shape []int64) int64 {
	if len(shape) == 0 {
		return 1
	}
	return shape[0]
}

// unusedPart is what a checkpoint holds and a load leaves out: raw Gemma 4 has keys and values for layers that reuse
// another one's.
const unusedPart = "unused"

var layerNumber = regexp.MustCompile(`\blayers\.(\d+)\.self_attn\.(k_proj|v_proj|k_norm|v_norm)\.`)

func (s shape) componentOf(name string) string {
	part := ComponentOf(name)
	if m := layerNumber.FindStringSubmatch(name); m != nil && s.SharedKV > 0 && (part == "attention" || part == "norms") {
		if i, err := strconv.Atoi(m[1]); err == nil && i >= s.Layers-s.SharedKV {
			return unusedPart
		}
	}
	return part
}

// components sums up the parts, largest first.
func (s shape) components(w *Weights) []Component {
	reads := s.reads(w)
	byName := map[string]*Component{}
	for _, t := range w.Tensors {
		name := s.componentOf(t.Name)
		if byName[name] == nil {
			byName[name] = &Component{Name: name}
		}
		byName[name].Tensors++
		byName[name].Bytes += t.Bytes
		byName[name].Held += s.held(t)
		byName[name].Active += reads(t)
	}
	var out []Component
	for _, c := range byName {
		out = append(out, *c)
	}
	slices.SortFunc(out, func(a, b Component) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Name, b.Name))
	})
	return out
}

// rules sums up the block; nil of nil.
func (q *Quantization) rules() *Rules {
	if q == nil {
		return nil
	}
	byRule := map[string]*Override{}
	for _, path := range slices.Sorted(maps.Keys(q.Overrides)) {
		rule := "not quantized"
		if spec := q.Overrides[path]; spec != nil {
			rule = spec.String()
		}
		if byRule[rule] == nil {
			byRule[rule] = &Override{Rule: rule, Example: path}
		}
		byRule[rule].Modules++
	}
	out := &Rules{Spec: q.Spec}
	for _, rule := range slices.Sorted(maps.Keys(byRule)) {
		out.Overrides = append(out.Overrides, *byRule[rule])
	}
	return out
}

func (o Override) String() string {
	return fmt.Sprintf("%s for %d modules (%s)", o.Rule, o.Modules, o.Example)
}
