package gemma4

import (
	"encoding/json"
	"fmt"

	"reprise/model/hub"
)

// Config is what the forward pass reads of config.json.
type Config struct {
	Hidden     int      `json:"hidden_size"`
	Layers     int      `json:"num_hidden_layers"`
	LayerTypes []string `json:"layer_types"`
	MLP        int      `json:"intermediate_size"`
	Vocab      int      `json:"vocab_size"` // nested or at the top
	Context    int      `json:"max_position_embeddings"`
	Window     int      `json:"sliding_window"`
	NormEps    float32  `json:"rms_norm_eps"`
	SoftCap    float32  `json:"final_logit_softcapping"` // of logits; 0 (null): none
	Tied       bool     `json:"tie_word_embeddings"`     // here or at the top

	// Attention. Full layers have a head size of their own and, where their values are their keys, a number of KV heads.
	Heads         int                  `json:"num_attention_heads"`
	KVHeads       int                  `json:"num_key_value_heads"`
	HeadDim       int                  `json:"head_dim"`
	GlobalHeadDim int                  `json:"global_head_dim"`
	GlobalKVHeads int                  `json:"num_global_key_value_heads"`
	KEqualsV      bool                 `json:"attention_k_eq_v"`
	PerLayer      map[string]layerSize `json:"per_layer_config"` // what transformers writes in place of the global ones
	Rope          map[string]rope      `json:"rope_parameters"`  // by kind of layer

	SharedKV   int  `json:"num_kv_shared_layers"` // the last layers, which have no keys and values
	DoubleWide bool `json:"use_double_wide_mlp"`  // of those layers

	// Per-layer embeddings.
	PLE      int `json:"hidden_size_per_layer_input"` // width; 0: none
	PLEVocab int `json:"vocab_size_per_layer_input"`

	// Routed experts beside the MLP.
	MoE       bool `json:"enable_moe_block"`
	Experts   int  `json:"num_experts"`
	TopK      int  `json:"top_k_experts"`
	ExpertMLP int  `json:"moe_intermediate_size"`

	Activation    string  `json:"hidden_activation"`
	Bias          bool    `json:"attention_bias"`
	Bidirectional *string `json:"use_bidirectional_attention"`
	Traditional   bool    `json:"rope_traditional"`

	topVocab int // the vocabulary's size at the top level, 0 when not there
}

// layerSize is what a layer has of its own.
type layerSize struct {
	HeadDim int  `json:"head_dim"`
	KVHeads *int `json:"num_key_value_heads"`
}

// rope says how a kind of layer turns queries and keys with their positions.
type rope struct {
	Type    string   `json:"rope_type"`
	Theta   float64  `json:"rope_theta"`
	Partial *float64 `json:"partial_rotary_factor"`
	Factor  *float64 `json:"factor"`
}

// needed are fields without a default here, because the references' differ or are another model's.
var needed = []string{"layer_types", "num_kv_shared_layers", "hidden_size_per_layer_input", "final_logit_softcapping", "rope_parameters"}

func parseConfig(c *hub.Config) (Config, error) {
	cfg := Config{Tied: true, Activation: "gelu_pytorch_tanh"}
	var top struct {
		Tied  *bool `json:"tie_word_embeddings"`
		Vocab int   `json:"vocab_size"`
	}
	fields := map[string]json.RawMessage{}
	for _, read := range []struct {
		raw  json.RawMessage
		into any
	}{{c.Raw, &top}, {c.Text, &fields}} {
		if err := json.Unmarshal(read.raw, read.into); err != nil {
			return cfg, fmt.Errorf("%s: %w", c.Path, err)
		}
	}
	if top.Tied != nil {
		cfg.Tied = *top.Tied
	}
	if err := json.Unmarshal(c.Text, &cfg); err != nil {
		return cfg, fmt.Errorf("%s: %w", c.Path, err)
	}
	cfg.topVocab = top.Vocab
	if cfg.Vocab == 0 {
		cfg.Vocab = top.Vocab
	}
	for _, name := range needed {
		if _, ok := fields[name]; !ok {
			return cfg, fmt.Errorf("%s: %s is missing", c.Path, name)
		}
	}
	if _, ok := fields["use_double_wide_mlp"]; !ok && cfg.SharedKV > 0 {
		return cfg, fmt.Errorf("%s: use_double_wide_mlp is missing", c.Path)
	}
	if err := cfg.check(); err != nil {
		return cfg, fmt.Errorf("%s: %w", c.Path, err)
	}
	return cfg, nil
}

// full says whether layer i attends to everything before it.
func (c *Config) full(i int) bool { return c.LayerTypes[i] == hub.FullAttention }

// own is the number of layers with keys and values of their own, which come first.
func (c *Config) own() int { return c.Layers - c.SharedKV }

// source is the layer whose keys and values layer i attends to.
func (c *Config) source(i int) int {
	if i < c.own() {
		return i
	}
	for j := c.own() - 1; j >= 0; j-- {
		if c.LayerTypes[j] == c.LayerTypes[i] {
			return j
		}
	}
	return -1
}

// mlp is the width of layer i's MLP.
func (c *Config) mlp(i int) int {
	if c.DoubleWide && i >= c.own() {
		return 2 * c.MLP
	}
	return c.MLP
}

// valuesAreKeys says whether layer i has no projection for values.
func (c *Config) valuesAreKeys(i int) bool { return c.KEqualsV && c.full(i) }

// heads are layer i's head size and number of KV heads.
func (c *Config) heads(i int) (dim, kv int) {
	dim, kv = c.HeadDim, c.KVHeads
	if !c.full(i) {
		return dim, kv
	}
	if own, ok := c.PerLayer[fmt.Sprint(i)]; ok {
		if own.HeadDim > 0 {
			dim = own.HeadDim
		}
		if own.KVHeads != nil {
			kv = *own.KVHeads
		}
		return dim, kv
	}
	if c.GlobalHeadDim > 0 {
		dim = c.GlobalHeadDim
	}
	if c.valuesAreKeys(i) && c.GlobalKVHeads > 0 {
		kv = c.GlobalKVHeads
	}
	return dim, kv
}
