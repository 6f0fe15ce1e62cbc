package parse

import (
	"bytes"
	"strings"
)

// gemmaValue tells what a value is by its first byte.
func (p *Parser) gemmaValue() bool {
	p.take(blanks(p.buf))
	if len(p.buf) == 0 {
		return false
	}
	switch p.buf[0] {
	case byte(quote):
		p.take(1)
		p.state = (*Parser).gemmaText
	case '{', '[':
		p.state = (*Parser).gemmaNested
	case '"':
		p.state = (*Parser).gemmaString
	default:
		p.state = (*Parser).gemmaBare
	}
	return true
}

// typed ends a parameter with a value.
func (p *Parser) typed(v node) {
	p.value(p.call.key, p.coercer().value(v, p.call.want))
	p.state = (*Parser).gemmaKey
}

// gemmaText reads a text up to its quote. It goes out as it comes where the schema allows a text.
func (p *Parser) gemmaText() bool {
	types := p.call.want.types()
	stream := types == 0 || types == isText
	end, next, flaw, ok := p.gemmaTextEnd()
	if !ok {
		if stream {
			safe := heldBrace(p.buf[:end])
			p.piece(p.buf[:safe])
			p.take(safe)
		}
		return false
	}
	text := p.buf[:end]
	if stream {
		p.endPiece(text)
		p.state = (*Parser).gemmaKey
	} else {
		p.typed(textNode(asText(text, p.d.spelled)))
	}
	p.take(next)
	if flaw == StringUnclosed { // the brace that it took for its own is the arguments'
		p.note(flaw, "%s", p.call.key)
		p.endCall()
		p.state = (*Parser).gemmaEnd
	}
	return true
}

// heldBrace is how much of a text certainly belongs to it: a brace at its end may be the arguments', if the quote is
// missing.
func heldBrace(b []byte) int {
	n := len(bytes.TrimRight(b, " \n\t\r"))
	if n > 0 && b[n-1] == '}' {
		n--
	}
	return n
}

// gemmaTextEnd finds where a text ends, and where to read on. Unless ok, it goes on for at least end bytes. The marker
// that ends calls is text where the text goes on behind it to a quote.
func (p *Parser) gemmaTextEnd() (end, next int, flaw Flaw, ok bool) {
	b := p.buf
	q, shut := bytes.IndexByte(b, byte(quote)), bytes.IndexByte(b, byte(callShut))
	if shut < 0 || q >= 0 && q < shut {
		switch {
		case q >= 0:
			return q, q + 1, "", true
		case p.last:
			return len(b), len(b), "", true // the call is cut off, which is said there
		}
		return len(b), 0, "", false
	}
	after := b[shut+1:]
	n := blanks(after)
	opens := bytes.IndexByte(b, byte(callOpen))
	switch {
	case n == len(after) && !p.last:
		return shut, 0, "", false
	case n == len(after), isMark(after[n]) && after[n] != byte(quote), opens >= 0 && q >= 0 && opens < q, q < 0 && p.last:
		return heldBrace(b[:shut]), shut, StringUnclosed, true
	case q < 0:
		return shut, 0, "", false
	}
	return q, q + 1, "", true
}

// gemmaNested reads a list or an object.
func (p *Parser) gemmaNested() bool {
	end, at := p.call.scan.scan(p.buf)
	switch {
	case end >= 0:
	case at >= 0:
		end = at
	case p.last:
		end = len(p.buf)
		if shut := bytes.IndexByte(p.buf, byte(callShut)); shut >= 0 {
			end = shut
		}
	default:
		return false
	}
	r := p.reader(p.buf[:end])
	v := r.value()
	p.typed(v)
	p.take(end)
	return true
}

// reader reads a value of the parameter under way. What is wrong with one that is cut off is said of the call.
func (p *Parser) reader(b []byte) *reader {
	key := p.call.key
	if p.last && len(b) == len(p.buf) {
		return &reader{d: p.d, b: b}
	}
	return &reader{d: p.d, b: b, flaw: func(f Flaw) {
		if f == CallUnclosed || f == StrayMarker {
			f = ValueRepaired
		}
		p.note(f, "%s", key)
	}}
}

// gemmaString reads a string as JSON writes it.
func (p *Parser) gemmaString() bool {
	r := reader{d: p.d, b: p.buf[:indexMark(p.buf)]}
	text := r.quoted('"')
	rest := p.buf[r.i:]
	n := blanks(rest)
	switch {
	case (r.repaired || n == len(rest)) && r.i+n == len(p.buf) && !p.last:
		return false
	case r.repaired, n < len(rest) && rest[n] != ',' && rest[n] != '}' && !isMark(rest[n]):
		p.state = (*Parser).gemmaBare
	default:
		p.take(r.i)
		p.typed(textNode(text))
	}
	return true
}

// gemmaBare reads a value without quotes. A number or a word ends at its comma or brace. A text that lost its quotes is
// read when the next marker is there: if that is a quote with no place to open anything, it closes this text.
func (p *Parser) gemmaBare() bool {
	b, c := p.buf, p.call
	at := c.at + indexMark(b[c.at:])
	if end := bytes.IndexAny(b[:at], ",}"); end >= 0 && !c.first {
		c.first = true // what is no number by now will not become one
		word := strings.TrimSpace(string(b[:end]))
		v, ok := literal(word)
		if word == "" {
			p.note(ValueRepaired, "%s", p.call.key)
			v, ok = node{kind: isNull}, true
		}
		if ok {
			p.typed(v)
			p.take(end)
			return true
		}
	}
	if at == len(b) && !p.last {
		c.at = at
		return false
	}
	region := b[:at]
	if at < len(b) && b[at] == byte(quote) && !opening(region) {
		if cut := nextKey(region, p.call.schema, true); cut < 0 {
			p.note(StringUnopened, "%s", p.call.key)
			p.typed(textNode(strings.TrimLeft(string(region), " \n")))
			p.take(at + 1)
			return true
		}
	}
	cut := nextKey(region, p.call.schema, len(p.call.schema.nodes) > 0)
	if cut < 0 {
		if cut = bytes.LastIndexByte(region, '}'); cut < 0 {
			cut = at
		}
	}
	word := strings.TrimSpace(string(region[:cut]))
	if v, ok := literal(word); ok {
		p.typed(v)
	} else {
		if !p.last || at < len(b) {
			p.note(ValueUnquoted, "%s", p.call.key)
		}
		p.typed(p.coercer().text(word, p.call.want))
	}
	p.take(cut)
	return true
}

// nextKey finds the comma before the first key and colon in a text, -1 when there is none; declared: of those that the
// schema has.
func nextKey(b []byte, s schema, declared bool) int {
	for at := 0; ; at++ {
		i := bytes.IndexByte(b[at:], ',')
		if i < 0 {
			return -1
		}
		at += i
		rest := b[at+1:]
		colon := bytes.IndexByte(rest, ':')
		if colon < 0 {
			return -1
		}
		key := strings.TrimSpace(string(rest[:colon]))
		if goodName(key) && (!declared || s.has(key)) {
			return at
		}
	}
}
