package parse

import (
	"bytes"
	"strings"
)

// A call of Gemma 4: call:name{key:VALUE,…} between its markers, where a VALUE is a text between quotes that are tokens,
// a number, true, false, or a list or object of these. The template writes keys sorted; models do not always.

const gemmaCall = "call:"

// gemmaName reads up to the arguments' brace.
func (p *Parser) gemmaName() bool {
	at := indexOf(p.buf, "{")
	for at >= 0 && p.buf[at] == byte(quote) {
		if next := indexOf(p.buf[at+1:], "{"); next >= 0 {
			at += 1 + next
		} else {
			at = -1
		}
	}
	head := p.buf
	if at >= 0 {
		head = p.buf[:at]
	}
	name, prefixed := strings.CutPrefix(strings.TrimSpace(asText(head, nil)), gemmaCall)
	name = strings.Trim(name, "\"' \n")
	switch {
	case at < 0:
		if len(head) > maxName || p.last && !prefixed && name != "" && !strings.HasPrefix(gemmaCall, name) {
			p.notCall()
			return true
		}
		return false
	case p.buf[at] == '{' && name == "" && !prefixed:
		p.take(at)
		p.state = (*Parser).jsonCall
	case !goodName(name):
		p.gemmaNoName(at, name == "")
	case p.buf[at] == '{':
		p.name(name)
		p.take(at + 1)
		p.state = (*Parser).gemmaKey
	case prefixed: // no braces
		p.name(name)
		p.note(CallGarbage, "no arguments")
		p.endCall()
		p.take(at)
		p.state = (*Parser).gemmaEnd
	default:
		p.notCall()
	}
	return true
}

// gemmaNoName goes on where a brace or a marker stands behind something that is no name.
func (p *Parser) gemmaNoName(at int, empty bool) {
	switch {
	case empty && p.buf[at] == byte(callOpen): // the marker twice
		p.note(StrayMarker, "%s", p.d.spelled[callOpen])
		p.take(at + 1)
	case empty && p.buf[at] == byte(callShut):
		p.note(CallUnnamed, "")
		p.take(at + 1)
		p.leave()
	default:
		p.notCall()
	}
}

// gemmaKey reads up to a parameter's colon, or the arguments' end.
func (p *Parser) gemmaKey() bool {
	n := 0
	for n < len(p.buf) && (isBlank(p.buf[n]) || p.buf[n] == ',') {
		n++
	}
	p.take(n)
	if len(p.buf) == 0 {
		return false
	}
	switch c := p.buf[0]; {
	case c == '}':
		p.take(1)
		p.endCall()
		p.state = (*Parser).gemmaEnd
		return true
	case c == byte(quote):
		return p.gemmaQuotedKey()
	case isMark(c):
		p.note(CallUnclosed, "")
		p.endCall()
		p.state = (*Parser).gemmaEnd
		return true
	}
	at := indexOf(p.buf, ":}")
	switch {
	case at < 0 && !p.last:
		return false
	case at < 0:
		p.buf = nil
		return false
	case p.buf[at] != ':':
		p.note(CallGarbage, "")
		p.take(at)
		return true
	}
	key := p.buf[:at]
	if comma := bytes.LastIndexByte(key, ','); comma >= 0 {
		p.note(CallGarbage, "")
		key = key[comma+1:]
	}
	p.gemmaColon(strings.Trim(string(key), "\"' \n\t"), at+1)
	return true
}

// gemmaQuotedKey reads a key in quotes, or skips a quote that closes nothing.
func (p *Parser) gemmaQuotedKey() bool {
	rest := p.buf[1:]
	n := blanks(rest)
	if n == len(rest) {
		if p.last {
			p.buf = nil
		}
		return false
	}
	end := bytes.IndexByte(rest, byte(quote))
	if c := rest[n]; c == ',' || c == '}' || isMark(c) {
		p.note(StrayMarker, "%s", p.d.spelled[quote])
		p.take(1)
		return true
	}
	if end < 0 {
		if at := indexMark(rest); at < len(rest) || p.last {
			p.note(CallGarbage, "")
			p.take(1)
			return true
		}
		return false
	}
	after := rest[end+1:]
	colon := blanks(after)
	switch {
	case colon == len(after) && !p.last:
		return false
	case colon < len(after) && after[colon] == ':':
		p.gemmaColon(asText(rest[:end], p.d.spelled), 1+end+1+colon+1)
	default:
		p.note(StrayMarker, "%s", p.d.spelled[quote])
		p.take(1)
	}
	return true
}

// gemmaColon takes the n bytes of a key and its colon.
func (p *Parser) gemmaColon(key string, n int) {
	c := p.call
	c.key, c.want = key, c.schema.property(key)
	c.at, c.first, c.scan = 0, false, scanner{}
	p.take(n)
	p.state = (*Parser).gemmaValue
}

// gemmaEnd reads what stands behind the arguments.
func (p *Parser) gemmaEnd() bool {
	n := blanks(p.buf)
	if n == len(p.buf) {
		return false
	}
	rest := p.buf[n:]
	switch c := rest[0]; {
	case c == byte(callShut):
		p.take(n + 1)
		p.leave()
	case c == byte(callOpen):
		p.note(CallUnclosed, "")
		p.take(n + 1)
		p.another((*Parser).gemmaName)
	case c == '}' || c == ']' || c == ',' || c == byte(quote):
		p.note(CallGarbage, "")
		p.take(n + 1)
	case bytes.HasPrefix(rest, []byte(gemmaCall)):
		p.note(CallUnclosed, "")
		p.take(n)
		p.another((*Parser).gemmaName)
	case strings.HasPrefix(gemmaCall, string(rest)) && !p.last:
		return false
	default:
		p.note(CallUnclosed, "")
		p.leave()
	}
	return true
}
