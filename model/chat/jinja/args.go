package jinja

import "math/big"

// args are the evaluated arguments of a call.
type args struct {
	pos []Value
	kw  []kwArg
}

type kwArg struct {
	name string
	val  Value
}

// absent marks a parameter that bind found no argument for.
type absentType struct{}

var absent = absentType{}

func (l *argList) eval(f *frame) (args, error) {
	var a args
	var err error
	if len(l.pos) > 0 {
		if a.pos, err = evalAll(f, l.pos); err != nil {
			return a, err
		}
	}
	for _, kw := range l.kw {
		v, err := kw.val.eval(f)
		if err != nil {
			return a, err
		}
		a.kw = append(a.kw, kwArg{kw.name, v})
	}
	if l.starPos != nil {
		v, err := l.starPos.eval(f)
		if err != nil {
			return a, err
		}
		items, err := iterate(v)
		if err != nil {
			return a, err
		}
		a.pos = append(a.pos, items...)
	}
	if l.starKws != nil {
		v, err := l.starKws.eval(f)
		if err != nil {
			return a, err
		}
		d, ok := v.(*Dict)
		if !ok {
			return a, typeErrorf("argument after ** must be a mapping, not %s", typeName(v))
		}
		for i, k := range d.keys {
			name, ok := k.(string)
			if !ok {
				return a, typeErrorf("keywords must be strings")
			}
			a.kw = append(a.kw, kwArg{name, d.vals[i]})
		}
	}
	return a, nil
}

// take removes and returns the argument at position i, or else the one called
// name; positions stay in pos.
func (a *args) take(i int, name string) (Value, bool) {
	if i >= 0 && i < len(a.pos) {
		return a.pos[i], true
	}
	for j, kw := range a.kw {
		if kw.name == name {
			rest := append([]kwArg{}, a.kw[:j]...)
			a.kw = append(rest, a.kw[j+1:]...)
			return kw.val, true
		}
	}
	return nil, false
}

// bind matches the arguments to the parameters of fn; those not given are absent.
func (a args) bind(fn string, params ...string) ([]Value, error) {
	if len(a.pos) > len(params) {
		return nil, typeErrorf("%s() takes at most %d arguments (%d given)", fn, len(params), len(a.pos))
	}
	out := make([]Value, len(params))
	for i := range out {
		out[i] = absent
	}
	copy(out, a.pos)
next:
	for _, kw := range a.kw {
		for i, p := range params {
			if p == kw.name {
				if i < len(a.pos) {
					return nil, typeErrorf("%s() got multiple values for argument '%s'", fn, p)
				}
				out[i] = kw.val
				continue next
			}
		}
		return nil, typeErrorf("%s() got an unexpected keyword argument '%s'", fn, kw.name)
	}
	return out, nil
}

// orDefault replaces an absent argument.
func orDefault(v, def Value) Value {
	if v == absent {
		return def
	}
	return v
}

// intArg reads an argument that must be an int that fits a machine word.
func intArg(v Value, def int) (int, error) {
	if v == absent {
		return def, nil
	}
	if n, ok := smallInt(v); ok {
		return n, nil
	}
	if u, ok := v.(*Undefined); ok {
		return 0, u.fail()
	}
	return 0, typeErrorf("'%s' object cannot be interpreted as an integer", typeName(v))
}

func strArg(v Value, def string) (string, error) {
	switch v := v.(type) {
	case absentType:
		return def, nil
	case string:
		return v, nil
	case *Undefined:
		return "", v.fail()
	}
	return "", typeErrorf("expected str, got %s", typeName(v))
}

// smallInt reads ints and bools as an index.
func smallInt(v Value) (int, bool) {
	switch v := v.(type) {
	case int64:
		return int(v), true
	case bool:
		return int(boolInt(v)), true
	case *big.Int: // beyond every length: saturate
		if v.Sign() < 0 {
			return -1 << 62, true
		}
		return 1 << 62, true
	}
	return 0, false
}
