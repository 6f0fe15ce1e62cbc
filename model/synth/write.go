package synth

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"reprise/mlx/safetensors"
	"reprise/model/hub"
	"reprise/model/hub/folder"
	"reprise/model/hub/layout"
)

// Options say what to write.
type Options struct {
	Config string // file of the config.json
	Change Change
	Seed   uint64
	// Tokenizer is a checkpoint folder whose tokenizer is borrowed, with special tokens relabelled where the family's are
	// missing; "": none.
	Tokenizer string
	Template  string // written as chat_template.jinja; "": none
	Replace   bool   // the folder may exist
	Progress  func(done, total int64)
}

// Report says what was written.
type Report struct {
	Dir        string `json:"dir"`
	ModelType  string `json:"model_type"`
	Layers     int    `json:"layers"`
	Bytes      int64  `json:"bytes"`
	Vocab      int    `json:"vocab_size"`
	Vocabulary string `json:"vocabulary,omitempty"` // whose it is, and what was done to it
}

// Write makes up a checkpoint in the folder dir, which appears whole or not at all.
func Write(ctx context.Context, dir string, o Options) (*Report, error) {
	raw, err := os.ReadFile(o.Config)
	if err != nil {
		return nil, err
	}
	changed, err := o.Change.Apply(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.Config, err)
	}
	var borrowed *vocabulary
	if o.Tokenizer != "" {
		if borrowed, changed, err = borrow(o.Tokenizer, changed); err != nil {
			return nil, err
		}
	}
	c, err := hub.ParseConfig(changed)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.Config, err)
	}
	c.Path = o.Config
	l, err := layout.Of(c)
	if err != nil {
		return nil, err
	}
	stage, err := folder.New(dir, "synthesizing", o.Replace)
	if err != nil {
		return nil, err
	}
	defer stage.Abort()
	total, err := writeWeights(ctx, stage, c, l, o)
	if err != nil {
		return nil, err
	}
	report := &Report{Dir: dir, ModelType: c.ModelType, Layers: l.Layers, Bytes: total, Vocab: l.Vocab}
	if borrowed != nil {
		report.Vocabulary = borrowed.says
	}
	if err := writeFiles(stage, changed, c, borrowed, report, o); err != nil {
		return nil, err
	}
	return report, stage.Commit()
}

func writeWeights(ctx context.Context, stage *folder.Stage, c *hub.Config, l *layout.Layout, o Options) (int64, error) {
	var modules [][]safetensors.Spec
	for _, t := range l.Tensors {
		modules = append(modules, layout.Stored(c, t))
	}
	shards := stage.Shards(modules, folder.MaxShardBytes)
	defer shards.Abort()
	w := &writer{ctx: ctx, shards: shards, seed: o.Seed, progress: o.Progress}
	for _, t := range l.Tensors {
		if err := w.tensor(c, l, t); err != nil {
			return 0, fmt.Errorf("%s: %w", t.Name, err)
		}
	}
	return shards.Total(), shards.Close()
}

// writer streams tensors through one buffer.
type writer struct {
	ctx      context.Context
	shards   *folder.Shards
	seed     uint64
	buffer   []byte
	done     int64
	progress func(done, total int64)
}

// chunk is what is made before it is written.
const chunk = 1 << 20

func (w *writer) tensor(c *hub.Config, l *layout.Layout, t layout.Tensor) error {
	v, specs := valuesOf(l, t), layout.Stored(c, t)
	r := random(stream(t.Name, w.seed))
	if len(specs) == 1 {
		return w.write(specs[0], func(dst []byte) []byte { return appendFloat(dst, v.draw(&r), specs[0].DType) })
	}
	rule, _ := layout.Rule(c, t)
	p, err := packedOf(v, rule)
	if err != nil {
		return err
	}
	word := func(dst []byte) []byte {
		z := uint32(r.next())
		return append(dst, byte(z), byte(z>>8), byte(z>>16), byte(z>>24))
	}
	if err := w.write(specs[0], word); err != nil {
		return err
	}
	scales := random(stream(specs[1].Name, w.seed))
	if rule.Mode != "affine" {
		return w.write(specs[1], func(dst []byte) []byte {
			if scales.unit() < p.share {
				return append(dst, p.low+1)
			}
			return append(dst, p.low)
		})
	}
	dtype := specs[1].DType
	scale := func(r *random) float32 { return rounded(float32(p.scale*(0.9+float64(0.2*r.unit()))), dtype) }
	if err := w.write(specs[1], func(dst []byte) []byte { return appendFloat(dst, scale(&scales), dtype) }); err != nil {
		return err
	}
	again := random(stream(specs[1].Name, w.seed))
	return w.write(specs[2], func(dst []byte) []byte { return appendFloat(dst, float32(p.offset)*scale(&again), dtype) })
}

