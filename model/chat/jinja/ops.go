package jinja

import (
	"math"
	"math/big"
	"strings"
	"unicode/utf8"
)

// maxIntBits bounds the ints that a template can make.
const maxIntBits = 1 << 16

// normInt turns a big.Int into the form that Value prescribes.
func normInt(n *big.Int) Value {
	if n.IsInt64() {
		return n.Int64()
	}
	return n
}

// toInt reads ints and bools.
func toInt(v Value) (*big.Int, bool) {
	switch v := v.(type) {
	case int64:
		return big.NewInt(v), true
	case bool:
		return big.NewInt(boolInt(v)), true
	case *big.Int:
		return v, true
	}
	return nil, false
}

// toFloat reads any number.
func toFloat(v Value) (float64, bool) {
	if f, ok := v.(float64); ok {
		return f, true
	}
	n, ok := toInt(v)
	if !ok {
		return 0, false
	}
	f, _ := new(big.Float).SetInt(n).Float64()
	return f, true
}

// binary computes a op b for + - * / // % **.
func (f *frame) binary(op string, a, b Value) (Value, error) {
	if s, ok := a.(string); ok && op == "%" {
		return f.format(s, b)
	}
	for _, v := range []Value{a, b} {
		if u, ok := v.(*Undefined); ok {
			return nil, u.fail()
		}
	}
	if x, ok := a.(string); ok && op == "+" {
		if y, ok := b.(string); ok {
			return x + y, f.made(len(x) + len(y))
		}
		return nil, typeErrorf("can only concatenate str (not \"%s\") to str", typeName(b))
	}
	if x, ok := a.(int64); ok {
		if y, ok := b.(int64); ok && op == "+" && fitsAdd(x, y) {
			return x + y, nil
		} else if ok && op == "-" && y != math.MinInt64 && fitsAdd(x, -y) {
			return x - y, nil
		}
	}
	if v, ok, err := f.sequenceOp(op, a, b); ok || err != nil {
		return v, err
	}
	_, fa := a.(float64)
	_, fb := b.(float64)
	x, ok1 := toFloat(a)
	y, ok2 := toFloat(b)
	switch {
	case !ok1 || !ok2:
		return nil, typeErrorf("unsupported operand type(s) for %s: '%s' and '%s'",
			strings.Replace(op, "**", "** or pow()", 1), typeName(a), typeName(b))
	case fa || fb || op == "/":
		return floatOp(op, x, y)
	}
	m, _ := toInt(a)
	n, _ := toInt(b)
	return intOp(op, m, n)
}

func fitsAdd(x, y int64) bool {
	s := x + y
	return (s > x) == (y > 0)
}

// sequenceOp handles list + list and str or list * int.
func (f *frame) sequenceOp(op string, a, b Value) (Value, bool, error) {
	x, xl := a.(*List)
	y, yl := b.(*List)
	if op == "+" && xl && yl && x.kind == y.kind && x.kind <= kindTuple {
		if err := f.made(16 * (len(x.Items) + len(y.Items))); err != nil {
			return nil, true, err
		}
		return x.with(append(append(make([]Value, 0, len(x.Items)+len(y.Items)), x.Items...), y.Items...)), true, nil
	}
	if op != "*" {
		return nil, false, nil
	}
	if _, isInt := toInt(a); isInt {
		a, b = b, a
	}
	n, ok := smallInt(b)
	if !ok {
		return nil, false, nil
	}
	n = max(n, 0)
	switch s := a.(type) {
	case string:
		if err := f.times(len(s), n); err != nil {
			return nil, true, err
		}
		return strings.Repeat(s, n), true, nil
	case *List:
		if s.kind > kindTuple {
			break
		}
		if err := f.times(16*len(s.Items), n); err != nil {
			return nil, true, err
		}
		var items []Value
		for range n {
			items = append(items, s.Items...)
		}
		return s.with(items), true, nil
	}
	return nil, false, nil
}

// times charges for size bytes made n times over.
func (r *run) times(size, n int) error {
	if size > 0 && n > r.limits.Bytes/size {
		return r.made(-1)
	}
	if size == 0 {
		return nil
	}
	return r.made(size * n)
}

func floatOp(op string, x, y float64) (Value, error) {
	if y == 0 && (op == "/" || op == "//" || op == "%") {
		return nil, errorf("ZeroDivisionError", "division by zero")
	}
	switch op {
	case "+":
		return x + y, nil
	case "-":
		return x - y, nil
	case "*":
		return x * y, nil
	case "/":
		return x / y, nil
	case "//":
		return math.Floor((x-pyMod(x, y))/y + 0.5), nil
	case "%":
		return pyMod(x, y), nil
	}
	return math.Pow(x, y), nil
}

// pyMod is Python's %: the result has the sign of y.
func pyMod(x, y float64) float64 {
	m := math.Mod(x, y)
	if m != 0 && (m < 0) != (y < 0) {
		m += y
	}
	if m == 0 {
		return math.Copysign(0, y)
	}
	return m
}

func intOp(op string, x, y *big.Int) (Value, error) {
	if y.Sign() == 0 && (op == "//" || op == "%") {
		return nil, errorf("ZeroDivisionError", "integer division or modulo by zero")
	}
	z := new(big.Int)
	switch op {
	case "+":
		z.Add(x, y)
	case "-":
		z.Sub(x, y)
	case "*":
		z.Mul(x, y)
	case "//", "%":
		m := new(big.Int)
		z.DivMod(x, y, m) // Euclidean: m ≥ 0
		if y.Sign() < 0 && m.Sign() != 0 {
			m.Add(m, y)
			z.Sub(z, big.NewInt(1))
		}
		if op == "%" {
			z = m
		}
	case "**":
		if y.Sign() < 0 {
			a, _ := toFloat(normInt(x))
			b, _ := toFloat(normInt(y))
			return math.Pow(a, b), nil
		}
		if x.BitLen() > 1 && (!y.IsInt64() || y.Int64() > maxIntBits/int64(x.BitLen()-1)) {
			return nil, errorf(KindLimit, "the template makes an int of more than %d bits", maxIntBits)
		}
		if x.BitLen() <= 1 && y.Sign() > 0 { // 0, 1, -1: only the exponent's parity matters
			y = big.NewInt(2 - int64(y.Bit(0)))
		}
		z.Exp(x, y, nil)
	}
	if z.BitLen() > maxIntBits {
		return nil, errorf(KindLimit, "the template makes an int of more than %d bits", maxIntBits)
	}
	return normInt(z), nil
}

// iterate returns what iterating over v yields. The result must not be written to.
func iterate(v Value) ([]Value, error) {
	switch o := v.(type) {
	case *List:
		if o.kind == kindGenerator {
			if o.spent {
				return nil, nil
			}
			o.spent = true
		}
		return o.Items, nil
	case *Dict:
		return o.keys, nil
	case *Undefined:
		return nil, nil
	case string:
		items := make([]Value, 0, utf8.RuneCountInString(o))
		for _, r := range o {
			items = append(items, string(r))
		}
		return items, nil
	}
	return nil, typeErrorf("'%s' object is not iterable", typeName(v))
}

// length is Python's len().
func length(v Value) (int, error) {
	switch o := v.(type) {
	case string:
		return utf8.RuneCountInString(o), nil
	case *List:
		if o.hasLen() {
			return len(o.Items), nil
		}
	case *Dict:
		return len(o.keys), nil
	case *Undefined:
		return 0, nil
	case *Loop:
		return len(o.items), nil
	}
	return 0, typeErrorf("object of type '%s' has no len()", typeName(v))
}
