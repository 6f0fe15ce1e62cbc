package jinja

import "strconv"

func (f *frame) execAll(body []stmt) (signal, error) {
	for _, s := range body {
		if err := f.charge(1); err != nil {
			return sigNone, err
		}
		sig, err := s.exec(f)
		if err != nil || sig != sigNone {
			return sig, err
		}
	}
	return sigNone, nil
}

func (s *dataStmt) exec(f *frame) (signal, error) { return sigNone, f.write(s.text) }

func (s *outputStmt) exec(f *frame) (signal, error) {
	if f.onMain() {
		f.openOutput()
		defer f.closeOutput()
	}
	for _, x := range s.xs {
		v, err := x.eval(f)
		if err != nil {
			return sigNone, atLine(err, s.line)
		}
		if f.onMain() {
			f.readWhole(v)
		}
		text, err := str(v)
		if err == nil {
			err = f.charge(len(text) / 256)
		}
		if err == nil {
			err = f.write(text)
		}
		if err != nil {
			return sigNone, atLine(err, s.line)
		}
	}
	return sigNone, nil
}

func (s *ifStmt) exec(f *frame) (signal, error) {
	for i, c := range s.conds {
		v, err := c.eval(f)
		if err != nil {
			return sigNone, atLine(err, s.line)
		}
		if truthy(v) {
			return f.execAll(s.bodies[i])
		}
	}
	if len(s.bodies) > len(s.conds) {
		return f.execAll(s.bodies[len(s.conds)])
	}
	return sigNone, nil
}

func (s *jumpStmt) exec(*frame) (signal, error) { return s.sig, nil }

func (s *scopedStmt) exec(f *frame) (signal, error) { return f.inner().execAll(s.body) }

func (s *setStmt) exec(f *frame) (signal, error) {
	v, err := s.val.eval(f)
	if err == nil {
		err = f.assign(s.target, v)
	}
	return sigNone, atLine(err, s.line)
}

func (s *setBlockStmt) exec(f *frame) (signal, error) {
	text, err := f.capture(s.body)
	if err != nil {
		return sigNone, err
	}
	var v Value = text
	if s.filter != nil {
		v, err = s.filter.apply(f, text)
	}
	if err == nil {
		err = f.assign(s.target, v)
	}
	return sigNone, atLine(err, s.line)
}

func (s *filterBlockStmt) exec(f *frame) (signal, error) {
	text, err := f.capture(s.body)
	if err != nil {
		return sigNone, err
	}
	v, err := s.filter.apply(f, text)
	if err == nil {
		text, err = str(v)
	}
	if err != nil {
		return sigNone, atLine(err, s.line)
	}
	return sigNone, f.write(text)
}

func (s *withStmt) exec(f *frame) (signal, error) {
	g := f.inner()
	for i, x := range s.vals {
		v, err := x.eval(f) // in the outer scope: the names are bound together
		if err == nil {
			err = g.assign(s.targets[i], v)
		}
		if err != nil {
			return sigNone, atLine(err, s.line)
		}
	}
	return g.execAll(s.body)
}

// assign stores v in a target, unpacking tuples.
func (f *frame) assign(t target, v Value) error {
	switch {
	case t.tuple != nil:
		items, err := iterate(v)
		if err != nil {
			return typeErrorf("cannot unpack non-iterable %s object", typeName(v))
		}
		if len(items) > len(t.tuple) {
			return valueErrorf("too many values to unpack (expected %d)", len(t.tuple))
		}
		if len(items) < len(t.tuple) {
			return valueErrorf("not enough values to unpack (expected %d, got %d)", len(t.tuple), len(items))
		}
		for i, sub := range t.tuple {
			if err := f.assign(sub, items[i]); err != nil {
				return err
			}
		}
	case t.attr != "":
		ns, _ := f.scope.lookup(t.name)
		n, ok := ns.(*Namespace)
		if !ok {
			return errorf("TemplateRuntimeError", "cannot assign attribute on non-namespace object")
		}
		return n.set(t.attr, v)
	default:
		f.scope.set(t.name, v)
	}
	return nil
}

func (s *forStmt) exec(f *frame) (signal, error) {
	v, err := s.iter.eval(f)
	if err != nil {
		return sigNone, atLine(err, s.line)
	}
	return sigNone, s.loop(f, v, 1)
}

// loop runs the body over v; depth counts recursive loops from 1.
func (s *forStmt) loop(f *frame, v Value, depth int) error {
	items, err := iterate(v)
	if err == nil && s.test != nil {
		items, err = s.selected(f, items)
	}
	if err != nil {
		return atLine(err, s.line)
	}
	if len(items) == 0 {
		_, err := f.inner().execAll(s.alt)
		return err
	}
	l := &Loop{items: items, depth: depth}
	if s.recursive {
		l.recurse = func(v Value) (Value, error) { return s.recurse(f, v, depth+1) }
	}
	for i := range items {
		l.index = i
		sig, err := s.once(f, l)
		if err != nil {
			return err
		}
		if sig == sigBreak {
			break
		}
	}
	return nil
}

// once runs the body for one item.
func (s *forStmt) once(f *frame, l *Loop) (signal, error) {
	if err := f.charge(1); err != nil {
		return sigNone, err
	}
	item := l.items[l.index]
	if f.onMain() {
		f.enter(item)
		defer f.leave()
	}
	g := f.inner()
	g.scope.vars = append(make([]binding, 0, 4), binding{"loop", l})
	if err := g.assign(s.target, item); err != nil {
		return sigNone, atLine(err, s.line)
	}
	return g.execAll(s.body)
}

