package parse

import (
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"
)

// node is a value of an argument.
type node struct {
	kind  typeSet // one type
	text  string  // a text; a number, true or false as it is spelled in JSON
	keys  []string
	items []node // of a list, or the values of an object
}

func textNode(s string) node { return node{kind: isText, text: s} }

// literal reads a number, true, false or null, as JSON or Python write them.
func literal(s string) (node, bool) {
	switch s {
	case "true", "True":
		return node{kind: isBool, text: "true"}, true
	case "false", "False":
		return node{kind: isBool, text: "false"}, true
	case "null", "None":
		return node{kind: isNull}, true
	}
	if !validNumber(s) {
		return node{}, false
	}
	if integral(s) {
		return node{kind: isInt, text: s}, true
	}
	return node{kind: isNumber, text: s}, true
}

// validNumber tells whether a text is a number of JSON.
func validNumber(s string) bool {
	s = strings.TrimPrefix(s, "-")
	whole := digits(s)
	if whole == 0 || whole > 1 && s[0] == '0' {
		return false
	}
	s = s[whole:]
	if rest, ok := strings.CutPrefix(s, "."); ok {
		n := digits(rest)
		if n == 0 {
			return false
		}
		s = rest[n:]
	}
	if s != "" && (s[0] == 'e' || s[0] == 'E') {
		s = s[1:]
		if s != "" && (s[0] == '+' || s[0] == '-') {
			s = s[1:]
		}
		n := digits(s)
		return n > 0 && n == len(s)
	}
	return s == ""
}

func digits(s string) int {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n
}

// integral tells whether a number of JSON has an integer's value. One whose exponent is large is not looked at.
func integral(s string) bool {
	if !strings.ContainsAny(s, ".eE") {
		return true
	}
	_, ok := whole(s)
	return ok
}

// whole is the integer that a number's text equals.
func whole(s string) (string, bool) {
	if at := strings.IndexAny(s, "eE"); at >= 0 {
		if e, err := strconv.Atoi(strings.TrimPrefix(s[at+1:], "+")); err != nil || e > 40 || e < -40 {
			return "", false
		}
	}
	if len(s) > 100 {
		return "", false
	}
	r, ok := new(big.Rat).SetString(s)
	if !ok || !r.IsInt() {
		return "", false
	}
	return r.Num().String(), true
}

// set adds a member; the last of two with one key counts.
func (n *node) set(key string, v node) (repeated bool) {
	for i, k := range n.keys {
		if k == key {
			n.items[i] = v
			return true
		}
	}
	n.keys, n.items = append(n.keys, key), append(n.items, v)
	return false
}

func (n *node) get(key string) (node, bool) {
	for i, k := range n.keys {
		if k == key {
			return n.items[i], true
		}
	}
	return node{}, false
}

// appendJSON appends the value as compact JSON.
func (n *node) appendJSON(b []byte) []byte {
	switch n.kind {
	case isNull:
		return append(b, "null"...)
	case isText:
		b = append(b, '"')
		b = appendEscaped(b, n.text)
		return append(b, '"')
	case isList:
		b = append(b, '[')
		for i := range n.items {
			if i > 0 {
				b = append(b, ',')
			}
			b = n.items[i].appendJSON(b)
		}
		return append(b, ']')
	case isObject:
		b = append(b, '{')
		for i := range n.items {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(b, quoted(n.keys[i])...)
			b = append(b, ':')
			b = n.items[i].appendJSON(b)
		}
		return append(b, '}')
	}
	return append(b, n.text...)
}

func quoted(s string) string {
	return string(append(appendEscaped([]byte{'"'}, s), '"'))
}

// appendEscaped appends a text as it stands between the quotes of a JSON string; what is not ASCII stays as it is.
func appendEscaped(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			b = utf8.AppendRune(b, r)
			i += size
			continue
		}
		i++
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c == '\n':
			b = append(b, '\\', 'n')
		case c == '\t':
			b = append(b, '\\', 't')
		case c == '\r':
			b = append(b, '\\', 'r')
		case c < ' ' || c == 0x7f:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			b = append(b, c)
		}
	}
	return b
}
