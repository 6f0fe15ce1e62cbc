package parse

import (
	"strings"
	"unicode"
)

// pending is the call under way.
type pending struct {
	index   int // in Message.Calls; that of the next one until it has a name
	named   bool
	bare    bool // its marker was left out
	done    bool // its arguments are complete; only its closing is missing
	schema  schema
	names   map[string]bool // of the parameters so far
	stream  bool            // a text is being given out as it comes
	garbage bool            // text stood where a parameter was due
	before  around          // the text that its marker ended

	// The parameter under way.
	key    string
	want   schema
	scan   scanner
	at     int  // how far the buffer was looked through
	looked int  // how far behind the marker at which it waits
	first  bool // Qwen: nothing of the value was read; Gemma: its first word was
	line   bool // the buffer begins a line
}

// maxName is how long the name of a function or parameter may be, in bytes.
const maxName = 256

// begin reads a call, which start does from here.
func (p *Parser) begin(start state) {
	p.call = &pending{index: len(p.msg.Calls), names: map[string]bool{}, before: p.around}
	p.stretch()
	p.state = start
}

// another reads a further call where one ended without its closing.
func (p *Parser) another(start state) {
	p.call = nil
	p.begin(start)
}

// leave goes back to where the call stood.
func (p *Parser) leave() {
	p.call = nil
	p.stretch()
	p.state = (*Parser).text
}

// notCall gives back what a call's marker stood before. The marker that would close it is text then, too.
func (p *Parser) notCall() {
	c := p.call
	p.call, p.state, p.around = nil, (*Parser).text, c.before
	p.note(NotACall, "")
	if !c.bare {
		p.literals++
		p.say([]byte(p.d.written[callOpen]))
	}
}

// name gives the call its name: from here on it exists.
func (p *Parser) name(name string) {
	c := p.call
	c.named = true
	p.msg.Calls = append(p.msg.Calls, Call{Name: name})
	p.json = append(p.json, nil)
	p.emit(Event{Kind: CallStart, Call: c.index, Name: name})
	var known bool
	if p.place == inReasoning {
		p.note(CallInReasoning, "")
	}
	if c.bare {
		p.note(CallUnopened, "")
	}
	if c.schema, known = p.tools[name]; !known {
		p.note(UnknownFunction, "")
	}
}

func (p *Parser) declared(name string) bool {
	_, ok := p.tools[name]
	return ok
}

// goodName tells whether something can be a function's name.
func goodName(name string) bool {
	return name != "" && len(name) <= maxName && !strings.ContainsFunc(name, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || strings.ContainsRune("{}[]()<>\"'`,:;=", r)
	})
}

// arguments adds to the JSON of the call's arguments.
func (p *Parser) arguments(text string) {
	c := p.call
	p.json[c.index] = append(p.json[c.index], text...)
	p.emit(Event{Kind: CallArguments, Call: c.index, Text: text})
}

// parameter begins a parameter: its value is to be written next.
func (p *Parser) parameter(key string) {
	c := p.call
	lead := ","
	if len(c.names) == 0 {
		lead = "{"
	}
	if c.names[key] {
		p.note(Repeated, "%s", key)
	}
	c.names[key] = true
	p.arguments(lead + quoted(key) + ":")
}

// value writes a whole parameter.
func (p *Parser) value(key string, v node) {
	p.parameter(key)
	p.arguments(string(v.appendJSON(nil)))
}

// piece writes a piece of a text parameter as it comes.
func (p *Parser) piece(b []byte) {
	lead := ""
	if !p.call.stream {
		p.call.stream, lead = true, `"`
		p.parameter(p.call.key)
	}
	if len(b) > 0 || lead != "" {
		p.arguments(lead + string(appendEscaped(nil, asText(b, p.d.spelled))))
	}
}

// endPiece ends a text parameter with its last piece.
func (p *Parser) endPiece(b []byte) {
	p.piece(b)
	p.arguments(`"`)
	p.call.stream = false
}

// coercer types the parameter under way.
func (p *Parser) coercer() coercer {
	key := p.call.key
	return coercer{d: p.d, note: func(what Flaw, detail string) {
		if detail == "" {
			p.note(what, "%s", key)
		} else {
			p.note(what, "%s: %s", key, detail)
		}
	}}
}

// endCall closes the arguments.
func (p *Parser) endCall() {
	c := p.call
	switch {
	case !c.named || c.done:
		return
	case c.stream:
		p.endPiece(nil)
		fallthrough
	case len(c.names) > 0:
		p.arguments("}")
	default:
		p.arguments("{}")
	}
	c.done = true
}

// closeCall ends the call in which the answer ended.
func (p *Parser) closeCall(truncated bool) {
	c := p.call
	switch {
	case !c.named:
		p.note(CallUnnamed, "")
	case !c.done && truncated:
		p.msg.Truncated = true
		p.note(TruncatedCall, "")
	case !truncated && !c.bare:
		p.note(CallUnclosed, "")
	}
	p.endCall()
	p.buf = nil // the rest of a tag or a key
	p.leave()
}

// isBlank tells white space of markup.
func isBlank(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }

// blanks is how many bytes of white space b begins with.
func blanks(b []byte) int {
	n := 0
	for n < len(b) && isBlank(b[n]) {
		n++
	}
	return n
}
