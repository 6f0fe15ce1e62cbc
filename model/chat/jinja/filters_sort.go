package jinja

import (
	"slices"
	"strings"
)

// sortKey lowers strings unless the sort is case sensitive.
func sortKey(v Value, caseSensitive bool) Value {
	if s, ok := v.(string); ok && !caseSensitive {
		return pyLower(s)
	}
	return v
}

// sortBy sorts items by their keys, stably; like Python it fails when two keys
// cannot be compared.
func (f *frame) sortBy(items, keys []Value, reversed bool) ([]Value, error) {
	if err := f.charge(len(items)); err != nil {
		return nil, err
	}
	at := make([]int, len(items))
	for i := range at {
		at[i] = i
	}
	var failed error
	slices.SortStableFunc(at, func(i, j int) int {
		c, err := order(keys[i], keys[j], "<")
		if err != nil {
			failed = err
		}
		if reversed {
			return -c
		}
		return c
	})
	if failed != nil {
		return nil, failed
	}
	out := make([]Value, len(items))
	for i, j := range at {
		out[i] = items[j]
	}
	return out, nil
}

func filterDictsort(f *frame, in Value, a args) (Value, error) {
	b, err := a.bind("dictsort", "case_sensitive", "by", "reverse")
	if err != nil {
		return nil, err
	}
	d, ok := in.(*Dict)
	if u, undefined := in.(*Undefined); undefined {
		return nil, u.fail()
	}
	if !ok {
		return nil, errorf("AttributeError", "'%s' object has no attribute 'items'", typeName(in))
	}
	from := d.keys
	switch by := orDefault(b[1], "key"); by {
	case "key":
	case "value":
		from = d.vals
	default:
		return nil, valueErrorf(`You can only sort by either "key" or "value"`)
	}
	keys := make([]Value, len(from))
	for i, k := range from {
		keys[i] = sortKey(k, truthy(orDefault(b[0], false)))
	}
	out, err := f.sortBy(pairs(d), keys, truthy(orDefault(b[2], false)))
	return &List{Items: out}, err
}

// keyed returns the items of in and their sort keys.
func keyed(in Value, get func(Value) (Value, error), caseSensitive bool) (items, keys []Value, err error) {
	if items, err = iterate(in); err != nil {
		return nil, nil, err
	}
	keys = make([]Value, len(items))
	for i, it := range items {
		k, err := get(it)
		if err != nil {
			return nil, nil, err
		}
		keys[i] = sortKey(k, caseSensitive)
	}
	return items, keys, nil
}

func filterSort(f *frame, in Value, a args) (Value, error) {
	b, err := a.bind("sort", "reverse", "case_sensitive", "attribute")
	if err != nil {
		return nil, err
	}
	caseSensitive := truthy(orDefault(b[1], false))
	get := attrGetter(orDefault(b[2], nil), nil)
	if names, ok := b[2].(string); ok && strings.Contains(names, ",") {
		get = multiGetter(strings.Split(names, ","), caseSensitive)
	}
	items, keys, err := keyed(in, get, caseSensitive)
	if err != nil {
		return nil, err
	}
	out, err := f.sortBy(items, keys, truthy(orDefault(b[0], false)))
	return &List{Items: out}, err
}

// multiGetter makes a tuple of several attributes.
func multiGetter(names []string, caseSensitive bool) func(Value) (Value, error) {
	return func(v Value) (Value, error) {
		key := newTuple()
		for _, n := range names {
			k, err := attrGetter(n, nil)(v)
			if err != nil {
				return nil, err
			}
			key.Items = append(key.Items, sortKey(k, caseSensitive))
		}
		return key, nil
	}
}

func filterUnique(_ *frame, in Value, a args) (Value, error) {
	b, err := a.bind("unique", "case_sensitive", "attribute")
	if err != nil {
		return nil, err
	}
	items, keys, err := keyed(in, attrGetter(orDefault(b[1], nil), nil), truthy(orDefault(b[0], false)))
	if err != nil {
		return nil, err
	}
	seen := map[any]bool{}
	var out []Value
	for i, k := range keys {
		h, err := hashKey(k)
		if err != nil {
			return nil, err
		}
		if !seen[h] {
			seen[h] = true
			out = append(out, items[i])
		}
	}
	return newGenerator(out), nil
}

func filterGroupby(f *frame, in Value, a args) (Value, error) {
	b, err := a.bind("groupby", "attribute", "default", "case_sensitive")
	if err != nil {
		return nil, err
	}
	get := attrGetter(b[0], orDefault(b[1], nil))
	caseSensitive := truthy(orDefault(b[2], false))
	items, keys, err := keyed(in, get, caseSensitive)
	if err != nil {
		return nil, err
	}
	if items, err = f.sortBy(items, keys, false); err != nil {
		return nil, err
	}
	var groups []Value
	var group *List
	var last Value
	for i, it := range items {
		k, err := get(it)
		if err != nil {
			return nil, err
		}
		same, err := equal(sortKey(k, caseSensitive), last)
		if err != nil {
			return nil, err
		}
		if i == 0 || !same {
			group, last = &List{}, sortKey(k, caseSensitive)
			groups = append(groups, newTuple(k, group))
		}
		group.Items = append(group.Items, it)
	}
	return &List{Items: groups}, nil
}

func extremeFilter(sign int) filterFunc {
	return func(_ *frame, in Value, a args) (Value, error) {
		b, err := a.bind("min/max", "case_sensitive", "attribute")
		if err != nil {
			return nil, err
		}
		items, keys, err := keyed(in, attrGetter(orDefault(b[1], nil), nil), truthy(orDefault(b[0], false)))
		if err != nil {
			return nil, err
		}
		if len(items) == 0 {
			return &Undefined{Msg: "No aggregated item, sequence was empty."}, nil
		}
		best := 0
		for i := 1; i < len(items); i++ {
			c, err := order(keys[i], keys[best], "<")
			if err != nil {
				return nil, err
			}
			if c == sign {
				best = i
			}
		}
		return items[best], nil
	}
}

func filterSum(f *frame, in Value, a args) (Value, error) {
	b, err := a.bind("sum", "attribute", "start")
	if err != nil {
		return nil, err
	}
	items, err := iterate(in)
	if err != nil {
		return nil, err
	}
	get := attrGetter(orDefault(b[0], nil), nil)
	total := orDefault(b[1], int64(0))
	if _, ok := total.(string); ok {
		return nil, typeErrorf("sum() can't sum strings [use ''.join(seq) instead]")
	}
	for _, it := range items {
		v, err := get(it)
		if err != nil {
			return nil, err
		}
		if total, err = f.binary("+", total, v); err != nil {
			return nil, err
		}
	}
	return total, nil
}
