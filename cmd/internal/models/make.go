package models

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"reprise/cmd/internal/console"
	"reprise/mlx"
	"reprise/model/chat"
	"reprise/model/convert"
	"reprise/model/hub"
	"reprise/model/synth"
)

// QuantizeOptions say what to quantize.
type QuantizeOptions struct {
	Source   string // what hub.Resolve takes
	Out      string
	Device   mlx.Device
	Rules    convert.Rules
	Replace  bool
	Progress func(done, total int64)
}

// Quantize makes a quantized checkpoint of a float one.
func Quantize(ctx context.Context, o QuantizeOptions) (*convert.Report, error) {
	ckpt, err := hub.Resolve(o.Source)
	if err != nil {
		return nil, err
	}
	w, err := mlx.Start(o.Device)
	if err != nil {
		return nil, err
	}
	defer w.Close()
	report, err := convert.Quantize(ctx, w, ckpt.Dir, o.Out, convert.Options{Rules: o.Rules, Replace: o.Replace, Progress: o.Progress})
	if err != nil {
		return nil, fmt.Errorf("quantize: %w", err)
	}
	return report, nil
}

// WriteQuantized prints the report for a terminal.
func WriteQuantized(out io.Writer, r *convert.Report) error {
	fmt.Fprintf(out, "wrote %s: %s in place of %s, %.2f bits a weight; %d modules quantized, %d tensors left as they are\n",
		r.Dir, console.Bytes(r.Bytes), console.Bytes(r.SourceBytes), r.BitsPerWeight, r.Modules, r.Left)
	for _, part := range slices.Sorted(maps.Keys(r.Dropped)) {
		fmt.Fprintf(out, "left out: %s, %s\n", part, console.Bytes(r.Dropped[part]))
	}
	return nil
}

// SynthOptions say what to make up.
type SynthOptions struct {
	synth.Options
	Out   string
	Vocab string // model whose tokenizer is borrowed, as hub.Resolve takes it; "": none
}

// Synth makes up a checkpoint. With a tokenizer it gets the family's chat template too.
func Synth(ctx context.Context, o SynthOptions) (*synth.Report, error) {
	cfg, err := hub.ReadConfigFile(o.Config)
	if err != nil {
		return nil, fmt.Errorf("--config: %w", err)
	}
	if o.Vocab != "" {
		ckpt, err := hub.Resolve(o.Vocab)
		if err != nil {
			return nil, fmt.Errorf("--tokenizer: %w", err)
		}
		o.Tokenizer = ckpt.Dir
		switch {
		case strings.HasPrefix(cfg.ModelType, "qwen"):
			o.Template = chat.Qwen36Template
		case strings.HasPrefix(cfg.ModelType, "gemma4"):
			o.Template = chat.Gemma4Template
		}
	}
	report, err := synth.Write(ctx, o.Out, o.Options)
	if err != nil {
		return nil, fmt.Errorf("synth: %w", err)
	}
	return report, nil
}

// WriteMadeUp prints the report for a terminal.
func WriteMadeUp(out io.Writer, r *synth.Report) error {
	fmt.Fprintf(out, "wrote %s: %s of random weights, %s of %d layers, vocabulary of %s\n", r.Dir, console.Bytes(r.Bytes), r.ModelType, r.Layers, console.Count(r.Vocab))
	if r.Vocabulary != "" {
		fmt.Fprintf(out, "the vocabulary is not the model's own: %s\n", r.Vocabulary)
	}
	return nil
}
