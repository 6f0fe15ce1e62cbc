package jinja

import (
	"math/big"
	"unicode"
)

type testFunc func(f *frame, v Value, a args) (bool, error)

// tests are the functions behind `is`, by name.
var tests map[string]testFunc

func init() {
	tests = map[string]testFunc{
		"boolean":     isType[bool],
		"callable":    func(_ *frame, v Value, _ args) (bool, error) { return isCallable(v), nil },
		"defined":     func(_ *frame, v Value, _ args) (bool, error) { return !isUndefined(v), nil },
		"divisibleby": testDivisible,
		"escaped":     func(*frame, Value, args) (bool, error) { return false, nil },
		"even":        func(f *frame, v Value, _ args) (bool, error) { return f.remainderIs(v, 2, 0) },
		"false":       func(_ *frame, v Value, _ args) (bool, error) { return v == Value(false), nil },
		"filter": func(_ *frame, v Value, _ args) (bool, error) {
			s, ok := v.(string)
			return ok && filters[s] != nil, nil
		},
		"float":     isType[float64],
		"in":        testIn,
		"integer":   func(_ *frame, v Value, _ args) (bool, error) { return isInteger(v), nil },
		"iterable":  func(_ *frame, v Value, _ args) (bool, error) { return isIterable(v), nil },
		"lower":     caseTest(unicode.IsLower),
		"mapping":   isType[*Dict],
		"none":      func(_ *frame, v Value, _ args) (bool, error) { return v == nil, nil },
		"number":    func(_ *frame, v Value, _ args) (bool, error) { _, ok := toFloat(v); return ok, nil },
		"odd":       func(f *frame, v Value, _ args) (bool, error) { return f.remainderIs(v, 2, 1) },
		"sameas":    testSameAs,
		"sequence":  func(_ *frame, v Value, _ args) (bool, error) { return isSequence(v), nil },
		"string":    isType[string],
		"test":      func(_ *frame, v Value, _ args) (bool, error) { s, ok := v.(string); return ok && tests[s] != nil, nil },
		"true":      func(_ *frame, v Value, _ args) (bool, error) { return v == Value(true), nil },
		"undefined": func(_ *frame, v Value, _ args) (bool, error) { return isUndefined(v), nil },
		"upper":     caseTest(unicode.IsUpper),
	}
	for op, names := range map[string][]string{
		"==": {"==", "eq", "equalto"}, "!=": {"!=", "ne"},
		"<": {"<", "lt", "lessthan"}, "<=": {"<=", "le"},
		">": {">", "gt", "greaterthan"}, ">=": {">=", "ge"},
	} {
		for _, n := range names {
			tests[n] = compareTest(op)
		}
	}
}

func (f *frame) callTest(name string, v Value, a args) (Value, error) {
	fn, ok := tests[name]
	if !ok {
		return nil, errorf("TemplateRuntimeError", "No test named %s.", pyQuote(name))
	}
	return fn(f, v, a)
}

func isType[T any](_ *frame, v Value, _ args) (bool, error) { _, ok := v.(T); return ok, nil }

func isUndefined(v Value) bool { _, ok := v.(*Undefined); return ok }

func isInteger(v Value) bool {
	switch v.(type) {
	case int64, *big.Int:
		return true
	}
	return false
}

func isCallable(v Value) bool {
	switch v.(type) {
	case *Func, *Undefined, *Loop:
		return true
	}
	return false
}

func isIterable(v Value) bool {
	switch v.(type) {
	case string, *List, *Dict, *Undefined, *Loop:
		return true
	}
	return false
}

// isSequence is true of whatever has a length and items, dicts and undefined
// values included: that is how Jinja defines it.
func isSequence(v Value) bool {
	switch v := v.(type) {
	case string, *Dict, *Undefined:
		return true
	case *List:
		return v.isSequence()
	}
	return false
}

func caseTest(want func(rune) bool) testFunc {
	return func(_ *frame, v Value, _ args) (bool, error) {
		s, err := str(v)
		return allCased(s, want), err
	}
}

func compareTest(op string) testFunc {
	return func(f *frame, v Value, a args) (bool, error) {
		b, err := a.bind("comparison", "other")
		if err != nil {
			return false, err
		}
		return f.compare(op, v, b[0])
	}
}

func testIn(f *frame, v Value, a args) (bool, error) {
	b, err := a.bind("in", "seq")
	if err != nil {
		return false, err
	}
	return f.contains(b[0], v)
}

func testDivisible(f *frame, v Value, a args) (bool, error) {
	b, err := a.bind("divisibleby", "num")
	if err != nil {
		return false, err
	}
	r, err := f.binary("%", v, b[0])
	if err != nil {
		return false, err
	}
	return equal(r, int64(0))
}

func (f *frame) remainderIs(v Value, n, want int64) (bool, error) {
	r, err := f.binary("%", v, n)
	if err != nil {
		return false, err
	}
	return equal(r, want)
}

// testSameAs is Python's `is`: scalars by type and value, the rest by identity.
func testSameAs(_ *frame, v Value, a args) (bool, error) {
	b, err := a.bind("sameas", "other")
	if err != nil {
		return false, err
	}
	x, xBig := v.(*big.Int)
	y, yBig := b[0].(*big.Int)
	if xBig && yBig {
		return x.Cmp(y) == 0, nil
	}
	return v == b[0], nil
}
