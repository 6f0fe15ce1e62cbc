package jinja

import (
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// jsonOptions are the arguments of json.dumps that tojson takes.
type jsonOptions struct {
	ascii, sortKeys bool
	indent          string
	multiline       bool // indent was given, be it empty
	itemSep, keySep string
}

// filterToJSON is transformers' tojson: json.dumps without HTML escaping.
func filterToJSON(f *frame, in Value, a args) (Value, error) {
	b, err := a.bind("tojson", "ensure_ascii", "indent", "separators", "sort_keys")
	if err != nil {
		return nil, err
	}
	o := jsonOptions{itemSep: ", ", keySep: ": ", ascii: b[0] != absent && truthy(b[0]), sortKeys: b[3] != absent && truthy(b[3])}
	switch indent := orDefault(b[1], nil).(type) {
	case nil:
	case string:
		o.multiline, o.indent, o.itemSep = true, indent, ","
	default:
		n, err := intArg(indent, 0)
		if err != nil {
			return nil, err
		}
		if n > 1024 {
			return nil, errorf(KindLimit, "tojson: indent %d is beyond 1024", n)
		}
		o.multiline, o.indent, o.itemSep = true, strings.Repeat(" ", max(n, 0)), ","
	}
	if sep := orDefault(b[2], nil); sep != nil {
		items, err := iterate(sep)
		if err != nil || len(items) != 2 {
			return nil, valueErrorf("tojson: separators must be a pair of strings")
		}
		s0, ok0 := items[0].(string)
		s1, ok1 := items[1].(string)
		if !ok0 || !ok1 {
			return nil, typeErrorf("tojson: separators must be a pair of strings")
		}
		o.itemSep, o.keySep = s0, s1
	}
	w := jsonWriter{o: o, run: f.run}
	if err := w.value(in, 0); err != nil {
		return nil, err
	}
	return w.b.String(), nil
}

type jsonWriter struct {
	b   strings.Builder
	o   jsonOptions
	run *run
}

func (w *jsonWriter) value(v Value, depth int) error {
	if depth > maxDepth {
		return errTooDeep
	}
	switch v := v.(type) {
	case nil:
		w.b.WriteString("null")
	case bool:
		w.b.WriteString(strconv.FormatBool(v))
	case int64:
		w.b.WriteString(strconv.FormatInt(v, 10))
	case *big.Int:
		s, err := bigText(v)
		w.b.WriteString(s)
		return err
	case float64:
		w.b.WriteString(jsonFloat(v))
	case string:
		w.quote(v)
	case *List:
		if v.kind > kindTuple {
			return notSerializable(v)
		}
		return w.list(v, depth)
	case *Dict:
		return w.dict(v, depth)
	default:
		return notSerializable(v)
	}
	return nil
}

func notSerializable(v Value) error {
	return typeErrorf("Object of type %s is not JSON serializable", typeName(v))
}

func jsonFloat(f float64) string {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	}
	return floatText(f)
}

// newline starts a line at the given depth when the output is indented.
func (w *jsonWriter) newline(depth int) error {
	if w.o.multiline {
		w.b.WriteByte('\n')
		for range depth {
			w.b.WriteString(w.o.indent)
		}
	}
	if w.b.Len() > w.run.limits.Bytes {
		return w.run.made(w.b.Len())
	}
	return w.run.charge(1)
}

func (w *jsonWriter) list(l *List, depth int) error {
	if len(l.Items) == 0 {
		w.b.WriteString("[]")
		return nil
	}
	w.b.WriteByte('[')
	for i, it := range l.Items {
		if i > 0 {
			w.b.WriteString(w.o.itemSep)
		}
		if err := w.newline(depth + 1); err != nil {
			return err
		}
		if err := w.value(it, depth+1); err != nil {
			return err
		}
	}
	err := w.newline(depth)
	w.b.WriteByte(']')
	return err
}

func (w *jsonWriter) dict(d *Dict, depth int) error {
	if len(d.keys) == 0 {
		w.b.WriteString("{}")
		return nil
	}
	at := make([]int, len(d.keys))
	for i := range at {
		at[i] = i
	}
	if w.o.sortKeys {
		var failed error
		slices.SortStableFunc(at, func(i, j int) int {
			c, err := order(d.keys[i], d.keys[j], "<")
			if err != nil {
				failed = err
			}
			return c
		})
		if failed != nil {
			return failed
		}
	}
	w.b.WriteByte('{')
	for n, i := range at {
		if n > 0 {
			w.b.WriteString(w.o.itemSep)
		}
		if err := w.newline(depth + 1); err != nil {
			return err
		}
		key, err := jsonKey(d.keys[i])
		if err != nil {
			return err
		}
		w.quote(key)
		w.b.WriteString(w.o.keySep)
		if err := w.value(d.vals[i], depth+1); err != nil {
			return err
		}
	}
	err := w.newline(depth)
	w.b.WriteByte('}')
	return err
}

func jsonKey(k Value) (string, error) {
	switch k := k.(type) {
	case string:
		return k, nil
	case nil:
		return "null", nil
	case bool:
		return strconv.FormatBool(k), nil
	case float64:
		return jsonFloat(k), nil
	case int64, *big.Int:
		return repr(k)
	}
	return "", typeErrorf("keys must be str, int, float, bool or None, not %s", typeName(k))
}

// jsonEscapes are the short forms that json.dumps uses.
var jsonEscapes = map[byte]string{'"': `\"`, '\\': `\\`, '\n': `\n`, '\r': `\r`, '\t': `\t`, '\b': `\b`, '\f': `\f`}

func (w *jsonWriter) quote(s string) {
	w.b.WriteByte('"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && (!w.o.ascii || c < 0x7f) {
			i++
			continue
		}
		w.b.WriteString(s[from:i])
		r, n := utf8.DecodeRuneInString(s[i:])
		if esc, ok := jsonEscapes[c]; ok {
			w.b.WriteString(esc)
		} else if r > 0xffff {
			r -= 0x10000
			fmt.Fprintf(&w.b, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		} else {
			fmt.Fprintf(&w.b, `\u%04x`, r)
		}
		i += n
		from = i
	}
	w.b.WriteString(s[from:])
	w.b.WriteByte('"')
}
