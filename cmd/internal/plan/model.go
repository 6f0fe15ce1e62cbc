package plan

import (
	"embed"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"strconv"
	"strings"

	"reprise/mlx/safetensors"
	"reprise/model/hub"
	"reprise/model/hub/layout"
)

// Evidence says what a figure stands on.
type Evidence string

// The kinds of evidence, weakest last.
const (
	Computed  Evidence = "computed"  // from config and quantization, or from headers
	Published Evidence = "published" // by a vendor
	Derived   Evidence = "derived"   // from published figures and computed ones
	Estimated Evidence = "estimated" // by an assumption that stands beside it
)

// Part is a component of a model.
type Part struct {
	Name   string `json:"name"`
	Bytes  int64  `json:"bytes"`        // held
	Active int64  `json:"active_bytes"` // of them, read for a token
}

// Left is what an artifact holds and this build does not load.
type Left struct {
	Name     string   `json:"name"`
	Bytes    int64    `json:"bytes"`
	Evidence Evidence `json:"evidence"`
	Note     string   `json:"note"`
}

// Model is what a plan knows of a model.
type Model struct {
	Name         string
	Quantization string
	Trained      int
	Parts        []Part
	Left         []Left
	Kinds        []hub.LayerKind
	Window       int64
	Layers       int
	Vocab        int64
	// Through is the number of weights that a prompt's token goes through: without the head, which only the last one needs.
	Through int64
	Notes   []string

	widths widths
}

// widths are the config's keys that a prefill's work follows from.
type widths struct {
	Hidden    int64 `json:"hidden_size"`
	MLP       int64 `json:"intermediate_size"`
	Heads     int64 `json:"num_attention_heads"`
	HeadDim   int64 `json:"head_dim"`
	GlobalDim int64 `json:"global_head_dim"`
	Gated     bool  `json:"attn_output_gate"`
	ExpertMLP int64 `json:"moe_intermediate_size"`
	SharedMLP int64 `json:"shared_expert_intermediate_size"`
	TopK      int64 `json:"num_experts_per_tok"`
	GemmaTopK int64 `json:"top_k_experts"`
	KeyHeads  int64 `json:"linear_num_key_heads"`
	ValHeads  int64 `json:"linear_num_value_heads"`
	KeyDim    int64 `json:"linear_key_head_dim"`
	ValDim    int64 `json:"linear_value_head_dim"`
	Vocab     int64 `json:"vocab_size"`
}

// Weights are the bytes of all parts together, and those that a token reads.
func (m *Model) Weights() (held, active int64) {
	for _, p := range m.Parts {
		held, active = held+p.Bytes, active+p.Active
	}
	return held, active
}

// FromFolder is the model of a checkpoint's files: their headers are read, and on the CPU device the first scales of each
// matrix, which say whether its biases will be held.
func FromFolder(dir, name string, b Backend) (*Model, error) {
	cfg, err := hub.ReadConfig(dir)
	if err != nil {
		return nil, err
	}
	w, err := hub.ReadWeights(dir)
	if err != nil {
		return nil, err
	}
	return describe(cfg, w, name, b)
}

// FromConfig is the model that a config.json describes, without a checkpoint.
func FromConfig(file string, b Backend) (*Model, error) {
	cfg, err := hub.ReadConfigFile(file)
	if err != nil {
		return nil, err
	}
	name := strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
	return fromConfig(cfg, name, b)
}

func fromConfig(cfg *hub.Config, name string, b Backend) (*Model, error) {
	l, err := layout.Of(cfg)
	if err != nil {
		return nil, err
	}
	return describe(cfg, l.Weights(cfg), name, b)
}

//go:embed configs
var configs embed.FS

// embedded is the model of a recipe: its config as this package holds it, with only the keys that sizes follow from.
func embedded(file, name string, b Backend) (*Model, error) {
	raw, err := configs.ReadFile("configs/" + file)
	if err != nil {
		return nil, err
	}
	cfg, err := parse(raw)
	if err != nil {
		return nil, fmt.Errorf("configs/%s: %w", file, err)
	}
	cfg.Path = file
	return fromConfig(cfg, name, b)
}

