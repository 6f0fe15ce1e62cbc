package jinja

import (
	"net/url"
	"strings"
	"unicode/utf8"
)

type filterFunc func(f *frame, in Value, a args) (Value, error)

// filters by name. Those of numbers, sequences and orders are in files of their own.
var filters map[string]filterFunc

func init() {
	filters = map[string]filterFunc{
		"abs":         filterAbs,
		"attr":        filterAttr,
		"capitalize":  textFilter(pyCapitalize),
		"center":      filterCenter,
		"default":     filterDefault,
		"escape":      textFilter(escapeHTML),
		"float":       filterFloat,
		"forceescape": textFilter(escapeHTML),
		"format":      filterFormat,
		"indent":      filterIndent,
		"int":         filterInt,
		"lower":       textFilter(pyLower),
		"replace":     filterReplace,
		"round":       filterRound,
		"safe":        textFilter(func(s string) string { return s }),
		"string":      textFilter(func(s string) string { return s }),
		"title":       textFilter(titleFilter),
		"tojson":      filterToJSON,
		"trim":        filterTrim,
		"truncate":    filterTruncate,
		"upper":       textFilter(pyUpper),
		"urlencode":   filterURLEncode,
		"wordcount":   filterWordcount,

		"batch":      filterBatch,
		"dictsort":   filterDictsort,
		"first":      filterFirst,
		"groupby":    filterGroupby,
		"items":      filterItems,
		"join":       filterJoin,
		"last":       filterLast,
		"length":     filterLength,
		"list":       filterList,
		"map":        filterMap,
		"max":        extremeFilter(1),
		"min":        extremeFilter(-1),
		"reject":     selectFilter(false, false),
		"rejectattr": selectFilter(true, false),
		"reverse":    filterReverse,
		"select":     selectFilter(false, true),
		"selectattr": selectFilter(true, true),
		"slice":      filterSlice,
		"sort":       filterSort,
		"sum":        filterSum,
		"unique":     filterUnique,
	}
	filters["d"], filters["e"], filters["count"] = filters["default"], filters["escape"], filters["length"]
}

func (f *frame) callFilter(name string, in Value, a args) (Value, error) {
	fn, ok := filters[name]
	if !ok {
		return nil, errorf("TemplateRuntimeError", "No filter named %s.", pyQuote(name))
	}
	if err := f.chargeFor(in); err != nil {
		return nil, err
	}
	v, err := fn(f, in, a)
	if err != nil {
		return nil, err
	}
	return v, f.chargeFor(v)
}

// textFilter is a filter on str(value) without arguments.
func textFilter(fn func(string) string) filterFunc {
	return func(_ *frame, in Value, a args) (Value, error) {
		if _, err := a.bind("filter"); err != nil {
			return nil, err
		}
		s, err := str(in)
		if err != nil {
			return nil, err
		}
		return fn(s), nil
	}
}

var htmlEscaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "'", "&#39;", `"`, "&#34;")

func escapeHTML(s string) string { return htmlEscaper.Replace(s) }

// titleFilter is Jinja's own title case: words begin after white space, a
// hyphen or an opening bracket.
func titleFilter(s string) string {
	var b strings.Builder
	begin := true
	for _, r := range s {
		switch {
		case isSpace(r) || strings.ContainsRune("-({[<", r):
			b.WriteRune(r)
			begin = true
			continue
		case begin:
			b.WriteString(pyUpper(string(r)))
		default:
			b.WriteString(pyLower(string(r)))
		}
		begin = false
	}
	return b.String()
}

func filterDefault(_ *frame, in Value, a args) (Value, error) {
	b, err := a.bind("default", "default_value", "boolean")
	if err != nil {
		return nil, err
	}
	_, undefined := in.(*Undefined)
	if undefined || truthy(orDefault(b[1], false)) && !truthy(in) {
		return orDefault(b[0], ""), nil
	}
	return in, nil
}

func filterTrim(_ *frame, in Value, a args) (Value, error) {
	b, err := a.bind("trim", "chars")
	if err != nil {
		return nil, err
	}
	cut, err := stripper(b[0])
	if err != nil {
		return nil, err
	}
	s, err := str(in)
	return strings.TrimFunc(s, cut), err
}

