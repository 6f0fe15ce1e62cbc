package jinja

import (
	"slices"
)

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
