package qwen35

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"reprise/model/hub"
)

// Config is what the forward pass reads of config.json.
type Config struct {
	Hidden       int      `json:"hidden_size"`
	Layers       int      `json:"num_hidden_layers"`
	MLP          int      `json:"intermediate_size"`
	Heads        int      `json:"num_attention_heads"`
	KVHeads      int      `json:"num_key_value_heads"`
	HeadDim      int      `json:"head_dim"`
	Vocab        int      `json:"vocab_size"`
	Context      int      `json:"max_position_embeddings"`
	NormEps      float32  `json:"rms_norm_eps"`
	LayerTypes   []string `json:"layer_types"`
	FullInterval int      `json:"full_attention_interval"` // in place of layer_types: every n-th layer is full

	KeyHeads   int `json:"linear_num_key_heads"`
	ValueHeads int `json:"linear_num_value_heads"`
	KeyDim     int `json:"linear_key_head_dim"`
	ValueDim   int `json:"linear_value_head_dim"`
	ConvWidth  int `json:"linear_conv_kernel_dim"`

	// A mixture of experts in place of each MLP, beside one that every token goes through.
	Experts     int   `json:"num_experts"` // 0: dense
	TopK        int   `json:"num_experts_per_tok"`
	ExpertWidth int   `json:"moe_intermediate_size"`
	SharedWidth int   `json:"shared_expert_intermediate_size"`
	Renormalise *bool `json:"norm_topk_prob"`      // true when absent
	SparseStep  int   `json:"decoder_sparse_step"` // 1 when absent
	DenseLayers []int `json:"mlp_only_layers"`

	// Rotary positions: newer files nest them.
	Rope        rope    `json:"rope_parameters"`
	FlatTheta   float64 `json:"rope_theta"`
	FlatPartial float64 `json:"partial_rotary_factor"`
	FlatScaling *rope   `json:"rope_scaling"`

	Activation    string `json:"hidden_act"`
	Bias          bool   `json:"attention_bias"`
	OutputGate    *bool  `json:"attn_output_gate"`
	OutputGateAct string `json:"output_gate_type"`
	StateDtype    string `json:"mamba_ssm_dtype"`     // of the delta nets' matrices
	Tied          *bool  `json:"tie_word_embeddings"` // here or at the top level
}

// rope is rope_parameters. Its mrope sections matter to images only: for text the three positions are one.
type rope struct {
	Theta   float64 `json:"rope_theta"`
	Partial float64 `json:"partial_rotary_factor"`
	Type    string  `json:"rope_type"`
	OldType string  `json:"type"`
}

func parseConfig(c *hub.Config) (Config, error) {
	var cfg Config
	if err := json.Unmarshal(c.Text, &cfg); err != nil {
		return cfg, fmt.Errorf("%s: %w", c.Path, err)
	}
	if cfg.Tied == nil {
		var top struct {
			Tied *bool `json:"tie_word_embeddings"`
		}
		if err := json.Unmarshal(c.Raw, &top); err != nil {
			return cfg, fmt.Errorf("%s: %w", c.Path, err)
		}
		cfg.Tied = top.Tied
	}
	if cfg.Rope.Theta == 0 {
		cfg.Rope.Theta = cfg.FlatTheta
	}
	if cfg.Rope.Partial == 0 {
		cfg.Rope.Partial = cfg.FlatPartial
	}
	if len(cfg.LayerTypes) == 0 && cfg.FullInterval > 0 && cfg.Layers > 0 {
		for i := range cfg.Layers {
			cfg.LayerTypes = append(cfg.LayerTypes, hub.LinearAttention)
			if (i+1)%cfg.FullInterval == 0 {
				cfg.LayerTypes[i] = hub.FullAttention
			}
		}
	}
	if strings.Contains(c.ModelType, "_moe") && cfg.Experts == 0 {
		return cfg, fmt.Errorf("%s: model_type is %s, and num_experts is missing", c.Path, c.ModelType)
	}
	if err := cfg.check(); err != nil {
		return cfg, fmt.Errorf("%s: %w", c.Path, err)
	}
	return cfg, nil
}

