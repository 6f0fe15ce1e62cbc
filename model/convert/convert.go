package convert

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"reprise/mlx"
	"reprise/mlx/safetensors"
	"reprise/model/hub"
	"reprise/model/hub/folder"
	"reprise/model/hub/layout"
)

// Options of a conversion.
type Options struct {
	Rules    Rules
	Replace  bool // the folder may exist
	Progress func(done, total int64)
}

// Report says what was written.
type Report struct {
	Dir           string  `json:"dir"`
	Modules       int     `json:"quantized_modules"`
	Left          int     `json:"tensors_left"` // that are not quantized
	Bytes         int64   `json:"bytes"`
	SourceBytes   int64   `json:"source_bytes"`
	BitsPerWeight float64 `json:"bits_per_weight"`
	// Dropped are the bytes of the source's tensors that conversions leave out, by hub's component names.
	Dropped map[string]int64 `json:"dropped_bytes,omitempty"`
}

// plan is what is decided before the first byte is written.
type plan struct {
	config  *hub.Config
	layout  *layout.Layout
	sources map[string]source
	dropped map[string]int64
	rules   Rules
	dtype   safetensors.DType // what floats are cast to; "": as they are
}

// Quantize writes dir from the checkpoint in the folder src, quantizing on the worker w.
func Quantize(ctx context.Context, w *mlx.Worker, src, dir string, o Options) (*Report, error) {
	p, err := prepare(src, o.Rules)
	if err != nil {
		return nil, err
	}
	stage, err := folder.New(dir, "quantizing", o.Replace)
	if err != nil {
		return nil, err
	}
	defer stage.Abort()
	report := &Report{Dir: dir, Dropped: p.dropped}
	if err := p.write(ctx, w, stage, o.Progress, report); err != nil {
		return nil, err
	}
	if err := errors.Join(p.writeConfig(stage), copyFiles(stage, src)); err != nil {
		return nil, err
	}
	return report, stage.Commit()
}

func prepare(src string, rules Rules) (*plan, error) {
	c, err := hub.ReadConfig(src)
	if err != nil {
		return nil, err
	}
	if c.Quantization != nil {
		return nil, fmt.Errorf("%s has a quantization block: quantize the original", c.Path)
	}
	l, err := layout.Of(c)
	if err != nil {
		return nil, err
	}
	weights, err := hub.ReadWeights(src)
	if err != nil {
		return nil, err
	}
	if pattern := rules.unmatched(l); pattern != "" {
		return nil, fmt.Errorf("--override %s: no module of this model has such a path; one is %s", pattern, l.Tensors[0].Module())
	}
	found, err := sources(c, l, weights)
	if err != nil {
		return nil, err
	}
	dropped, err := rest(l, weights, found)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", src, err)
	}
	return &plan{config: c, layout: l, sources: found, dropped: dropped, rules: rules, dtype: castTo(c)}, nil
}

// castTo is the type that mlx-lm casts floats to: torch_dtype's, or that of text_config.
func castTo(c *hub.Config) safetensors.DType {
	var said struct {
		Torch string `json:"torch_dtype"`
		Text  struct {
			DType string `json:"dtype"`
		} `json:"text_config"`
	}
	_ = json.Unmarshal(c.Raw, &said) // it was read before
	name := said.Torch
	if name == "" {
		name = said.Text.DType
	}
	return map[string]safetensors.DType{"float32": safetensors.F32, "float16": safetensors.F16, "bfloat16": safetensors.BF16}[name]
}

// dtypeOf is the type that t's floats are written in.
func (p *plan) dtypeOf(t layout.Tensor) safetensors.DType {
	if p.dtype == "" || t.Float32 {
		return p.sources[t.Name].DType
	}
	return p.dtype
}

// stored are the tensors that t is written as.
func (p *plan) stored(t layout.Tensor) []safetensors.Spec {
	if spec, ok := p.rules.For(t, p.layout.Layers); ok {
		return layout.Packed(t, spec, p.dtypeOf(t))
	}
	return []safetensors.Spec{{Name: t.Name, DType: p.dtypeOf(t), Shape: t.Shape}}
}

func (p *plan) write(ctx context.Context, w *mlx.Worker, stage *folder.Stage, progress func(done, total int64), report *Report) error {
	var modules [][]safetensors.Spec
	var elements int64
	for _, t := range p.layout.Tensors {
		modules = append(modules, p.stored(t))
		elements += t.Elements()
		report.SourceBytes += t.Elements() * p.sources[t.Name].DType.Size()
	}
	shards := stage.Shards(modules, folder.MaxShardBytes)
	defer shards.Abort()
	var done int64
	for i, t := range p.layout.Tensors {
		m := &module{plan: p, tensor: t, source: p.sources[t.Name], worker: w, advance: func(n int64) {
			if done += n; progress != nil {
				progress(done, report.SourceBytes)
			}
		}}
		if err := m.convert(ctx, shards, modules[i]); err != nil {
			return fmt.Errorf("%s: %w", t.Name, err)
		}
		if len(modules[i]) > 1 {
			report.Modules++
		} else {
			report.Left++
		}
	}
	report.Bytes, report.BitsPerWeight = shards.Total(), float64(shards.Total())*8/float64(elements)
	return shards.Close()
}

// writeConfig writes config.json as mlx-lm does: without the tower's, with the quantization under both of its names.
func (p *plan) writeConfig(stage *folder.Stage) error {
	var config map[string]any
	dec := json.NewDecoder(strings.NewReader(string(p.config.Raw)))
	dec.UseNumber() // integers stay integers
	if err := dec.Decode(&config); err != nil {
		return err
	}
	delete(config, "_name_or_path")
	delete(config, "vision_config")
	block := p.rules.block(p.layout)
	config["quantization"], config["quantization_config"] = block, block
	return stage.WriteJSON("config.json", config)
}

// copied are the files beside the weights that a checkpoint is used with.
var copied = []string{
	"tokenizer*", "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt", "chat_template*", "generation_config.json", "LICENSE*", "NOTICE*",
}

func copyFiles(stage *folder.Stage, src string) error {
	entries, err := os.ReadDir(src)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !slices.ContainsFunc(copied, func(pattern string) bool { ok, _ := filepath.Match(pattern, e.Name()); return ok }) {
			continue
		}
		path := filepath.Join(src, e.Name())
		info, err := os.Stat(path) // through a link into the Hugging Face cache
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() {
			continue
		}
		if err := copyFile(stage, path, e.Name()); err != nil {
			return err
		}
	}
	return nil
}

func copyFile(stage *folder.Stage, path, name string) error {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	return stage.Write(name, func(w io.Writer) error {
		_, err := io.Copy(w, in)
		return err
	})
}
