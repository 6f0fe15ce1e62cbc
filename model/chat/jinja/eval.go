package jinja

import (
	"fmt"
	"math/big"
	"strings"
)

func newOutput() *strings.Builder { return &strings.Builder{} }

func (x *constExpr) eval(*frame) (Value, error) { return x.val, nil }

func (x *nameExpr) eval(f *frame) (Value, error) {
	if f.trace != nil {
		f.readName(x.name)
	}
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
	if f.trace != nil {
		f.readWhole(in)
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
