package jinja

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// simpleEscapes of Python string literals.
var simpleEscapes = map[byte]string{
	'n': "\n", 't': "\t", 'r': "\r", '\\': "\\", '\'': "'", '"': "\"",
	'a': "\a", 'b': "\b", 'f': "\f", 'v': "\v", '\n': "",
}

// unescape decodes the inside of a string literal as Python does; an escape it
// does not know stays as it is written.
func unescape(s string) (string, error) {
	if strings.IndexByte(s, '\\') < 0 {
		return s, nil
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			i++
			continue
		}
		c := s[i+1]
		if r, ok := simpleEscapes[c]; ok {
			b.WriteString(r)
			i += 2
			continue
		}
		n, err := numericEscape(&b, s[i:])
		if err != nil {
			return "", err
		}
		if n == 0 {
			b.WriteByte('\\')
			n = 1
		}
		i += n
	}
	return b.String(), nil
}

// numericEscape decodes \ooo, \xhh, \uhhhh and \Uhhhhhhhh at the start of s and
// returns how many bytes it took: 0 when s starts with none of them.
func numericEscape(b *strings.Builder, s string) (int, error) {
	width := map[byte]int{'x': 2, 'u': 4, 'U': 8}[s[1]]
	if width > 0 {
		if len(s) < 2+width {
			return 0, errorf(KindSyntax, "truncated \\%c escape in string", s[1])
		}
		v, err := strconv.ParseUint(s[2:2+width], 16, 32)
		if err != nil || v > utf8.MaxRune {
			return 0, errorf(KindSyntax, "bad escape %q in string", s[:2+width])
		}
		b.WriteRune(rune(v))
		return 2 + width, nil
	}
	n := 1
	for n < 4 && n < len(s) && s[n] >= '0' && s[n] <= '7' {
		n++
	}
	if n == 1 {
		return 0, nil
	}
	v, err := strconv.ParseUint(s[1:n], 8, 32)
	if err != nil {
		return 0, errorf(KindSyntax, "bad escape %q in string", s[:n])
	}
	b.WriteRune(rune(v))
	return n, nil
}
