package gemma4

import (
	"fmt"
	"slices"

	"reprise/model/hub"
)

// check refuses what the forward pass cannot do, by the field's name.
func (c *Config) check() error {
	for _, part := range []func() error{c.checkSizes, c.checkLayers, c.checkHeads, c.checkRope, c.checkMoE, c.checkVariants} {
		if err := part(); err != nil {
			return err
		}
	}
	return nil
}

type field struct {
	name  string
	value float64
}

func positive(fields ...field) error {
	for _, f := range fields {
		if f.value <= 0 {
			return fmt.Errorf("%s is missing or not positive", f.name)
		}
	}
	return nil
}

func (c *Config) checkSizes() error {
	if err := positive(
		field{"hidden_size", float64(c.Hidden)}, field{"num_hidden_layers", float64(c.Layers)}, field{"intermediate_size", float64(c.MLP)},
		field{"num_attention_heads", float64(c.Heads)}, field{"num_key_value_heads", float64(c.KVHeads)}, field{"head_dim", float64(c.HeadDim)},
		field{"vocab_size", float64(c.Vocab)}, field{"max_position_embeddings", float64(c.Context)}, field{"rms_norm_eps", float64(c.NormEps)},
	); err != nil {
		return err
	}
	switch {
	case c.PLE < 0 || c.SoftCap < 0 || c.GlobalHeadDim < 0 || c.GlobalKVHeads < 0:
		return fmt.Errorf("hidden_size_per_layer_input %d, final_logit_softcapping %g, global_head_dim %d or num_global_key_value_heads %d is negative",
			c.PLE, c.SoftCap, c.GlobalHeadDim, c.GlobalKVHeads)
	case c.PLE > 0:
		return positive(field{"vocab_size_per_layer_input", float64(c.PLEVocab)})
	}
	return nil
}

func (c *Config) checkLayers() error {
	if len(c.LayerTypes) != c.Layers {
		return fmt.Errorf("layer_types has %d entries for %d layers", len(c.LayerTypes), c.Layers)
	}
	if c.SharedKV < 0 || c.SharedKV >= c.Layers {
		return fmt.Errorf("num_kv_shared_layers is %d of %d layers", c.SharedKV, c.Layers)
	}
	for i, kind := range c.LayerTypes {
		if kind != hub.FullAttention && kind != hub.SlidingAttention {
			return fmt.Errorf("layer %d is of type %q", i, kind)
		}
		if c.source(i) < 0 {
			return fmt.Errorf("layer %d shares keys and values, but none of the first %d layers is of its type %q", i, c.own(), kind)
		}
	}
	if !c.full(c.Layers - 1) {
		return fmt.Errorf("layer_types ends with %q: the last layer must be %q (transformers takes it as such, mlx-lm does not)", c.LayerTypes[c.Layers-1], hub.FullAttention)
	}
	if slices.Contains(c.LayerTypes, hub.SlidingAttention) {
		return positive(field{"sliding_window", float64(c.Window)})
	}
	return nil
}

func (c *Config) checkHeads() error {
	if c.PerLayer == nil && c.GlobalHeadDim == 0 {
		return fmt.Errorf("global_head_dim is missing") // full layers exist: the last is one
	}
	for layer := range c.PerLayer {
		if !c.isFull(layer) {
			return fmt.Errorf("per_layer_config names layer %q, which is not a full layer: only those may have sizes of their own", layer)
		}
	}
	for i := range c.Layers {
		dim, kv := c.heads(i)
		if kv < 1 || c.Heads%kv != 0 {
			return fmt.Errorf("layer %d: %d attention heads do not divide among %d KV heads", i, c.Heads, kv)
		}
		if from := c.source(i); from != i {
			if d, k := c.heads(from); d != dim || k != kv {
				return fmt.Errorf("layer %d shares layer %d's keys and values, but has heads of %d on %d KV heads, not %d on %d", i, from, dim, kv, d, k)
			}
		}
	}
	return nil
}

// isFull says whether the name of a layer in per_layer_config is that of a full one.
func (c *Config) isFull(name string) bool {
	for i := range c.Layers {
		if c.full(i) && fmt.Sprint(i) == name {
			return true
		}
	}
	return false
}

func (c *Config) checkRope() error {
	if c.Traditional {
		return fmt.Errorf("rope_traditional true is not implemented")
	}
	for i, kind := range c.LayerTypes {
		r, ok := c.Rope[kind]
		if !ok || r.Theta <= 0 {
			return fmt.Errorf("rope_parameters.%s.rope_theta is missing or not positive", kind)
		}
		dim, _ := c.heads(i)
		if dim%2 != 0 {
			return fmt.Errorf("layer %d: an odd head size of %d cannot be rotated", i, dim)
		}
		switch r.Type {
		case "default":
			if r.Partial != nil && *r.Partial != 1 || r.Factor != nil && *r.Factor != 1 {
				return fmt.Errorf("rope_parameters.%s: partial_rotary_factor and factor have no meaning with rope_type %q", kind, r.Type)
			}
		case "proportional":
			if n := r.rotated(dim); n < 0 || n > dim || n%2 != 0 {
				return fmt.Errorf("rope_parameters.%s: partial_rotary_factor %g of a head size of %d is not an even number of dims", kind, r.partial(), dim)
			}
			if r.factor() <= 0 {
				return fmt.Errorf("rope_parameters.%s: factor is %g", kind, r.factor())
			}
		default:
			return fmt.Errorf("rope_parameters.%s: rope_type %q is not implemented (default and proportional are)", kind, r.Type)
		}
	}
	return nil
}

func (c *Config) checkMoE() error {
	if !c.MoE {
		return nil
	}
	if err := positive(field{"num_experts", float64(c.Experts)}, field{"top_k_experts", float64(c.TopK)}, field{"moe_intermediate_size", float64(c.ExpertMLP)}); err != nil {
		return err
	}
	if c.TopK > c.Experts {
		return fmt.Errorf("top_k_experts is %d of %d experts", c.TopK, c.Experts)
	}
	return nil
}

func (c *Config) checkVariants() error {
	switch {
	case c.Activation != "gelu_pytorch_tanh":
		return fmt.Errorf("hidden_activation %q is not implemented (gelu_pytorch_tanh is)", c.Activation)
	case c.Bias:
		return fmt.Errorf("attention_bias true is not implemented")
	case c.Bidirectional != nil && *c.Bidirectional != "vision": // "vision" is about images only
		return fmt.Errorf("use_bidirectional_attention %q is not implemented", *c.Bidirectional)
	}
	return nil
}

func (r *rope) partial() float64 {
	if r.Partial == nil {
		return 1
	}
	return *r.Partial
}

func (r *rope) factor() float64 {
	if r.Factor == nil {
		return 1
	}
	return *r.Factor
}

// rotated is how many of a head's dims turn with the position.
func (r *rope) rotated(dim int) int { return int(r.partial() * float64(dim)) }
