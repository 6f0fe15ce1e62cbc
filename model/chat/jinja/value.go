package jinja

import (
	"fmt"
	"math"
	"math/big"
	"strings"
)

// Value is what a template computes with. Its dynamic type is one of
//
//	nil          None
//	bool         bool
//	int64        int
//	*big.Int     int beyond 64 bits, never one that would fit
//	float64      float
//	string       str, valid UTF-8
//	*List        list, tuple, dict view or generator
//	*Dict        dict, in insertion order
//	*Undefined   a name or attribute that is not there
//	*Namespace   namespace()
//	*Func        macro, global function or bound method
//	*Loop        the loop variable
type Value = any

// listKind tells apart the Python types that a List stands for.
type listKind uint8

const (
	kindList listKind = iota
	kindTuple
	kindRange
	kindKeys      // dict.keys()
	kindValues    // dict.values()
	kindItems     // dict.items()
	kindGenerator // map, select, batch …: can be read once
)

// List is a Python sequence or iterator over Items.
type List struct {
	Items []Value
	kind  listKind
	spent bool // a generator that was read
	mark  int  // for Trace; 0: none
}

// NewList returns a Python list of items, which it keeps.
func NewList(items ...Value) *List { return &List{Items: items} }

func newTuple(items ...Value) *List      { return &List{Items: items, kind: kindTuple} }
func newGenerator(items []Value) *List   { return &List{Items: items, kind: kindGenerator} }
func (l *List) isSequence() bool         { return l.kind <= kindRange }
func (l *List) hasLen() bool             { return l.kind != kindGenerator }
func (l *List) with(items []Value) *List { return &List{Items: items, kind: l.kind} }

// Undefined is the value of a missing name, attribute or item. It prints as
// nothing, is false and iterates as empty; any other use fails with Msg.
type Undefined struct {
	Msg      string
	security bool // using it is a SecurityError
}

func (u *Undefined) fail() error {
	if u.security {
		return &Error{Kind: KindSecurity, Msg: u.Msg}
	}
	return &Error{Kind: KindUndefined, Msg: u.Msg}
}

// Namespace is the one mutable value: the result of namespace().
type Namespace struct{ attrs *Dict }

// Func is anything callable.
type Func struct {
	name  string
	macro bool
	call  func(f *frame, a args) (Value, error)
}

// Dict is a mapping in insertion order. Keys are compared as Python does:
// 1, 1.0 and True are one key.
type Dict struct {
	keys, vals []Value
	index      map[any]int // nil up to smallDict entries
	mark       int         // for Trace; 0: none
}

// smallDict is the size up to which a linear search beats a map.
const smallDict = 8

// NewDict returns an empty dict with room for n entries.
func NewDict(n int) *Dict {
	return &Dict{keys: make([]Value, 0, n), vals: make([]Value, 0, n)}
}

// Len is the number of entries.
func (d *Dict) Len() int { return len(d.keys) }

// At returns entry i in insertion order.
func (d *Dict) At(i int) (key, val Value) { return d.keys[i], d.vals[i] }

// Set adds key or replaces its value in place. Only for building input and for
// the evaluator's own dicts: a Dict handed to Render must not change any more.
func (d *Dict) Set(key string, val Value) { d.set(key, val) }

// Get returns the value of a string key.
func (d *Dict) Get(key string) (Value, bool) {
	if i := d.find(key); i >= 0 {
		return d.vals[i], true
	}
	return nil, false
}

// find returns the position of a hashed key, or -1.
func (d *Dict) find(h any) int {
	if d.index != nil {
		if i, ok := d.index[h]; ok {
			return i
		}
		return -1
	}
	if s, ok := h.(string); ok {
		for i, k := range d.keys {
			if ks, ok := k.(string); ok && ks == s {
				return i
			}
		}
		return -1
	}
	for i, k := range d.keys {
		if kh, _ := hashKey(k); kh == h {
			return i
		}
	}
	return -1
}

// set stores under a key that was checked with hashKey.
func (d *Dict) set(key, val Value) {
	h, _ := hashKey(key)
	if i := d.find(h); i >= 0 {
		d.vals[i] = val
		return
	}
	d.keys, d.vals = append(d.keys, key), append(d.vals, val)
	if d.index != nil {
		d.index[h] = len(d.keys) - 1
	} else if len(d.keys) > smallDict {
		d.index = make(map[any]int, 2*len(d.keys))
		for i, k := range d.keys {
			kh, _ := hashKey(k)
			d.index[kh] = i
		}
	}
}

func (d *Dict) clone() *Dict {
	c := NewDict(len(d.keys))
	for i, k := range d.keys {
		c.set(k, d.vals[i])
	}
	return c
}

type (
	noneKey  struct{}
	undefKey struct{}
	bigKey   string
	tupleKey string
)

// hashKey maps a value to a comparable Go value such that two Python-equal
// keys map to the same one.
func hashKey(v Value) (any, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case nil:
		return noneKey{}, nil
	case bool:
		return boolInt(v), nil
	case int64:
		return v, nil
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1<<62 {
			return int64(v), nil
		}
		return v, nil
	case *big.Int:
		return bigKey(v.String()), nil
	case *Undefined:
		return undefKey{}, nil
	case *List:
		if v.kind != kindTuple {
			return nil, typeErrorf("unhashable type: '%s'", typeName(v))
		}
		var b strings.Builder
		err := writeTupleKey(&b, v, 0)
		return tupleKey(b.String()), err
	case *Dict:
		return nil, typeErrorf("unhashable type: 'dict'")
	}
	return v, nil // pointers: identity
}

// maxKeyBytes bounds the text that stands for a tuple as a key.
const maxKeyBytes = 1 << 20

func writeTupleKey(b *strings.Builder, l *List, depth int) error {
	if depth > maxDepth || b.Len() > maxKeyBytes {
		return errTooDeep
	}
	b.WriteByte('(')
	for _, it := range l.Items {
		if sub, ok := it.(*List); ok && sub.kind == kindTuple {
			if err := writeTupleKey(b, sub, depth+1); err != nil {
				return err
			}
			continue
		}
		h, err := hashKey(it)
		if err != nil {
			return err
		}
		fmt.Fprintf(b, "%T:%q,", h, fmt.Sprint(h))
	}
	b.WriteByte(')')
	return nil
}

func boolInt(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// truthy is Python's bool().
func truthy(v Value) bool {
	switch v := v.(type) {
	case nil, *Undefined:
		return false
	case bool:
		return v
	case int64:
		return v != 0
	case float64:
		return v != 0
	case string:
		return v != ""
	case *List:
		return v.kind == kindGenerator || len(v.Items) > 0
	case *Dict:
		return len(v.keys) > 0
	}
	return true
}

// typeName is the name of the Python type, as error messages print it.
func typeName(v Value) string {
	switch v := v.(type) {
	case nil:
		return "NoneType"
	case bool:
		return "bool"
	case int64, *big.Int:
		return "int"
	case float64:
		return "float"
	case string:
		return "str"
	case *List:
		return [...]string{"list", "tuple", "range", "dict_keys", "dict_values", "dict_items", "generator"}[v.kind]
	case *Dict:
		return "dict"
	case *Undefined:
		return "Undefined"
	case *Namespace:
		return "Namespace"
	case *Func:
		if v.macro {
			return "Macro"
		}
		return "function"
	case *Loop:
		return "LoopContext"
	}
	return "object"
}
