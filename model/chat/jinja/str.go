package jinja

import (
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"unicode"
)

// maxDepth bounds the nesting of data that is printed, compared or encoded.
const maxDepth = 512

var errTooDeep error = &Error{Kind: KindLimit, Msg: fmt.Sprintf("data nests deeper than %d levels", maxDepth)}

// maxReprBytes bounds the text of one container: a few lists that hold each
// other can stand for a text without end.
const maxReprBytes = 64 << 20

var errTooLarge error = &Error{Kind: KindLimit, Msg: fmt.Sprintf("data prints as more than %d bytes", maxReprBytes)}

// maxIntDigits is the longest int that Python converts to or from text.
const maxIntDigits = 4300

// str is Python's str().
func str(v Value) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case *Undefined:
		return "", nil
	}
	return repr(v)
}

// repr is Python's repr().
func repr(v Value) (string, error) {
	switch v := v.(type) { // the common scalars, without a builder
	case nil:
		return "None", nil
	case bool:
		if v {
			return "True", nil
		}
		return "False", nil
	case int64:
		return strconv.FormatInt(v, 10), nil
	}
	var b strings.Builder
	err := writeRepr(&b, v, 0)
	return b.String(), err
}

func writeRepr(b *strings.Builder, v Value, depth int) error {
	if depth > maxDepth {
		return errTooDeep
	}
	if b.Len() > maxReprBytes {
		return errTooLarge
	}
	switch v := v.(type) {
	case string:
		b.WriteString(pyQuote(v))
	case *big.Int:
		s, err := bigText(v)
		b.WriteString(s)
		return err
	case float64:
		b.WriteString(floatText(v))
	case *Undefined:
		b.WriteString("Undefined")
	case *List:
		return writeListRepr(b, v, depth)
	case *Dict:
		return writeDictRepr(b, v, depth)
	case *Namespace:
		b.WriteString("<Namespace ")
		err := writeDictRepr(b, v.attrs, depth)
		b.WriteString(">")
		return err
	case *Func:
		if v.macro {
			b.WriteString("<Macro " + pyQuote(v.name) + ">")
		} else {
			b.WriteString("<function " + v.name + ">")
		}
	case *Loop:
		fmt.Fprintf(b, "<LoopContext %d/%d>", v.index+1, len(v.items))
	default:
		s, err := repr(v)
		b.WriteString(s)
		return err
	}
	return nil
}

func writeListRepr(b *strings.Builder, l *List, depth int) error {
	open, end := "[", "]"
	switch l.kind {
	case kindTuple:
		open, end = "(", ")"
		if len(l.Items) == 1 {
			end = ",)"
		}
	case kindKeys, kindValues, kindItems:
		open, end = typeName(l)+"([", "])"
	case kindRange:
		return writeRangeRepr(b, l)
	case kindGenerator:
		b.WriteString("<generator object>")
		return nil
	}
	b.WriteString(open)
	for i, it := range l.Items {
		if i > 0 {
			b.WriteString(", ")
		}
		if err := writeRepr(b, it, depth+1); err != nil {
			return err
		}
	}
	b.WriteString(end)
	return nil
}

// writeRangeRepr prints ranges of step 1; the others' exact end is not kept.
func writeRangeRepr(b *strings.Builder, l *List) error {
	if len(l.Items) == 0 {
		return valueErrorf("printing an empty range is not supported: use range(…)|list")
	}
	first, _ := l.Items[0].(int64)
	last, _ := l.Items[len(l.Items)-1].(int64)
	if last-first != int64(len(l.Items)-1) {
		return valueErrorf("printing a range with a step is not supported: use range(…)|list")
	}
	fmt.Fprintf(b, "range(%d, %d)", first, last+1)
	return nil
}

func writeDictRepr(b *strings.Builder, d *Dict, depth int) error {
	b.WriteByte('{')
	for i, k := range d.keys {
		if i > 0 {
			b.WriteString(", ")
		}
		if err := writeRepr(b, k, depth+1); err != nil {
			return err
		}
		b.WriteString(": ")
		if err := writeRepr(b, d.vals[i], depth+1); err != nil {
			return err
		}
	}
	b.WriteByte('}')
	return nil
}

func bigText(n *big.Int) (string, error) {
	if n.BitLen() > maxIntDigits*4 {
		return "", valueErrorf("Exceeds the limit (%d digits) for integer string conversion", maxIntDigits)
	}
	s := n.String()
	if len(strings.TrimPrefix(s, "-")) > maxIntDigits {
		return "", valueErrorf("Exceeds the limit (%d digits) for integer string conversion", maxIntDigits)
	}
	return s, nil
}

// floatText is float.__repr__: the shortest digits that read back as f, with an
// exponent below 1e-4 and from 1e16 on.
func floatText(f float64) string {
	switch {
	case math.IsNaN(f):
		return "nan"
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	}
	if a := math.Abs(f); a != 0 && (a < 1e-4 || a >= 1e16) {
		return strconv.FormatFloat(f, 'e', -1, 64)
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

// pyQuote is repr of a str.
func pyQuote(s string) string {
	quote := byte('\'')
	if strings.Contains(s, "'") && !strings.Contains(s, "\"") {
		quote = '"'
	}
	var b strings.Builder
	b.WriteByte(quote)
	for _, r := range s {
		switch {
		case r == rune(quote) || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case unicode.IsPrint(r):
			b.WriteRune(r)
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
	}
	b.WriteByte(quote)
	return b.String()
}
