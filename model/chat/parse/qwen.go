package parse

import "strings"

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
