package parse

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// reader reads a value in Gemma's form or JSON's, or something in between: unquoted keys, Python's words, quotes and
// brackets that are missing. It reads everything as something; repaired tells that it had to.
type reader struct {
	d        *Dialect
	b        []byte // lexed
	i        int
	depth    int
	repaired bool
	flaw     func(Flaw) // told of what has a name of its own; may be nil
}

// maxDepth is how deep values may be nested; what is deeper is text.
const maxDepth = 100

func (r *reader) blank() { r.i += blanks(r.b[r.i:]) }

// next is the byte that comes, 0 at the end.
func (r *reader) next() byte {
	if r.i < len(r.b) {
		return r.b[r.i]
	}
	return 0
}

// broken notes that something was put right.
func (r *reader) broken(what Flaw) {
	r.repaired = true
	if r.flaw != nil {
		r.flaw(what)
	}
}

// value reads one value.
func (r *reader) value() node {
	r.blank()
	switch c := r.next(); {
	case c == byte(quote):
		return textNode(r.marked())
	case c == '"' || c == '\'':
		return textNode(r.quoted(c))
	case c == '{' && r.depth < maxDepth:
		return r.object()
	case c == '[' && r.depth < maxDepth:
		return r.list()
	}
	return r.bare()
}

// marked reads a text between Gemma's quotes.
func (r *reader) marked() string {
	rest := r.b[r.i+1:]
	end := bytes.IndexByte(rest, byte(quote))
	if end < 0 {
		r.broken(StringUnclosed)
		end = len(rest)
		r.i = len(r.b)
	} else {
		r.i += end + 2
	}
	return asText(rest[:end], r.d.spelled)
}

// quoted reads a string of JSON, or one of Python in single quotes. Line feeds in it are themselves.
func (r *reader) quoted(by byte) string {
	r.i++
	var out strings.Builder
	for r.i < len(r.b) {
		c := r.b[r.i]
		r.i++
		switch {
		case c == by:
			return out.String()
		case c == '\\' && r.i < len(r.b):
			r.escape(&out)
		case isMark(c):
			out.WriteString(r.d.spelled[mark(c)])
		default:
			out.WriteByte(c)
		}
	}
	r.broken(StringUnclosed)
	return out.String()
}

// escape reads what stands behind a backslash.
func (r *reader) escape(out *strings.Builder) {
	c := r.b[r.i]
	r.i++
	if at := strings.IndexByte(`nrtbf`, c); at >= 0 {
		out.WriteByte("\n\r\t\b\f"[at])
		return
	}
	if c != 'u' {
		if c != '"' && c != '\\' && c != '/' && c != '\'' {
			out.WriteByte('\\') // no escape of JSON: the backslash was meant
		}
		if isMark(c) {
			out.WriteString(r.d.spelled[mark(c)])
		} else {
			out.WriteByte(c)
		}
		return
	}
	u, ok := r.hex()
	if !ok {
		out.WriteString(`\u`)
		return
	}
	if utf16.IsSurrogate(u) && bytes.HasPrefix(r.b[r.i:], []byte(`\u`)) {
		back := r.i
		r.i += 2
		if low, ok := r.hex(); ok && utf16.DecodeRune(u, low) != utf8.RuneError {
			out.WriteRune(utf16.DecodeRune(u, low))
			return
		}
		r.i = back
	}
	out.WriteRune(u) // half a pair becomes U+FFFD
}

func (r *reader) hex() (rune, bool) {
	if r.i+4 > len(r.b) {
		return 0, false
	}
	u, err := strconv.ParseUint(string(r.b[r.i:r.i+4]), 16, 16)
	if err != nil {
		return 0, false
	}
	r.i += 4
	return rune(u), true
}

// more goes to what an object or a list holds next, and says that it was left open where nothing does.
func (r *reader) more() bool {
	r.separators()
	if r.i < len(r.b) {
		return true
	}
	r.broken(CallUnclosed)
	return false
}

func (r *reader) object() node {
	out := node{kind: isObject}
	r.i++
	r.depth++
	defer func() { r.depth-- }()
	for r.more() {
		switch r.next() {
		case '}':
			r.i++
			return out
		case ']':
			r.i++ // nothing that it could close
			r.broken(ValueRepaired)
			continue
		}
		key := r.key()
		if out.set(key, r.value()) {
			r.broken(Repeated)
		}
	}
	return out
}

