package importer

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"reprise/model/hub/folder"
	"reprise/model/hub/gguf"
	"reprise/model/hub/tokjson"
)

// Options of an import. The zero value imports the file as it is.
type Options struct {
	// Dialect renames special tokens: "" or DialectGemma4. A dialect needs a
	// ChatTemplate.
	Dialect string
	// ChatTemplate is written as chat_template.jinja. When empty the file's own
	// template is, if it has one.
	ChatTemplate string
	// Replace allows outDir to exist; it is replaced when all is done.
	Replace bool
	// Progress, when set, is called as bytes of tensor data have been converted,
	// from one goroutine at a time.
	Progress func(done, total int64)
}

// Import writes a checkpoint directory made from the GGUF file at ggufPath. On an
// error, or when ctx ends, nothing is left of it.
func Import(ctx context.Context, ggufPath, outDir string, opt Options) (*Report, error) {
	report, err := importFile(ctx, ggufPath, outDir, opt)
	if err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	return report, nil
}

func importFile(ctx context.Context, ggufPath, outDir string, opt Options) (*Report, error) {
	f, err := gguf.Open(ggufPath)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // read only
	p, err := prepare(f, opt)
	if err != nil {
		return nil, err
	}
	stage, err := folder.New(outDir, "importing", opt.Replace)
	if err != nil {
		return nil, err
	}
	defer stage.Abort()

	sum := startSum(ctx, ggufPath)
	tensors, err := writeWeights(ctx, f, p.tensors, filepath.Join(stage.Dir, "model.safetensors"), opt.Progress)
	digest, sumErr := sum()
	if err := errors.Join(err, sumErr); err != nil {
		return nil, err
	}
	if err := p.writeFiles(stage, tensors, digest, filepath.Base(ggufPath)); err != nil {
		return nil, err
	}
	info, err := os.Stat(filepath.Join(stage.Dir, "model.safetensors"))
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := stage.Commit(); err != nil {
		return nil, err
	}
	return &Report{
		Dir: outDir, Source: ggufPath, SourceSHA256: digest, Architecture: p.arch.modelType,
		Dialect: opt.Dialect, BaseModel: p.base, Tensors: tensors, Bytes: info.Size(),
	}, nil
}

// plan is everything that is decided before the first byte is written.
type plan struct {
	arch     *architecture
	config   map[string]any
	tensors  []placed
	vocab    *tokjson.Vocab
	dialect  dialect
	name     string // of the dialect
	template string // "" for none
	base     bool
}

func prepare(f *gguf.File, opt Options) (*plan, error) {
	p := &plan{name: opt.Dialect}
	var err error
	if p.arch, err = architectureOf(f); err != nil {
		return nil, err
	}
	s, err := p.arch.sizes(f)
	if err != nil {
		return nil, err
	}
	if p.config, err = p.arch.config(f, s); err != nil {
		return nil, err
	}
	if p.tensors, err = p.arch.place(f, s); err != nil {
		return nil, err
	}
	if p.vocab, err = tokjson.FromGGUF(f); err != nil {
		return nil, err
	}
	if n := len(p.vocab.Pieces); int64(n) > s.vocab {
		return nil, fmt.Errorf("%s: %d tokens for an embedding of %d rows", f.Path, n, s.vocab)
	}
	if p.dialect, err = dialectOf(opt.Dialect); err != nil {
		return nil, err
	}
	if opt.Dialect != "" && opt.ChatTemplate == "" {
		return nil, fmt.Errorf("dialect %q needs its chat template", opt.Dialect)
	}
	if err := p.dialect.apply(p.vocab); err != nil {
		return nil, fmt.Errorf("%s: dialect %q does not fit the vocabulary: %w", f.Path, opt.Dialect, err)
	}
	own, _ := gguf.Value[string](f, "tokenizer.chat_template")
	p.template, p.base = cmp.Or(opt.ChatTemplate, own), own == ""
	return p, nil
}

// writeFiles writes everything but the weights.
func (p *plan) writeFiles(s *folder.Stage, tensors []TensorReport, digest, source string) error {
	v := p.vocab
	config := p.config
	config["torch_dtype"] = "float32"
	config["quantization"] = quantizationConfig(tensors)
	if config["quantization"] == nil {
		delete(config, "quantization")
	}
	// reprise's own mark: where the weights come from and what they are.
	config["reprise"] = map[string]any{
		"importer": 1, "source": source, "source_sha256": digest, "base_model": p.base, "dialect": p.name,
	}
	generation := map[string]any{"eos_token_id": p.dialect.eos(v)}
	for key, id := range map[string]int{"bos_token_id": v.BOS, "pad_token_id": v.Pad} {
		if id != tokjson.None {
			config[key], generation[key] = id, id
		}
	}
	if v.EOS != tokjson.None {
		config["eos_token_id"] = v.EOS
	}
	context, _ := config["max_position_embeddings"].(int64)
	for _, file := range []struct {
		name  string
		value any
	}{
		{"config.json", config},
		{"generation_config.json", generation},
		{"tokenizer_config.json", v.Config(context)},
	} {
		if err := s.WriteJSON(file.name, file.value); err != nil {
			return err
		}
	}
	if err := s.Write("tokenizer.json", v.WriteTokenizer); err != nil {
		return err
	}
	if p.template == "" {
		return nil
	}
	return s.Write("chat_template.jinja", func(w io.Writer) error {
		_, err := io.WriteString(w, p.template)
		return err
	})
}

// quantizationConfig is config.json's "quantization": the most frequent width
// for all, and an entry for every module of another. nil when nothing is
// quantized.
func quantizationConfig(tensors []TensorReport) any {
	count := map[int]int{}
	for _, t := range tensors {
		if t.Bits > 0 {
			count[t.Bits]++
		}
	}
	usual := 0
	for bits, n := range count {
		if n > count[usual] || n == count[usual] && bits < usual {
			usual = bits
		}
	}
	if usual == 0 {
		return nil
	}
	q := map[string]any{"group_size": groupSize, "bits": usual, "mode": "affine"}
	for _, t := range tensors {
		if t.Bits > 0 && t.Bits != usual {
			q[module(t.Name)] = map[string]any{"group_size": groupSize, "bits": t.Bits}
		}
	}
	return q
}

// startSum computes the file's SHA-256 beside the conversion. The function it
// returns waits for the result and must be called.
func startSum(ctx context.Context, path string) func() (string, error) {
	type result struct {
		digest string
		err    error
	}
	done := make(chan result, 1)
	go func() {
		digest, err := sumFile(ctx, path)
		done <- result{digest, err}
	}()
	return func() (string, error) {
		r := <-done
		return r.digest, r.err
	}
}

func sumFile(ctx context.Context, path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	for ctx.Err() == nil {
		if _, err := io.CopyN(h, f, 8<<20); errors.Is(err, io.EOF) {
			return hex.EncodeToString(h.Sum(nil)), nil
		} else if err != nil {
			return "", err
		}
	}
	return "", ctx.Err()
}