func (c *Config) check() error {
	if err := c.checkSizes(); err != nil {
		return err
	}
	switch {
	case len(c.LayerTypes) != c.Layers:
		return fmt.Errorf("layer_types has %d entries for %d layers", len(c.LayerTypes), c.Layers)
	case c.Heads%c.KVHeads != 0:
		return fmt.Errorf("%d attention heads do not divide among %d KV heads", c.Heads, c.KVHeads)
	case c.ValueHeads%c.KeyHeads != 0:
		return fmt.Errorf("%d linear value heads do not divide among %d key heads", c.ValueHeads, c.KeyHeads)
	case c.ConvWidth < 2:
		return fmt.Errorf("linear_conv_kernel_dim is %d", c.ConvWidth)
	case c.rotaryDims() < 2 || c.rotaryDims()%2 != 0 || c.rotaryDims() > c.HeadDim:
		return fmt.Errorf("partial_rotary_factor %g of head_dim %d is not an even number of dims", c.Rope.Partial, c.HeadDim)
	case c.TopK > c.Experts && c.Experts > 0:
		return fmt.Errorf("num_experts_per_tok is %d of %d experts", c.TopK, c.Experts)
	case c.Tied == nil:
		return fmt.Errorf("tie_word_embeddings is missing")
	}
	for i, kind := range c.LayerTypes {
		if !slices.Contains([]string{hub.FullAttention, hub.LinearAttention}, kind) {
			return fmt.Errorf("layer %d is of type %q", i, kind)
		}
	}
	return c.checkVariants()
}

// checkSizes: all that follow are needed, none has a default.
func (c *Config) checkSizes() error {
	type field struct {
		name  string
		value float64
	}
	fields := []field{
		{"hidden_size", float64(c.Hidden)}, {"num_hidden_layers", float64(c.Layers)},
		{"num_attention_heads", float64(c.Heads)}, {"num_key_value_heads", float64(c.KVHeads)}, {"head_dim", float64(c.HeadDim)},
		{"vocab_size", float64(c.Vocab)}, {"max_position_embeddings", float64(c.Context)}, {"rms_norm_eps", float64(c.NormEps)},
		{"linear_num_key_heads", float64(c.KeyHeads)}, {"linear_num_value_heads", float64(c.ValueHeads)},
		{"linear_key_head_dim", float64(c.KeyDim)}, {"linear_value_head_dim", float64(c.ValueDim)},
		{"linear_conv_kernel_dim", float64(c.ConvWidth)},
		{"rope_parameters.rope_theta", c.Rope.Theta}, {"rope_parameters.partial_rotary_factor", c.Rope.Partial},
	}
	if c.Experts == 0 {
		fields = append(fields, field{"intermediate_size", float64(c.MLP)})
	} else {
		fields = append(fields, field{"num_experts", float64(c.Experts)}, field{"num_experts_per_tok", float64(c.TopK)},
			field{"moe_intermediate_size", float64(c.ExpertWidth)}, field{"shared_expert_intermediate_size", float64(c.SharedWidth)})
	}
	for _, f := range fields {
		if f.value <= 0 {
			return fmt.Errorf("%s is missing or not positive", f.name)
		}
	}
	return nil
}

// checkVariants refuses by name what is not implemented.
func (c *Config) checkVariants() error {
	switch {
	case c.Activation != "" && c.Activation != "silu":
		return fmt.Errorf("hidden_act %q is not implemented (silu is)", c.Activation)
	case c.Bias:
		return fmt.Errorf("attention_bias true is not implemented")
	case c.OutputGate != nil && !*c.OutputGate:
		return fmt.Errorf("attn_output_gate false is not implemented")
	case c.OutputGateAct != "" && c.OutputGateAct != "swish":
		return fmt.Errorf("output_gate_type %q is not implemented (swish is)", c.OutputGateAct)
	case c.StateDtype != "" && c.StateDtype != "float32":
		return fmt.Errorf("mamba_ssm_dtype %q is not implemented (float32 is)", c.StateDtype)
	case c.Renormalise != nil && !*c.Renormalise:
		return fmt.Errorf("norm_topk_prob false is not implemented")
	case c.Experts > 0 && c.SparseStep > 1:
		return fmt.Errorf("decoder_sparse_step %d is not implemented (1 is)", c.SparseStep)
	case c.Experts > 0 && len(c.DenseLayers) > 0:
		return fmt.Errorf("mlp_only_layers %v is not implemented", c.DenseLayers)
	}
	for _, r := range []*rope{&c.Rope, c.FlatScaling} {
		if r != nil && (r.Type != "" && r.Type != "default" || r.OldType != "" && r.OldType != "default") {
			return fmt.Errorf("rotary positions of type %q are not implemented (default is)", r.Type+r.OldType)
		}
	}
	return nil
}

// rotaryDims is how many of a head's dims turn with the position.
func (c *Config) rotaryDims() int { return int(float64(c.HeadDim) * c.Rope.Partial) }

// full says whether layer i is full attention.
func (c *Config) full(i int) bool { return c.LayerTypes[i] == hub.FullAttention }

// convChannels is the width of what goes through the convolution: queries, keys, values.
func (c *Config) convChannels() int { return 2*c.KeyHeads*c.KeyDim + c.ValueHeads*c.ValueDim }
