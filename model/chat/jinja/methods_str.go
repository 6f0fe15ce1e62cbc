package jinja

import (
	"strings"
	"unicode/utf8"
)

func plain(fn func(string) string) strMethod {
	return func(_ *frame, s string, a args) (Value, error) {
		_, err := a.bind("str method")
		return fn(s), err
	}
}

func predicate(fn func(string) bool) strMethod {
	return func(_ *frame, s string, a args) (Value, error) {
		_, err := a.bind("str method")
		return fn(s), err
	}
}

func stripMethod(trim func(string, func(rune) bool) string) strMethod {
	return func(_ *frame, s string, a args) (Value, error) {
		b, err := a.bind("strip", "chars")
		if err != nil {
			return nil, err
		}
		cut, err := stripper(b[0])
		if err != nil {
			return nil, err
		}
		return trim(s, cut), nil
	}
}

func splitMethod(name string, fromRight bool) strMethod {
	return func(_ *frame, s string, a args) (Value, error) {
		b, err := a.bind(name, "sep", "maxsplit")
		if err != nil {
			return nil, err
		}
		limit, err := intArg(b[1], -1)
		if err != nil {
			return nil, err
		}
		if b[0] == absent || b[0] == nil {
			return strList(splitFields(s, limit, fromRight)), nil
		}
		sep, err := strArg(b[0], "")
		if err != nil {
			return nil, err
		}
		if sep == "" {
			return nil, valueErrorf("empty separator")
		}
		return strList(splitSep(s, sep, max(limit, -1), fromRight)), nil
	}
}

func strList(parts []string) *List {
	items := make([]Value, len(parts))
	for i, p := range parts {
		items[i] = p
	}
	return &List{Items: items}
}

func strSplitlines(_ *frame, s string, a args) (Value, error) {
	b, err := a.bind("splitlines", "keepends")
	if err != nil {
		return nil, err
	}
	return strList(splitLines(s, truthy(orDefault(b[0], false)))), nil
}

// affixMethod is startswith and endswith: a string or a tuple of them, within [start:end].
func affixMethod(name string, has func(s, affix string) bool) strMethod {
	return func(_ *frame, s string, a args) (Value, error) {
		b, err := a.bind(name, "prefix", "start", "end")
		if err != nil {
			return nil, err
		}
		s, _, ok, err := window(s, b[1], b[2])
		if err != nil {
			return nil, err
		}
		affixes := []Value{b[0]}
		if l, isList := b[0].(*List); isList && l.kind == kindTuple {
			affixes = l.Items
		}
		for _, v := range affixes {
			affix, isStr := v.(string)
			if !isStr {
				return nil, typeErrorf("%s first arg must be str or a tuple of str, not %s", name, typeName(v))
			}
			if ok && has(s, affix) {
				return true, nil
			}
		}
		return false, nil
	}
}

// window cuts s to [start:end] in code points; offset is where it begins, ok
// is false when start lies behind the end of s.
func window(s string, start, end Value) (cut string, offset int, ok bool, err error) {
	if (start == absent || start == nil) && (end == absent || end == nil) {
		return s, 0, true, nil
	}
	runes := []rune(s)
	n := len(runes)
	pos := func(v Value, def int) (int, error) {
		if v == nil {
			v = absent
		}
		i, err := intArg(v, def)
		if i < 0 {
			i = max(i+n, 0)
		}
		return i, err
	}
	from, err := pos(start, 0)
	if err != nil {
		return "", 0, false, err
	}
	to, err := pos(end, n)
	if err != nil || from > n || from > to {
		return "", 0, false, err
	}
	return string(runes[from:min(to, n)]), from, true, nil
}

func cutMethod(name string, cut func(s, affix string) string) strMethod {
	return func(_ *frame, s string, a args) (Value, error) {
		b, err := a.bind(name, "affix")
		if err != nil {
			return nil, err
		}
		affix, err := strArg(b[0], "")
		return cut(s, affix), err
	}
}

func strReplace(f *frame, s string, a args) (Value, error) {
	b, err := a.bind("replace", "old", "new", "count")
	if err != nil {
		return nil, err
	}
	old, err := strArg(b[0], "")
	if err != nil {
		return nil, err
	}
	repl, err := strArg(b[1], "")
	if err != nil {
		return nil, err
	}
	n, err := intArg(b[2], -1)
	if err != nil {
		return nil, err
	}
	return f.replace(s, old, repl, n)
}