// key reads a member's key and the colon.
func (r *reader) key() string {
	var key string
	switch c := r.next(); c {
	case byte(quote):
		key = r.marked()
	case '"', '\'':
		key = r.quoted(c)
	default:
		n := bytes.IndexAny(r.b[r.i:], ":{}[],")
		if n < 0 {
			n = len(r.b) - r.i
		}
		key = strings.TrimSpace(asText(r.b[r.i:r.i+n], r.d.spelled))
		r.i += n
	}
	r.blank()
	if r.next() == ':' {
		r.i++
		return key
	}
	r.broken(ValueRepaired)
	return key
}

func (r *reader) list() node {
	out := node{kind: isList}
	r.i++
	r.depth++
	defer func() { r.depth-- }()
	for r.more() {
		switch r.next() {
		case ']':
			r.i++
			return out
		case '}': // it closes something outside: the list's own bracket is missing
			r.broken(ValueRepaired)
			if r.depth == 1 {
				r.i++
				continue
			}
			return out
		}
		out.items = append(out.items, r.value())
	}
	return out
}

// separators skips white space, commas, colons that are too many, and quotes that close nothing.
func (r *reader) separators() {
	for r.i < len(r.b) {
		switch c := r.b[r.i]; {
		case c == byte(quote) && r.closes():
			r.broken(StrayMarker)
		case isBlank(c), c == ',':
		case c == ':', isMark(c) && c != byte(quote):
			r.broken(ValueRepaired)
		default:
			return
		}
		r.i++
	}
}

// closes tells whether a quote here closes something: what stands before it is no place for a value or a key.
func (r *reader) closes() bool { return !opening(r.b[:r.i]) }

// opening tells whether a quote behind b can open a text: at the beginning, and behind a bracket, a comma or a colon.
func opening(b []byte) bool {
	b = bytes.TrimRight(b, " \n\t\r")
	return len(b) == 0 || bytes.IndexByte([]byte("{[,:"), b[len(b)-1]) >= 0
}

// bare reads a value without quotes: a number, a word, or a text whose quotes are missing, one or both.
func (r *reader) bare() node {
	rest := r.b[r.i:]
	end := bytes.IndexAny(rest, ",}]")
	at := bytes.IndexByte(rest, byte(quote))
	if end < 0 {
		end = len(rest)
	}
	stop := end
	if at >= 0 {
		stop = min(stop, at)
	}
	word := strings.TrimSpace(asText(rest[:stop], r.d.spelled))
	if n, ok := literal(word); ok && stop == end {
		r.i += end
		return n
	}
	if at >= 0 && !opening(rest[:at]) {
		r.broken(StringUnopened)
		r.i += at + 1
		return textNode(strings.TrimLeft(asText(rest[:at], r.d.spelled), " \n"))
	}
	r.i += stop
	if word == "" {
		r.broken(ValueRepaired)
		if stop == 0 && r.depth >= maxDepth && r.i < len(r.b) { // a bracket that is too deep
			r.i = len(r.b)
			return textNode(asText(rest, r.d.spelled))
		}
		return node{kind: isNull}
	}
	r.broken(ValueUnquoted)
	return textNode(word)
}

// scanner finds where a bracketed value ends, as it comes.
type scanner struct {
	at       int  // bytes looked at
	depth    int  // brackets open
	in       byte // the quote that a string is in, 0 outside
	escaped  bool
	previous byte // the last one that is no white space, outside of strings
}

// scan looks on. It returns the index behind the last bracket, -1 when that is not there yet; it stops before a marker
// that stands outside of strings, other than Gemma's quote: marker is then its index, else -1.
func (s *scanner) scan(b []byte) (end, marker int) {
	for ; s.at < len(b); s.at++ {
		c := b[s.at]
		switch {
		case s.in != 0:
			s.inString(c)
			continue
		case isBlank(c):
			continue
		case (c == byte(quote) || c == '"' || c == '\'') && (s.previous == 0 || bytes.IndexByte([]byte("{[,:"), s.previous) >= 0):
			s.in = c
		case c == byte(quote):
		case isMark(c):
			return -1, s.at
		case c == '{' || c == '[':
			s.depth++
		case c == '}' || c == ']':
			s.depth--
		}
		s.previous = c
		if s.depth <= 0 && s.in == 0 {
			s.at++
			return s.at, -1
		}
	}
	return -1, -1
}

func (s *scanner) inString(c byte) {
	switch {
	case s.escaped:
		s.escaped = false
	case c == '\\' && s.in != byte(quote):
		s.escaped = true
	case c == s.in:
		s.in, s.previous = 0, c
	}
}
