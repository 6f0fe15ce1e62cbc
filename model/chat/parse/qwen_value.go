package parse

import (
	"bytes"
	"strings"
)

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
	}
	c := p.call
	from := max(0, min(c.looked, len(rest))-len(parameterShut))
	if c.looked = len(rest); bytes.Contains(rest[from:], []byte(parameterShut)) {
		c.looked = 0
		return isLiteral
	}
	if p.last {
		return ends
	}
	return waits
}
