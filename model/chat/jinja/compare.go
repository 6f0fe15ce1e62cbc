package jinja

import (
	"math"
	"math/big"
	"strings"
)

// compare evaluates a op b for a comparison operator.
func (f *frame) compare(op string, a, b Value) (bool, error) {
	switch op {
	case "==", "!=":
		left := maxCompared
		eq, err := equalAt(a, b, 0, &left)
		if err == nil {
			err = f.charge((maxCompared - left) / 16)
		}
		return eq == (op == "=="), err
	case "in", "not in":
		in, err := f.contains(b, a)
		return in == (op == "in"), err
	}
	c, err := order(a, b, op)
	if err != nil {
		return false, err
	}
	switch op {
	case "<":
		return c == -1, nil
	case "<=":
		return c == -1 || c == 0, nil
	case ">":
		return c == 1, nil
	}
	return c == 1 || c == 0, nil
}

// order is -1, 0 or 1, and 2 when a NaN is involved; op names the operator in errors.
func order(a, b Value, op string) (int, error) {
	for _, v := range []Value{a, b} {
		if u, ok := v.(*Undefined); ok {
			return 0, u.fail()
		}
	}
	if x, ok := a.(string); ok {
		if y, ok := b.(string); ok {
			return strings.Compare(x, y), nil // byte order is code point order
		}
	}
	if c, ok := orderNumbers(a, b); ok {
		return c, nil
	}
	x, ok1 := a.(*List)
	y, ok2 := b.(*List)
	if ok1 && ok2 && x.kind == y.kind && x.kind <= kindTuple {
		for i := range min(len(x.Items), len(y.Items)) {
			eq, err := equal(x.Items[i], y.Items[i])
			if err != nil {
				return 0, err
			}
			if !eq {
				return order(x.Items[i], y.Items[i], op)
			}
		}
		return compareInts(len(x.Items), len(y.Items)), nil
	}
	return 0, typeErrorf("'%s' not supported between instances of '%s' and '%s'", op, typeName(a), typeName(b))
}

func compareInts(a, b int) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// orderNumbers compares two numbers exactly, as Python does.
func orderNumbers(a, b Value) (int, bool) {
	x, okx := toInt(a)
	y, oky := toInt(b)
	if okx && oky {
		return x.Cmp(y), true
	}
	fa, isfa := a.(float64)
	fb, isfb := b.(float64)
	switch {
	case math.IsNaN(fa) || math.IsNaN(fb):
		return 2, (isfa || okx) && (isfb || oky)
	case isfa && isfb:
		return new(big.Float).SetFloat64(fa).Cmp(new(big.Float).SetFloat64(fb)), true
	case isfa && oky:
		return new(big.Float).SetFloat64(fa).Cmp(new(big.Float).SetInt(y)), true
	case okx && isfb:
		return new(big.Float).SetInt(x).Cmp(new(big.Float).SetFloat64(fb)), true
	}
	return 0, false
}

// equal is Python's ==.
func equal(a, b Value) (bool, error) {
	left := maxCompared
	return equalAt(a, b, 0, &left)
}

// maxCompared bounds the pairs of values that one comparison looks at.
const maxCompared = 1 << 20

func equalAt(a, b Value, depth int, left *int) (bool, error) {
	if *left--; depth > maxDepth || *left < 0 {
		return false, errTooDeep
	}
	if x, ok := a.(string); ok {
		y, ok := b.(string)
		*left -= min(len(x), len(y)) / 256
		return ok && x == y, nil
	}
	if c, ok := orderNumbers(a, b); ok {
		return c == 0, nil
	}
	switch x := a.(type) {
	case nil:
		return b == nil, nil
	case *Undefined:
		_, ok := b.(*Undefined)
		return ok, nil
	case *List:
		y, ok := b.(*List)
		if !ok || x.kind != y.kind || len(x.Items) != len(y.Items) {
			return false, nil
		}
		if !x.hasLen() {
			return x == y, nil
		}
		for i := range x.Items {
			if eq, err := equalAt(x.Items[i], y.Items[i], depth+1, left); err != nil || !eq {
				return false, err
			}
		}
		return true, nil
	case *Dict:
		y, ok := b.(*Dict)
		if !ok || len(x.keys) != len(y.keys) {
			return false, nil
		}
		for i, k := range x.keys {
			h, _ := hashKey(k)
			j := y.find(h)
			if j < 0 {
				return false, nil
			}
			if eq, err := equalAt(x.vals[i], y.vals[j], depth+1, left); err != nil || !eq {
				return false, err
			}
		}
		return true, nil
	case bool, int64, float64, *big.Int:
		return false, nil
	}
	return a == b, nil // Func, Loop, Namespace: identity
}

// contains is `item in v`.
func (f *frame) contains(v, item Value) (bool, error) {
	switch o := v.(type) {
	case string:
		s, ok := item.(string)
		if !ok {
			return false, typeErrorf("'in <string>' requires string as left operand, not %s", typeName(item))
		}
		return strings.Contains(o, s), f.charge(len(o) / 1024)
	case *Dict:
		h, err := hashKey(item)
		return err == nil && o.find(h) >= 0, err
	}
	items, err := iterate(v)
	if err != nil {
		return false, typeErrorf("argument of type '%s' is not iterable", typeName(v))
	}
	if err := f.charge(len(items) / 16); err != nil {
		return false, err
	}
	for _, it := range items {
		if eq, err := equal(it, item); eq || err != nil {
			return eq, err
		}
	}
	return false, nil
}