// selected filters items by the loop's if.
func (s *forStmt) selected(f *frame, items []Value) ([]Value, error) {
	var kept []Value
	for _, it := range items {
		if err := f.charge(1); err != nil {
			return nil, err
		}
		g := f.inner()
		if err := g.assign(s.target, it); err != nil {
			return nil, err
		}
		ok, err := s.test.eval(g)
		if err != nil {
			return nil, err
		}
		if truthy(ok) {
			kept = append(kept, it)
		}
	}
	return kept, nil
}

func (s *forStmt) recurse(f *frame, v Value, depth int) (Value, error) {
	leave, err := f.nest()
	if err != nil {
		return nil, err
	}
	defer leave()
	g := f.inner()
	g.out = newOutput()
	err = s.loop(g, v, depth)
	return g.out.String(), err
}

// Loop is the variable loop.
type Loop struct {
	items   []Value
	index   int // from 0
	depth   int // from 1
	recurse func(Value) (Value, error)
	last    []Value // arguments of the last changed()
	called  bool
}

func (l *Loop) attr(name string) (Value, bool) {
	n, i := int64(len(l.items)), int64(l.index)
	switch name {
	case "index":
		return i + 1, true
	case "index0":
		return i, true
	case "revindex":
		return n - i, true
	case "revindex0":
		return n - i - 1, true
	case "first":
		return i == 0, true
	case "last":
		return i == n-1, true
	case "length":
		return n, true
	case "depth":
		return int64(l.depth), true
	case "depth0":
		return int64(l.depth - 1), true
	case "previtem":
		if i == 0 {
			return &Undefined{Msg: "there is no previous item"}, true
		}
		return l.items[i-1], true
	case "nextitem":
		if i == n-1 {
			return &Undefined{Msg: "there is no next item"}, true
		}
		return l.items[i+1], true
	case "cycle":
		return &Func{name: name, call: l.cycle}, true
	case "changed":
		return &Func{name: name, call: l.changed}, true
	}
	return nil, false
}

func (l *Loop) cycle(_ *frame, a args) (Value, error) {
	if len(a.pos) == 0 {
		return nil, typeErrorf("no items for cycling given")
	}
	return a.pos[l.index%len(a.pos)], nil
}

func (l *Loop) changed(_ *frame, a args) (Value, error) {
	same := l.called && len(l.last) == len(a.pos)
	for i := 0; same && i < len(a.pos); i++ {
		eq, err := equal(l.last[i], a.pos[i])
		if err != nil {
			return nil, err
		}
		same = eq
	}
	l.last, l.called = a.pos, true
	return !same, nil
}

func (s *macroStmt) exec(f *frame) (signal, error) {
	f.scope.set(s.macro.name, s.macro.bind(f))
	return sigNone, nil
}

func (s *callStmt) exec(f *frame) (signal, error) {
	fn, a, err := s.call.prepare(f)
	if err == nil {
		a.kw = append(a.kw, kwArg{"caller", s.caller.bind(f)})
		var v Value
		if v, err = f.callValue(fn, a); err == nil {
			var text string
			if text, err = str(v); err == nil {
				return sigNone, f.write(text)
			}
		}
	}
	return sigNone, atLine(err, s.line)
}

// bind closes the macro over the scope it is defined in.
func (m *macroDef) bind(def *frame) *Func {
	home := def.scope
	return &Func{name: m.name, macro: true, call: func(f *frame, a args) (Value, error) {
		leave, err := f.nest()
		if err != nil {
			return nil, err
		}
		defer leave()
		g := &frame{f.run, &scope{parent: home, vars: make([]binding, 0, len(m.params)+2)}, newOutput()}
		if err := m.bindArgs(g, a); err != nil {
			return nil, err
		}
		_, err = g.execAll(m.body)
		return g.out.String(), err
	}}
}

// bindArgs puts the call's arguments into the macro's scope, as Jinja's Macro
// does: positions first, then names, then defaults (which see earlier
// parameters); what is missing is undefined.
func (m *macroDef) bindArgs(g *frame, a args) error {
	firstDefault := len(m.params) - len(m.defaults)
	for i, name := range m.params {
		v, ok := a.take(i, name)
		if !ok && i >= firstDefault {
			var err error
			if v, err = m.defaults[i-firstDefault].eval(g); err != nil {
				return err
			}
		} else if !ok {
			v = &Undefined{Msg: "parameter " + pyQuote(name) + " was not provided"}
		}
		g.scope.vars = append(g.scope.vars, binding{name, v})
	}
	if m.usesCaller {
		v, ok := a.take(-1, "caller")
		if !ok {
			v = &Undefined{Msg: "No caller defined"}
		}
		g.scope.set("caller", v)
	}
	if m.usesKwargs {
		d := NewDict(len(a.kw))
		for _, kw := range a.kw {
			d.set(kw.name, kw.val)
		}
		g.scope.set("kwargs", d)
	} else if len(a.kw) > 0 {
		return typeErrorf("macro %s takes no keyword argument %s", pyQuote(m.name), pyQuote(a.kw[0].name))
	}
	if extra := a.pos[min(len(m.params), len(a.pos)):]; m.usesArgs {
		g.scope.set("varargs", newTuple(extra...))
	} else if len(extra) > 0 {
		return typeErrorf("macro %s takes not more than %s argument(s)", pyQuote(m.name), strconv.Itoa(len(m.params)))
	}
	return nil
}

// nest counts one level of macro or loop recursion; the caller defers leave.
func (f *frame) nest() (leave func(), err error) {
	if f.nested >= f.limits.Nested {
		return nil, errorf(KindLimit, "macros call each other more than %d levels deep", f.limits.Nested)
	}
	f.nested++
	return func() { f.nested-- }, nil
}
