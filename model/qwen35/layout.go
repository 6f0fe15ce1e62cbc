package qwen35

import (
	"fmt"
	"strings"

	"reprise/mlx"
	"reprise/model/weights"
)

// textName is the name that mlx-community's text-only layout gives a tensor, "" for what the text model has no use for:
// the vision tower, the head for multi-token prediction, which is not loaded yet (reprise models inspect counts it), and
// the copy of a tied head.
func textName(name string, tied bool) string {
	name = strings.TrimPrefix(name, "language_model.")
	if inner, ok := strings.CutPrefix(name, "model.language_model."); ok { // raw
		name = "model." + inner
	}
	for _, unused := range []string{"vision_tower.", "visual.", "model.visual.", "mtp.", "model.mtp."} {
		if strings.HasPrefix(name, unused) {
			return ""
		}
	}
	if tied && strings.HasPrefix(name, "lm_head.") {
		return ""
	}
	// transformers' experts: parameters of a module, so without ".weight", or modules each.
	if dir, inner, ok := strings.Cut(name, ".mlp.experts."); ok {
		if inner == "gate_up_proj" || inner == "down_proj" {
			inner += ".weight"
		}
		name = dir + ".mlp.switch_mlp." + inner
	}
	return name
}

// settle makes mlx-community's values of a raw checkpoint's, which is known by its convolutions, [channels, 1, width]
// there. There the weights of norms are less 1, except for those inside the delta nets; the sum is made in float32, as
// transformers does.
func settle(st *weights.Store, cfg *Config) {
	raw := false
	plusOne := func(s *mlx.Scope, a mlx.Array) mlx.Array {
		return s.Add(s.AsType(a, mlx.Float32), s.Scalar(1, mlx.Float32))
	}
	norms := []string{"model.norm"}
	for i := range cfg.Layers {
		path := fmt.Sprintf("model.layers.%d.", i)
		conv := path + "linear_attn.conv1d.weight"
		if shape := st.Shape(conv); len(shape) == 3 && shape[2] != 1 {
			raw = true
			st.Change(conv, func(s *mlx.Scope, a mlx.Array) mlx.Array { return s.SwapAxes(a, 1, 2) })
		}
		norms = append(norms, path+"input_layernorm", path+"post_attention_layernorm", path+"self_attn.q_norm", path+"self_attn.k_norm")
	}
	for _, path := range norms {
		if raw {
			st.Change(path+".weight", plusOne)
		}
	}
}
