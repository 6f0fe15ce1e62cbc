package jinja

import (
	"slices"
)

func (p *parser) macroStatement() (stmt, error) {
	name, err := p.expectName()
	if err != nil {
		return nil, err
	}
	m, err := p.macroRest(name, "endmacro")
	return &macroStmt{m}, err
}

// callStatement parses {% call(params) macro(args) %}body{% endcall %}.
func (p *parser) callStatement(line int) (stmt, error) {
	params, defaults, err := p.signature()
	if err != nil {
		return nil, err
	}
	x, err := p.expression()
	if err != nil {
		return nil, err
	}
	call, ok := x.(*callExpr)
	if !ok {
		return nil, p.fail("expected call")
	}
	m, err := p.macroBody(&macroDef{name: "caller", params: params, defaults: defaults}, "endcall")
	return &callStmt{call, m, line}, err
}

func (p *parser) macroRest(name, end string) (*macroDef, error) {
	params, defaults, err := p.signature()
	if err != nil {
		return nil, err
	}
	return p.macroBody(&macroDef{name: name, params: params, defaults: defaults}, end)
}

func (p *parser) macroBody(m *macroDef, end string) (*macroDef, error) {
	from, loops := len(p.names), p.loops
	p.loops = 0
	var err error
	m.body, _, err = p.block(end)
	p.loops = loops
	for _, n := range p.names[min(from, len(p.names)):] {
		m.usesCaller = m.usesCaller || n == "caller"
		m.usesKwargs = m.usesKwargs || n == "kwargs"
		m.usesArgs = m.usesArgs || n == "varargs"
	}
	return m, err
}

// signature parses an optional (a, b=1) parameter list.
func (p *parser) signature() (params []string, defaults []expr, err error) {
	if !p.skipOp("(") {
		return nil, nil, nil
	}
	for !p.skipOp(")") {
		if len(params) > 0 {
			if err := p.expectOp(","); err != nil {
				return nil, nil, err
			}
		}
		name, err := p.expectName()
		if err != nil {
			return nil, nil, err
		}
		params = append(params, name)
		if p.skipOp("=") {
			d, err := p.expression()
			if err != nil {
				return nil, nil, err
			}
			defaults = append(defaults, d)
		} else if len(defaults) > 0 {
			return nil, nil, p.fail("non-default argument follows default argument")
		}
	}
	return params, defaults, nil
}

// target parses what an assignment or a loop writes to.
func (p *parser) target(namespace bool) (target, error) {
	if err := p.enter(); err != nil {
		return target{}, err
	}
	defer p.leave()
	var all []target
	isTuple := false
	for {
		if isTuple && !p.isOp("(") && (p.cur().kind != tokName || p.isName("in")) {
			break
		}
		t, err := p.targetOne(namespace)
		if err != nil {
			return target{}, err
		}
		all = append(all, t)
		if !p.skipOp(",") {
			break
		}
		isTuple = true
	}
	if !isTuple {
		return all[0], nil
	}
	return target{tuple: all}, nil
}

func (p *parser) targetOne(namespace bool) (target, error) {
	if p.skipOp("(") {
		t, err := p.target(namespace)
		if err != nil {
			return target{}, err
		}
		return t, p.expectOp(")")
	}
	name, err := p.expectName()
	if err != nil {
		return target{}, err
	}
	if slices.Contains([]string{"true", "false", "none", "True", "False", "None"}, name) {
		return target{}, p.fail("can't assign to 'const'")
	}
	if namespace && p.skipOp(".") {
		attr, err := p.expectName()
		return target{name: name, attr: attr}, err
	}
	return target{name: name}, nil
}
