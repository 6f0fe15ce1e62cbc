package chat

import (
	"strings"

	"reprise/model/chat/jinja"
)

// Tool is a function that a request declares.
type Tool struct {
	Name   string
	Params *Dict // a JSON schema; nil: it takes what it is given
}

// Declared are the functions of a request's tools, OpenAI's form of them or that within it. What is none is left out.
func Declared(tools []Value) []Tool {
	var out []Tool
	for _, v := range tools {
		d, ok := v.(*Dict)
		if !ok {
			continue
		}
		if fn, ok := DictAt(d, "function"); ok {
			d = fn
		}
		name, _ := d.Get("name")
		s, ok := name.(string)
		if !ok {
			continue
		}
		params, _ := DictAt(d, "parameters")
		out = append(out, Tool{s, params})
	}
	return out
}

// Refer follows a reference within a JSON schema: "#/$defs/name".
func Refer(root *Dict, ref Value) (*Dict, bool) {
	s, _ := ref.(string)
	path, ok := strings.CutPrefix(s, "#")
	if !ok || root == nil {
		return nil, false
	}
	at := root
	for _, name := range strings.Split(strings.TrimPrefix(path, "/"), "/") {
		if name == "" {
			continue
		}
		if at, ok = DictAt(at, unescaped.Replace(name)); !ok {
			return nil, false
		}
	}
	return at, true
}

var unescaped = strings.NewReplacer("~1", "/", "~0", "~") // of a JSON pointer

// DictAt is the object under a key, false when there is none.
func DictAt(d *Dict, key string) (*Dict, bool) {
	v, _ := d.Get(key)
	out, ok := v.(*Dict)
	return out, ok
}

// ListAt is the list under a key, false when there is none.
func ListAt(d *Dict, key string) ([]Value, bool) {
	v, _ := d.Get(key)
	if l, ok := v.(*jinja.List); ok {
		return l.Items, true
	}
	return nil, false
}
