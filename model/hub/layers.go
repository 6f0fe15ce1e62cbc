package hub

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// Layer kinds, as config.json's layer_types spells them.
const (
	FullAttention    = "full_attention"
	SlidingAttention = "sliding_attention"
	LinearAttention  = "linear_attention"
)

// shape is what the sizes of a model's state follow from. Fields that an
// architecture does not have stay 0.
type shape struct {
	Layers       int      `json:"num_hidden_layers"`
	LayerTypes   []string `json:"layer_types"`
	Hidden       int64    `json:"hidden_size"`
	Heads        int64    `json:"num_attention_heads"`
	KVHeads      int64    `json:"num_key_value_heads"`
	HeadDim      int64    `json:"head_dim"`
	Window       int64    `json:"sliding_window"`
	Pattern      int      `json:"sliding_window_pattern"`
	FullInterval int      `json:"full_attention_interval"`

	// Gemma 4: full layers have a head size, and where their V is their K a
	// number of heads, of their own; the last layers reuse earlier ones' K and V.
	GlobalHeadDim int64 `json:"global_head_dim"`
	GlobalKVHeads int64 `json:"num_global_key_value_heads"`
	KEqualsV      bool  `json:"attention_k_eq_v"`
	SharedKV      int   `json:"num_kv_shared_layers"`
	// transformers writes those sizes of full layers one by one.
	PerLayer map[string]struct {
		HeadDim int64 `json:"head_dim"`
		KVHeads int64 `json:"num_key_value_heads"`
	} `json:"per_layer_config"`

	// Qwen 3.5: the gated delta net.
	LinearKeyHeads   int64 `json:"linear_num_key_heads"`
	LinearValueHeads int64 `json:"linear_num_value_heads"`
	LinearKeyDim     int64 `json:"linear_key_head_dim"`
	LinearValueDim   int64 `json:"linear_value_head_dim"`
	LinearConv       int64 `json:"linear_conv_kernel_dim"`

	// Mixtures of experts; Gemma 4 spells the second its own way.
	Experts   int64 `json:"num_experts"`
	TopK      int64 `json:"num_experts_per_tok"`
	GemmaTopK int64 `json:"top_k_experts"`
}

func (s shape) topK() int64 { return max(s.TopK, s.GemmaTopK) }

// LayerTypes are the layers' kinds, as config.json lists or implies them.
func LayerTypes(c *Config) ([]string, error) {
	s, err := readShape(c.Text)
	return s.LayerTypes, err
}

// maxLayers bounds what a config may claim.
const maxLayers = 10_000

// readShape reads text (Config.Text) and fills in LayerTypes and HeadDim where
// they follow from the rest.
func readShape(text json.RawMessage) (shape, error) {
	var s shape
	if err := json.Unmarshal(text, &s); err != nil {
		return s, err
	}
	if s.Layers <= 0 || s.Layers > maxLayers {
		return s, fmt.Errorf("num_hidden_layers is %d", s.Layers)
	}
	if s.HeadDim == 0 && s.Heads > 0 {
		s.HeadDim = s.Hidden / s.Heads
	}
	if s.KVHeads == 0 {
		s.KVHeads = s.Heads
	}
	if len(s.LayerTypes) == 0 {
		s.LayerTypes = s.impliedTypes()
	}
	if len(s.LayerTypes) != s.Layers {
		return s, fmt.Errorf("layer_types has %d entries for %d layers", len(s.LayerTypes), s.Layers)
	}
	if s.Window <= 0 && slices.Contains(s.LayerTypes, SlidingAttention) {
		return s, errors.New("sliding_window is missing, or not a size, and there are layers of sliding attention")
	}
	if s.SharedKV < 0 || s.SharedKV > s.Layers {
		return s, fmt.Errorf("num_kv_shared_layers is %d of %d layers", s.SharedKV, s.Layers)
	}
	return s, nil
}

// impliedTypes is for configs without layer_types: every n-th layer is full.
func (s shape) impliedTypes() []string {
	every, other := 1, FullAttention
	switch {
	case s.LinearValueHeads > 0:
		every, other = max(1, s.FullInterval), LinearAttention
	case s.Window > 0 && s.Pattern > 0:
		every, other = s.Pattern, SlidingAttention
	case s.Window > 0: // Gemma 3's default
		every, other = 6, SlidingAttention
	}
	types := make([]string, s.Layers)
	for i := range types {
		types[i] = other
		if (i+1)%every == 0 {
			types[i] = FullAttention
		}
	}
	return types
}

// LayerKind sums up the layers of one kind.
type LayerKind struct {
	Kind   string `json:"kind"`
	Layers int    `json:"layers"`
	Cached int    `json:"cached"` // those with state of their own
	// State of all cached layers together. A growing layer's is per token, the
	// others' is a constant: the full window, or the recurrent state.
	TokenElements  int64 `json:"token_elements"`  // K and V elements a token adds (sliding: until the window is full)
	WindowElements int64 `json:"window_elements"` // at most, for sliding layers
	StateElements  int64 `json:"state_elements"`  // recurrent state, always float32
	ConvElements   int64 `json:"conv_elements"`   // its convolution's last inputs, in the compute dtype
}

// layerKinds counts layers and sizes their state, in the order in which the
// kinds first occur.
func (s shape) layerKinds() []LayerKind {
	var kinds []LayerKind
	find := func(kind string) *LayerKind {
		for i := range kinds {
			if kinds[i].Kind == kind {
				return &kinds[i]
			}
		}
		kinds = append(kinds, LayerKind{Kind: kind})
		return &kinds[len(kinds)-1]
	}
	for i, kind := range s.LayerTypes {
		k := find(kind)
		k.Layers++
		if i >= s.Layers-s.SharedKV {
			continue
		}
		k.Cached++
		switch kind {
		case LinearAttention:
			k.StateElements += s.LinearValueHeads * s.LinearKeyDim * s.LinearValueDim
			k.ConvElements += max(0, s.LinearConv-1) * (2*s.LinearKeyHeads*s.LinearKeyDim + s.LinearValueHeads*s.LinearValueDim)
		case SlidingAttention:
			k.TokenElements += 2 * s.KVHeads * s.HeadDim
			k.WindowElements += 2 * s.KVHeads * s.HeadDim * s.Window
		default:
			dim, kv := s.fullHeads(i)
			k.TokenElements += 2 * kv * dim
		}
	}
	return kinds
}

// growingHeadDim is the greatest size that divides the heads of every growing layer with state of its own.
func (s shape) growingHeadDim() (d int64) {
	for i, kind := range s.LayerTypes {
		if kind != FullAttention || i >= s.Layers-s.SharedKV {
			continue
		}
		dim, _ := s.fullHeads(i)
		for dim > 0 {
			d, dim = dim, d%dim
		}
	}
	return d
}

// fullHeads are the head size and the number of KV heads of full layer i.
func (s shape) fullHeads(i int) (dim, kv int64) {
	dim, kv = s.HeadDim, s.KVHeads
	if own, ok := s.PerLayer[strconv.Itoa(i)]; ok {
		return cmp.Or(own.HeadDim, dim), cmp.Or(own.KVHeads, kv)
	}
	if s.GlobalHeadDim > 0 {
		dim = s.GlobalHeadDim
	}
	if s.KEqualsV && s.GlobalKVHeads > 0 {
		kv = s.GlobalKVHeads
	}
	return dim, kv
}
