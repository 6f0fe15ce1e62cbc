package jinja

import (
	"fmt"
	"math"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Decode reads JSON as Python's json.loads does: objects keep the order of
// their keys (a repeated key keeps its first place and takes its last value),
// ints stay ints of any size, and NaN, Infinity and -Infinity are numbers. Of
// text that UTF-8 cannot carry, lone surrogates and invalid bytes become U+FFFD.
func Decode(data []byte) (Value, error) {
	d := decoder{s: string(data)}
	v, err := d.value(0)
	if err != nil {
		return nil, err
	}
	d.space()
	if d.pos < len(d.s) {
		return nil, d.fail("Extra data")
	}
	return v, nil
}

type decoder struct {
	s   string
	pos int
}

func (d *decoder) fail(what string) error {
	return valueErrorf("invalid JSON: %s at byte %d", what, d.pos)
}

func (d *decoder) space() {
	for d.pos < len(d.s) && strings.IndexByte(" \t\n\r", d.s[d.pos]) >= 0 {
		d.pos++
	}
}

func (d *decoder) skip(text string) bool {
	if strings.HasPrefix(d.s[d.pos:], text) {
		d.pos += len(text)
		return true
	}
	return false
}

func (d *decoder) value(depth int) (Value, error) {
	if depth > maxDepth {
		return nil, errTooDeep
	}
	d.space()
	switch {
	case d.pos == len(d.s):
		return nil, d.fail("Expecting value")
	case d.s[d.pos] == '"':
		d.pos++
		return d.str()
	case d.skip("{"):
		return d.object(depth)
	case d.skip("["):
		return d.array(depth)
	case d.skip("null"):
		return nil, nil
	case d.skip("true"):
		return true, nil
	case d.skip("false"):
		return false, nil
	case d.skip("NaN"):
		return math.NaN(), nil
	case d.skip("Infinity"):
		return math.Inf(1), nil
	case d.skip("-Infinity"):
		return math.Inf(-1), nil
	}
	return d.number()
}

func (d *decoder) object(depth int) (Value, error) {
	out := NewDict(4)
	for first := true; ; first = false {
		d.space()
		if first && d.skip("}") {
			return out, nil
		}
		if !d.skip(`"`) {
			return nil, d.fail("Expecting property name enclosed in double quotes")
		}
		key, err := d.str()
		if err != nil {
			return nil, err
		}
		d.space()
		if !d.skip(":") {
			return nil, d.fail("Expecting ':' delimiter")
		}
		v, err := d.value(depth + 1)
		if err != nil {
			return nil, err
		}
		out.set(key, v)
		d.space()
		if d.skip("}") {
			return out, nil
		}
		if !d.skip(",") {
			return nil, d.fail("Expecting ',' delimiter")
		}
	}
}

func (d *decoder) array(depth int) (Value, error) {
	out := &List{}
	d.space()
	if d.skip("]") {
		return out, nil
	}
	for {
		v, err := d.value(depth + 1)
		if err != nil {
			return nil, err
		}
		out.Items = append(out.Items, v)
		d.space()
		if d.skip("]") {
			return out, nil
		}
		if !d.skip(",") {
			return nil, d.fail("Expecting ',' delimiter")
		}
	}
}

var jsonNumber = regexp.MustCompile(`^(-?(?:0|[1-9][0-9]*))(\.[0-9]+)?([eE][-+]?[0-9]+)?`)

func (d *decoder) number() (Value, error) {
	m := jsonNumber.FindStringSubmatch(d.s[d.pos:])
	if m == nil {
		return nil, d.fail("Expecting value")
	}
	if m[2] != "" || m[3] != "" {
		f, _ := strconv.ParseFloat(m[0], 64) // out of range is ±inf, as in Python
		d.pos += len(m[0])
		return f, nil
	}
	if len(strings.TrimPrefix(m[0], "-")) > maxIntDigits {
		return nil, d.fail(fmt.Sprintf("an integer of more than %d digits", maxIntDigits))
	}
	d.pos += len(m[0])
	if n, err := strconv.ParseInt(m[0], 10, 64); err == nil {
		return n, nil
	}
	n, _ := new(big.Int).SetString(m[0], 10)
	return n, nil
}

// str reads a string whose opening quote is consumed.
func (d *decoder) str() (string, error) {
	from := d.pos
	for i := from; i < len(d.s); i++ { // the common case: nothing to decode
		if c := d.s[i]; c == '"' {
			d.pos = i + 1
			return strings.ToValidUTF8(d.s[from:i], "\uFFFD"), nil
		} else if c == '\\' || c < ' ' {
			break
		}
	}
	var b strings.Builder
	for d.pos < len(d.s) {
		switch c := d.s[d.pos]; {
		case c == '"':
			d.pos++
			return strings.ToValidUTF8(b.String(), "\uFFFD"), nil
		case c < ' ':
			return "", d.fail("Invalid control character")
		case c == '\\':
			r, err := d.escape()
			if err != nil {
				return "", err
			}
			b.WriteRune(r)
		default:
			b.WriteByte(c)
			d.pos++
		}
	}
	return "", d.fail("Unterminated string")
}

func (d *decoder) escape() (rune, error) {
	if d.pos+1 >= len(d.s) {
		return 0, d.fail("Unterminated string")
	}
	c := d.s[d.pos+1]
	if i := strings.IndexByte(`"\/bfnrt`, c); i >= 0 {
		d.pos += 2
		return rune("\"\\/\b\f\n\r\t"[i]), nil
	}
	r, ok := d.hex4(d.pos)
	if !ok {
		return 0, d.fail(`Invalid \escape`)
	}
	d.pos += 6
	if utf16.IsSurrogate(r) {
		if low, ok := d.hex4(d.pos); ok {
			if full := utf16.DecodeRune(r, low); full != utf8.RuneError {
				d.pos += 6
				return full, nil
			}
		}
		return utf8.RuneError, nil
	}
	return r, nil
}

// hex4 reads \uXXXX at byte i.
func (d *decoder) hex4(i int) (rune, bool) {
	if i+6 > len(d.s) || d.s[i] != '\\' || d.s[i+1] != 'u' {
		return 0, false
	}
	v, err := strconv.ParseUint(d.s[i+2:i+6], 16, 16)
	return rune(v), err == nil
}
