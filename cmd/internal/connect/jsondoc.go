package connect

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/tailscale/hujson"
)

// jsonDoc is JSON in which comments and trailing commas are allowed.
type jsonDoc struct{ root hujson.Value }

func parseJSON(raw []byte) (*jsonDoc, error) {
	if len(bytes.TrimSpace(raw)) == 0 {
		raw = []byte("{}")
	}
	root, err := hujson.Parse(raw)
	if err != nil {
		return nil, err
	}
	if _, ok := root.Value.(*hujson.Object); !ok {
		return nil, fmt.Errorf("is not an object")
	}
	return &jsonDoc{root}, nil
}

// pointer is a path as RFC 6901 writes it.
func pointer(path []string) string {
	escape := strings.NewReplacer("~", "~0", "/", "~1")
	var b strings.Builder
	for _, key := range path {
		b.WriteByte('/')
		b.WriteString(escape.Replace(key))
	}
	return b.String()
}

func (d *jsonDoc) get(path ...string) any {
	at := d.root.Find(pointer(path))
	if at == nil {
		return nil
	}
	standard := at.Clone()
	standard.Standardize()
	var v any
	if json.Unmarshal(standard.Pack(), &v) != nil {
		return nil
	}
	return v
}

func (d *jsonDoc) set(value any, path ...string) error {
	for i := 1; i < len(path); i++ {
		switch d.get(path[:i]...).(type) {
		case map[string]any, []any:
		default:
			if err := d.patch("add", map[string]any{}, path[:i]); err != nil {
				return err
			}
		}
	}
	return d.patch("add", value, path)
}

func (d *jsonDoc) remove(path ...string) error { return d.patch("remove", nil, path) }

func (d *jsonDoc) patch(op string, value any, path []string) error {
	step := map[string]any{"op": op, "path": pointer(path)}
	if op != "remove" {
		step["value"] = value
	}
	raw, err := json.Marshal([]any{step})
	if err == nil {
		err = d.root.Patch(raw)
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", op, pointer(path), err)
	}
	return nil
}

func (d *jsonDoc) text() ([]byte, error) {
	out := d.root.Clone()
	out.Format()
	return bytes.ReplaceAll(out.Pack(), []byte("\t"), []byte("  ")), nil
}
