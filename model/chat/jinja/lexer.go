package jinja

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

type tokenKind uint8

const (
	tokEOF tokenKind = iota
	tokData
	tokVarBegin
	tokVarEnd
	tokBlockBegin
	tokBlockEnd
	tokName
	tokString
	tokInt
	tokFloat
	tokOp
)

type token struct {
	kind tokenKind
	val  string // text of the token; a string literal's is decoded
	line int
}

// lexer cuts a template into tokens. White space control (`-`, `+`,
// trim_blocks, lstrip_blocks) is settled here, as in Jinja2's own lexer.
type lexer struct {
	src          string
	pos, line    int
	lineStarting bool // the last tag ended with a newline, or none came yet
	out          []token
}

var (
	rawBegin = regexp.MustCompile(`^\{%[-+]?\s*raw\s*(?:-%\}\s*|%\})`)
	rawEnd   = regexp.MustCompile(`\{%([-+]?)\s*endraw\s*(?:\+%\}|-%\}\s*|%\}\n?)`)
	floatRe  = regexp.MustCompile(`^(?:\d+_)*\d+(?:(?:\.(?:\d+_)*\d+)?[eE][+-]?(?:\d+_)*\d+|\.(?:\d+_)*\d+)`)
	intRe    = regexp.MustCompile(`^(?:0[bB](?:_?[01])+|0[oO](?:_?[0-7])+|0[xX](?:_?[\da-fA-F])+|[1-9](?:_?\d)*|0(?:_?0)*)`)
)

// operators, longest first.
var operators = []string{"//", "**", "==", "!=", ">=", "<=",
	"+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}", ">", "<", "=", ".", ":", "|", ",", ";"}

func lex(src string) ([]token, error) {
	src = strings.ReplaceAll(strings.ReplaceAll(src, "\r\n", "\n"), "\r", "\n")
	src = strings.TrimSuffix(src, "\n")
	l := &lexer{src: src, line: 1, lineStarting: true}
	for l.pos < len(src) {
		if err := l.root(); err != nil {
			return nil, err
		}
	}
	l.emit(tokEOF, "")
	return l.out, nil
}

func (l *lexer) emit(k tokenKind, val string) {
	l.out = append(l.out, token{k, val, l.line})
}

// advance moves to position to, counting lines.
func (l *lexer) advance(to int) {
	l.line += strings.Count(l.src[l.pos:to], "\n")
	l.pos = to
}

func (l *lexer) fail(format string, a ...any) error {
	return atLine(errorf(KindSyntax, format, a...), l.line)
}

// root lexes data up to the next tag, then the tag.
func (l *lexer) root() error {
	tag := nextTag(l.src, l.pos)
	if tag < 0 {
		l.emit(tokData, l.src[l.pos:])
		l.advance(len(l.src))
		return nil
	}
	rest := l.src[tag:]
	raw := rawBegin.FindString(rest)
	sign := byte(0)
	if len(rest) > 2 && (rest[2] == '-' || rest[2] == '+') {
		sign = rest[2]
	}
	if text := stripBefore(l.src[l.pos:tag], sign, rest[1] != '{', l.lineStarting); text != "" {
		l.emit(tokData, text)
	}
	begin := tag + 2
	if sign != 0 {
		begin++
	}
	switch {
	case raw != "":
		l.advance(tag + len(raw))
		return l.raw()
	case rest[1] == '#':
		l.advance(begin)
		return l.comment()
	case rest[1] == '%':
		l.advance(begin)
		l.emit(tokBlockBegin, "")
		return l.expression("%}", tokBlockEnd)
	default:
		l.advance(begin)
		l.emit(tokVarBegin, "")
		return l.expression("}}", tokVarEnd)
	}
}

func nextTag(src string, from int) int {
	for i := from; i+1 < len(src); i++ {
		j := strings.IndexByte(src[i:], '{')
		if j < 0 || i+j+1 >= len(src) {
			return -1
		}
		i += j
		switch src[i+1] {
		case '%', '{', '#':
			return i
		}
	}
	return -1
}

// stripBefore applies the sign of a tag, or lstrip_blocks, to the text before it.
func stripBefore(text string, sign byte, block, lineStarting bool) string {
	if sign == '-' {
		return strings.TrimRightFunc(text, isSpace)
	}
	if sign == '+' || !block {
		return text
	}
	at := strings.LastIndexByte(text, '\n') + 1
	if (at > 0 || lineStarting) && strings.TrimLeftFunc(text[at:], isSpace) == "" {
		return text[:at]
	}
	return text
}