// parse reads a config whose overrides may name the modules of all layers at once, with * for the layer's number.
func parse(raw []byte) (*hub.Config, error) {
	cfg, err := hub.ParseConfig(raw)
	if err != nil || cfg.Quantization == nil {
		return cfg, err
	}
	kinds, err := hub.LayerTypes(cfg)
	if err != nil {
		return nil, err
	}
	for path, spec := range maps.Clone(cfg.Quantization.Overrides) {
		before, after, all := strings.Cut(path, ".*.")
		if !all {
			continue
		}
		delete(cfg.Quantization.Overrides, path)
		for i := range kinds {
			cfg.Quantization.Overrides[before+"."+strconv.Itoa(i)+"."+after] = spec
		}
	}
	return cfg, nil
}

func describe(cfg *hub.Config, w *hub.Weights, name string, b Backend) (*Model, error) {
	in, err := hub.Describe(cfg, w)
	if err != nil {
		return nil, err
	}
	m := &Model{Name: name, Quantization: quantizationText(cfg, in), Trained: in.Context, Kinds: in.LayerKinds, Window: in.Window, Layers: in.Layers, Notes: in.Notes}
	if err := json.Unmarshal(cfg.Text, &m.widths); err != nil {
		return nil, fmt.Errorf("%s: %w", cfg.Path, err)
	}
	m.Vocab = m.widths.Vocab
	held := map[string]int64{}
	if b == CPU {
		if held, err = heldOnCPU(cfg, w, in); err != nil {
			return nil, err
		}
	}
	inFiles := map[string]bool{}
	for _, c := range in.Components {
		inFiles[c.Name] = true
		if c.Held == 0 {
			m.Left = append(m.Left, Left{c.Name, c.Bytes, Computed, "in the files; this build does not load it"})
			continue
		}
		p := Part{c.Name, c.Held, c.Active}
		if b == CPU {
			p = Part{c.Name, held[c.Name], int64(float64(held[c.Name]) * float64(c.Active) / float64(c.Held))}
		}
		m.Parts = append(m.Parts, p)
	}
	m.Left = append(m.Left, towers(cfg, inFiles)...)
	if l, err := layout.Of(cfg); err == nil { // of another architecture nothing is known but its bytes
		m.Through = through(l, in)
	}
	return m, nil
}

// through counts the weights that a prompt's token is multiplied with.
func through(l *layout.Layout, in *hub.Inspection) int64 {
	var n int64
	for _, t := range l.Tensors {
		switch part := hub.ComponentOf(t.Name); part {
		case "embedding", "head", "per_layer_table":
		case "experts":
			n += t.Elements() * min(in.TopK, in.Experts) / max(1, in.Experts)
		default:
			n += t.Elements()
		}
	}
	return n
}

func quantizationText(cfg *hub.Config, in *hub.Inspection) string {
	q := cfg.Quantization
	if q == nil {
		if in.DType == "" {
			return "none"
		}
		return "none, " + in.DType
	}
	text := q.String()
	if n := len(q.Overrides); n > 0 {
		text += fmt.Sprintf(", %d modules otherwise", n)
	}
	return text
}

// heldOnCPU is what the CPU device holds of each part: matrices as the files have them, without the biases that follow from
// their scales, vectors and convolutions in float32.
func heldOnCPU(cfg *hub.Config, w *hub.Weights, in *hub.Inspection) (map[string]int64, error) {
	held := map[string]int64{}
	for _, c := range in.Components {
		held[c.Name] = c.Bytes
	}
	for _, t := range w.Tensors {
		part := hub.ComponentOf(t.Name)
		path, biases := strings.CutSuffix(t.Name, ".biases")
		switch {
		case biases:
			scales, ok := w.Lookup(path + ".scales")
			packed, has := w.Lookup(path + ".weight")
			if !ok || !has || t.File == "" { // made-up weights' biases are not of that kind
				continue
			}
			spec, err := cfg.Quantization.Fit(path, packed.Shape[len(packed.Shape)-1], scales.Shape[len(scales.Shape)-1])
			if err != nil {
				return nil, err
			}
			follow, err := centred(scales, t, spec.Bits)
			if err != nil {
				return nil, err
			}
			if follow {
				held[part] -= t.Bytes
			}
		case (len(t.Shape) <= 1 || strings.HasSuffix(t.Name, ".conv1d.weight")) && (t.DType == safetensors.BF16 || t.DType == safetensors.F16):
			held[part] += t.Bytes // twice as wide
		}
	}
	return held, nil
}
