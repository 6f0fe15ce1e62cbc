package hub

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Inspection is what a checkpoint's files say about it, without loading it.
// Bytes are exact, of the files' tensors.
type Inspection struct {
	Dir           string      `json:"dir"`
	ModelType     string      `json:"model_type"`
	TextModelType string      `json:"text_model_type,omitempty"`
	Architectures []string    `json:"architectures,omitempty"`
	DType         string      `json:"dtype,omitempty"`
	Context       int         `json:"context_length"` // 0: not said
	Window        int64       `json:"sliding_window,omitempty"`
	Layers        int         `json:"layers"`
	LayerKinds    []LayerKind `json:"layer_kinds"`
	State         StateSizes  `json:"state"`
	// GrowingHeadDim is of growing layers' keys and values: the greatest size that divides each layer's; 0: there are none.
	GrowingHeadDim int64 `json:"growing_head_dim,omitempty"`
	Experts        int64 `json:"experts,omitempty"`         // of a layer
	TopK           int64 `json:"experts_a_token,omitempty"` // of them that a token goes through

	Tensors     int           `json:"tensors"`
	Bytes       int64         `json:"bytes"`
	HeldBytes   int64         `json:"held_bytes"`   // on a GPU
	ActiveBytes int64         `json:"active_bytes"` // of them, that a decode step reads
	Parameters  int64         `json:"parameters"`   // a quantized matrix counts its weights, not its words
	Components  []Component   `json:"components"`
	Formats     []FormatTotal `json:"formats"`
	// Rules is config.json's quantization block; nil when there is none.
	Rules *Rules `json:"quantization,omitempty"`

	Special  SpecialView `json:"special_ids"`
	Template string      `json:"chat_template,omitempty"` // the file that holds it, "" when there is none
	Notes    []string    `json:"notes,omitempty"`
}

// StateSizes are the bytes of a conversation's state, for both compute dtypes.
type StateSizes struct {
	TokenBF16  int64 `json:"token_bytes_bf16"` // a token adds in the full layers
	TokenF32   int64 `json:"token_bytes_f32"`
	WindowBF16 int64 `json:"window_bytes_bf16"` // all full windows together
	WindowF32  int64 `json:"window_bytes_f32"`
	Recurrent  int64 `json:"recurrent_bytes"` // with the convolution's inputs in bf16
}

// Rules is a quantization block: the rule, and which rules the overrides give to how many modules.
type Rules struct {
	Spec
	Overrides []Override `json:"overrides,omitempty"`
}

// Override sums up the overrides that say the same; Example is the first of their paths.
type Override struct {
	Rule    string `json:"rule"` // Spec's text, or "not quantized"
	Modules int    `json:"modules"`
	Example string `json:"example"`
}

// FormatTotal is a row of the quantization table: what is stored in one way.
type FormatTotal struct {
	Format     string `json:"format"` // a dtype, or Spec's parts
	Bits       int    `json:"bits,omitempty"`
	GroupSize  int    `json:"group_size,omitempty"`
	Mode       string `json:"mode,omitempty"`
	Tensors    int    `json:"tensors"` // a quantized matrix, with its scales and biases, is one
	Bytes      int64  `json:"bytes"`
	Parameters int64  `json:"parameters"`
}

// SpecialView is SpecialIDs for printing.
type SpecialView struct {
	BOS []int32 `json:"bos"`
	EOS []int32 `json:"eos"`
	Pad []int32 `json:"pad"`
}

// Inspect reads dir's configuration and tensor headers. A model_type outside
// supported is an error that names it; nil accepts any.
func Inspect(dir string, supported []string) (*Inspection, error) {
	c, err := ReadConfig(dir)
	if err != nil {
		return nil, err
	}
	if supported != nil {
		if err := c.Supported(supported); err != nil {
			return nil, err
		}
	}
	w, err := ReadWeights(dir)
	if err != nil {
		return nil, err
	}
	in, err := Describe(c, w)
	if err != nil {
		return nil, err
	}
	in.Dir = dir
	if in.Template, err = findTemplate(dir); err != nil {
		return nil, err
	}
	return in, nil
}

// Describe is Inspect without a folder: of a configuration, and of the tensors that it came with or implies.
func Describe(c *Config, w *Weights) (*Inspection, error) {
	s, err := readShape(c.Text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.Path, err)
	}
	in := &Inspection{
		ModelType: c.ModelType, TextModelType: c.TextModelType, Architectures: c.Architectures, DType: c.DType,
		Context: c.Context, Window: s.Window, Layers: s.Layers, LayerKinds: s.layerKinds(),
		Tensors: len(w.Tensors), Bytes: w.Bytes(), Components: s.components(w),
		Special: SpecialView{BOS: c.Special.BOS, EOS: c.Special.EOS, Pad: c.Special.Pad},
		Rules:   c.Quantization.rules(),
	}
	if s.Experts > 0 {
		in.Experts, in.TopK = s.Experts, s.topK()
	}
	in.State, in.GrowingHeadDim = stateSizes(in.LayerKinds), s.growingHeadDim()
	for _, part := range in.Components {
		in.HeldBytes += part.Held
		in.ActiveBytes += part.Active
	}
	if in.Formats, err = formats(w, c.Quantization); err != nil {
		return nil, err
	}
	for _, f := range in.Formats {
		in.Parameters += f.Parameters
	}
	in.Notes = notes(w)
	return in, nil
}