func filterReplace(f *frame, in Value, a args) (Value, error) {
	b, err := a.bind("replace", "old", "new", "count")
	if err != nil {
		return nil, err
	}
	s, err := str(in)
	if err != nil {
		return nil, err
	}
	old, err := str(b[0])
	if err != nil {
		return nil, err
	}
	repl, err := str(b[1])
	if err != nil {
		return nil, err
	}
	if b[2] == nil {
		b[2] = absent
	}
	n, err := intArg(b[2], -1)
	if err != nil {
		return nil, err
	}
	return f.replace(s, old, repl, n)
}

func filterCenter(f *frame, in Value, a args) (Value, error) {
	b, err := a.bind("center", "width")
	if err != nil {
		return nil, err
	}
	width, err := intArg(b[0], 80)
	if err != nil {
		return nil, err
	}
	s, err := str(in)
	if err != nil {
		return nil, err
	}
	return f.pad(s, "center", width, " ")
}

func filterIndent(f *frame, in Value, a args) (Value, error) {
	b, err := a.bind("indent", "width", "first", "blank")
	if err != nil {
		return nil, err
	}
	s, ok := in.(string)
	if !ok {
		return nil, typeErrorf("indent needs a str, got %s", typeName(in))
	}
	pad, ok := b[0].(string)
	if !ok {
		n, err := intArg(b[0], 4)
		if err != nil {
			return nil, err
		}
		if err := f.times(1, max(n, 0)); err != nil {
			return nil, err
		}
		pad = strings.Repeat(" ", max(n, 0))
	}
	lines := splitLines(s+"\n", false)
	if err := f.times(len(pad)+1, len(lines)); err != nil {
		return nil, err
	}
	blank := truthy(orDefault(b[2], false))
	for i := range lines {
		if i > 0 && (blank || lines[i] != "") {
			lines[i] = pad + lines[i]
		}
	}
	out := strings.Join(lines, "\n")
	if truthy(orDefault(b[1], false)) {
		out = pad + out
	}
	return out, nil
}

func filterTruncate(_ *frame, in Value, a args) (Value, error) {
	b, err := a.bind("truncate", "length", "killwords", "end", "leeway")
	if err != nil {
		return nil, err
	}
	s, err := strArg(in, "")
	if err != nil {
		return nil, err
	}
	n, err := intArg(b[0], 255)
	if err != nil {
		return nil, err
	}
	end, err := strArg(b[2], "...")
	if err != nil {
		return nil, err
	}
	leeway, err := intArg(b[3], 5)
	if err != nil {
		return nil, err
	}
	keep := n - utf8.RuneCountInString(end)
	if keep < 0 || leeway < 0 {
		return nil, valueErrorf("truncate: length %d is shorter than its ending, or leeway %d is negative", n, leeway)
	}
	runes := []rune(s)
	if len(runes) <= n+leeway {
		return s, nil
	}
	cut := string(runes[:keep])
	if !truthy(orDefault(b[1], false)) {
		if i := strings.LastIndex(cut, " "); i >= 0 {
			cut = cut[:i]
		}
	}
	return cut + end, nil
}

func filterWordcount(_ *frame, in Value, a args) (Value, error) {
	s, err := str(in)
	words := strings.FieldsFunc(s, func(r rune) bool { return r != '_' && !isAlnum(r) })
	return int64(len(words)), err
}

func filterURLEncode(_ *frame, in Value, a args) (Value, error) {
	if _, err := a.bind("urlencode"); err != nil {
		return nil, err
	}
	s, ok := in.(string)
	if !ok {
		return nil, typeErrorf("urlencode of %s is not supported", typeName(in))
	}
	return strings.ReplaceAll(strings.ReplaceAll(url.QueryEscape(s), "+", "%20"), "%2F", "/"), nil
}

func filterAttr(_ *frame, in Value, a args) (Value, error) {
	b, err := a.bind("attr", "name")
	if err != nil {
		return nil, err
	}
	name, err := str(b[0])
	if err != nil {
		return nil, err
	}
	if fn, ok := method(in, name); ok {
		return fn, nil
	}
	if _, isDict := in.(*Dict); isDict {
		return missing(in, pyQuote(name), "attribute"), nil // attributes only, no items
	}
	return getAttr(in, name)
}
