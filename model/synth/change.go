package synth

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"reprise/model/hub/layout"
)

// Change is what to make of a config besides copying it; the zero value is nothing.
type Change struct {
	Layers int      // 0: as many as it has
	Set    []string // "key=value", of text_config where there is one; a value is JSON. "quantization=…" is the whole block
}

// config is a config.json under change.
type config struct {
	top, text map[string]any // the same map in a flat config
}

// Apply returns the changed config.json. Towers for images and sound are left out, as in mlx-lm's conversions.
func (ch Change) Apply(raw []byte) ([]byte, error) {
	c, err := parse(raw)
	if err != nil {
		return nil, err
	}
	delete(c.top, "vision_config")
	delete(c.top, "audio_config")
	for _, pair := range ch.Set {
		if err := c.set(pair); err != nil {
			return nil, err
		}
	}
	if ch.Layers != 0 {
		if err := c.cut(ch.Layers); err != nil {
			return nil, err
		}
	}
	return json.MarshalIndent(c.top, "", "  ")
}

func parse(raw []byte) (*config, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber() // integers stay integers
	c := &config{}
	if err := dec.Decode(&c.top); err != nil {
		return nil, fmt.Errorf("invalid JSON: %w", err)
	}
	c.text = c.top
	if text, ok := c.top["text_config"].(map[string]any); ok {
		c.text = text
	}
	return c, nil
}

func (c *config) int(key string) int {
	n, _ := c.text[key].(json.Number)
	i, _ := strconv.Atoi(string(n))
	return i
}

func (c *config) setInt(key string, n int) { c.text[key] = json.Number(strconv.Itoa(n)) }

// set changes a key that the config has, or that sizes depend on: a mistyped one must not go unnoticed.
func (c *config) set(pair string) error {
	key, value, ok := strings.Cut(pair, "=")
	if !ok || key == "" {
		return fmt.Errorf("%q is not key=value", pair)
	}
	dec := json.NewDecoder(strings.NewReader(value))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return fmt.Errorf("the value of %s, %q, is not JSON: %w", key, value, err)
	}
	if dec.More() {
		return fmt.Errorf("the value of %s, %q, is more than one JSON value", key, value)
	}
	if key == "quantization" {
		delete(c.top, "quantization_config")
		if c.top[key] = v; v == nil || v == false {
			delete(c.top, key)
		}
		return nil
	}
	_, inTop := c.top[key]
	if _, inText := c.text[key]; !inText && !inTop && !layout.Known(key) {
		return fmt.Errorf("the config has no key %q", key)
	}
	if c.text[key] = v; inTop {
		c.top[key] = v
	}
	return nil
}

// ofLayer finds the layer in a module's path.
var ofLayer = regexp.MustCompile(`(?:^|\.)layers\.(\d+)\.`)

// cut keeps the first n layers. As large a share of them as before, at most, reuses another layer's keys and values,
// and none whose kind does not occur before.
func (c *config) cut(n int) error {
	had := c.int("num_hidden_layers")
	if n < 1 || n > had {
		return fmt.Errorf("%d layers of %d cannot be kept", n, had)
	}
	c.setInt("num_hidden_layers", n)
	types, _ := c.text["layer_types"].([]any)
	if len(types) > n {
		types = types[:n]
		c.text["layer_types"] = types
	}
	if shared := c.int("num_kv_shared_layers"); shared > 0 {
		shared = shared * n / had
		for shared > 0 && !covered(types, shared) {
			shared--
		}
		c.setInt("num_kv_shared_layers", shared)
	}
	own, _ := c.text["per_layer_config"].(map[string]any)
	for layer := range own {
		if i, err := strconv.Atoi(layer); err == nil && i >= n {
			delete(own, layer)
		}
	}
	for _, key := range []string{"quantization", "quantization_config"} {
		block, _ := c.top[key].(map[string]any)
		for path := range block {
			if m := ofLayer.FindStringSubmatch(path); m != nil {
				if i, err := strconv.Atoi(m[1]); err == nil && i >= n {
					delete(block, path)
				}
			}
		}
	}
	return nil
}

// covered says whether each of the last shared kinds occurs before them.
func covered(types []any, shared int) bool {
	if len(types) < shared {
		return len(types) == 0
	}
	own := types[:len(types)-shared]
	for _, kind := range types[len(types)-shared:] {
		if !slices.Contains(own, kind) {
			return false
		}
	}
	return true
}
