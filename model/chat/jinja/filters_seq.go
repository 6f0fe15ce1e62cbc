package jinja

import (
	"slices"
	"strings"
)

func filterLength(_ *frame, in Value, a args) (Value, error) {
	if _, err := a.bind("length"); err != nil {
		return nil, err
	}
	n, err := length(in)
	return int64(n), err
}

func filterList(_ *frame, in Value, _ args) (Value, error) {
	items, err := iterate(in)
	return &List{Items: items}, err
}

func filterItems(_ *frame, in Value, _ args) (Value, error) {
	switch o := in.(type) {
	case *Undefined:
		return newGenerator(nil), nil
	case *Dict:
		return newGenerator(pairs(o)), nil
	}
	return nil, typeErrorf("Can only get item pairs from a mapping.")
}

func filterFirst(_ *frame, in Value, _ args) (Value, error) {
	items, err := iterate(in)
	if err != nil {
		return nil, err
	}
	if len(items) == 0 {
		return &Undefined{Msg: "No first item, sequence was empty."}, nil
	}
	if g, ok := in.(*List); ok && g.kind == kindGenerator {
		g.Items, g.spent = items[1:], false
	}
	return items[0], nil
}

func filterLast(_ *frame, in Value, _ args) (Value, error) {
	if g, ok := in.(*List); ok && g.kind == kindGenerator {
		return nil, typeErrorf("'generator' object is not reversible")
	}
	items, err := iterate(in)
	if err != nil {
		return nil, err
	}
	if len(items) == 0 {
		return &Undefined{Msg: "No last item, sequence was empty."}, nil
	}
	return items[len(items)-1], nil
}

func filterReverse(_ *frame, in Value, _ args) (Value, error) {
	items, err := iterate(in)
	if err != nil {
		return nil, err
	}
	out := slices.Clone(items)
	reverse(out)
	if s, ok := in.(string); ok {
		var b strings.Builder
		b.Grow(len(s))
		for _, c := range out {
			b.WriteString(c.(string))
		}
		return b.String(), nil
	}
	return newGenerator(out), nil
}

func filterJoin(f *frame, in Value, a args) (Value, error) {
	b, err := a.bind("join", "d", "attribute")
	if err != nil {
		return nil, err
	}
	sep, err := str(orDefault(b[0], ""))
	if err != nil {
		return nil, err
	}
	items, err := iterate(in)
	if err != nil {
		return nil, err
	}
	get := attrGetter(orDefault(b[1], nil), nil)
	parts := make([]string, len(items))
	for i, it := range items {
		if it, err = get(it); err != nil {
			return nil, err
		}
		if parts[i], err = str(it); err != nil {
			return nil, err
		}
		if err := f.chargeFor(parts[i]); err != nil {
			return nil, err
		}
	}
	return f.join(parts, sep)
}

// attrGetter returns the function that Jinja's attribute arguments stand for:
// a dotted path whose numbers are indices; nil leaves the item as it is. def
// replaces an undefined result unless it is nil.
func attrGetter(attribute, def Value) func(Value) (Value, error) {
	var path []Value
	switch a := attribute.(type) {
	case nil:
	case string:
		for _, part := range strings.Split(a, ".") {
			if n, ok := parseInt(part, 10); ok && part[0] >= '0' && part[0] <= '9' {
				path = append(path, n)
			} else {
				path = append(path, part)
			}
		}
	default:
		path = []Value{a}
	}
	return func(v Value) (Value, error) {
		for _, part := range path {
			var err error
			if v, err = getItem(v, part); err != nil {
				return nil, err
			}
			if _, ok := v.(*Undefined); ok && def != nil {
				v = def
			}
		}
		return v, nil
	}
}

