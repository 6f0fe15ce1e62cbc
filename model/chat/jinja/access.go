package jinja

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

func (x *attrExpr) eval(f *frame) (Value, error) {
	v, err := x.obj.eval(f)
	if err != nil {
		return nil, err
	}
	if f.trace != nil {
		f.read(v, x.name)
	}
	return getAttr(v, x.name)
}

func (x *itemExpr) eval(f *frame) (Value, error) {
	v, err := x.obj.eval(f)
	if err != nil {
		return nil, err
	}
	k, err := x.key.eval(f)
	if err != nil {
		return nil, err
	}
	if f.trace != nil {
		f.read(v, k)
	}
	return getItem(v, k)
}

// getAttr is obj.name: an attribute or method first, then an item.
func getAttr(v Value, name string) (Value, error) {
	switch o := v.(type) {
	case *Undefined:
		return nil, o.fail()
	case *Loop:
		if a, ok := o.attr(name); ok {
			return a, nil
		}
	case *Namespace:
		if a, ok := o.attrs.Get(name); ok {
			return a, nil
		}
	}
	if fn, ok := method(v, name); ok {
		return fn, nil
	}
	if strings.HasPrefix(name, "__") || mutates(v, name) {
		return &Undefined{security: true,
			Msg: fmt.Sprintf("access to attribute %s of '%s' object is unsafe.", pyQuote(name), typeName(v))}, nil
	}
	if d, ok := v.(*Dict); ok {
		if it, ok := d.Get(name); ok {
			return it, nil
		}
	}
	return missing(v, pyQuote(name), "attribute"), nil
}

// getItem is obj[key]: an item first, then, for string keys, an attribute.
func getItem(v, k Value) (Value, error) {
	switch o := v.(type) {
	case *Undefined:
		return nil, o.fail()
	case *Dict:
		if h, err := hashKey(k); err == nil {
			if i := o.find(h); i >= 0 {
				return o.vals[i], nil
			}
		}
	case *List:
		if i, ok := smallInt(k); ok && o.isSequence() {
			if i < 0 {
				i += len(o.Items)
			}
			if i >= 0 && i < len(o.Items) {
				return o.Items[i], nil
			}
		}
	case string:
		if i, ok := smallInt(k); ok {
			if r, ok := runeAt(o, i); ok {
				return r, nil
			}
		}
	}
	name, ok := k.(string)
	if !ok {
		r, err := repr(k)
		return missing(v, r, "element"), err
	}
	if _, isDict := v.(*Dict); isDict {
		if fn, ok := method(v, name); ok {
			return fn, nil
		}
		return missing(v, pyQuote(name), "attribute"), nil
	}
	return getAttr(v, name)
}

func missing(v Value, what, kind string) *Undefined {
	if kind == "element" {
		return &Undefined{Msg: fmt.Sprintf("%s has no element %s", objectName(v), what)}
	}
	return &Undefined{Msg: fmt.Sprintf("%s has no attribute %s", pyQuote(objectName(v)), what)}
}

// objectName is how Jinja's messages name a value.
func objectName(v Value) string {
	switch v.(type) {
	case nil:
		return "None"
	case *Namespace:
		return "jinja2.utils.Namespace object"
	}
	return typeName(v) + " object"
}

// runeAt returns code point i of s, counted from the end when negative.
func runeAt(s string, i int) (string, bool) {
	if i < 0 {
		i += utf8.RuneCountInString(s)
		if i < 0 {
			return "", false
		}
	}
	for _, r := range s {
		if i == 0 {
			return string(r), true
		}
		i--
	}
	return "", false
}

func (x *sliceExpr) eval(f *frame) (Value, error) {
	v, err := x.obj.eval(f)
	if err != nil {
		return nil, err
	}
	bounds := [3]*int{}
	for i, e := range []expr{x.start, x.stop, x.step} {
		if e == nil {
			continue
		}
		b, err := e.eval(f)
		if err != nil {
			return nil, err
		}
		if b == nil {
			continue
		}
		n, ok := smallInt(b)
		if !ok {
			return nil, typeErrorf("slice indices must be integers or None or have an __index__ method")
		}
		bounds[i] = &n
	}
	return f.slice(v, bounds)
}

func (f *frame) slice(v Value, b [3]*int) (Value, error) {
	switch o := v.(type) {
	case *Undefined:
		return nil, o.fail()
	case string:
		runes := []rune(o)
		if err := f.charge(len(runes) / 64); err != nil {
			return nil, err
		}
		idx, err := sliceIndices(len(runes), b)
		if err != nil {
			return nil, err
		}
		var out strings.Builder
		for _, i := range idx {
			out.WriteRune(runes[i])
		}
		return out.String(), nil
	case *List:
		if !o.isSequence() {
			break
		}
		if err := f.charge(len(o.Items) / 16); err != nil {
			return nil, err
		}
		idx, err := sliceIndices(len(o.Items), b)
		if err != nil {
			return nil, err
		}
		items := make([]Value, len(idx))
		for j, i := range idx {
			items[j] = o.Items[i]
		}
		return o.with(items), nil
	}
	return missing(v, "slice", "element"), nil
}

// sliceIndices lists the positions that [start:stop:step] takes of n.
func sliceIndices(n int, b [3]*int) ([]int, error) {
	step := 1
	if b[2] != nil {
		step = *b[2]
	}
	if step == 0 {
		return nil, valueErrorf("slice step cannot be zero")
	}
	low, high := 0, n
	start, stop := 0, n
	if step < 0 {
		low, high = -1, n-1
		start, stop = n-1, -1
	}
	clip := func(p *int, def int) int {
		if p == nil {
			return def
		}
		i := *p
		if i < 0 {
			i += n
		}
		return max(low, min(high, i))
	}
	start, stop = clip(b[0], start), clip(b[1], stop)
	var idx []int
	for i := start; (step > 0 && i < stop) || (step < 0 && i > stop); i += step {
		idx = append(idx, i)
	}
	return idx, nil
}
