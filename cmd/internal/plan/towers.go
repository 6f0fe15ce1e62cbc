package plan

import (
	"encoding/json"
	"fmt"

	"reprise/model/hub"
)

// visionShape is what both families' vision configs say. As fractions: no product of sizes overflows.
type visionShape struct {
	Hidden float64 `json:"hidden_size"`
	MLP    float64 `json:"intermediate_size"`
	Patch  float64 `json:"patch_size"`
	// Qwen's.
	Depth     float64 `json:"depth"`
	Channels  float64 `json:"in_channels"`
	Positions float64 `json:"num_position_embeddings"`
	Out       float64 `json:"out_hidden_size"`
	Merge     float64 `json:"spatial_merge_size"`
	Frames    float64 `json:"temporal_patch_size"`
	// Gemma 4's.
	Layers    float64 `json:"num_hidden_layers"`
	Heads     float64 `json:"num_attention_heads"`
	HeadDim   float64 `json:"head_dim"`
	Embedding float64 `json:"position_embedding_size"`
}

// towers sizes what a config describes beside the text model, in bfloat16 as conversions leave it, where the files at hand do
// not hold it.
func towers(cfg *hub.Config, inFiles map[string]bool) []Left {
	var top struct {
		Vision json.RawMessage `json:"vision_config"`
		Audio  json.RawMessage `json:"audio_config"`
		Text   struct {
			Hidden float64 `json:"hidden_size"`
		} `json:"text_config"`
	}
	if err := json.Unmarshal(cfg.Raw, &top); err != nil || len(top.Vision) == 0 || string(top.Vision) == "null" || inFiles["vision"] {
		return nil
	}
	var v visionShape
	if err := json.Unmarshal(top.Vision, &v); err != nil {
		return nil
	}
	n := v.qwen()
	if v.Layers > 0 {
		n = v.gemma(top.Text.Hidden)
	}
	if !(n > 0 && n <= 1<<50) { // nothing that a computer holds
		return nil
	}
	return []Left{{"vision", 2 * int64(n), Computed, fmt.Sprintf("image tower and projector, %.0f M weights in bfloat16; this build reads text only and loads neither", n/1e6)}}
}

// qwen counts the weights of Qwen's tower: patches, positions, blocks with biases and layer norms, and the merger.
func (v *visionShape) qwen() float64 {
	h := v.Hidden
	patches := v.Channels*v.Frames*v.Patch*v.Patch*h + h
	block := 2*2*h + (3*h*h + 3*h) + (h*h + h) + (h*v.MLP + v.MLP) + (v.MLP*h + h)
	merged := h * v.Merge * v.Merge
	merger := 2*h + merged*merged + merged + merged*v.Out + v.Out
	return patches + v.Positions*h + v.Depth*block + merger
}

// gemma counts the weights of Gemma 4's: patches, two tables of positions, blocks with gated MLPs, and the projector.
func (v *visionShape) gemma(out float64) float64 {
	h, attention := v.Hidden, v.Heads*v.HeadDim
	block := 4*h*attention + 3*h*v.MLP + 4*h + 2*v.HeadDim
	return 3*v.Patch*v.Patch*h + 2*v.Embedding*h + v.Layers*block + h*out
}
