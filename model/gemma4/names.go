package gemma4

import (
	"strconv"
	"strings"
)

// towers are the parts of a checkpoint that text has no use for.
var towers = []string{"vision_tower.", "vision_embedder.", "audio_tower.", "embed_vision.", "embed_audio.", "multi_modal_projector."}

// textName is a tensor's name as this package asks for it, "" for what the text model does not use. Three layouts exist:
//
//	mlx-lm            language_model.model.layers…, experts.switch_glu.{gate,up,down}_proj.weight
//	Hugging Face      model.language_model.layers…, experts.gate_up_proj and experts.down_proj, all experts in one
//	text model alone  model.layers…, either way
func (c *Config) textName(name string) string {
	for _, tower := range towers {
		if strings.HasPrefix(strings.TrimPrefix(name, "model."), tower) {
			return ""
		}
	}
	if inner, ok := strings.CutPrefix(name, "model.language_model."); ok {
		name = "model." + inner
	}
	name = strings.TrimPrefix(name, "language_model.")
	if c.Tied && strings.HasPrefix(name, "lm_head.") || strings.Contains(name, "rotary_emb") || c.isSharedKV(name) {
		return ""
	}
	return stackedName(name)
}

// isSharedKV tells the projections that some checkpoints keep for layers without keys and values.
func (c *Config) isSharedKV(name string) bool {
	inner, ok := strings.CutPrefix(name, "model.layers.")
	if !ok {
		return false
	}
	layer, rest, _ := strings.Cut(inner, ".")
	i, err := strconv.Atoi(layer)
	if err != nil || i < c.own() {
		return false
	}
	for _, unused := range []string{"k_proj.", "v_proj.", "k_norm.", "v_norm."} {
		if strings.HasPrefix(rest, "self_attn."+unused) {
			return true
		}
	}
	return false
}

// stackedName puts experts where mlx-lm has them: …experts.gate_up_proj → …experts.switch_glu.gate_up_proj.weight.
func stackedName(name string) string {
	const at = ".experts."
	before, rest, ok := strings.Cut(name, at)
	if !ok || strings.HasPrefix(rest, "switch_glu.") {
		return name
	}
	if rest == "gate_up_proj" || rest == "down_proj" {
		rest += ".weight"
	}
	return before + at + "switch_glu." + rest
}
