package jinja

import "slices"

// maxNesting bounds the nesting of expressions and statements in a template:
// the parser and the evaluator recurse on it.
const maxNesting = 200

type parser struct {
	toks  []token
	pos   int
	depth int
	loops int      // loops around the current statement
	names []string // every name read so far, for the implicit macro variables
}

// parse turns tokens into the template's statements.
func parse(toks []token) ([]stmt, error) {
	p := &parser{toks: toks}
	body, end, err := p.statements()
	if err == nil && end != "" {
		err = p.fail("Encountered unknown tag '%s'.", end)
	}
	if err != nil {
		return nil, err
	}
	return body, nil
}

func (p *parser) cur() token { return p.toks[p.pos] }

func (p *parser) line() int { return p.toks[p.pos].line }

func (p *parser) next() token { t := p.toks[p.pos]; p.pos = min(p.pos+1, len(p.toks)-1); return t }

func (p *parser) peek() token { return p.toks[min(p.pos+1, len(p.toks)-1)] }

func (p *parser) isOp(ops ...string) bool {
	return p.cur().kind == tokOp && slices.Contains(ops, p.cur().val)
}

func (p *parser) isName(names ...string) bool {
	return p.cur().kind == tokName && slices.Contains(names, p.cur().val)
}

func (p *parser) skipOp(op string) bool {
	if p.isOp(op) {
		p.next()
		return true
	}
	return false
}

func (p *parser) skipName(name string) bool {
	if p.isName(name) {
		p.next()
		return true
	}
	return false
}

func (p *parser) fail(format string, a ...any) error {
	return atLine(errorf(KindSyntax, format, a...), p.line())
}

func (p *parser) expectOp(op string) error {
	if !p.skipOp(op) {
		return p.fail("expected '%s', got %s", op, p.cur().describe())
	}
	return nil
}

func (p *parser) expectName() (string, error) {
	if p.cur().kind != tokName {
		return "", p.fail("expected a name, got %s", p.cur().describe())
	}
	return p.next().val, nil
}

func (p *parser) expectKind(k tokenKind, what string) error {
	if p.cur().kind != k {
		return p.fail("expected %s, got %s", what, p.cur().describe())
	}
	p.next()
	return nil
}

func (t token) describe() string {
	switch t.kind {
	case tokEOF:
		return "end of template"
	case tokVarEnd, tokBlockEnd:
		return "end of tag"
	case tokData:
		return "template data"
	}
	return "'" + t.val + "'"
}

// enter counts one level of nesting; the caller defers p.leave.
func (p *parser) enter() error {
	if p.depth++; p.depth > maxNesting {
		return p.fail("template nests deeper than %d levels", maxNesting)
	}
	return nil
}

func (p *parser) leave() { p.depth-- }

// statements parses up to the end of the template or to a tag that is one of
// ends; it leaves the tag's arguments unread and returns its name.
func (p *parser) statements(ends ...string) (body []stmt, end string, err error) {
	if err := p.enter(); err != nil {
		return nil, "", err
	}
	defer p.leave()
	for {
		switch t := p.next(); t.kind {
		case tokEOF:
			if len(ends) > 0 {
				return nil, "", p.fail("Unexpected end of template, expected '%s'", ends[len(ends)-1])
			}
			return body, "", nil
		case tokData:
			body = append(body, &dataStmt{t.val})
		case tokVarBegin:
			x, err := p.tuple(true, false)
			if err != nil {
				return nil, "", err
			}
			if err := p.expectKind(tokVarEnd, "end of print statement"); err != nil {
				return nil, "", err
			}
			body = append(body, &outputStmt{[]expr{x}, t.line})
		case tokBlockBegin:
			name, err := p.expectName()
			if err != nil {
				return nil, "", err
			}
			if slices.Contains(ends, name) {
				return body, name, nil
			}
			s, err := p.statement(name, t.line)
			if err != nil {
				return nil, "", err
			}
			body = append(body, s)
		default:
			return nil, "", p.fail("unexpected %s", t.describe())
		}
	}
}

// block parses the end of the opening tag, the body, and the whole closing tag
// unless it is a middle one (else, elif).
func (p *parser) block(ends ...string) ([]stmt, string, error) {
	if err := p.expectKind(tokBlockEnd, "end of statement block"); err != nil {
		return nil, "", err
	}
	body, end, err := p.statements(ends...)
	if err != nil {
		return nil, "", err
	}
	if end != "elif" && end != "else" {
		err = p.expectKind(tokBlockEnd, "end of statement block")
	}
	return body, end, err
}

