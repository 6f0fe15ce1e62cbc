package models

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"reprise/cmd/internal/load"
	"reprise/kvcache/state"
	"reprise/model/arch"
	"reprise/model/hub"
	"reprise/model/hub/layout"
)

// Listed is a checkpoint of the list.
type Listed struct {
	hub.Checkpoint
	ModelType string `json:"model_type,omitempty"`
	Bytes     int64  `json:"bytes,omitempty"` // of the weights' tensors
}

// List is every checkpoint that a name finds on this machine. What is wrong with one stands in its Problem.
func List() ([]Listed, error) {
	found, err := hub.List()
	if err != nil {
		return nil, err
	}
	list := make([]Listed, len(found))
	for i, c := range found {
		list[i] = Listed{Checkpoint: c}
		if c.Problem == "" {
			list[i].look()
		}
	}
	return list, nil
}

// look reads the checkpoint's config and the headers of its weights.
func (l *Listed) look() {
	cfg, err := hub.ReadConfig(l.Dir)
	if err == nil {
		l.ModelType = cfg.ModelType
		err = cfg.Supported(arch.Supported())
	}
	if err == nil {
		var w *hub.Weights
		if w, err = hub.ReadWeights(l.Dir); err == nil {
			l.Bytes = w.Bytes()
		}
	}
	if err != nil {
		l.Problem = err.Error()
	}
}

// Inspection is hub's, with what this build makes of the checkpoint.
type Inspection struct {
	Name string `json:"name"`
	*hub.Inspection
	BaseModel bool `json:"base_model"` // never trained on conversations, as the importer marked it
	Supported bool `json:"supported"`  // this build has the architecture
	// KV are the bytes of a token in growing layers with quantized keys and values (serve --kv-bits); none where heads are
	// not whole groups or there are no such layers.
	KV []QuantizedKV `json:"token_bytes_with_kv_bits,omitempty"`
}

// QuantizedKV is one form of keys and values; scales and biases have the type of activations.
type QuantizedKV struct {
	Bits     int   `json:"bits"`
	Group    int   `json:"group"`
	BFloat16 int64 `json:"bf16"`
	Float32  int64 `json:"f32"`
}

// quantizedKV sizes the default group's forms.
func quantizedKV(in *hub.Inspection) (out []QuantizedKV) {
	var elements int64
	for _, k := range in.LayerKinds {
		if k.Kind == hub.FullAttention {
			elements += k.TokenElements
		}
	}
	for _, bits := range []int{8, 4} {
		q := state.Quantization{Bits: bits, Group: state.DefaultGroup}
		if elements > 0 && q.Check(int(in.GrowingHeadDim)) == nil {
			out = append(out, QuantizedKV{bits, q.Group, q.ElementBytes(elements, 2), q.ElementBytes(elements, 4)})
		}
	}
	return out
}

// Inspect looks into a checkpoint of any architecture.
func Inspect(ref string) (*Inspection, error) {
	ckpt, err := hub.Resolve(ref)
	if err != nil {
		return nil, err
	}
	in, err := hub.Inspect(ckpt.Dir, nil)
	if err != nil {
		return nil, err
	}
	cfg, err := hub.ReadConfig(ckpt.Dir)
	if err != nil {
		return nil, err
	}
	return &Inspection{Name: ckpt.Name, Inspection: in, KV: quantizedKV(in), BaseModel: load.Base(cfg), Supported: load.Supported(cfg.ModelType)}, nil
}

// InspectConfig sizes the checkpoint that a config.json describes, without one at hand.
func InspectConfig(file string) (*Inspection, error) {
	cfg, err := hub.ReadConfigFile(file)
	if err != nil {
		return nil, fmt.Errorf("--config: %w", err)
	}
	l, err := layout.Of(cfg)
	if err != nil {
		return nil, err
	}
	in, err := hub.Describe(cfg, l.Weights(cfg))
	if err != nil {
		return nil, err
	}
	note := "sizes are worked out from the config: no files were read"
	if len(l.Left) > 0 {
		note += "; it also describes what is not counted here: " + strings.Join(l.Left, ", ")
	}
	in.Notes = append(in.Notes, note)
	return &Inspection{Name: file, Inspection: in, KV: quantizedKV(in), Supported: load.Supported(cfg.ModelType)}, nil
}

// WriteText prints the inspection for a terminal.
func (in *Inspection) WriteText(out io.Writer) error {
	if err := in.Inspection.WriteText(out); err != nil {
		return err
	}
	for _, q := range in.KV {
		fmt.Fprintf(out, "with --kv-bits %d a token takes %s in full-attention layers (float32 activations: %s), group %d\n", q.Bits, hub.SizeText(q.BFloat16), hub.SizeText(q.Float32), q.Group)
	}
	if in.BaseModel {
		fmt.Fprintln(out, "\nnote: a base model: `reprise run` continues text with it; --raw=false uses its template")
	}
	if !in.Supported {
		fmt.Fprintf(out, "\nnote: this build cannot run model_type %q; it has %s\n", in.ModelType, strings.Join(arch.Supported(), ", "))
	}
	return nil
}

// WriteList prints the list for a terminal.
func WriteList(out io.Writer, list []Listed) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(out, "no models on this machine: `make build` imports the small one, `reprise models import FILE.gguf` another")
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "name\tmodel type\tweights\tfound in\tfolder")
	for _, l := range list {
		size := ""
		if l.Bytes > 0 {
			size = fmt.Sprintf("%.2f GB", float64(l.Bytes)/1e9)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", l.Name, l.ModelType, size, strings.ReplaceAll(string(l.Source), "_", " "), l.Dir)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, l := range list {
		if l.Problem != "" {
			fmt.Fprintf(out, "%s cannot be used: %s\n", l.Name, l.Problem)
		}
	}
	return nil
}
