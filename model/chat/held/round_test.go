package held

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// Parts of a schema that refer to themselves, to each other, or to nothing, and many that refer to the same: each makes a grammar of
// its own size or is refused. An endless one would end the process: a stack that grows too large is nothing to recover from.
func TestSchemasThatGoRound(t *testing.T) {
	chain := func(part string) string {
		var defs []string
		for i := range 40 {
			defs = append(defs, fmt.Sprintf(`"n%d": %s`, i, strings.ReplaceAll(part, "NEXT", fmt.Sprintf(`{"$ref": "#/$defs/n%d"}`, i+1))))
		}
		return `{"type": "object", "properties": {"a": {"$ref": "#/$defs/n0"}}, "$defs": {` + strings.Join(defs, ", ") + `, "n40": {"const": 1}}}`
	}
	all := speakers(t)
	for name, params := range map[string]string{
		"a part of itself behind allOf":    `{"type": "object", "properties": {"a": {"$ref": "#/$defs/n"}}, "$defs": {"n": {"allOf": [{"type": "object"}], "properties": {"next": {"$ref": "#/$defs/n"}}}}}`,
		"an alternative of itself":         `{"type": "object", "properties": {"a": {"$ref": "#/$defs/n"}}, "$defs": {"n": {"anyOf": [{"$ref": "#/$defs/n"}, {"type": "null"}]}}}`,
		"alternatives of each other alone": `{"type": "object", "properties": {"a": {"$ref": "#/$defs/n"}}, "$defs": {"n": {"anyOf": [{"$ref": "#/$defs/m"}]}, "m": {"oneOf": [{"$ref": "#/$defs/n"}]}}}`,
		"the whole in itself":              `{"type": "object", "properties": {"a": {"$ref": "#"}}}`,
		"the whole is itself":              `{"$ref": "#"}`,
		"a reference to nothing":           `{"$ref": "#/$defs/none"}`,
		"a reference to another document":  `{"$ref": "https://example.com/schema.json"}`,
		"paths that multiply, allOf":       chain(`{"allOf": [{"type": "object"}], "properties": {"x": NEXT, "y": NEXT}}`),
		"paths that multiply, anyOf":       chain(`{"anyOf": [NEXT, NEXT]}`),
	} {
		tools := decodeTools(t, `[{"type": "function", "function": {"name": "f", "parameters": `+params+`}}]`)
		for _, s := range all {
			want := Want{Calls: Calls{Choice: Required}}
			g, err := New(s.dialect, tools, want, NoThinking, true)
			if err != nil || len(g.Spec.Source) > 20000 {
				t.Errorf("%s, %s: %d bytes, %v", s.name, name, len(g.Spec.Source), err)
				continue
			}
			m, _, err := Compile(s.tok, s.dialect, tools, want, NoThinking)
			var refused *Error
			if err != nil && !errors.As(err, &refused) {
				t.Errorf("%s, %s: %v", s.name, name, err)
			}
			m.Close()
		}
	}
}
