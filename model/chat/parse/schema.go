package parse

import (
	"strings"

	"reprise/model/chat"
	"reprise/model/chat/jinja"
)

// typeSet is a set of JSON types.
type typeSet uint8

// The types. isInt is an integer's value, isNumber any other number.
const (
	isText typeSet = 1 << iota
	isInt
	isNumber
	isBool
	isNull
	isList
	isObject
)

// schema is a part of a JSON schema: what may stand in one place. The zero value allows everything and says nothing.
type schema struct {
	root  *chat.Dict // what references are looked up in
	nodes []*chat.Dict
}

// maxNesting bounds how far references and alternatives are followed.
const maxNesting = 16

// schemas are the parameters of tools by the tools' names.
func schemas(tools []chat.Value) map[string]schema {
	if len(tools) == 0 {
		return nil
	}
	out := make(map[string]schema, len(tools))
	for _, tool := range chat.Declared(tools) {
		out[tool.Name] = newSchema(tool.Params)
	}
	return out
}

func newSchema(root *chat.Dict) schema {
	if root == nil {
		return schema{}
	}
	return schema{root: root}.with(root)
}

// with is the schema with a part and all that it refers to.
func (s schema) with(d *chat.Dict) schema {
	s.nodes = nil
	s.add(d, 0)
	return s
}

// add collects a part, what it refers to and its alternatives: a value may be of any of them.
func (s *schema) add(d *chat.Dict, depth int) {
	if depth > maxNesting || len(s.nodes) > 256 {
		return
	}
	if ref, _ := d.Get("$ref"); ref != nil {
		if to, ok := chat.Refer(s.root, ref); ok {
			s.add(to, depth+1)
		}
	}
	s.nodes = append(s.nodes, d)
	for _, key := range []string{"anyOf", "oneOf", "allOf"} {
		parts, _ := chat.ListAt(d, key)
		for _, v := range parts {
			if alternative, ok := v.(*chat.Dict); ok {
				s.add(alternative, depth+1)
			}
		}
	}
}

// typeNames are JSON schema's, and what tools in other forms call them.
var typeNames = map[string]typeSet{
	"string": isText, "str": isText, "text": isText, "integer": isInt, "int": isInt, "number": isInt | isNumber, "float": isInt | isNumber,
	"double": isInt | isNumber, "boolean": isBool, "bool": isBool, "null": isNull, "none": isNull, "array": isList, "list": isList,
	"object": isObject, "dict": isObject,
}

// types are those that a value may be of, 0 when the schema does not say.
func (s schema) types() typeSet {
	var out typeSet
	for _, d := range s.nodes {
		out |= typesOf(d)
	}
	return out
}

func typesOf(d *chat.Dict) typeSet {
	var out typeSet
	kind, _ := d.Get("type")
	if name, ok := kind.(string); ok {
		out = typeNames[strings.ToLower(name)]
	}
	several, _ := chat.ListAt(d, "type")
	for _, v := range several {
		name, _ := v.(string)
		out |= typeNames[strings.ToLower(name)]
	}
	if out == 0 {
		out = implied(d)
	}
	if nullable, _ := d.Get("nullable"); nullable == true && out != 0 {
		out |= isNull
	}
	return out
}

// implied are the types that a schema without a type means.
func implied(d *chat.Dict) typeSet {
	var out typeSet
	for _, v := range choicesOf(d) {
		out |= kindOf(v)
	}
	if _, ok := chat.DictAt(d, "properties"); ok {
		out |= isObject
	}
	if _, ok := chat.DictAt(d, "items"); ok {
		out |= isList
	}
	return out
}

func choicesOf(d *chat.Dict) []chat.Value {
	choices, _ := chat.ListAt(d, "enum")
	if v, ok := d.Get("const"); ok {
		choices = append(choices[:len(choices):len(choices)], v)
	}
	return choices
}

// choices are the values that a schema lists.
func (s schema) choices() []chat.Value {
	var out []chat.Value
	for _, d := range s.nodes {
		out = append(out, choicesOf(d)...)
	}
	return out
}

// property is the schema of a member.
func (s schema) property(key string) schema {
	for _, d := range s.nodes {
		if props, ok := chat.DictAt(d, "properties"); ok {
			if p, ok := chat.DictAt(props, key); ok {
				return s.with(p)
			}
		}
	}
	for _, d := range s.nodes {
		if p, ok := chat.DictAt(d, "additionalProperties"); ok {
			return s.with(p)
		}
	}
	return schema{}
}

// has tells whether a member is declared.
func (s schema) has(key string) bool {
	for _, d := range s.nodes {
		if props, ok := chat.DictAt(d, "properties"); ok {
			if _, ok := props.Get(key); ok {
				return true
			}
		}
	}
	return false
}

// item is the schema of a list's item.
func (s schema) item(i int) schema {
	for _, d := range s.nodes {
		if prefix, _ := chat.ListAt(d, "prefixItems"); i < len(prefix) {
			if p, ok := prefix[i].(*chat.Dict); ok {
				return s.with(p)
			}
		}
		if p, ok := chat.DictAt(d, "items"); ok {
			return s.with(p)
		}
	}
	return schema{}
}

// kindOf is the type of a JSON value.
func kindOf(v chat.Value) typeSet {
	switch v := v.(type) {
	case nil:
		return isNull
	case string:
		return isText
	case bool:
		return isBool
	case *jinja.List:
		return isList
	case *chat.Dict:
		return isObject
	case float64:
		if v != float64(int64(v)) {
			return isNumber
		}
	}
	return isInt
}
