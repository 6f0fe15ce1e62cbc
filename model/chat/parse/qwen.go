package parse

import (
	"bytes"
	"strings"
)

// A call of Qwen3.6: between its markers <function=NAME>, for each parameter <parameter=KEY>, a line feed, the value as
// it is, a line feed and </parameter>, and </function>. Values have no types but the schema's.

const (
	functionOpen  = "<function="
	functionShut  = "</function>"
	parameterOpen = "<parameter="
	parameterShut = "</parameter>"
)

// tagName is the name in a tag, up to its >: a line feed or what begins another tag ends it too.
func tagName(b []byte) (name string, size int, ok bool) {
	for i, c := range b {
		if c == '>' || c == '\n' || c == '<' || isMark(c) {
			size = i
			if c == '>' {
				size++
			}
			return strings.Trim(strings.TrimSpace(string(b[:i])), "\"'"), size, true
		}
	}
	return "", 0, false
}

// begins tells whether b begins with a tag; open, whether it may when more comes.
func (p *Parser) begins(b []byte, tag string) (yes, open bool) {
	if len(b) < len(tag) {
		return false, !p.last && strings.HasPrefix(tag, string(b))
	}
	return string(b[:len(tag)]) == tag, false
}

// qwenOpen reads what stands behind a call's marker.
func (p *Parser) qwenOpen() bool {
	n := blanks(p.buf)
	rest := p.buf[n:]
	if len(rest) == 0 {
		return false
	}
	yes, open := p.begins(rest, functionOpen)
	switch c := rest[0]; {
	case yes:
		p.state = (*Parser).qwenName
	case open, p.last && strings.HasPrefix(functionOpen, string(rest)):
		return false
	case c == '{' || c == '[':
		p.state = (*Parser).jsonCall
	case c == byte(callShut):
		p.note(CallUnnamed, "")
		p.take(n + 1)
		p.leave()
	case c == byte(callOpen):
		p.note(StrayMarker, "%s", p.d.spelled[callOpen])
		p.take(n + 1)
	default:
		p.notCall()
	}
	return true
}

// qwenName reads a function's tag.
func (p *Parser) qwenName() bool {
	n := blanks(p.buf) + len(functionOpen)
	rest := p.buf[n:]
	name, size, ok := tagName(rest)
	switch {
	case !ok && len(rest) <= maxName:
		return false
	case !ok || !goodName(name):
		p.notCall()
		p.spoken(n)
		return true
	}
	p.take(n + size)
	p.name(name)
	if rest[size-1] != '>' {
		p.note(CallGarbage, "an open tag")
	}
	p.state = (*Parser).qwenParameter
	return true
}

// qwenParameter reads what stands between parameters.
func (p *Parser) qwenParameter() bool {
	n := blanks(p.buf)
	rest := p.buf[n:]
	if len(rest) == 0 {
		return false
	}
	for _, tag := range []string{parameterOpen, functionShut, functionOpen, parameterShut} {
		yes, open := p.begins(rest, tag)
		if open || p.last && strings.HasPrefix(tag, string(rest)) { // or cut within it
			return false
		}
		if yes {
			p.qwenTag(tag, n)
			return true
		}
	}
	switch c := rest[0]; {
	case c == byte(callOpen):
		p.note(CallUnclosed, "")
		p.endCall()
		p.take(n + 1)
		p.another((*Parser).qwenOpen)
	case isMark(c):
		p.note(CallUnclosed, "")
		p.endCall()
		p.take(n)
		p.state = (*Parser).qwenEnd
	case c == '{' && len(p.call.names) == 0 && !p.call.garbage:
		p.take(n)
		p.call.scan = scanner{}
		p.state = (*Parser).qwenJSON
	default:
		p.note(CallGarbage, "")
		p.call.garbage = true
		next := 1
		for next < len(rest) && rest[next] != '<' && !isMark(rest[next]) {
			next++
		}
		p.take(n + next)
	}
	return true
}

