package hub

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Config is what every architecture's config.json has in common. The rest is
// read by the architecture's own package, from Text.
type Config struct {
	Path          string
	ModelType     string // top level: decides the architecture
	TextModelType string // text_config's, "" in a flat config
	Architectures []string
	DType         string // of the unquantized weights ("bfloat16"), "" when not said
	Context       int    // positions the weights were trained for, 0 when not said
	Special       SpecialIDs
	Quantization  *Quantization // nil: no block
	Generation    Generation
	// Raw is the whole of config.json; Text its text_config, or Raw when flat.
	Raw, Text json.RawMessage
}

// Generation is what generation_config.json suggests; nil and 0 where it says
// nothing.
type Generation struct {
	Temperature *float64 `json:"temperature"`
	TopK        *int     `json:"top_k"`
	TopP        *float64 `json:"top_p"`
	MinP        *float64 `json:"min_p"`
	Suppress    []int32  `json:"suppress_tokens"` // ids whose logits are masked
}

// commonFields stand at the top level, in text_config, or in both.
type commonFields struct {
	ModelType  string `json:"model_type"`
	DType      string `json:"dtype"`
	TorchDType string `json:"torch_dtype"`
	Context    int    `json:"max_position_embeddings"`
}

// ReadConfig reads dir's config.json and generation_config.json.
func ReadConfig(dir string) (*Config, error) {
	path := filepath.Join(dir, "config.json")
	raw, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%s has no config.json: it is not the folder of a checkpoint, or its download is incomplete", dir)
	}
	if err != nil {
		return nil, err
	}
	c, err := parseConfig(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	c.Path = path
	if c.Special, err = ReadSpecialIDs(dir); err != nil {
		return nil, err
	}
	if _, err := readJSON(filepath.Join(dir, "generation_config.json"), &c.Generation); err != nil {
		return nil, err
	}
	return c, nil
}

// ReadConfigFile reads a config.json that stands alone, without a checkpoint around it.
func ReadConfigFile(path string) (*Config, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	c, err := ParseConfig(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	c.Path = path
	return c, nil
}

// ParseConfig reads the text of a config.json, with the special ids that it names.
func ParseConfig(raw []byte) (*Config, error) {
	c, err := parseConfig(raw)
	if err != nil {
		return nil, err
	}
	var ids struct {
		idFields
		Text idFields `json:"text_config"`
	}
	if err := json.Unmarshal(raw, &ids); err != nil {
		return nil, err
	}
	c.Special = SpecialIDs{BOS: firstNonEmpty(ids.BOS, ids.Text.BOS), EOS: firstNonEmpty(ids.EOS, ids.Text.EOS), Pad: firstNonEmpty(ids.Pad, ids.Text.Pad)}
	return c, nil
}

func parseConfig(raw []byte) (*Config, error) {
	var top struct {
		commonFields
		Architectures []string        `json:"architectures"`
		Text          json.RawMessage `json:"text_config"`
		Quantization  json.RawMessage `json:"quantization"`
		Other         json.RawMessage `json:"quantization_config"`
	}
	if err := json.Unmarshal(raw, &top); err != nil {
		return nil, fmt.Errorf("invalid JSON: %w", err)
	}
	if top.ModelType == "" {
		return nil, fmt.Errorf("model_type is absent: the architecture is unknown")
	}
	c := &Config{ModelType: top.ModelType, Architectures: top.Architectures, Raw: raw, Text: raw}
	inner := top.commonFields
	if present(top.Text) {
		if err := json.Unmarshal(top.Text, &inner); err != nil { // over the top level's values
			return nil, fmt.Errorf("text_config: %w", err)
		}
		c.Text = top.Text
		c.TextModelType = inner.ModelType
	}
	if c.Context = inner.Context; c.Context < 0 || c.Context > 1<<40 {
		return nil, fmt.Errorf("max_position_embeddings is %d", c.Context)
	}
	c.DType = inner.DType
	if c.DType == "" {
		c.DType = inner.TorchDType
	}
	// MLX's converters write both keys; other tools only the second.
	block := top.Quantization
	if !present(block) {
		block = top.Other
	}
	if present(block) {
		q, err := parseQuantization(block)
		if err != nil {
			return nil, err
		}
		c.Quantization = q
	}
	return c, nil
}

func present(raw json.RawMessage) bool { return len(raw) > 0 && string(raw) != "null" }

// Supported returns an error that names the model type unless it is one of
// types.
func (c *Config) Supported(types []string) error {
	if slices.Contains(types, c.ModelType) {
		return nil
	}
	sorted := slices.Sorted(slices.Values(types))
	return fmt.Errorf("%s: model_type %q is not supported; supported are %s", c.Path, c.ModelType, strings.Join(sorted, ", "))
}
