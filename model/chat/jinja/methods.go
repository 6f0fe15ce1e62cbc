package jinja

import (
	"slices"
	"strings"
	"unicode"
)

// method returns the bound method of a str, dict or list.
func method(v Value, name string) (*Func, bool) {
	switch o := v.(type) {
	case string:
		if m, ok := strMethods[name]; ok {
			return &Func{name: name, call: func(f *frame, a args) (Value, error) {
				if err := f.charge(len(o) / 256); err != nil {
					return nil, err
				}
				return m(f, o, a)
			}}, true
		}
	case *Dict:
		if m, ok := dictMethods[name]; ok {
			return &Func{name: name, call: func(f *frame, a args) (Value, error) {
				if f.trace != nil && name == "get" && len(a.pos) > 0 {
					f.read(o, a.pos[0])
				}
				return m(o, a)
			}}, true
		}
	case *List:
		if m, ok := listMethods[name]; ok && o.isSequence() {
			return &Func{name: name, call: func(_ *frame, a args) (Value, error) { return m(o, a) }}, true
		}
	}
	return nil, false
}

// mutators are the methods that the immutable sandbox refuses.
var mutators = map[string][]string{
	"dict": {"clear", "pop", "popitem", "setdefault", "update"},
	"list": {"append", "clear", "pop", "reverse", "insert", "sort", "extend", "remove"},
}

func mutates(v Value, name string) bool { return slices.Contains(mutators[typeName(v)], name) }

var dictMethods = map[string]func(*Dict, args) (Value, error){
	"get": func(d *Dict, a args) (Value, error) {
		b, err := a.bind("get", "key", "default")
		if err != nil {
			return nil, err
		}
		h, err := hashKey(b[0])
		if err != nil {
			return nil, err
		}
		if i := d.find(h); i >= 0 {
			return d.vals[i], nil
		}
		return orDefault(b[1], nil), nil
	},
	"items":  func(d *Dict, _ args) (Value, error) { return &List{Items: pairs(d), kind: kindItems}, nil },
	"keys":   func(d *Dict, _ args) (Value, error) { return &List{Items: d.keys, kind: kindKeys}, nil },
	"values": func(d *Dict, _ args) (Value, error) { return &List{Items: d.vals, kind: kindValues}, nil },
	"copy":   func(d *Dict, _ args) (Value, error) { return d, nil }, // nothing can change either
}

// pairs lists a dict's entries as tuples.
func pairs(d *Dict) []Value {
	out := make([]Value, len(d.keys))
	for i, k := range d.keys {
		out[i] = newTuple(k, d.vals[i])
	}
	return out
}

var listMethods = map[string]func(*List, args) (Value, error){
	"copy": func(l *List, _ args) (Value, error) { return l, nil },
	"count": func(l *List, a args) (Value, error) {
		b, err := a.bind("count", "value")
		if err != nil {
			return nil, err
		}
		n := int64(0)
		for _, it := range l.Items {
			eq, err := equal(it, b[0])
			if err != nil {
				return nil, err
			}
			n += boolInt(eq)
		}
		return n, nil
	},
	"index": func(l *List, a args) (Value, error) {
		b, err := a.bind("index", "value")
		if err != nil {
			return nil, err
		}
		for i, it := range l.Items {
			if eq, err := equal(it, b[0]); eq || err != nil {
				return int64(i), err
			}
		}
		return nil, valueErrorf("value is not in list")
	},
}

type strMethod func(f *frame, s string, a args) (Value, error)

var strMethods map[string]strMethod

func init() {
	strMethods = map[string]strMethod{
		"upper":        plain(pyUpper),
		"lower":        plain(pyLower),
		"casefold":     plain(func(s string) string { return pyLower(strings.ReplaceAll(s, "ß", "ss")) }),
		"title":        plain(pyTitle),
		"capitalize":   plain(pyCapitalize),
		"swapcase":     plain(pySwapcase),
		"strip":        stripMethod(strings.TrimFunc),
		"lstrip":       stripMethod(strings.TrimLeftFunc),
		"rstrip":       stripMethod(strings.TrimRightFunc),
		"split":        splitMethod("split", false),
		"rsplit":       splitMethod("rsplit", true),
		"splitlines":   strSplitlines,
		"startswith":   affixMethod("startswith", strings.HasPrefix),
		"endswith":     affixMethod("endswith", strings.HasSuffix),
		"removeprefix": cutMethod("removeprefix", strings.TrimPrefix),
		"removesuffix": cutMethod("removesuffix", strings.TrimSuffix),
		"replace":      strReplace,
		"find":         findMethod("find", strings.Index, false),
		"rfind":        findMethod("rfind", strings.LastIndex, false),
		"index":        findMethod("index", strings.Index, true),
		"rindex":       findMethod("rindex", strings.LastIndex, true),
		"count":        strCount,
		"join":         strJoin,
		"format":       strFormat,
		"partition":    partitionMethod("partition", strings.Index),
		"rpartition":   partitionMethod("rpartition", strings.LastIndex),
		"center":       padMethod("center"),
		"ljust":        padMethod("ljust"),
		"rjust":        padMethod("rjust"),
		"zfill":        strZfill,
		"isalpha":      predicate(func(s string) bool { return allRunes(s, unicode.IsLetter) }),
		"isdigit":      predicate(func(s string) bool { return allRunes(s, isDigit) }),
		"isdecimal":    predicate(func(s string) bool { return allRunes(s, unicode.IsDigit) }),
		"isnumeric":    predicate(func(s string) bool { return allRunes(s, unicode.IsNumber) }),
		"isalnum":      predicate(func(s string) bool { return allRunes(s, isAlnum) }),
		"isspace":      predicate(func(s string) bool { return allRunes(s, isSpace) }),
		"islower":      predicate(func(s string) bool { return allCased(s, unicode.IsLower) }),
		"isupper":      predicate(func(s string) bool { return allCased(s, unicode.IsUpper) }),
		"isascii":      predicate(isASCII),
	}
}

func isDigit(r rune) bool {
	return unicode.IsDigit(r) || strings.ContainsRune("²³¹⁰⁴⁵⁶⁷⁸⁹₀₁₂₃₄₅₆₇₈₉", r)
}

func isAlnum(r rune) bool { return unicode.IsLetter(r) || unicode.IsNumber(r) }