// qwenTag goes on behind a tag before which n bytes stand.
func (p *Parser) qwenTag(tag string, n int) {
	if tag != functionOpen {
		n += len(tag)
	}
	p.take(n)
	switch tag {
	case parameterOpen:
		p.state = (*Parser).qwenKey
	case functionShut:
		p.endCall()
		p.state = (*Parser).qwenEnd
	case functionOpen:
		p.note(CallUnclosed, "")
		p.endCall()
		p.another((*Parser).qwenName)
	default:
		p.note(CallGarbage, "")
	}
}

// qwenKey reads the rest of a parameter's tag.
func (p *Parser) qwenKey() bool {
	key, size, ok := tagName(p.buf)
	if !ok {
		if !p.last {
			return false
		}
		p.buf = nil
		return false
	}
	if size == 0 || p.buf[size-1] != '>' {
		p.note(CallGarbage, "an open tag")
	}
	p.take(size)
	c := p.call
	c.key, c.want = key, c.schema.property(key)
	c.at, c.first, c.line = 0, true, true
	p.state = (*Parser).qwenValue
	return true
}

// qwenValue reads a value up to its end. One that can only be a text goes out as it comes.
func (p *Parser) qwenValue() bool {
	c := p.call
	if c.first {
		if len(p.buf) == 0 && !p.last {
			return false
		}
		if len(p.buf) > 0 && p.buf[0] == '\n' {
			p.take(1)
		}
		c.first = false
	}
	stream := c.want.types() == isText
	end, next, flaw, ok := p.qwenValueEnd()
	if !ok {
		c.at = end
		if stream {
			safe := end
			if safe > 0 && p.buf[safe-1] == '\n' {
				safe-- // the closing tag's, perhaps
			}
			if safe > 0 {
				p.piece(p.buf[:safe])
				c.line = p.buf[safe-1] == '\n'
				p.take(safe)
				c.at -= safe
			}
		}
		return false
	}
	text := bytes.TrimSuffix(p.buf[:end], []byte("\n"))
	if stream {
		p.endPiece(text)
	} else {
		p.value(c.key, p.coercer().text(asText(text, p.d.spelled), c.want))
	}
	if flaw != "" {
		p.note(flaw, "%s", c.key)
	}
	p.take(next)
	p.state = (*Parser).qwenParameter
	return true
}

// qwenValueEnd finds where a value ends, and where to read on. Unless ok, it goes on for at least end bytes, and the rest
// is to be looked at again. Tags and markers that the value itself holds do not end it as far as that can be told.
func (p *Parser) qwenValueEnd() (end, next int, flaw Flaw, ok bool) {
	b := p.buf
	for at := p.call.at; ; at++ {
		for at < len(b) && b[at] != '<' && !isMark(b[at]) {
			at++
		}
		if at >= len(b) {
			return len(b), len(b), "", p.last
		}
		if rest := string(b[at:]); p.last && len(rest) > 1 && at > 0 && b[at-1] == '\n' && strings.HasPrefix(parameterShut, rest) {
			return at, len(b), "", true // cut within its closing tag
		}
		verdict := p.qwenCandidate(at)
		switch {
		case verdict == waits && !p.last:
			return at, 0, "", false
		case verdict == closes:
			return at, at + len(parameterShut), "", true
		case verdict == ends:
			return at, at, ValueUnclosed, true
		}
	}
}

// verdict is what a tag or marker within a value is.
type verdict uint8

const (
	isLiteral verdict = iota // part of the value
	waits                    // not certain yet
	closes                   // the value's closing tag
	ends                     // the value's closing tag is missing before it
)

