package parse

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"

	"reprise/model/chat"
)

// coercer makes what a model wrote a value of the type that a schema wants.
type coercer struct {
	note func(what Flaw, detail string)
	d    *Dialect
}

// names of types, for notes.
var kindNames = []struct {
	kind typeSet
	name string
}{
	{isText, "string"}, {isInt | isNumber, "number"}, {isInt, "integer"}, {isBool, "boolean"}, {isNull, "null"}, {isList, "array"}, {isObject, "object"},
}

func (t typeSet) String() string {
	var names []string
	for _, k := range kindNames {
		if t&k.kind == k.kind {
			names = append(names, k.name)
			t &^= k.kind
		}
	}
	return strings.Join(names, " or ")
}

// allows tells whether a value of kind is of one of the types; a number's type includes integers.
func (t typeSet) allows(kind typeSet) bool { return t == 0 || t&kind != 0 }

// text types a text that a model wrote without a type, as Qwen's parameters are.
func (c coercer) text(text string, want schema) node {
	types := want.types()
	if n, ok := chosen(text, want.choices()); ok {
		return n
	}
	if n, ok := c.read(text, types); ok {
		return c.inner(n, want)
	}
	if types != 0 && types&isText == 0 {
		c.note(WrongType, "not of type "+types.String())
	}
	return textNode(text)
}

// chosen finds the one of a schema's values that a text stands for.
func chosen(text string, choices []chat.Value) (node, bool) {
	for _, v := range choices {
		if v == text {
			return textNode(text), true
		}
	}
	trimmed := strings.TrimSpace(text)
	n, isLiteral := literal(trimmed)
	for _, v := range choices {
		if isLiteral && n.kind == kindOf(v) && sameValue(n, v) {
			return n, true
		}
	}
	return node{}, false
}

// sameValue compares a literal with a value of its kind.
func sameValue(n node, v chat.Value) bool {
	switch n.kind {
	case isNull:
		return true
	case isBool:
		return n.text == fmt.Sprint(v)
	}
	f, err := strconv.ParseFloat(n.text, 64)
	g, err2 := strconv.ParseFloat(fmt.Sprint(v), 64)
	return err == nil && err2 == nil && f == g
}

// read reads a text as a value of one of the types other than text. Without types it may be an object or a list.
func (c coercer) read(text string, types typeSet) (node, bool) {
	trimmed := strings.TrimSpace(text)
	certain := types != 0 && types&isText == 0 // it can be nothing else
	if types == 0 {
		types = isObject | isList
	}
	if types&(isInt|isNumber|isBool|isNull) != 0 {
		if n, ok := literal(strings.TrimSuffix(trimmed, ",")); ok && types&n.kind != 0 {
			return wholeIf(n, types), true
		}
		if n, ok := word(trimmed, types); ok {
			return n, true
		}
	}
	if types&(isObject|isList) == 0 || trimmed == "" || trimmed[0] != '{' && trimmed[0] != '[' {
		return node{}, false
	}
	r := reader{d: c.d, b: []byte(trimmed)}
	n := r.value()
	if r.i < len(trimmed) || types&n.kind == 0 {
		return node{}, false
	}
	if !json.Valid([]byte(trimmed)) { // Python's words and quotes, commas too many
		if !certain {
			return node{}, false
		}
		c.note(ValueRepaired, "")
	}
	return n, true
}

// word reads what is a number or a truth value in other notations.
func word(s string, types typeSet) (node, bool) {
	switch lower := strings.ToLower(s); {
	case types&isBool != 0 && (lower == "true" || lower == "false"):
		return node{kind: isBool, text: lower}, true
	case types&(isInt|isNumber) == 0 || types&isText != 0:
		return node{}, false
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsInf(f, 0) || math.IsNaN(f) || strings.ContainsAny(s, "xXpP_") {
		return node{}, false
	}
	n, ok := literal(strconv.FormatFloat(f, 'f', -1, 64))
	return wholeIf(n, types), ok && types&n.kind != 0
}

// wholeIf writes an integer as one where only integers are wanted.
func wholeIf(n node, types typeSet) node {
	if n.kind == isInt && types != 0 && types&isNumber == 0 && strings.ContainsAny(n.text, ".eE") {
		if s, ok := whole(n.text); ok {
			n.text = s
		}
	}
	return n
}

// value types a value that a model wrote with a type.
func (c coercer) value(n node, want schema) node {
	types := want.types()
	switch {
	case types.allows(n.kind):
		return c.inner(wholeIf(n, types), want)
	case n.kind == isText:
		if m, ok := c.read(n.text, types); ok {
			c.note(Retyped, "text as "+m.kind.String())
			return c.inner(m, want)
		}
	case types&isText != 0 && (n.kind == isInt || n.kind == isNumber || n.kind == isBool):
		c.note(Retyped, n.kind.String()+" as text")
		return textNode(n.text)
	}
	c.note(WrongType, "not of type "+types.String())
	return n
}

// inner types what a list or an object holds.
func (c coercer) inner(n node, want schema) node {
	if len(want.nodes) == 0 {
		return n
	}
	for i := range n.items {
		if n.kind == isObject {
			n.items[i] = c.value(n.items[i], want.property(n.keys[i]))
		} else {
			n.items[i] = c.value(n.items[i], want.item(i))
		}
	}
	return n
}
