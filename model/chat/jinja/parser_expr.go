package jinja

import (
	"math/big"
	"strconv"
	"strings"
)

// expression parses a full expression: `a if b else c` binds loosest.
func (p *parser) expression() (expr, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	line := p.line()
	x, err := p.or()
	for err == nil && p.skipName("if") {
		c := &condExpr{then: x, line: line}
		if c.cond, err = p.or(); err != nil {
			break
		}
		if p.skipName("else") {
			c.alt, err = p.expression()
		}
		x = c
	}
	return x, err
}

// tuple parses an expression, or several with commas between them. condexpr
// false leaves an `if` behind it alone (for loops); parens says that an empty
// tuple is meant.
func (p *parser) tuple(condexpr, parens bool) (expr, error) {
	var items []expr
	isTuple := false
	for !p.tupleEnd() && (condexpr || !p.isName("recursive")) {
		one := p.expression
		if !condexpr {
			one = p.or
		}
		x, err := one()
		if err != nil {
			return nil, err
		}
		items = append(items, x)
		if !p.skipOp(",") {
			break
		}
		isTuple = true
	}
	if isTuple || parens && len(items) == 0 {
		return &listExpr{items, kindTuple}, nil
	}
	if len(items) == 0 {
		return nil, p.fail("Expected an expression, got %s", p.cur().describe())
	}
	return items[0], nil
}

func (p *parser) tupleEnd() bool {
	k := p.cur().kind
	return k == tokVarEnd || k == tokBlockEnd || p.isOp(")")
}

func (p *parser) or() (expr, error) {
	x, err := p.and()
	for err == nil && p.skipName("or") {
		var y expr
		y, err = p.and()
		x = &logicExpr{or: true, x: x, y: y}
	}
	return x, err
}

func (p *parser) and() (expr, error) {
	x, err := p.not()
	for err == nil && p.skipName("and") {
		var y expr
		y, err = p.not()
		x = &logicExpr{x: x, y: y}
	}
	return x, err
}

func (p *parser) not() (expr, error) {
	if !p.skipName("not") {
		return p.compare()
	}
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	x, err := p.not()
	return &notExpr{x}, err
}

func (p *parser) compare() (expr, error) {
	x, err := p.binary(0)
	if err != nil {
		return nil, err
	}
	c := &compareExpr{first: x}
	for {
		var op string
		switch {
		case p.isOp("==", "!=", "<", "<=", ">", ">="):
			op = p.next().val
		case p.skipName("in"):
			op = "in"
		case p.isName("not") && p.peek().kind == tokName && p.peek().val == "in":
			p.next()
			p.next()
			op = "not in"
		default:
			if len(c.ops) == 0 {
				return x, nil
			}
			return c, nil
		}
		y, err := p.binary(0)
		if err != nil {
			return nil, err
		}
		c.ops, c.rest = append(c.ops, op), append(c.rest, y)
	}
}

// binaryOps by precedence, loosest first. Jinja's `~` binds tighter than `+`,
// and `**` is left-associative.
var binaryOps = [][]string{{"+", "-"}, {"~"}, {"*", "/", "//", "%"}, {"**"}}

func (p *parser) binary(level int) (expr, error) {
	if level == len(binaryOps) {
		return p.unary(true)
	}
	x, err := p.binary(level + 1)
	for err == nil && p.isOp(binaryOps[level]...) {
		op := p.next().val
		var y expr
		y, err = p.binary(level + 1)
		if c, ok := x.(*concatExpr); ok && op == "~" {
			c.parts = append(c.parts, y)
		} else if op == "~" {
			x = &concatExpr{[]expr{x, y}}
		} else {
			x = &binaryExpr{op, x, y}
		}
	}
	return x, err
}

func (p *parser) unary(filters bool) (expr, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	var x expr
	var err error
	if p.isOp("-", "+") {
		op := p.next().val
		x, err = p.unary(false)
		x = &unaryExpr{op, x}
	} else {
		x, err = p.primary()
	}
	if err == nil {
		x, err = p.postfix(x)
	}
	if err == nil && filters {
		x, err = p.filtersAndTests(x)
	}
	return x, err
}

func (p *parser) primary() (expr, error) {
	t := p.cur()
	switch t.kind {
	case tokName:
		p.next()
		switch t.val {
		case "true", "True":
			return &constExpr{true}, nil
		case "false", "False":
			return &constExpr{false}, nil
		case "none", "None":
			return &constExpr{nil}, nil
		}
		p.names = append(p.names, t.val)
		return &nameExpr{t.val}, nil
	case tokString:
		var b strings.Builder
		for p.cur().kind == tokString {
			b.WriteString(p.next().val)
		}
		return &constExpr{b.String()}, nil
	case tokInt, tokFloat:
		p.next()
		return p.number(t)
	case tokOp:
		switch t.val {
		case "(":
			p.next()
			x, err := p.tuple(true, true)
			if err != nil {
				return nil, err
			}
			return x, p.expectOp(")")
		case "[":
			return p.list()
		case "{":
			return p.dict()
		}
	}
	return nil, p.fail("unexpected %s", t.describe())
}

func (p *parser) number(t token) (expr, error) {
	text := strings.ReplaceAll(t.val, "_", "")
	if t.kind == tokFloat {
		v, err := strconv.ParseFloat(text, 64)
		if err != nil && v == 0 {
			return nil, p.fail("bad number %q", t.val)
		}
		return &constExpr{v}, nil
	}
	v, ok := new(big.Int).SetString(text, 0)
	if strings.Trim(text, "0") == "" {
		v, ok = new(big.Int), true // 00 is decimal in Python
	}
	if !ok {
		return nil, p.fail("bad number %q", t.val)
	}
	return &constExpr{normInt(v)}, nil
}

func (p *parser) list() (expr, error) {
	p.next()
	l := &listExpr{kind: kindList}
	for !p.isOp("]") {
		if len(l.items) > 0 {
			if err := p.expectOp(","); err != nil {
				return nil, err
			}
			if p.isOp("]") {
				break
			}
		}
		x, err := p.expression()
		if err != nil {
			return nil, err
		}
		l.items = append(l.items, x)
	}
	return l, p.expectOp("]")
}

func (p *parser) dict() (expr, error) {
	p.next()
	d := &dictExpr{}
	for !p.isOp("}") {
		if len(d.keys) > 0 {
			if err := p.expectOp(","); err != nil {
				return nil, err
			}
			if p.isOp("}") {
				break
			}
		}
		k, err := p.expression()
		if err != nil {
			return nil, err
		}
		if err := p.expectOp(":"); err != nil {
			return nil, err
		}
		v, err := p.expression()
		if err != nil {
			return nil, err
		}
		d.keys, d.vals = append(d.keys, k), append(d.vals, v)
	}
	return d, p.expectOp("}")
}