func (p *parser) statement(tag string, line int) (stmt, error) {
	switch tag {
	case "if":
		return p.ifStatement(line)
	case "for":
		return p.forStatement(line)
	case "set":
		return p.setStatement(line)
	case "macro":
		return p.macroStatement()
	case "call":
		return p.callStatement(line)
	case "with":
		return p.withStatement(line)
	case "filter":
		filter, err := p.filterChain(nil)
		if err != nil {
			return nil, err
		}
		body, _, err := p.block("endfilter")
		return &filterBlockStmt{filter, body, line}, err
	case "generation":
		body, _, err := p.block("endgeneration")
		return &scopedStmt{body}, err
	case "print":
		return p.printStatement(line)
	case "break", "continue":
		if p.loops == 0 {
			return nil, p.fail("'%s' outside of a loop", tag)
		}
		sig := sigBreak
		if tag == "continue" {
			sig = sigContinue
		}
		return &jumpStmt{sig}, p.expectKind(tokBlockEnd, "end of statement block")
	case "extends", "include", "import", "from", "block", "autoescape":
		return nil, p.fail("the tag '%s' is not supported in a chat template", tag)
	}
	return nil, p.fail("Encountered unknown tag '%s'.", tag)
}

func (p *parser) printStatement(line int) (stmt, error) {
	s := &outputStmt{line: line}
	for first := true; first || p.skipOp(","); first = false {
		x, err := p.expression()
		if err != nil {
			return nil, err
		}
		s.xs = append(s.xs, x)
	}
	return s, p.expectKind(tokBlockEnd, "end of statement block")
}

func (p *parser) ifStatement(line int) (stmt, error) {
	s := &ifStmt{line: line}
	for {
		cond, err := p.tuple(false, false)
		if err != nil {
			return nil, err
		}
		body, end, err := p.block("elif", "else", "endif")
		if err != nil {
			return nil, err
		}
		s.conds, s.bodies = append(s.conds, cond), append(s.bodies, body)
		switch end {
		case "elif":
			continue
		case "else":
			body, _, err := p.block("endif")
			s.bodies = append(s.bodies, body)
			return s, err
		}
		return s, nil
	}
}

func (p *parser) forStatement(line int) (stmt, error) {
	s := &forStmt{line: line}
	var err error
	if s.target, err = p.target(false); err != nil {
		return nil, err
	}
	if !p.skipName("in") {
		return nil, p.fail("expected 'in', got %s", p.cur().describe())
	}
	if s.iter, err = p.tuple(false, false); err != nil {
		return nil, err
	}
	if p.skipName("if") {
		if s.test, err = p.expression(); err != nil {
			return nil, err
		}
	}
	s.recursive = p.skipName("recursive")
	p.loops++
	body, end, err := p.block("else", "endfor")
	p.loops--
	if err != nil {
		return nil, err
	}
	s.body = body
	if end == "else" {
		s.alt, _, err = p.block("endfor")
	}
	return s, err
}

func (p *parser) setStatement(line int) (stmt, error) {
	t, err := p.target(true)
	if err != nil {
		return nil, err
	}
	if p.skipOp("=") {
		val, err := p.tuple(true, false)
		if err != nil {
			return nil, err
		}
		return &setStmt{t, val, line}, p.expectKind(tokBlockEnd, "end of statement block")
	}
	s := &setBlockStmt{target: t, line: line}
	if p.skipOp("|") {
		if s.filter, err = p.filterChain(nil); err != nil {
			return nil, err
		}
	}
	s.body, _, err = p.block("endset")
	return s, err
}

func (p *parser) withStatement(line int) (stmt, error) {
	s := &withStmt{line: line}
	for p.cur().kind != tokBlockEnd {
		if len(s.vals) > 0 {
			if err := p.expectOp(","); err != nil {
				return nil, err
			}
		}
		name, err := p.expectName()
		if err != nil {
			return nil, err
		}
		if err := p.expectOp("="); err != nil {
			return nil, err
		}
		val, err := p.expression()
		if err != nil {
			return nil, err
		}
		s.targets, s.vals = append(s.targets, target{name: name}), append(s.vals, val)
	}
	var err error
	s.body, _, err = p.block("endwith")
	return s, err
}
