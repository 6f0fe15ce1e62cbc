package jinja

import (
	"context"
	"strings"
	"time"
)

// Limits bound one render. The zero value means the defaults.
type Limits struct {
	Steps  int // statements, loop iterations and calls, and 256-byte pieces of strings made; default 20 million
	Bytes  int // size of the output, and of any string or list that an expression makes; default 256 MiB
	Nested int // macro calls inside macro calls; default 200
}

// Options of one render.
type Options struct {
	Limits Limits
	Now    func() time.Time // clock of strftime_now; default time.Now
	Trace  *Trace           // filled by the rendering; nil: not wanted
}

// Template is a parsed template, immutable and safe for concurrent use.
type Template struct {
	body []stmt
}

// Parse reads a template's source.
func Parse(src string) (*Template, error) {
	toks, err := lex(src)
	if err != nil {
		return nil, err
	}
	body, err := parse(toks)
	if err != nil {
		return nil, err
	}
	return &Template{body}, nil
}

// Render runs the template over vars, the names that it sees. It returns ctx's
// error when ctx ends first; any other error is an *Error.
func (t *Template) Render(ctx context.Context, vars *Dict, opt Options) (string, error) {
	r := &run{ctx: ctx, limits: opt.Limits.orDefault(), now: opt.Now, trace: opt.Trace, main: &strings.Builder{}}
	if r.trace != nil {
		r.trace.start()
	}
	if r.now == nil {
		r.now = time.Now
	}
	top := &scope{}
	for i := range vars.Len() {
		if name, ok := vars.keys[i].(string); ok {
			top.vars = append(top.vars, binding{name, vars.vals[i]})
		}
	}
	f := &frame{run: r, scope: top, out: r.main}
	if _, err := f.execAll(t.body); err != nil {
		return "", err
	}
	return f.out.String(), nil
}

func (l Limits) orDefault() Limits {
	if l.Steps == 0 {
		l.Steps = 20_000_000
	}
	if l.Bytes == 0 {
		l.Bytes = 256 << 20
	}
	if l.Nested == 0 {
		l.Nested = 200
	}
	return l
}

// run is the state of one render: what is left of its budget, and its clock.
type run struct {
	ctx    context.Context
	limits Limits
	now    func() time.Time
	steps  int
	nested int
	trace  *Trace           // nil: none
	main   *strings.Builder // the rendering's own output, not a macro's
}

// stepsPerPoll is how many steps pass between two looks at the context.
const stepsPerPoll = 4096

// charge takes n steps from the budget.
func (r *run) charge(n int) error {
	before := r.steps / stepsPerPoll
	r.steps += n
	if r.steps > r.limits.Steps {
		return errorf(KindLimit, "the template did more than %d steps: shorten the conversation or mend the template", r.limits.Steps)
	}
	if r.steps/stepsPerPoll != before {
		return r.ctx.Err()
	}
	return nil
}

// made charges for a string of n bytes, or a list of n/16 items, and refuses
// one beyond the limit. It is called before the memory is taken.
func (r *run) made(n int) error {
	if n < 0 || n > r.limits.Bytes {
		return errorf(KindLimit, "the template makes a value of more than %d bytes", r.limits.Bytes)
	}
	return r.charge(n / 256)
}

type binding struct {
	name string
	val  Value
}

// scope is one level of names. Loops, macros, with and block assignments open
// one; if does not.
type scope struct {
	parent *scope
	vars   []binding
}

func (s *scope) set(name string, v Value) {
	for i := range s.vars {
		if s.vars[i].name == name {
			s.vars[i].val = v
			return
		}
	}
	s.vars = append(s.vars, binding{name, v})
}

func (s *scope) lookup(name string) (Value, bool) {
	for ; s != nil; s = s.parent {
		for i := range s.vars {
			if s.vars[i].name == name {
				return s.vars[i].val, true
			}
		}
	}
	v, ok := globals[name]
	return v, ok
}

// frame is where statements run: a scope and the output they write to.
type frame struct {
	*run
	scope *scope
	out   *strings.Builder
}

func (f *frame) inner() *frame { return &frame{f.run, &scope{parent: f.scope}, f.out} }

// capture runs body in a scope of its own and returns what it wrote.
func (f *frame) capture(body []stmt) (string, error) {
	g := &frame{f.run, &scope{parent: f.scope}, &strings.Builder{}}
	_, err := g.execAll(body)
	return g.out.String(), err
}

func (f *frame) write(s string) error {
	if f.out.Len()+len(s) > f.limits.Bytes {
		return errorf(KindLimit, "the template writes more than %d bytes", f.limits.Bytes)
	}
	f.out.WriteString(s)
	return nil
}
