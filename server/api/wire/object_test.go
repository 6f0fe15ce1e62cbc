package wire

import (
	"errors"
	"math"
	"strings"
	"testing"
)

func object(t *testing.T, text string) *Object {
	t.Helper()
	o, err := ParseObject([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return o
}

func TestParseObjectRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":        "",
		"white space":    " \n",
		"cut off":        `{"a": 1`,
		"two objects":    `{} {}`,
		"a list":         `[1]`,
		"null":           `null`,
		"a text":         `"a"`,
		"single quotes":  `{'a': 1}`,
		"trailing comma": `{"a": 1,}`,
		"not a number":   `{"a": NaN}`,
		"deep lists":     `{"a": ` + strings.Repeat("[", MaxDepth) + strings.Repeat("]", MaxDepth) + `}`,
		"deep, unclosed": strings.Repeat(`{"a":`, 1<<20),
	} {
		_, err := ParseObject([]byte(text))
		var e *Error
		if !errors.As(err, &e) || e.Status != 400 || e.Code != CodeInvalidJSON {
			t.Errorf("%s: error %v, want a 400 with %s", name, err, CodeInvalidJSON)
		}
	}
	// Brackets in texts are not depth, also behind an escaped quote.
	object(t, `{"a": "`+strings.Repeat(`\"[`, 2*MaxDepth)+`"}`)
	object(t, `{"a": `+strings.Repeat("[", MaxDepth-1)+strings.Repeat("]", MaxDepth-1)+`}`)
}

// TestTypes takes each value as each type: the table says which must come through, and as what.
func TestTypes(t *testing.T) {
	type take = func(o *Object) (any, bool)
	takes := map[string]take{
		"String": func(o *Object) (any, bool) { v, ok := o.String("x"); return v, ok },
		"Bool":   func(o *Object) (any, bool) { v, ok := o.Bool("x"); return v, ok },
		"Number": func(o *Object) (any, bool) { v, ok := o.Number("x"); return v, ok },
		"Int":    func(o *Object) (any, bool) { v, ok := o.Int("x"); return v, ok },
		"Count":  func(o *Object) (any, bool) { v, ok := o.Count("x"); return v, ok },
		"Texts":  func(o *Object) (any, bool) { v := o.Texts("x"); return strings.Join(v, "|"), v != nil },
		"Object": func(o *Object) (any, bool) { return nil, o.Object("x") != nil },
	}
	for _, c := range []struct {
		value string
		want  map[string]any // others must fail
	}{
		{`"a\u00e9"`, map[string]any{"String": "aé", "Texts": "aé"}},
		{`true`, map[string]any{"Bool": true}},
		{`false`, map[string]any{"Bool": false}},
		{`1`, map[string]any{"Number": 1.0, "Int": int64(1), "Count": 1}},
		{`64.0`, map[string]any{"Number": 64.0, "Int": int64(64), "Count": 64}},
		{`1e3`, map[string]any{"Number": 1e3, "Int": int64(1000), "Count": 1000}},
		{`0`, map[string]any{"Number": 0.0, "Int": int64(0)}},
		{`-7`, map[string]any{"Number": -7.0, "Int": int64(-7)}},
		{`0.5`, map[string]any{"Number": 0.5}},
		{`1e999`, nil},
		{`9223372036854775807`, map[string]any{"Number": float64(1 << 63), "Int": int64(math.MaxInt64), "Count": math.MaxInt32}},
		{`9223372036854775808`, map[string]any{"Number": float64(1 << 63)}},
		{`["a","b"]`, map[string]any{"Texts": "a|b"}},
		{`["a",1]`, nil},
		{`{}`, map[string]any{"Object": nil}},
	} {
		for name, take := range takes {
			o := object(t, `{"x": `+c.value+`}`)
			got, ok := take(o)
			want, fine := c.want[name]
			switch err := o.Err(); {
			case fine && (err != nil || !ok || got != want):
				t.Errorf("%s of %s: %v, %v, error %v; want %v", name, c.value, got, ok, err, want)
			case !fine && err == nil:
				t.Errorf("%s of %s: %v without an error", name, c.value, got)
			case !fine:
				var e *Error
				if !errors.As(err, &e) || e.Param != "x" || !strings.Contains(e.Message, "x ") {
					t.Errorf("%s of %s: %v does not name x", name, c.value, err)
				}
			}
		}
	}
	for name, take := range takes { // null and absent are not there, and no error
		for _, text := range []string{`{}`, `{"x": null}`} {
			o := object(t, text)
			if got, ok := take(o); ok || o.Err() != nil {
				t.Errorf("%s of %s: %v, %v, error %v", name, text, got, ok, o.Err())
			}
		}
	}
}

func TestOnly(t *testing.T) {
	for _, c := range []struct {
		value   string
		neutral any
		ok      bool
	}{
		{`1`, 1.0, true}, {`1.0`, 1.0, true}, {`2`, 1.0, false}, {`"1"`, 1.0, false}, {`null`, 1.0, true},
		{`{}`, map[string]any{}, true}, {`{"5": 1}`, map[string]any{}, false}, {`0`, nil, false}, {`null`, nil, true},
		{`{"type": "text"}`, map[string]any{"type": "text"}, true}, {`{"type": "json_object"}`, map[string]any{"type": "text"}, false},
	} {
		o := object(t, `{"x": `+c.value+`}`)
		o.Only("x", c.neutral, "because")
		if ok := o.Err() == nil; ok != c.ok {
			t.Errorf("%s where only %v is allowed: error %v", c.value, c.neutral, o.Err())
		}
	}
}

func TestUnknownNamesTheRest(t *testing.T) {
	o := object(t, `{"a": 1, "zeta": 1, "beta": null, "sub": {"b": 1, "c": 2}}`)
	o.Int("a")
	sub := o.Object("sub")
	sub.Int("b")
	o.Unknown()
	var e *Error
	if !errors.As(o.Err(), &e) || e.Param != "beta" || !strings.Contains(e.Message, "beta, zeta") {
		t.Errorf("error %v (%+v), want one about beta that names zeta too", o.Err(), e)
	}
	o = object(t, `{"sub": {"c": 2}}`)
	o.Object("sub").Unknown()
	if !errors.As(o.Err(), &e) || e.Param != "sub.c" {
		t.Errorf("error %v, want one about sub.c", o.Err())
	}
	// Field names are exact: JSON has no cases to ignore.
	o = object(t, `{"A": 1}`)
	if _, ok := o.Int("a"); ok {
		t.Error("A was taken for a")
	}
}
