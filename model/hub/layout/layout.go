package layout

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"reprise/model/hub"
)

// Role says what a tensor does, as far as random values for it must differ.
type Role int

// The roles. A projection's inputs are of about unit size; an output's sum goes into the residual.
const (
	Projection  Role = iota
	Output           // a projection onto the residual: attention's, the MLP's, the experts'
	Embedding        // rows that ids choose
	Norm             // multiplied by as it is: about 1
	NormLess1        // multiplied by after adding 1: about 0 (Gemma 3)
	QueryNorm        // of queries whose product with keys is not scaled any more (Gemma 4): about head_dim^-½
	Convolution      // depthwise: [channels, width, 1]
	LogDecay         // A_log of the gated delta net
	DecayBias        // dt_bias of the gated delta net
	RouterScale      // of a router's inputs, with hidden_size^-½ following: about 1
)

// Tensor is one tensor before quantization.
type Tensor struct {
	Name  string  // "language_model.model.layers.3.mlp.up_proj.weight"
	Shape []int64 // outermost first; [out, in] of a matrix, the experts in front of both
	Role  Role
	// Quantizable: a linear layer, an embedding or stacked experts, which conversions pack in groups along the last axis.
	Quantizable bool
	// Float32 whatever the checkpoint's dtype: mlx-lm's converter never casts it.
	Float32 bool
}

// Module is the path that the config's quantization block names it by.
func (t Tensor) Module() string { return strings.TrimSuffix(t.Name, ".weight") }

// Elements is the number of values.
func (t Tensor) Elements() int64 {
	n := int64(1)
	for _, d := range t.Shape {
		n *= d
	}
	return n
}

// Layout is what a config.json implies.
type Layout struct {
	Tensors []Tensor // in the order of the modules
	Layers  int
	Vocab   int
	Tied    bool // the embedding is the head
	// Left names what the config also describes and the list leaves out: "vision", "audio", "mtp".
	Left []string
}

// families are the architectures by model_type, flat configs of the text model alone included.
var families = map[string]func(*builder){
	"gemma3_text": gemma3, "gemma4": gemma4, "gemma4_text": gemma4,
	"qwen3_5": qwen35, "qwen3_5_text": qwen35, "qwen3_5_moe": qwen35, "qwen3_5_moe_text": qwen35,
}

// Types are the model types with a layout, sorted.
func Types() []string {
	var types []string
	for t := range families {
		types = append(types, t)
	}
	slices.Sort(types)
	return types
}

// Of lists the tensors of c's architecture. A model_type that is not known and a size that is missing are errors that
// name it.
func Of(c *hub.Config) (*Layout, error) {
	family, ok := families[c.ModelType]
	if !ok {
		return nil, fmt.Errorf("%s: model_type %q is not known here; known are %s", c.Path, c.ModelType, strings.Join(Types(), ", "))
	}
	b := &builder{Layout: &Layout{}}
	if err := b.read(c); err != nil {
		return nil, fmt.Errorf("%s: %w", c.Path, err)
	}
	family(b)
	if b.err != nil {
		return nil, fmt.Errorf("%s: %w", c.Path, b.err)
	}
	return b.Layout, nil
}

// sizes are the config's keys that shapes follow from.
type sizes struct {
	Hidden  int64    `json:"hidden_size"`
	Layers  int      `json:"num_hidden_layers"`
	MLP     int64    `json:"intermediate_size"`
	Heads   int64    `json:"num_attention_heads"`
	KVHeads int64    `json:"num_key_value_heads"`
	HeadDim int64    `json:"head_dim"`
	Vocab   int64    `json:"vocab_size"`
	Types   []string `json:"layer_types"`
	Tied    *bool    `json:"tie_word_embeddings"`

	GlobalHeadDim int64 `json:"global_head_dim"`
	GlobalKVHeads int64 `json:"num_global_key_value_heads"`
	KEqualsV      bool  `json:"attention_k_eq_v"`
	// Own are the heads of full layers by number, as transformers writes them in place of the global ones.
	Own map[string]struct {
		HeadDim int64 `json:"head_dim"`
		KVHeads int64 `json:"num_key_value_heads"`
	} `json:"per_layer_config"`
	SharedKV      int   `json:"num_kv_shared_layers"`
	DoubleWide    bool  `json:"use_double_wide_mlp"`
	PerLayer      int64 `json:"hidden_size_per_layer_input"`
	PerLayerVocab int64 `json:"vocab_size_per_layer_input"`
	MoEBlock      bool  `json:"enable_moe_block"`
	Experts       int64 `json:"num_experts"`
	TopK          int64 `json:"num_experts_per_tok"`
	GemmaTopK     int64 `json:"top_k_experts"`
	ExpertMLP     int64 `json:"moe_intermediate_size"`
	SharedMLP     int64 `json:"shared_expert_intermediate_size"`

	KeyHeads   int64 `json:"linear_num_key_heads"`
	ValueHeads int64 `json:"linear_num_value_heads"`
	KeyDim     int64 `json:"linear_key_head_dim"`
	ValueDim   int64 `json:"linear_value_head_dim"`
	ConvWidth  int64 `json:"linear_conv_kernel_dim"`
	MTP        int   `json:"mtp_num_hidden_layers"`
}

