package jinja

import (
	"math"
	"math/big"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"
)

type filterFunc func(f *frame, in Value, a args) (Value, error)

// filters by name. The sequence filters are in filters_seq.go.
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

func filterAbs(_ *frame, in Value, a args) (Value, error) {
	if f, ok := in.(float64); ok {
		return math.Abs(f), nil
	}
	n, ok := toInt(in)
	if !ok {
		return nil, typeErrorf("bad operand type for abs(): '%s'", typeName(in))
	}
	return normInt(new(big.Int).Abs(n)), nil
}

func filterInt(_ *frame, in Value, a args) (Value, error) {
	b, err := a.bind("int", "default", "base")
	if err != nil {
		return nil, err
	}
	base, err := intArg(b[1], 10)
	if err != nil {
		return nil, err
	}
	if n, ok := toInt(in); ok {
		return normInt(n), nil
	}
	if u, ok := in.(*Undefined); ok {
		return nil, u.fail()
	}
	if s, ok := in.(string); ok {
		if n, ok := parseInt(s, base); ok {
			return n, nil
		}
	}
	if f, ok := parseFloat(in); ok && !math.IsInf(f, 0) && !math.IsNaN(f) {
		n, _ := new(big.Float).SetFloat64(f).Int(nil)
		return normInt(n), nil
	}
	return orDefault(b[0], int64(0)), nil
}

func parseInt(s string, base int) (Value, bool) {
	s = strings.TrimFunc(s, isSpace)
	if strings.Contains(s, "__") || strings.HasPrefix(s, "_") || strings.HasSuffix(s, "_") || len(s) > maxIntDigits {
		return nil, false
	}
	s = strings.ReplaceAll(s, "_", "")
	if prefix := map[int]string{2: "0b", 8: "0o", 16: "0x"}[base]; prefix != "" {
		digits := strings.TrimLeft(s, "+-")
		if len(digits) > 2 && strings.EqualFold(digits[:2], prefix) {
			s = s[:len(s)-len(digits)] + digits[2:]
		}
	}
	if base < 2 || base > 36 {
		return nil, false
	}
	n, ok := new(big.Int).SetString(s, base)
	if !ok {
		return nil, false
	}
	return normInt(n), true
}

// parseFloat is Python's float() for numbers and strings.
func parseFloat(v Value) (float64, bool) {
	s, ok := v.(string)
	if !ok {
		return toFloat(v)
	}
	s = strings.TrimFunc(s, isSpace)
	if strings.ContainsAny(s, "xXpP") {
		return 0, false
	}
	f, err := strconv.ParseFloat(strings.ReplaceAll(s, "_", ""), 64)
	return f, err == nil || math.IsInf(f, 0)
}

func filterFloat(_ *frame, in Value, a args) (Value, error) {
	b, err := a.bind("float", "default")
	if err != nil {
		return nil, err
	}
	if u, ok := in.(*Undefined); ok {
		return nil, u.fail()
	}
	if f, ok := parseFloat(in); ok {
		return f, nil
	}
	return orDefault(b[0], 0.0), nil
}

func filterRound(_ *frame, in Value, a args) (Value, error) {
	b, err := a.bind("round", "precision", "method")
	if err != nil {
		return nil, err
	}
	prec, err := intArg(b[0], 0)
	if err != nil {
		return nil, err
	}
	how, err := strArg(b[1], "common")
	if err != nil {
		return nil, err
	}
	x, ok := toFloat(in)
	if !ok {
		return nil, typeErrorf("type %s doesn't define __round__ method", typeName(in))
	}
	scale := math.Pow10(prec)
	switch how {
	case "ceil":
		return math.Ceil(x*scale) / scale, nil
	case "floor":
		return math.Floor(x*scale) / scale, nil
	case "common":
		if _, isFloat := in.(float64); !isFloat && prec >= 0 {
			n, _ := toInt(in)
			return normInt(n), nil
		}
		if prec < 0 {
			r := math.RoundToEven(x/math.Pow10(-prec)) * math.Pow10(-prec)
			if _, isFloat := in.(float64); !isFloat {
				return int64(r), nil
			}
			return r, nil
		}
		r, _ := strconv.ParseFloat(strconv.FormatFloat(x, 'f', min(prec, 400), 64), 64)
		return r, nil
	}
	return nil, valueErrorf("method must be common, ceil or floor")
}