func stateSizes(kinds []LayerKind) StateSizes {
	const bf16, f32 = 2, 4
	var s StateSizes
	for _, k := range kinds {
		if k.Kind != SlidingAttention {
			s.TokenBF16 += k.TokenElements * bf16
			s.TokenF32 += k.TokenElements * f32
		}
		s.WindowBF16 += k.WindowElements * bf16
		s.WindowF32 += k.WindowElements * f32
		s.Recurrent += k.StateElements*f32 + k.ConvElements*bf16
	}
	return s
}

// formats makes the quantization table, largest row first. A matrix is
// quantized where it has scales, whatever the config says.
func formats(w *Weights, q *Quantization) ([]FormatTotal, error) {
	rows := map[string]*FormatTotal{}
	add := func(row FormatTotal, bytes, parameters int64) {
		if rows[row.Format] == nil {
			rows[row.Format] = &row
		}
		r := rows[row.Format]
		r.Tensors++
		r.Bytes += bytes
		r.Parameters += parameters
	}
	for _, t := range w.Tensors {
		path, isWeight := strings.CutSuffix(t.Name, ".weight")
		scales, quantized := w.Lookup(path + ".scales")
		if !isWeight || !quantized {
			if w.belongsToQuantized(t.Name) {
				continue // counted with its weight
			}
			add(FormatTotal{Format: string(t.DType)}, t.Bytes, elements(t.Shape))
			continue
		}
		spec, err := q.Fit(path, last(t.Shape), last(scales.Shape))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", t.File, err)
		}
		bytes := t.Bytes + scales.Bytes
		if biases, ok := w.Lookup(path + ".biases"); ok {
			bytes += biases.Bytes
		}
		row := FormatTotal{Format: spec.String(), Bits: spec.Bits, GroupSize: spec.GroupSize, Mode: spec.Mode}
		add(row, bytes, elements(t.Shape)*32/int64(spec.Bits))
	}
	var out []FormatTotal
	for _, r := range rows {
		out = append(out, *r)
	}
	slices.SortFunc(out, func(a, b FormatTotal) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Format, b.Format))
	})
	return out, nil
}

// String is how the table shows a rule: "4 bit, group 64, affine".
func (s Spec) String() string {
	return fmt.Sprintf("%d bit, group %d, %s", s.Bits, s.GroupSize, s.Mode)
}

// belongsToQuantized tells the scales and biases of a quantized matrix.
func (w *Weights) belongsToQuantized(name string) bool {
	for _, suffix := range []string{".scales", ".biases"} {
		if path, ok := strings.CutSuffix(name, suffix); ok {
			_, weight := w.Lookup(path + ".weight")
			_, scales := w.Lookup(path + ".scales")
			return weight && scales
		}
	}
	return false
}

func elements(shape []int64) int64 {
	n := int64(1)
	for _, d := range shape {
		n *= d
	}
	return n
}

func last(shape []int64) int64 {
	if len(shape) == 0 {
		return 0
	}
	return shape[len(shape)-1]
}

// notes say what will be stored otherwise than the file has it, and what is left in the file.
func notes(w *Weights) []string {
	var out []string
	if slices.ContainsFunc(w.Tensors, func(t Tensor) bool { return strings.HasSuffix(t.Name, ".scales") && t.DType == "F32" }) {
		out = append(out, "quantization scales are float32, which keeps them exact; on a GPU they are cast to the compute dtype at load")
	}
	tensors, bytes := 0, int64(0)
	for _, t := range w.Tensors {
		if strings.Contains(t.Name, "mtp.") {
			tensors++
			bytes += t.Bytes
		}
	}
	if tensors > 0 {
		out = append(out, fmt.Sprintf("a head for multi-token prediction (%d tensors, %s) is recognised and left in the file: there is no speculation yet", tensors, SizeText(bytes)))
	}
	return out
}

// findTemplate returns the file that holds the chat template: a file of its
// own wins over tokenizer_config.json's entry, as in transformers.
func findTemplate(dir string) (string, error) {
	for _, name := range []string{"chat_template.jinja", "chat_template.json"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			return name, nil
		}
	}
	const name = "tokenizer_config.json"
	var config struct {
		Template any `json:"chat_template"` // a string, or a list of named ones
	}
	if _, err := readJSON(filepath.Join(dir, name), &config); err != nil {
		return "", err
	}
	if config.Template == nil {
		return "", nil
	}
	return name, nil
}