// builder collects tensors under a prefix; the first error sticks.
type builder struct {
	*Layout
	sizes
	prefix   string
	elements float64 // so far
	err      error
}

func (b *builder) read(c *hub.Config) error {
	var top struct {
		Vocab  int64           `json:"vocab_size"`
		Tied   *bool           `json:"tie_word_embeddings"`
		Vision json.RawMessage `json:"vision_config"`
		Audio  json.RawMessage `json:"audio_config"`
	}
	if err := json.Unmarshal(c.Raw, &top); err != nil {
		return err
	}
	if err := json.Unmarshal(c.Text, &b.sizes); err != nil {
		return err
	}
	if b.sizes.Vocab == 0 {
		b.sizes.Vocab = top.Vocab
	}
	if b.sizes.Tied == nil {
		b.sizes.Tied = top.Tied
	}
	if b.HeadDim == 0 && b.Heads > 0 {
		b.HeadDim = b.Hidden / b.Heads
	}
	var err error
	if b.sizes.Types, err = hub.LayerTypes(c); err != nil {
		return err
	}
	for _, part := range []struct {
		name string
		has  bool
	}{{"vision", given(top.Vision)}, {"audio", given(top.Audio)}, {"mtp", b.MTP > 0}} {
		if part.has {
			b.Left = append(b.Left, part.name)
		}
	}
	b.Layout.Layers, b.Layout.Vocab = b.sizes.Layers, int(b.sizes.Vocab)
	if c.TextModelType != "" {
		b.prefix = "language_model."
	}
	return nil
}

func given(raw json.RawMessage) bool {
	return len(raw) > 0 && string(raw) != "null" && string(raw) != "false"
}

// tied settles whether the embedding is the head, where the config leaves it open.
func (b *builder) tied(absent bool) {
	b.Layout.Tied = absent
	if b.sizes.Tied != nil {
		b.Layout.Tied = *b.sizes.Tied
	}
}

// need reports keys that are missing or not positive; the architecture cannot be sized without.
func (b *builder) need(keys map[string]int64) {
	var missing []string
	for name, n := range keys {
		if n <= 0 || n > 1<<31-1 {
			missing = append(missing, name)
		}
	}
	if slices.Sort(missing); len(missing) > 0 && b.err == nil {
		b.err = fmt.Errorf("missing, or not a size: %s", strings.Join(missing, ", "))
	}
}

// mostElements are those of all tensors together: more than any computer holds.
const mostElements = 1 << 50

func (b *builder) add(t Tensor) {
	if b.err != nil {
		return
	}
	t.Name = b.prefix + t.Name
	n := 1.0
	for _, d := range t.Shape {
		if n *= float64(d); d <= 0 {
			b.err = fmt.Errorf("the config's sizes make %s of shape %v", t.Name, t.Shape)
			return
		}
	}
	if b.elements += n; b.elements > mostElements {
		b.err = fmt.Errorf("the config's sizes make a model that no computer holds: %s of shape %v", t.Name, t.Shape)
		return
	}
	b.Tensors = append(b.Tensors, t)
}

// linear is a module's weight [out, in].
func (b *builder) linear(path string, role Role, out, in int64) {
	b.add(Tensor{Name: path + ".weight", Shape: []int64{out, in}, Role: role, Quantizable: true})
}

// stacked are the experts' weights [experts, out, in].
func (b *builder) stacked(path string, role Role, experts, out, in int64) {
	b.add(Tensor{Name: path + ".weight", Shape: []int64{experts, out, in}, Role: role, Quantizable: true})
}

// vector is a tensor that is never quantized.
func (b *builder) vector(name string, role Role, n int64) {
	b.add(Tensor{Name: name, Shape: []int64{n}, Role: role})
}

func (b *builder) norm(path string, role Role, n int64) { b.vector(path+".weight", role, n) }

func (b *builder) gated(path string, mlp int64) {
	b.linear(path+".gate_proj", Projection, mlp, b.Hidden)
	b.linear(path+".down_proj", Output, b.Hidden, mlp)
	b.linear(path+".up_proj", Projection, mlp, b.Hidden)
}

// Known says whether the key of a config is one that tensors or their shapes depend on.
func Known(key string) bool {
	t := reflect.TypeFor[sizes]()
	for i := range t.NumField() {
		if t.Field(i).Tag.Get("json") == key {
			return true
		}
	}
	return false
}
