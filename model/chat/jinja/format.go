package jinja

import (
	"fmt"
	"math/big"
	"regexp"
	"strconv"
	"strings"
)

var percentRe = regexp.MustCompile(`^%(?:\(([^)]*)\))?([-+ 0#]*)(\d*)(?:\.(\d*))?[hlL]?([a-zA-Z%])`)

// filterFormat is value|format(args): Python's % on the value as text.
func filterFormat(f *frame, in Value, a args) (Value, error) {
	s, err := str(in)
	if err != nil {
		return nil, err
	}
	if len(a.pos) > 0 && len(a.kw) > 0 {
		return nil, typeErrorf("can't handle positional and keyword arguments at the same time")
	}
	if len(a.kw) > 0 {
		d := NewDict(len(a.kw))
		for _, kw := range a.kw {
			d.set(kw.name, kw.val)
		}
		return f.format(s, d)
	}
	return f.format(s, newTuple(a.pos...))
}

// format is Python's str % value, for the conversions s r a d i u f F e E g G x X o c.
func (f *frame) format(s string, v Value) (Value, error) {
	vals := []Value{v}
	if l, ok := v.(*List); ok && l.kind == kindTuple {
		vals = l.Items
	}
	names, _ := v.(*Dict)
	var b strings.Builder
	used := 0
	for s != "" {
		i := strings.IndexByte(s, '%')
		if i < 0 {
			break
		}
		b.WriteString(s[:i])
		s = s[i:]
		m := percentRe.FindStringSubmatch(s)
		if m == nil {
			return nil, valueErrorf("incomplete or unsupported format in %s", pyQuote(s))
		}
		s = s[len(m[0]):]
		if m[5] == "%" {
			b.WriteByte('%')
			continue
		}
		var arg Value
		switch {
		case m[1] != "":
			if names == nil {
				return nil, typeErrorf("format requires a mapping")
			}
			var ok bool
			if arg, ok = names.Get(m[1]); !ok {
				return nil, errorf("KeyError", "%s", pyQuote(m[1]))
			}
		case used == len(vals):
			return nil, typeErrorf("not enough arguments for format string")
		default:
			arg = vals[used]
			used++
		}
		text, err := f.percent(m, arg)
		if err != nil {
			return nil, err
		}
		b.WriteString(text)
		if err := f.made(b.Len()); err != nil {
			return nil, err
		}
	}
	if used < len(vals) && names == nil {
		return nil, typeErrorf("not all arguments converted during string formatting")
	}
	b.WriteString(s)
	return b.String(), f.made(b.Len())
}

// percent formats one argument; m is a match of percentRe.
func (f *frame) percent(m []string, v Value) (string, error) {
	width, _ := strconv.Atoi(m[3])
	prec, err := strconv.Atoi(m[4])
	if err != nil {
		prec = -1
	}
	if width > 1<<20 || prec > 1<<10 {
		return "", errorf(KindLimit, "format: width %s or precision %s is too large", m[3], m[4])
	}
	if u, ok := v.(*Undefined); ok && !strings.Contains("sra", m[5]) {
		return "", u.fail()
	}
	verb := "%" + m[2] + m[3]
	if m[4] != "" {
		verb += "." + m[4]
	}
	switch c := m[5]; c {
	case "s", "r", "a":
		text, err := repr(v)
		if c == "s" {
			text, err = str(v)
		}
		return fmt.Sprintf("%"+strings.ReplaceAll(m[2], "0", "")+verb[1+len(m[2]):]+"s", text), err
	case "d", "i", "u":
		n, ok := toInt(v)
		if fl, isFloat := v.(float64); isFloat {
			n, _ = new(big.Float).SetFloat64(fl).Int(nil)
			ok = true
		}
		if !ok {
			return "", typeErrorf("%%%s format: a real number is required, not %s", c, typeName(v))
		}
		return fmt.Sprintf(verb+"d", n), nil
	case "x", "X", "o":
		n, ok := toInt(v)
		if !ok {
			return "", typeErrorf("%%%s format: an integer is required, not %s", c, typeName(v))
		}
		return fmt.Sprintf(verb+c, n), nil
	case "f", "F", "e", "E", "g", "G":
		x, ok := toFloat(v)
		if !ok {
			return "", typeErrorf("must be real number, not %s", typeName(v))
		}
		if prec < 0 {
			verb += ".6"
		}
		return fmt.Sprintf(verb+strings.Replace(c, "F", "f", 1), x), nil
	}
	return "", valueErrorf("unsupported format character '%s'", m[5])
}

var braceRe = regexp.MustCompile(`^\{(\w*)((?:\.\w+|\[\w+\])*)(?:!([rs]))?(?::([^{}]*))?\}`)

// strFormat is str.format for fields with a name or number, a path and !r or
// !s; a format spec after a colon is refused.
func strFormat(f *frame, s string, a args) (Value, error) {
	var b strings.Builder
	auto := 0
	for s != "" {
		switch {
		case strings.HasPrefix(s, "{{"), strings.HasPrefix(s, "}}"):
			b.WriteByte(s[0])
			s = s[2:]
			continue
		case s[0] != '{' && s[0] != '}':
			b.WriteByte(s[0])
			s = s[1:]
			continue
		}
		m := braceRe.FindStringSubmatch(s)
		if m == nil || m[4] != "" {
			return nil, valueErrorf("str.format: unsupported field at %s", pyQuote(s))
		}
		s = s[len(m[0]):]
		v, err := formatField(m[1], &auto, a)
		if err != nil {
			return nil, err
		}
		if v, err = walkField(v, m[2]); err != nil {
			return nil, err
		}
		text, err := str(v)
		if m[3] == "r" {
			text, err = repr(v)
		}
		if err != nil {
			return nil, err
		}
		b.WriteString(text)
		if err := f.made(b.Len()); err != nil {
			return nil, err
		}
	}
	return b.String(), nil
}

func formatField(name string, auto *int, a args) (Value, error) {
	if name == "" {
		name = strconv.Itoa(*auto)
		*auto++
	}
	if i, err := strconv.Atoi(name); err == nil {
		if i >= len(a.pos) {
			return nil, errorf("IndexError", "Replacement index %d out of range for positional args tuple", i)
		}
		return a.pos[i], nil
	}
	v, ok := a.take(-1, name)
	if !ok {
		return nil, errorf("KeyError", "%s", pyQuote(name))
	}
	return v, nil
}

// walkField follows .name and [key] steps.
func walkField(v Value, path string) (Value, error) {
	for path != "" {
		end := strings.IndexAny(path[1:], ".[") + 1
		if end == 0 {
			end = len(path)
		}
		var key Value = strings.Trim(path[:end], ".[]")
		if n, ok := parseInt(key.(string), 10); ok {
			key = n
		}
		var err error
		if v, err = getItem(v, key); err != nil {
			return nil, err
		}
		path = path[end:]
	}
	return v, nil
}
