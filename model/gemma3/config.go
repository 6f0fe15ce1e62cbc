package gemma3

import (
	"encoding/json"
	"fmt"

	"reprise/model/hub"
)

// Config is what the forward pass reads of config.json.
type Config struct {
	Hidden        int      `json:"hidden_size"`
	Layers        int      `json:"num_hidden_layers"`
	MLP           int      `json:"intermediate_size"`
	Heads         int      `json:"num_attention_heads"`
	KVHeads       int      `json:"num_key_value_heads"`
	HeadDim       int      `json:"head_dim"`
	Vocab         int      `json:"vocab_size"`
	Context       int      `json:"max_position_embeddings"`
	Window        int      `json:"sliding_window"`
	WindowPattern int      `json:"sliding_window_pattern"` // every n-th layer is full
	NormEps       float32  `json:"rms_norm_eps"`
	QueryScalar   float64  `json:"query_pre_attn_scalar"`
	ThetaFull     float32  `json:"rope_theta"`
	ThetaLocal    float32  `json:"rope_local_base_freq"`
	RopeScaling   *scaling `json:"rope_scaling"`
}

type scaling struct {
	Type    string  `json:"rope_type"`
	OldType string  `json:"type"`
	Factor  float32 `json:"factor"`
}

func parseConfig(c *hub.Config) (Config, error) {
	// mlx-lm reads the pattern and never layer_types; 6 is its default and that of every published checkpoint.
	cfg := Config{WindowPattern: 6}
	if err := json.Unmarshal(c.Text, &cfg); err != nil {
		return cfg, fmt.Errorf("%s: %w", c.Path, err)
	}
	for _, f := range []struct {
		name  string
		value float64
	}{
		{"hidden_size", float64(cfg.Hidden)}, {"num_hidden_layers", float64(cfg.Layers)}, {"intermediate_size", float64(cfg.MLP)},
		{"num_attention_heads", float64(cfg.Heads)}, {"num_key_value_heads", float64(cfg.KVHeads)}, {"head_dim", float64(cfg.HeadDim)},
		{"vocab_size", float64(cfg.Vocab)}, {"max_position_embeddings", float64(cfg.Context)}, {"sliding_window", float64(cfg.Window)},
		{"sliding_window_pattern", float64(cfg.WindowPattern)}, {"rms_norm_eps", float64(cfg.NormEps)},
		{"query_pre_attn_scalar", cfg.QueryScalar}, {"rope_theta", float64(cfg.ThetaFull)}, {"rope_local_base_freq", float64(cfg.ThetaLocal)},
	} {
		if f.value <= 0 {
			return cfg, fmt.Errorf("%s: %s is missing or not positive", c.Path, f.name)
		}
	}
	if cfg.Heads%cfg.KVHeads != 0 {
		return cfg, fmt.Errorf("%s: %d attention heads do not divide among %d KV heads", c.Path, cfg.Heads, cfg.KVHeads)
	}
	if s := cfg.RopeScaling; s != nil && s.kind() != "linear" && s.kind() != "default" {
		return cfg, fmt.Errorf("%s: rope_scaling of type %q is not implemented (linear and default are)", c.Path, s.kind())
	}
	return cfg, nil
}

func (s *scaling) kind() string {
	if s.Type != "" {
		return s.Type
	}
	return s.OldType
}

// sliding says whether layer i attends to the window only.
func (c *Config) sliding(i int) bool { return (i+1)%c.WindowPattern != 0 }

// positionScale divides positions of the full layers by the factor of linear scaling.
func (c *Config) positionScale() float32 {
	if c.RopeScaling != nil && c.RopeScaling.kind() == "linear" && c.RopeScaling.Factor > 0 {
		return 1 / c.RopeScaling.Factor
	}
	return 1
}
