package parse

import (
	"bytes"
	"strings"
)

// A call written as JSON between a call's markers: {"name": …, "arguments": {…}}, as other models are taught to, or a
// list of these.

// jsonCall reads it when it is there as a whole.
func (p *Parser) jsonCall() bool {
	end, at := p.call.scan.scan(p.buf)
	whole := end >= 0
	switch {
	case whole:
	case at >= 0:
		end = at
	case p.last:
		if end = bytes.IndexByte(p.buf, byte(callShut)); end < 0 {
			end = len(p.buf)
		}
	default:
		return false
	}
	r := reader{d: p.d, b: p.buf[:end]}
	v := r.value()
	calls := v.items
	if v.kind == isObject {
		calls = []node{v}
	}
	var named []jsonNamed
	for _, c := range calls {
		if n, ok := p.jsonName(c); ok {
			named = append(named, n)
		}
	}
	if len(named) == 0 || len(named) < len(calls) {
		p.notCall()
		return true
	}
	cut := !whole && end == len(p.buf)
	p.take(end)
	for i, n := range named {
		if i > 0 {
			p.call = &pending{index: len(p.msg.Calls), names: map[string]bool{}}
		}
		p.name(n.name)
		p.note(CallAsJSON, "")
		if i == 0 && r.repaired && !cut {
			p.note(ValueRepaired, "")
		}
		p.members(n.arguments)
		if cut && i == len(named)-1 {
			return false
		}
		p.endCall()
	}
	p.state = p.d.family.end
	return true
}

type jsonNamed struct {
	name      string
	arguments node
}

// jsonName finds the function and its arguments in an object.
func (p *Parser) jsonName(v node) (out jsonNamed, ok bool) {
	if v.kind != isObject {
		return out, false
	}
	if fn, ok := v.get("function"); ok && fn.kind == isObject {
		v = fn
	}
	for _, key := range []string{"name", "function", "tool_name"} {
		if n, ok := v.get(key); ok && n.kind == isText {
			out.name = n.text
			break
		}
	}
	for _, key := range []string{"arguments", "parameters", "args", "input"} {
		if a, ok := v.get(key); ok {
			out.arguments = a
			break
		}
	}
	if a := out.arguments; a.kind == isText && strings.HasPrefix(strings.TrimSpace(a.text), "{") {
		r := reader{d: p.d, b: []byte(strings.TrimSpace(a.text))}
		out.arguments = r.value()
	}
	return out, goodName(out.name)
}

// members writes an object's members as parameters.
func (p *Parser) members(v node) {
	if v.kind != isObject {
		if v.kind != 0 && v.kind != isNull {
			p.note(WrongType, "arguments")
		}
		return
	}
	for i, key := range v.keys {
		p.call.key = key
		p.value(key, p.coercer().value(v.items[i], p.call.schema.property(key)))
	}
}