// write fills a tensor an element at a time.
func (w *writer) write(spec safetensors.Spec, element func(dst []byte) []byte) error {
	out, err := w.shards.Tensor(spec.Name)
	if err != nil {
		return err
	}
	n := int64(1)
	for _, d := range spec.Shape {
		n *= d
	}
	flush := func() error {
		_, err := out.Write(w.buffer)
		w.done += int64(len(w.buffer))
		w.buffer = w.buffer[:0]
		if w.progress != nil {
			w.progress(w.done, w.shards.Total())
		}
		return err
	}
	for range n {
		if w.buffer = element(w.buffer); len(w.buffer) >= chunk {
			if err := flush(); err != nil {
				return err
			}
			if err := w.ctx.Err(); err != nil {
				return err
			}
		}
	}
	return flush()
}

func writeFiles(stage *folder.Stage, raw []byte, c *hub.Config, borrowed *vocabulary, report *Report, o Options) error {
	var top map[string]any
	if err := decodeNumbers(raw, &top); err != nil {
		return err
	}
	mark := map[string]any{"synthesized": 1, "seed": o.Seed, "config": filepath.Base(o.Config)}
	if report.Vocabulary != "" {
		mark["vocabulary"] = report.Vocabulary
	}
	top["reprise"] = mark
	ends := generationEnds(c)
	if borrowed != nil {
		ends = borrowed.ends
	}
	files := []struct {
		name  string
		value any
	}{{"config.json", top}, {"generation_config.json", map[string]any{"eos_token_id": ends}}}
	if borrowed != nil {
		files = append(files, struct {
			name  string
			value any
		}{"tokenizer_config.json", borrowed.config})
	}
	for _, f := range files {
		if err := stage.WriteJSON(f.name, f.value); err != nil {
			return err
		}
	}
	texts := map[string][]byte{"README.md": []byte(readme(c, report, o))}
	if borrowed != nil {
		texts["tokenizer.json"] = borrowed.tokenizer
	}
	if o.Template != "" {
		texts["chat_template.jinja"] = []byte(o.Template)
	}
	for name, text := range texts {
		if err := stage.Text(name, text); err != nil {
			return err
		}
	}
	return nil
}

// generationEnds are the family's ids that end a generation, in its own vocabulary.
func generationEnds(c *hub.Config) []int32 {
	if qwen(c.ModelType) {
		return []int32{248046, 248044}
	}
	if len(c.Special.EOS) > 0 {
		return c.Special.EOS
	}
	return []int32{1}
}

func readme(c *hub.Config, r *Report, o Options) string {
	text := fmt.Sprintf("# Made-up weights\n\nRandom weights in the key structure of `%s` (model type `%s`, %d layers), made by `reprise models synth` with seed %d.\n"+
		"They have the real model's shapes and cost, and say nothing sensible. Nothing of a published model is in them.\n",
		filepath.Base(o.Config), c.ModelType, r.Layers, o.Seed)
	if r.Vocabulary != "" {
		text += "\nThe vocabulary is not the model's own: " + r.Vocabulary + ".\n"
	}
	return text
}

func decodeNumbers(raw []byte, out *map[string]any) error {
	c, err := parse(raw)
	if err != nil {
		return err
	}
	*out = c.top
	return nil
}
