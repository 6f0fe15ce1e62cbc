package parse

import (
	"bytes"
)

// text reads what stands outside of calls.
func (p *Parser) text() bool {
	if p.place == inContent && !p.began && p.d.family.header != "" {
		if done, wait := p.unopened(); wait {
			return false
		} else if done {
			return true
		}
	}
	if p.channel && !p.heading() {
		return false
	}
	if len(p.buf) == 0 {
		return false
	}
	if isMark(p.buf[0]) {
		m := mark(p.buf[0])
		p.take(1)
		p.began = true
		p.marked(m)
		return true
	}
	n := indexMark(p.buf)
	if p.place == inContent && p.d.family.byText && len(p.tools) > 0 {
		return p.orFunction(n)
	}
	p.spoken(n)
	return true
}

// spoken takes n bytes of text.
func (p *Parser) spoken(n int) {
	p.began = true
	b := p.buf[:n]
	if at := bytes.LastIndexByte(b, '\n'); at >= 0 {
		p.column = n - at - 1
	} else {
		p.column += n
	}
	p.say(b)
	p.take(n)
}

// heading reads the name of a channel, which is no text. It returns false until that is certain.
func (p *Parser) heading() bool {
	header := []byte(p.d.family.header)
	n := indexMark(p.buf)
	whole := n < len(p.buf) || p.last
	switch b := p.buf[:n]; {
	case bytes.HasPrefix(b, header):
		p.take(len(header))
	case !whole && bytes.HasPrefix(header, b):
		return false
	case whole && string(b) == string(header[:len(header)-1]):
		p.take(n)
	}
	p.channel = false
	return true
}

// unopened looks for a channel's heading at the beginning of an answer, where the marker before it was left out.
func (p *Parser) unopened() (done, wait bool) {
	header := []byte(p.d.family.header)
	switch {
	case bytes.HasPrefix(p.buf, header):
		p.note(ReasoningUnopened, "")
		p.take(len(header))
		p.began = true
		p.enter(inReasoning)
		return true, false
	case bytes.HasPrefix(header, p.buf) && !p.last:
		return false, true
	}
	return false, false
}

// marked reads a marker outside of calls.
func (p *Parser) marked(m mark) {
	switch m {
	case thinkOpen:
		if p.place == inReasoning {
			p.note(ReasoningReopened, "")
		}
		p.enter(inReasoning)
		p.channel = p.d.family.header != ""
	case thinkShut:
		if p.place != inReasoning {
			p.note(StrayMarker, "%s", p.d.spelled[m])
			return
		}
		p.enter(inContent)
	case callOpen:
		if len(p.tools) == 0 {
			p.note(CallWithoutTools, "")
			p.say([]byte(p.d.written[m]))
			return
		}
		p.begin(p.d.family.start)
	case resultOpen:
		p.note(InventedResult, "")
		p.enter(inResult)
	case resultShut:
		if p.place != inResult {
			p.note(StrayMarker, "%s", p.d.spelled[m])
			return
		}
		p.enter(inContent)
	case callShut, quote:
		p.said(m)
	default:
		p.note(StrayMarker, "%s", p.d.spelled[m])
	}
}

// said is a marker of calls outside of calls: text where nothing can be a call.
func (p *Parser) said(m mark) {
	switch {
	case len(p.tools) == 0:
	case m == callShut && p.literals > 0:
		p.literals--
	default:
		p.note(StrayMarker, "%s", p.d.spelled[m])
		return
	}
	p.say([]byte(p.d.written[m]))
}

// orFunction takes text up to n, or to a function that begins a line without a call's marker before it.
func (p *Parser) orFunction(n int) bool {
	open := []byte(functionOpen)
	for at := 0; at < n; {
		i := bytes.IndexByte(p.buf[at:n], '<')
		if i < 0 {
			break
		}
		at += i
		if at > 0 && p.buf[at-1] != '\n' || at == 0 && p.column > 0 {
			at++
			continue
		}
		rest := p.buf[at:n]
		whole := n < len(p.buf) || p.last
		switch {
		case !bytes.HasPrefix(rest, open):
			if bytes.HasPrefix(open, rest) && !whole {
				return p.upTo(at)
			}
			at++
			continue
		case bytes.IndexByte(rest, '>') < 0 && !whole && len(rest) < len(open)+maxName:
			return p.upTo(at)
		}
		if name, _, ok := tagName(rest[len(open):]); ok && p.declared(name) {
			if at > 0 {
				p.spoken(at)
			}
			p.began = true
			p.begin((*Parser).qwenOpen)
			p.call.bare = true
			return true
		}
		at++
	}
	p.spoken(n)
	return true
}

// upTo takes the text before what has to wait.
func (p *Parser) upTo(at int) bool {
	if at == 0 {
		return false
	}
	p.spoken(at)
	return true
}