func (f *frame) replace(s, old, repl string, n int) (Value, error) {
	hits := strings.Count(s, old)
	if n >= 0 {
		hits = min(hits, n)
	}
	if err := f.times(len(repl), hits); err != nil {
		return nil, err
	}
	return strings.Replace(s, old, repl, n), nil
}

func findMethod(name string, find func(s, sub string) int, mustFind bool) strMethod {
	return func(_ *frame, s string, a args) (Value, error) {
		b, err := a.bind(name, "sub", "start", "end")
		if err != nil {
			return nil, err
		}
		sub, err := strArg(b[0], "")
		if err != nil {
			return nil, err
		}
		s, offset, ok, err := window(s, b[1], b[2])
		if err != nil {
			return nil, err
		}
		if i := find(s, sub); ok && i >= 0 {
			return int64(offset + utf8.RuneCountInString(s[:i])), nil
		}
		if mustFind {
			return nil, valueErrorf("substring not found")
		}
		return int64(-1), nil
	}
}

func strCount(_ *frame, s string, a args) (Value, error) {
	b, err := a.bind("count", "sub", "start", "end")
	if err != nil {
		return nil, err
	}
	sub, err := strArg(b[0], "")
	if err != nil {
		return nil, err
	}
	s, _, ok, err := window(s, b[1], b[2])
	if err != nil || !ok {
		return int64(0), err
	}
	return int64(strings.Count(s, sub)), nil
}

func strJoin(f *frame, s string, a args) (Value, error) {
	b, err := a.bind("join", "iterable")
	if err != nil {
		return nil, err
	}
	items, err := iterate(b[0])
	if err != nil {
		return nil, typeErrorf("can only join an iterable")
	}
	parts := make([]string, len(items))
	for i, it := range items {
		part, ok := it.(string)
		if !ok {
			return nil, typeErrorf("sequence item %d: expected str instance, %s found", i, typeName(it))
		}
		parts[i] = part
	}
	return f.join(parts, s)
}

func (f *frame) join(parts []string, sep string) (Value, error) {
	if err := f.times(len(sep), len(parts)); err != nil {
		return nil, err
	}
	return strings.Join(parts, sep), nil
}

func partitionMethod(name string, find func(s, sep string) int) strMethod {
	return func(_ *frame, s string, a args) (Value, error) {
		b, err := a.bind(name, "sep")
		if err != nil {
			return nil, err
		}
		sep, err := strArg(b[0], "")
		if err != nil {
			return nil, err
		}
		if sep == "" {
			return nil, valueErrorf("empty separator")
		}
		switch i := find(s, sep); {
		case i >= 0:
			return newTuple(s[:i], sep, s[i+len(sep):]), nil
		case name == "partition":
			return newTuple(s, "", ""), nil
		}
		return newTuple("", "", s), nil
	}
}

func padMethod(name string) strMethod {
	return func(f *frame, s string, a args) (Value, error) {
		b, err := a.bind(name, "width", "fillchar")
		if err != nil {
			return nil, err
		}
		width, err := intArg(b[0], 0)
		if err != nil {
			return nil, err
		}
		fill, err := strArg(b[1], " ")
		if err != nil {
			return nil, err
		}
		if utf8.RuneCountInString(fill) != 1 {
			return nil, typeErrorf("The fill character must be exactly one character long")
		}
		return f.pad(s, name, width, fill)
	}
}

func (f *frame) pad(s, how string, width int, fill string) (Value, error) {
	gap := width - utf8.RuneCountInString(s)
	if gap <= 0 {
		return s, nil
	}
	if err := f.times(len(fill), gap); err != nil {
		return nil, err
	}
	left := 0
	switch how {
	case "rjust":
		left = gap
	case "center": // CPython leans left only when gap and width are both odd
		left = gap/2 + gap&width&1
	}
	return strings.Repeat(fill, left) + s + strings.Repeat(fill, gap-left), nil
}

func strZfill(f *frame, s string, a args) (Value, error) {
	b, err := a.bind("zfill", "width")
	if err != nil {
		return nil, err
	}
	width, err := intArg(b[0], 0)
	if err != nil {
		return nil, err
	}
	sign := ""
	if s != "" && (s[0] == '-' || s[0] == '+') {
		sign, s = s[:1], s[1:]
	}
	padded, err := f.pad(s, "rjust", width-len(sign), "0")
	if err != nil {
		return nil, err
	}
	return sign + padded.(string), nil
}