// endTag consumes what follows an end delimiter: `-` eats white space, a
// block's or comment's bare end eats one newline (trim_blocks).
func (l *lexer) endTag(end int, sign byte, trim bool) {
	from := l.pos
	switch {
	case sign == '-':
		for end < len(l.src) {
			r, n := utf8.DecodeRuneInString(l.src[end:])
			if !isSpace(r) {
				break
			}
			end += n
		}
	case trim && sign != '+' && end < len(l.src) && l.src[end] == '\n':
		end++
	}
	l.advance(end)
	l.lineStarting = end > from && l.src[end-1] == '\n'
}

func (l *lexer) comment() error {
	i := strings.Index(l.src[l.pos:], "#}")
	if i < 0 {
		return l.fail("Missing end of comment tag")
	}
	end, sign := l.pos+i, byte(0)
	if end > l.pos {
		sign = l.src[end-1]
	}
	l.endTag(end+2, sign, true)
	return nil
}

func (l *lexer) raw() error {
	m := rawEnd.FindStringSubmatchIndex(l.src[l.pos:])
	if m == nil {
		return l.fail("Missing end of raw directive")
	}
	sign := byte(0)
	if m[3] > m[2] {
		sign = l.src[l.pos+m[2]]
	}
	if text := stripBefore(l.src[l.pos:l.pos+m[0]], sign, true, false); text != "" {
		l.emit(tokData, text)
	}
	l.advance(l.pos + m[1])
	l.lineStarting = l.src[l.pos-1] == '\n'
	return nil
}

// expression lexes the inside of a tag up to its end delimiter.
func (l *lexer) expression(end string, endKind tokenKind) error {
	var open []byte // closers of the brackets that are open
	for {
		rest := strings.TrimLeftFunc(l.src[l.pos:], isSpace)
		l.advance(len(l.src) - len(rest))
		if rest == "" {
			return l.fail("unexpected end of template, expected %q", end)
		}
		if len(open) == 0 {
			signed := rest[0] == '-' || rest[0] == '+' && end == "%}"
			switch {
			case strings.HasPrefix(rest, end):
				l.emit(endKind, "")
				l.endTag(l.pos+2, 0, end == "%}")
				return nil
			case signed && strings.HasPrefix(rest[1:], end):
				l.emit(endKind, "")
				l.endTag(l.pos+3, rest[0], end == "%}")
				return nil
			}
		}
		tok, err := l.scan(rest)
		if err != nil {
			return err
		}
		if tok.kind != tokOp {
			continue
		}
		switch tok.val {
		case "(":
			open = append(open, ')')
		case "[":
			open = append(open, ']')
		case "{":
			open = append(open, '}')
		case ")", "]", "}":
			if len(open) == 0 || open[len(open)-1] != tok.val[0] {
				return l.fail("unexpected '%s'", tok.val)
			}
			open = open[:len(open)-1]
		}
	}
}

// scan emits one token of an expression and moves behind it.
func (l *lexer) scan(rest string) (token, error) {
	n, kind := 0, tokOp
	first, _ := utf8.DecodeRuneInString(rest)
	afterDot := l.pos > 0 && l.src[l.pos-1] == '.'
	switch {
	case !afterDot && floatRe.MatchString(rest):
		n, kind = len(floatRe.FindString(rest)), tokFloat
	case first >= '0' && first <= '9':
		n, kind = len(intRe.FindString(rest)), tokInt
	case first == '\'' || first == '"':
		return l.stringLiteral(rest)
	case first == '_' || unicode.IsLetter(first):
		n = strings.IndexFunc(rest, func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) })
		if n < 0 {
			n = len(rest)
		}
		kind = tokName
	default:
		for _, op := range operators {
			if strings.HasPrefix(rest, op) {
				n = len(op)
				break
			}
		}
	}
	if n == 0 {
		return token{}, l.fail("unexpected char %q", first)
	}
	l.emit(kind, rest[:n])
	l.advance(l.pos + n)
	return l.out[len(l.out)-1], nil
}

func (l *lexer) stringLiteral(rest string) (token, error) {
	for i := 1; i < len(rest); i++ {
		switch rest[i] {
		case '\\':
			i++
		case rest[0]:
			s, err := unescape(rest[1:i])
			if err != nil {
				return token{}, atLine(err, l.line)
			}
			l.emit(tokString, s)
			l.advance(l.pos + i + 1)
			return l.out[len(l.out)-1], nil
		}
	}
	return token{}, l.fail("unexpected char %q", rune(rest[0]))
}
