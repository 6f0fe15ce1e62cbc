package held

import (
	"encoding/json"
	"math/big"
	"strconv"
	"strings"

	"reprise/model/chat"
	"reprise/model/chat/jinja"
)

// A part of a tool's schema, as far as it binds here: type, enum, const, anyOf, oneOf (as anyOf), allOf (joined), $ref within the
// schema, properties, required, additionalProperties, items, prefixItems, minItems, maxItems, minLength, maxLength, pattern, and
// the bounds of numbers.

// resolved follows references and joins allOf; nil: anything goes. It gives up where they go round. The same part gives the same
// dictionary each time, by which its rule is known again.
func (o *writer) resolved(root *chat.Dict, v chat.Value) *chat.Dict {
	d, ok := v.(*chat.Dict)
	for range 16 {
		if !ok {
			return nil
		}
		ref, has := d.Get("$ref")
		if !has {
			return o.whole(root, d)
		}
		d, ok = chat.Refer(root, ref)
	}
	return nil
}

// whole is a part with its allOf joined.
func (o *writer) whole(root, d *chat.Dict) *chat.Dict {
	joined, ok := o.joined[d]
	if !ok {
		if o.joined == nil {
			o.joined = map[*chat.Dict]*chat.Dict{}
		}
		joined = joinedParts(root, d)
		o.joined[d] = joined
	}
	return joined
}

// joinedParts lays the parts of allOf over the schema that holds them.
func joinedParts(root, d *chat.Dict) *chat.Dict {
	parts, ok := chat.ListAt(d, "allOf")
	if !ok {
		return d
	}
	out := chat.NewDict()
	lay := func(from *chat.Dict) {
		for i := range from.Len() {
			k, v := from.At(i)
			key, _ := k.(string)
			switch have, _ := out.Get(key); {
			case key == "allOf":
			case key == "properties" && have != nil:
				out.Set(key, union(have, v))
			case key == "required" && have != nil:
				a, _ := have.(*jinja.List)
				b, _ := v.(*jinja.List)
				if a != nil && b != nil {
					out.Set(key, chat.NewList(append(append([]chat.Value{}, a.Items...), b.Items...)...))
				}
			default:
				out.Set(key, v)
			}
		}
	}
	lay(d)
	for _, p := range parts {
		if part, ok := p.(*chat.Dict); ok {
			if ref, has := part.Get("$ref"); has {
				if part, ok = chat.Refer(root, ref); !ok {
					continue
				}
			}
			lay(part)
		}
	}
	return out
}

func union(a, b chat.Value) chat.Value {
	out := chat.NewDict()
	for _, v := range []chat.Value{a, b} {
		if d, ok := v.(*chat.Dict); ok {
			for i := range d.Len() {
				k, v := d.At(i)
				if key, ok := k.(string); ok {
					out.Set(key, v)
				}
			}
		}
	}
	return out
}

// alternatives are the values or schemas of which one is to be chosen: enum or const as values, anyOf and oneOf as schemas.
func alternatives(d *chat.Dict) (values []chat.Value, schemas []chat.Value) {
	if v, ok := d.Get("const"); ok {
		return []chat.Value{v}, nil
	}
	if list, ok := chat.ListAt(d, "enum"); ok && len(list) > 0 {
		return list, nil
	}
	if _, own := d.Get("properties"); own { // alternatives of an object that has a form: which of its parameters go together
		return nil, nil
	}
	for _, key := range []string{"anyOf", "oneOf"} {
		if list, ok := chat.ListAt(d, key); ok && len(list) > 0 {
			return nil, list
		}
	}
	return nil, nil
}

// types are a schema's types; what has properties is an object, what has items a list. None: any.
func types(d *chat.Dict) []string {
	if one, _ := d.Get("type"); one != nil {
		if s, ok := one.(string); ok {
			return []string{s}
		}
	}
	var out []string
	if list, ok := chat.ListAt(d, "type"); ok {
		for _, v := range list {
			if s, ok := v.(string); ok {
				out = append(out, s)
			}
		}
	}
	if len(out) == 0 {
		if _, ok := chat.DictAt(d, "properties"); ok {
			return []string{"object"}
		}
		if _, ok := d.Get("items"); ok {
			return []string{"array"}
		}
	}
	return out
}

// count is a keyword's whole number; otherwise when it has none.
func count(d *chat.Dict, key string, otherwise int) int {
	v, _ := d.Get(key)
	switch n := v.(type) {
	case int64:
		if n >= 0 && n < 1<<20 {
			return int(n)
		}
	case float64:
		if n >= 0 && n < 1<<20 && n == float64(int(n)) {
			return int(n)
		}
	}
	return otherwise
}

func required(d *chat.Dict) map[string]bool {
	out := map[string]bool{}
	list, _ := chat.ListAt(d, "required")
	for _, v := range list {
		if s, ok := v.(string); ok {
			out[s] = true
		}
	}
	return out
}

// letters is the regular expression of a text that a schema allows, "" for none but the empty one. A pattern takes the place of
// lengths.
func letters(d *chat.Dict, patterns bool) (rx string, mayBeEmpty bool) {
	low, high := count(d, "minLength", 0), count(d, "maxLength", -1)
	if p, _ := d.Get("pattern"); p != nil && patterns {
		if s, ok := p.(string); ok && s != "" {
			return unanchored(s), false
		}
	}
	switch {
	case high == 0:
		return "", true
	case high < 0:
		return `(?s:.{` + strconv.Itoa(max(low, 1)) + `,})`, low == 0
	}
	return `(?s:.{` + strconv.Itoa(max(min(low, high), 1)) + `,` + strconv.Itoa(high) + `})`, low == 0
}

// unanchored is a pattern that is looked for, as one of the whole text.
func unanchored(p string) string {
	p, from := strings.CutPrefix(p, "^")
	to := strings.HasSuffix(p, "$") && !strings.HasSuffix(p, `\$`)
	if to {
		p = strings.TrimSuffix(p, "$")
	}
	p = "(" + p + ")"
	if !from {
		p = "(?s:.*)" + p
	}
	if !to {
		p += "(?s:.*)"
	}
	return p
}

// only is a schema of one type with the keywords that bound it.
func only(d *chat.Dict, kind string, keys ...string) *chat.Dict {
	out := chat.NewDict()
	out.Set("type", kind)
	for _, k := range keys {
		if v, ok := d.Get(k); ok {
			out.Set(k, v)
		}
	}
	return out
}

var bounds = []string{"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}

// toJSON writes a decoded value as JSON again.
func toJSON(v chat.Value) string {
	switch v := v.(type) {
	case string:
		return quote(v)
	case *big.Int:
		return v.String()
	case *jinja.List:
		parts := make([]string, len(v.Items))
		for i, it := range v.Items {
			parts[i] = toJSON(it)
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case *chat.Dict:
		parts := make([]string, v.Len())
		for i := range v.Len() {
			k, it := v.At(i)
			key, _ := k.(string)
			parts[i] = quote(key) + ": " + toJSON(it)
		}
		return "{" + strings.Join(parts, ", ") + "}"
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return "null"
	}
	return string(raw)
}