func (p *Parser) qwenCandidate(at int) verdict {
	rest := p.buf[at:]
	switch mark(rest[0]) {
	case callShut:
		return p.qwenShut(rest)
	case callOpen:
		n := 1 + blanks(rest[1:])
		return p.qwenKnown(rest[n:], functionOpen, p.declared)
	case '<':
	default:
		return isLiteral
	}
	if yes, open := p.begins(rest, parameterShut); yes {
		return p.qwenClosing(rest[len(parameterShut):])
	} else if open {
		return waits
	}
	if at > 0 && p.buf[at-1] != '\n' || at == 0 && !p.call.line {
		return isLiteral
	}
	if yes, open := p.begins(rest, functionShut); open {
		return waits
	} else if yes {
		n := len(functionShut) + blanks(rest[len(functionShut):])
		switch {
		case n < len(rest) && (rest[n] == byte(callShut) || rest[n] == byte(callOpen)), n == len(rest) && p.last:
			return ends
		case n == len(rest):
			return waits
		}
		return isLiteral
	}
	return p.qwenKnown(rest, parameterOpen, func(key string) bool {
		return len(p.call.schema.nodes) == 0 || p.call.schema.has(key)
	})
}

// qwenClosing judges a closing tag by what stands behind it in its line.
func (p *Parser) qwenClosing(after []byte) verdict {
	n := 0
	for n < len(after) && (after[n] == ' ' || after[n] == '\t') {
		n++
	}
	switch {
	case n == len(after) && !p.last:
		return waits
	case n == len(after) || after[n] == '\n' || after[n] == '\r' || after[n] == '<' || isMark(after[n]):
		return closes
	}
	return isLiteral
}

// qwenKnown judges an opening tag by the name in it.
func (p *Parser) qwenKnown(rest []byte, tag string, known func(string) bool) verdict {
	yes, open := p.begins(rest, tag)
	if open {
		return waits
	}
	if !yes {
		return isLiteral
	}
	name, _, ok := tagName(rest[len(tag):])
	switch {
	case !ok && !p.last && len(rest) < len(tag)+maxName:
		return waits
	case ok && name != "" && known(name):
		return ends
	}
	return isLiteral
}

// qwenShut judges the marker that ends calls: the value goes on behind it if a closing tag follows.
func (p *Parser) qwenShut(rest []byte) verdict {
	n := 1 + blanks(rest[1:])
	switch {
	case n == len(rest) && !p.last:
		return waits
	case n == len(rest), isMark(rest[n]):
		return ends
	case bytes.Contains(rest, []byte(parameterShut)):
		return isLiteral
	case p.last:
		return ends
	}
	return waits
}

// qwenJSON reads arguments that are written as an object within the function's tags.
func (p *Parser) qwenJSON() bool {
	end, at := p.call.scan.scan(p.buf)
	switch {
	case end >= 0:
	case at >= 0:
		end = at
	case p.last:
		end = len(p.buf)
	default:
		return false
	}
	p.note(CallAsJSON, "")
	p.call.key = ""
	v := p.reader(p.buf[:end]).value()
	p.members(v)
	p.take(end)
	p.state = (*Parser).qwenParameter
	return true
}

// qwenEnd reads what stands behind the arguments.
func (p *Parser) qwenEnd() bool {
	n := blanks(p.buf)
	rest := p.buf[n:]
	if len(rest) == 0 {
		return false
	}
	for _, tag := range []string{functionOpen, functionShut} {
		yes, open := p.begins(rest, tag)
		switch {
		case open:
			return false
		case yes && tag == functionShut:
			p.note(CallGarbage, "")
			p.take(n + len(tag))
			return true
		case yes:
			p.note(CallUnclosed, "")
			p.take(n)
			p.another((*Parser).qwenOpen)
			return true
		}
	}
	switch c := rest[0]; {
	case c == byte(callShut):
		p.take(n + 1)
		p.leave()
	case c == byte(callOpen):
		if !p.call.bare {
			p.note(CallUnclosed, "")
		}
		p.take(n + 1)
		p.another((*Parser).qwenOpen)
	case p.last && strings.HasPrefix(p.d.spelled[callShut], string(rest)): // cut within it
		return false
	default:
		if !p.call.bare {
			p.note(CallUnclosed, "")
		}
		p.leave()
	}
	return true
}
