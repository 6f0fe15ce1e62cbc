package jinja

import (
	"fmt"
	"math/big"
	"strings"
	"unicode/utf8"
)

func newOutput() *strings.Builder { return &strings.Builder{} }

func (x *constExpr) eval(*frame) (Value, error) { return x.val, nil }

func (x *nameExpr) eval(f *frame) (Value, error) {
	if v, ok := f.scope.lookup(x.name); ok {
		return v, nil
	}
	return &Undefined{Msg: pyQuote(x.name) + " is undefined"}, nil
}

func evalAll(f *frame, xs []expr) ([]Value, error) {
	out := make([]Value, len(xs))
	for i, x := range xs {
		v, err := x.eval(f)
		if err != nil {
			return nil, err
		}
		out[i] = v
	}
	return out, nil
}

func (x *listExpr) eval(f *frame) (Value, error) {
	items, err := evalAll(f, x.items)
	return &List{Items: items, kind: x.kind}, err
}

func (x *dictExpr) eval(f *frame) (Value, error) {
	d := NewDict(len(x.keys))
	for i := range x.keys {
		k, err := x.keys[i].eval(f)
		if err != nil {
			return nil, err
		}
		if _, err := hashKey(k); err != nil {
			return nil, err
		}
		v, err := x.vals[i].eval(f)
		if err != nil {
			return nil, err
		}
		d.set(k, v)
	}
	return d, nil
}

func (x *notExpr) eval(f *frame) (Value, error) {
	v, err := x.x.eval(f)
	return !truthy(v), err
}

func (x *logicExpr) eval(f *frame) (Value, error) {
	v, err := x.x.eval(f)
	if err != nil || truthy(v) == x.or {
		return v, err
	}
	return x.y.eval(f)
}

func (x *condExpr) eval(f *frame) (Value, error) {
	c, err := x.cond.eval(f)
	switch {
	case err != nil:
		return nil, err
	case truthy(c):
		return x.then.eval(f)
	case x.alt != nil:
		return x.alt.eval(f)
	}
	return &Undefined{Msg: fmt.Sprintf("the inline if-expression on line %d evaluated to false and no else section was defined.", x.line)}, nil
}

func (x *concatExpr) eval(f *frame) (Value, error) {
	vals, err := evalAll(f, x.parts)
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	for _, v := range vals {
		s, err := str(v)
		if err != nil {
			return nil, err
		}
		if err := f.made(b.Len() + len(s)); err != nil {
			return nil, err
		}
		b.WriteString(s)
	}
	return b.String(), nil
}

func (x *compareExpr) eval(f *frame) (Value, error) {
	left, err := x.first.eval(f)
	if err != nil {
		return nil, err
	}
	for i, op := range x.ops {
		right, err := x.rest[i].eval(f)
		if err != nil {
			return nil, err
		}
		ok, err := f.compare(op, left, right)
		if err != nil || !ok {
			return false, err
		}
		left = right
	}
	return true, nil
}

func (x *binaryExpr) eval(f *frame) (Value, error) {
	a, err := x.x.eval(f)
	if err != nil {
		return nil, err
	}
	b, err := x.y.eval(f)
	if err != nil {
		return nil, err
	}
	return f.binary(x.op, a, b)
}

func (x *unaryExpr) eval(f *frame) (Value, error) {
	v, err := x.x.eval(f)
	if err != nil {
		return nil, err
	}
	if u, ok := v.(*Undefined); ok {
		return nil, u.fail()
	}
	if fl, ok := v.(float64); ok {
		if x.op == "-" {
			fl = -fl
		}
		return fl, nil
	}
	n, ok := toInt(v)
	if !ok {
		return nil, typeErrorf("bad operand type for unary %s: '%s'", x.op, typeName(v))
	}
	if x.op == "-" {
		n = new(big.Int).Neg(n)
	}
	return normInt(n), nil
}

func (x *attrExpr) eval(f *frame) (Value, error) {
	v, err := x.obj.eval(f)
	if err != nil {
		return nil, err
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

// prepare evaluates a call's function and arguments.
func (x *callExpr) prepare(f *frame) (Value, args, error) {
	fn, err := x.fn.eval(f)
	if err != nil {
		return nil, args{}, err
	}
	a, err := x.args.eval(f)
	return fn, a, err
}

func (x *callExpr) eval(f *frame) (Value, error) {
	fn, a, err := x.prepare(f)
	if err != nil {
		return nil, err
	}
	return f.callValue(fn, a)
}

func (f *frame) callValue(fn Value, a args) (Value, error) {
	if err := f.charge(1); err != nil {
		return nil, err
	}
	switch fn := fn.(type) {
	case *Func:
		v, err := fn.call(f, a)
		if err != nil {
			return nil, err
		}
		return v, f.chargeFor(v)
	case *Undefined:
		return nil, fn.fail()
	case *Loop:
		if fn.recurse == nil {
			return nil, typeErrorf("The loop must have the 'recursive' marker to be called recursively.")
		}
		b, err := a.bind("loop", "iterable")
		if err != nil {
			return nil, err
		}
		return fn.recurse(b[0])
	}
	return nil, typeErrorf("'%s' object is not callable", typeName(fn))
}

// chargeFor charges for the size of a result.
func (f *frame) chargeFor(v Value) error {
	switch v := v.(type) {
	case string:
		return f.made(len(v))
	case *List:
		return f.made(16 * len(v.Items))
	}
	return nil
}

func (x *filterExpr) eval(f *frame) (Value, error) {
	in, err := x.in.eval(f)
	if err != nil {
		return nil, err
	}
	return x.applyOne(f, in)
}

// apply runs a chain whose innermost input is the given value.
func (x *filterExpr) apply(f *frame, in Value) (Value, error) {
	if inner, ok := x.in.(*filterExpr); ok && inner != nil {
		var err error
		if in, err = inner.apply(f, in); err != nil {
			return nil, err
		}
	}
	return x.applyOne(f, in)
}

func (x *filterExpr) applyOne(f *frame, in Value) (Value, error) {
	a, err := x.args.eval(f)
	if err != nil {
		return nil, err
	}
	return f.callFilter(x.name, in, a)
}

func (x *testExpr) eval(f *frame) (Value, error) {
	in, err := x.in.eval(f)
	if err != nil {
		return nil, err
	}
	a, err := x.args.eval(f)
	if err != nil {
		return nil, err
	}
	return f.callTest(x.name, in, a)
}
