package jinja

import (
	"fmt"
	"strings"
	"time"
)

// maxRange is the sandbox's limit on range().
const maxRange = 100_000

// globals are the names that every template sees. Written once, here.
var globals map[string]Value

func init() {
	globals = map[string]Value{
		"range":           &Func{name: "range", call: globalRange},
		"dict":            &Func{name: "dict", call: globalDict},
		"namespace":       &Func{name: "namespace", call: globalNamespace},
		"raise_exception": &Func{name: "raise_exception", call: globalRaise},
		"strftime_now":    &Func{name: "strftime_now", call: globalNow},
		"joiner":          &Func{name: "joiner", call: globalJoiner},
	}
}

func globalRange(f *frame, a args) (Value, error) {
	b, err := a.bind("range", "start", "stop", "step")
	if err != nil {
		return nil, err
	}
	var n [3]int
	for i, def := range []int{0, 0, 1} {
		if n[i], err = intArg(b[i], def); err != nil {
			return nil, err
		}
	}
	start, stop, step := n[0], n[1], n[2]
	if b[1] == absent {
		start, stop = 0, n[0]
	}
	if step == 0 {
		return nil, valueErrorf("range() arg 3 must not be zero")
	}
	count := 0
	if step > 0 && start < stop {
		count = (stop-start-1)/step + 1
	} else if step < 0 && start > stop {
		count = (start-stop-1)/-step + 1
	}
	if count > maxRange {
		return nil, errorf("OverflowError", "Range too big. The sandbox blocks ranges larger than MAX_RANGE (%d).", maxRange)
	}
	items := make([]Value, count)
	for i := range items {
		items[i] = int64(start + i*step)
	}
	return &List{Items: items, kind: kindRange}, nil
}

// globalDict is dict(mapping or pairs, **names).
func globalDict(_ *frame, a args) (Value, error) {
	if len(a.pos) > 1 {
		return nil, typeErrorf("dict expected at most 1 argument, got %d", len(a.pos))
	}
	d := NewDict(len(a.kw))
	if len(a.pos) == 1 {
		if src, ok := a.pos[0].(*Dict); ok {
			d = src.clone()
		} else if err := addPairs(d, a.pos[0]); err != nil {
			return nil, err
		}
	}
	for _, kw := range a.kw {
		d.set(kw.name, kw.val)
	}
	return d, nil
}

func addPairs(d *Dict, v Value) error {
	items, err := iterate(v)
	if err != nil {
		return err
	}
	for _, it := range items {
		pair, err := iterate(it)
		if err != nil || len(pair) != 2 {
			return valueErrorf("dictionary update sequence elements must have length 2")
		}
		if _, err := hashKey(pair[0]); err != nil {
			return err
		}
		d.set(pair[0], pair[1])
	}
	return nil
}

func globalNamespace(f *frame, a args) (Value, error) {
	v, err := globalDict(f, a)
	if err != nil {
		return nil, err
	}
	n := &Namespace{v.(*Dict)}
	for _, k := range n.attrs.keys {
		if err := checkAttrName(k); err != nil {
			return nil, err
		}
	}
	return n, nil
}

func (n *Namespace) set(name string, v Value) error {
	if err := checkAttrName(name); err != nil {
		return err
	}
	n.attrs.set(name, v)
	return nil
}

func checkAttrName(k Value) error {
	if s, ok := k.(string); ok && strings.HasPrefix(s, "_") {
		return errorf(KindSecurity, "Chat templates cannot store underscore-prefixed attributes on a namespace, but got %s. Please rename the attribute.", pyQuote(s))
	}
	return nil
}

func globalRaise(_ *frame, a args) (Value, error) {
	b, err := a.bind("raise_exception", "message")
	if err != nil {
		return nil, err
	}
	msg, err := str(b[0])
	if err != nil {
		return nil, err
	}
	return nil, &Error{Kind: KindRaised, Msg: msg}
}

// globalJoiner returns a function that gives nothing the first time, then sep.
func globalJoiner(_ *frame, a args) (Value, error) {
	b, err := a.bind("joiner", "sep")
	if err != nil {
		return nil, err
	}
	used := false
	return &Func{name: "joiner", call: func(*frame, args) (Value, error) {
		if !used {
			used = true
			return "", nil
		}
		return orDefault(b[0], ", "), nil
	}}, nil
}

func globalNow(f *frame, a args) (Value, error) {
	b, err := a.bind("strftime_now", "format")
	if err != nil {
		return nil, err
	}
	layout, err := strArg(b[0], "")
	if err != nil {
		return nil, err
	}
	return strftime(f.now(), layout)
}

// strftimeLayouts are the directives that Go can print by itself.
var strftimeLayouts = map[byte]string{
	'a': "Mon", 'A': "Monday", 'b': "Jan", 'B': "January", 'd': "02", 'H': "15", 'I': "03", 'm': "01",
	'M': "04", 'p': "PM", 'S': "05", 'y': "06", 'Y': "2006", 'j': "002", 'F': "2006-01-02",
	'T': "15:04:05", 'D': "01/02/06", 'e': "_2", 'f': "000000",
	'c': "Mon Jan _2 15:04:05 2006", 'x': "01/02/06", 'X': "15:04:05",
}

// strftime formats t as Python's strftime in the C locale.
func strftime(t time.Time, layout string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(layout); i++ {
		if layout[i] != '%' || i+1 == len(layout) {
			b.WriteByte(layout[i])
			continue
		}
		i++
		c, unpadded := layout[i], false
		if c == '-' && i+1 < len(layout) { // glibc: no padding
			i++
			c, unpadded = layout[i], true
		}
		text := ""
		switch l, ok := strftimeLayouts[c]; {
		case c == 'f':
			text = fmt.Sprintf("%06d", t.Nanosecond()/1000)
		case ok:
			text = t.Format(l)
		case c == '%':
			text = "%"
		case c == 'n':
			text = "\n"
		case c == 't':
			text = "\t"
		case c == 's':
			text = fmt.Sprint(t.Unix())
		case c == 'w':
			text = fmt.Sprint(int(t.Weekday()))
		case c == 'u':
			text = fmt.Sprint((int(t.Weekday())+6)%7 + 1)
		case c == 'z' || c == 'Z': // datetime.now() is naive: both print nothing
		default:
			return "", valueErrorf("strftime_now: the directive %%%c is not supported", c)
		}
		if unpadded {
			if text = strings.TrimLeft(text, "0 "); text == "" {
				text = "0"
			}
		}
		b.WriteString(text)
	}
	return b.String(), nil
}