func filterMap(f *frame, in Value, a args) (Value, error) {
	if !truthy(in) {
		return newGenerator(nil), nil
	}
	var each func(Value) (Value, error)
	attribute, byAttr := a.take(-1, "attribute")
	switch {
	case len(a.pos) == 0 && byAttr:
		def, _ := a.take(-1, "default")
		if len(a.kw) > 0 {
			return nil, typeErrorf("Unexpected keyword argument %s", pyQuote(a.kw[0].name))
		}
		each = attrGetter(attribute, def)
	case len(a.pos) == 0:
		return nil, typeErrorf("map requires a filter argument")
	default:
		name, err := strArg(a.pos[0], "")
		if err != nil {
			return nil, err
		}
		rest := args{pos: a.pos[1:], kw: a.kw}
		each = func(v Value) (Value, error) { return f.callFilter(name, v, rest) }
	}
	items, err := iterate(in)
	if err != nil {
		return nil, err
	}
	out := make([]Value, len(items))
	for i, it := range items {
		if err := f.charge(1); err != nil {
			return nil, err
		}
		if out[i], err = each(it); err != nil {
			return nil, err
		}
	}
	return newGenerator(out), nil
}

// selectFilter is select, reject and their attr forms; keep says which result
// of the test stays.
func selectFilter(byAttr, keep bool) filterFunc {
	return func(f *frame, in Value, a args) (Value, error) {
		get := attrGetter(nil, nil)
		if byAttr {
			if len(a.pos) == 0 {
				return nil, typeErrorf("Missing parameter for attribute name")
			}
			get = attrGetter(a.pos[0], nil)
			a.pos = a.pos[1:]
		}
		items, err := iterate(in)
		if err != nil {
			return nil, err
		}
		var out []Value
		for _, it := range items {
			if err := f.charge(1); err != nil {
				return nil, err
			}
			v, err := get(it)
			if err != nil {
				return nil, err
			}
			ok, err := f.passes(v, a)
			if err != nil {
				return nil, err
			}
			if ok == keep {
				out = append(out, it)
			}
		}
		return newGenerator(out), nil
	}
}

// passes runs the test that a names on v, or takes v's truth when it names none.
func (f *frame) passes(v Value, a args) (bool, error) {
	if len(a.pos) == 0 {
		return truthy(v), nil
	}
	name, err := strArg(a.pos[0], "")
	if err != nil {
		return false, err
	}
	ok, err := f.callTest(name, v, args{pos: a.pos[1:], kw: a.kw})
	return truthy(ok), err
}

// grouping reads what batch and slice are told: how many, and what the last ones are filled up with; nil: nothing.
func grouping(filter, count string, in Value, a args) (n int, items []Value, fill Value, err error) {
	b, err := a.bind(filter, count, "fill_with")
	if err != nil {
		return 0, nil, nil, err
	}
	if n, err = intArg(b[0], 0); err != nil {
		return 0, nil, nil, err
	}
	if items, err = iterate(in); err != nil {
		return 0, nil, nil, err
	}
	if n < 1 {
		return 0, nil, nil, valueErrorf("%s: %s must be at least 1", filter, count)
	}
	return n, items, orDefault(b[1], nil), nil
}

func filterBatch(f *frame, in Value, a args) (Value, error) {
	n, items, fill, err := grouping("batch", "linecount", in, a)
	if err != nil {
		return nil, err
	}
	var out []Value
	for from := 0; from < len(items); from += n {
		row := slices.Clone(items[from:min(from+n, len(items))])
		if fill != nil && len(row) < n {
			if err := f.times(16, n); err != nil {
				return nil, err
			}
			for len(row) < n {
				row = append(row, fill)
			}
		}
		out = append(out, &List{Items: row})
	}
	return newGenerator(out), nil
}

func filterSlice(f *frame, in Value, a args) (Value, error) {
	n, items, fill, err := grouping("slice", "slices", in, a)
	if err != nil {
		return nil, err
	}
	if err := f.times(64, n); err != nil {
		return nil, err
	}
	each, extra, at := len(items)/n, len(items)%n, 0
	var out []Value
	for i := range n {
		size := each
		if i < extra {
			size++
		}
		part := slices.Clone(items[at : at+size])
		at += size
		if fill != nil && i >= extra {
			part = append(part, fill)
		}
		out = append(out, &List{Items: part})
	}
	return newGenerator(out), nil
}
