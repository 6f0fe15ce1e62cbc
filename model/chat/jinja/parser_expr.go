package jinja

import (
	"math/big"
	"slices"
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
		op := ""
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

func (p *parser) postfix(x expr) (expr, error) {
	var err error
	for err == nil {
		switch {
		case p.skipOp("."):
			t := p.next()
			switch t.kind {
			case tokName:
				x = &attrExpr{x, t.val}
			case tokInt:
				var n expr
				n, err = p.number(t)
				x = &itemExpr{x, n}
			default:
				err = p.fail("expected name or number")
			}
		case p.isOp("["):
			x, err = p.subscript(x)
		case p.isOp("("):
			x, err = p.call(x)
		default:
			return x, nil
		}
	}
	return nil, err
}

func (p *parser) call(fn expr) (expr, error) {
	a, err := p.callArgs()
	return &callExpr{fn, a}, err
}

// subscript parses [key], [a:b:c] and [k1, k2].
func (p *parser) subscript(x expr) (expr, error) {
	p.next()
	if p.isOp("]") {
		return nil, p.fail("expected subscript expression")
	}
	var first expr
	var err error
	if !p.isOp(":") {
		if first, err = p.expression(); err != nil {
			return nil, err
		}
	}
	if p.isOp(":") {
		bounds := []expr{first, nil, nil}
		for i := 1; i < 3 && p.skipOp(":"); i++ {
			if p.isOp(":", "]") {
				continue
			}
			if bounds[i], err = p.expression(); err != nil {
				return nil, err
			}
		}
		return &sliceExpr{x, bounds[0], bounds[1], bounds[2]}, p.expectOp("]")
	}
	keys := []expr{first}
	for p.skipOp(",") {
		k, err := p.expression()
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	if len(keys) > 1 {
		first = &listExpr{keys, kindTuple}
	}
	return &itemExpr{x, first}, p.expectOp("]")
}

func (p *parser) callArgs() (argList, error) {
	var a argList
	if err := p.expectOp("("); err != nil {
		return a, err
	}
	for first := true; !p.isOp(")"); first = false {
		if !first {
			if err := p.expectOp(","); err != nil {
				return a, err
			}
			if p.isOp(")") {
				break
			}
		}
		if err := p.argument(&a); err != nil {
			return a, err
		}
	}
	return a, p.expectOp(")")
}

func (p *parser) argument(a *argList) error {
	var err error
	switch {
	case p.isOp("*") && a.starPos == nil && a.starKws == nil:
		p.next()
		a.starPos, err = p.expression()
	case p.isOp("**") && a.starKws == nil:
		p.next()
		a.starKws, err = p.expression()
	case p.cur().kind == tokName && p.peek().kind == tokOp && p.peek().val == "=" && a.starKws == nil:
		name := p.next().val
		p.next()
		var v expr
		v, err = p.expression()
		a.kw = append(a.kw, kwExpr{name, v})
	case a.starPos == nil && a.starKws == nil && len(a.kw) == 0:
		var v expr
		v, err = p.expression()
		a.pos = append(a.pos, v)
	default:
		err = p.fail("invalid syntax for function call expression")
	}
	return err
}

// filtersAndTests parses |filter, is test and calls behind an expression.
func (p *parser) filtersAndTests(x expr) (expr, error) {
	var err error
	for err == nil {
		switch {
		case p.skipOp("|"):
			var fx *filterExpr
			fx, err = p.filterOne(x)
			x = fx
		case p.skipName("is"):
			x, err = p.test(x)
		case p.isOp("("):
			x, err = p.call(x)
		default:
			return x, nil
		}
	}
	return nil, err
}

// filterChain parses the filters of a block: name(args)|name….
func (p *parser) filterChain(in expr) (*filterExpr, error) {
	x, err := p.filterOne(in)
	for err == nil && p.skipOp("|") {
		x, err = p.filterOne(x)
	}
	return x, err
}

func (p *parser) filterOne(in expr) (*filterExpr, error) {
	name, err := p.dottedName()
	if err != nil {
		return nil, err
	}
	x := &filterExpr{in: in, name: name}
	if p.isOp("(") {
		x.args, err = p.callArgs()
	}
	return x, err
}

func (p *parser) dottedName() (string, error) {
	name, err := p.expectName()
	for err == nil && p.skipOp(".") {
		var part string
		part, err = p.expectName()
		name += "." + part
	}
	return name, err
}

func (p *parser) test(in expr) (expr, error) {
	negate := p.skipName("not")
	name, err := p.dottedName()
	if err != nil {
		return nil, err
	}
	t := &testExpr{in: in, name: name}
	switch {
	case p.isOp("("):
		t.args, err = p.callArgs()
	case p.startsArgument():
		if p.isName("is") {
			return nil, p.fail("You cannot chain multiple tests with is")
		}
		var x expr
		if x, err = p.primary(); err == nil {
			x, err = p.postfix(x)
		}
		t.args.pos = []expr{x}
	}
	if negate {
		return &notExpr{t}, err
	}
	return t, err
}

// startsArgument says whether a test's single argument without parentheses follows.
func (p *parser) startsArgument() bool {
	switch p.cur().kind {
	case tokString, tokInt, tokFloat:
		return true
	case tokName:
		return !slices.Contains([]string{"else", "or", "and"}, p.cur().val)
	}
	return p.isOp("[", "{")
}
