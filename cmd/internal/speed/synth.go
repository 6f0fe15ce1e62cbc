package speed

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"reprise/model/arch"
	"reprise/model/hub"
	"reprise/model/hub/layout"
	"reprise/model/synth"
	"reprise/server/engine"
)

// Synthetic is a model whose weights are made up in device memory, of the shapes that a config.json has.
type Synthetic struct {
	Config *hub.Config
	Layout *layout.Layout
	dir    string
}

// seed of the weights: any will do, as long as it is one.
const seed = 1

// Synthesize reads the config, changes it, and sets up what an engine needs besides weights: a folder with the config and
// a vocabulary of one token. The caller closes it.
func Synthesize(file string, change synth.Change) (*Synthetic, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("--synth: %w", err)
	}
	if raw, err = change.Apply(raw); err != nil {
		return nil, fmt.Errorf("--synth %s: %w", file, err)
	}
	m := &Synthetic{}
	if m.Config, err = hub.ParseConfig(raw); err != nil {
		return nil, fmt.Errorf("--synth %s: %w", file, err)
	}
	m.Config.Path = file
	if err := m.Config.Supported(arch.Supported()); err != nil {
		return nil, fmt.Errorf("--synth: %w", err)
	}
	if m.Layout, err = layout.Of(m.Config); err != nil {
		return nil, fmt.Errorf("--synth: %w", err)
	}
	parent, err := os.MkdirTemp("", "reprise-synth-*")
	if err != nil {
		return nil, err
	}
	m.dir = filepath.Join(parent, "made-up "+m.Config.ModelType)
	if err := m.files(raw); err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

// files are those that an engine reads. No id of the answers is an end but the last of the vocabulary.
func (m *Synthetic) files(config []byte) error {
	vocabulary := map[string]any{
		"version": "1.0", "added_tokens": []any{}, "normalizer": nil, "pre_tokenizer": nil, "post_processor": nil, "decoder": map[string]any{"type": "Fuse"},
		"model": map[string]any{"type": "BPE", "vocab": map[string]int{"a": 0}, "merges": []any{}},
	}
	if err := os.Mkdir(m.dir, 0o700); err != nil {
		return err
	}
	for name, content := range map[string]any{
		"config.json": json.RawMessage(config), "tokenizer.json": vocabulary, "tokenizer_config.json": map[string]any{"bos_token": nil},
		"generation_config.json": map[string]any{"eos_token_id": m.Layout.Vocab - 1},
	} {
		text, err := json.Marshal(content)
		if err == nil {
			err = os.WriteFile(filepath.Join(m.dir, name), text, 0o600)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Close removes the folder.
func (m *Synthetic) Close() { os.RemoveAll(filepath.Dir(m.dir)) }

// Name is the config's file, without its ending.
func (m *Synthetic) Name() string {
	base := filepath.Base(m.Config.Path)
	return strings.TrimSuffix(base, filepath.Ext(base))
}

// Use makes an engine's options those of the made-up model.
func (m *Synthetic) Use(o *engine.Options) { o.Model, o.Weights = m.dir, synth.Source(m.Config, seed) }

// Encode stands for a tokenizer: ids all over the vocabulary, whatever the text.
func (m *Synthetic) Encode(string) ([]int32, error) {
	ids := make([]int32, 8192)
	x := uint32(seed)
	for i := range ids {
		x = x*1664525 + 1013904223 // as good as any generator for ids
		ids[i] = int32(uint64(x) * uint64(m.Layout.Vocab-1) >> 32)
	}
	return ids, nil
}
