package held

import (
	"encoding/json"
	"fmt"

	"reprise/model/chat"
	"reprise/model/sample/grammar"
)

// gap is the white space between two tokens of JSON: bounded, so that an answer ends.
const gap = `\x20|\n\x20{0,16}`

// guidance is the key of a schema under which the library takes its options.
const guidance = "x-guidance"

// Schema is a JSON schema as a format of the content, with bounded white space. Options of the library's own in it count.
func Schema(schema []byte) (*grammar.Spec, error) {
	v, err := chat.DecodeOrdered(schema)
	if err != nil {
		return nil, err
	}
	switch v := v.(type) {
	case bool:
		if !v {
			return nil, fmt.Errorf("the schema allows nothing")
		}
		return Schema([]byte("{}"))
	case *chat.Dict:
		return &grammar.Spec{Kind: grammar.JSONSchema, Source: spaced(v, false)}, nil
	}
	return nil, fmt.Errorf("a JSON schema is an object")
}

// AnyObject is any JSON object as a format of the content.
func AnyObject() *grammar.Spec {
	s, _ := Schema(json.RawMessage(`{"type": "object"}`)) // known to be one
	return s
}

// spaced writes a schema with the library's options. lenient: what the library does not know does not bind.
func spaced(d *chat.Dict, lenient bool) string {
	out := chat.NewDict()
	for i := range d.Len() {
		k, v := d.At(i)
		if key, ok := k.(string); ok {
			out.Set(key, v)
		}
	}
	options, ok := chat.DictAt(out, guidance)
	if !ok {
		options = chat.NewDict()
		options.Set("whitespace_pattern", gap)
	}
	if lenient {
		options.Set("lenient", true)
		options.Set("coerce_one_of", true)
	}
	out.Set(guidance, options)
	return toJSON(out)
}
