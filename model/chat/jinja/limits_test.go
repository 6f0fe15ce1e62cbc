package jinja

import (
	"context"
	"errors"
	"strings"
	"testing"
)

// TestEveryRenderEnds runs templates that would take for ever, or all memory.
func TestEveryRenderEnds(t *testing.T) {
	loop := "{% for a in range(100000) %}{% for b in range(100000) %}"
	// sixty levels that hold each other twice: 2⁶⁰ items
	shared := "{% set ns = namespace(l=[1], m=[1], t=(1,)) %}{% for i in range(60) %}{% set ns.l = [ns.l, ns.l] %}{% set ns.m = [ns.m, ns.m] %}{% set ns.t = (ns.t, ns.t) %}{% endfor %}"
	for name, src := range map[string]string{
		"nested loops":         loop + "{{ a }}{% endfor %}{% endfor %}",
		"empty nested loops":   loop + "{% endfor %}{% endfor %}",
		"macro recursion":      "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
		"two macros":           "{% macro f(n) %}{{ g(n) }}{{ g(n) }}{% endmacro %}{% macro g(n) %}{{ f(n) }}{{ f(n) }}{% endmacro %}{{ f(1) }}",
		"wide recursion":       "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(100) }}",
		"loop recursion":       "{% set ns = namespace(l=[1]) %}{% for x in ns.l recursive %}{{ loop(ns.l) }}{% endfor %}",
		"string product":       "{{ 'abcdefgh' * 1000000000000 }}",
		"string doubling":      "{% set ns = namespace(s='abcdefgh') %}{% for i in range(99) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
		"concat doubling":      "{% set ns = namespace(s='abcdefgh') %}{% for i in range(99) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
		"list product":         "{{ [0] * 1000000000000 }}",
		"list doubling":        "{% set ns = namespace(l=[1]) %}{% for i in range(99) %}{% set ns.l = ns.l + ns.l %}{% endfor %}",
		"replace":              "{% set s = 'a' * 1000000 %}{{ s.replace('a', s) }}",
		"replace filter":       "{% set s = 'a' * 1000000 %}{{ s | replace('a', s) }}",
		"join":                 "{% set s = 'a' * 1000000 %}{{ s | join(s) }}",
		"pad":                  "{{ 'a'.center(1000000000000) }}",
		"zfill":                "{{ 'a'.zfill(1000000000000) }}",
		"indent":               "{{ 'a' | indent(1000000000000) }}",
		"indent many":          "{{ ('a\n' * 1000000) | indent(1000000) }}",
		"percent width":        "{{ '%1000000000d' % 1 }}",
		"percent precision":    "{{ '%.1000000000f' % 1 }}",
		"tojson indent":        "{{ [1] | tojson(indent=1000000000) }}",
		"power":                "{{ 9 ** (9 ** (9 ** 9)) }}",
		"squaring":             "{% set ns = namespace(n=9) %}{% for i in range(99) %}{% set ns.n = ns.n * ns.n %}{% endfor %}",
		"batch":                "{{ [1] | batch(1000000000000, 0) | list }}",
		"slices":               "{{ [1] | slice(1000000000000) | list }}",
		"output":               "{% set s = 'a' * 100000000 %}{{ s }}{{ s }}{{ s }}{{ s }}",
		"block set":            "{% set ns = namespace(s='abcdefgh') %}{% for i in range(99) %}{% set x %}{{ ns.s }}{{ ns.s }}{% endset %}{% set ns.s = x %}{% endfor %}",
		"deep data":            "{% set ns = namespace(l=[]) %}{% for i in range(100000) %}{% set ns.l = [ns.l] %}{% endfor %}{{ ns.l }}",
		"deep json":            "{% set ns = namespace(l=[]) %}{% for i in range(100000) %}{% set ns.l = [ns.l] %}{% endfor %}{{ ns.l | tojson }}",
		"deep equality":        "{% set ns = namespace(l=[], m=[]) %}{% for i in range(100000) %}{% set ns.l = [ns.l] %}{% set ns.m = [ns.m] %}{% endfor %}{{ ns.l == ns.m }}",
		"deep order":           "{% set ns = namespace(l=[], m=[1]) %}{% for i in range(100000) %}{% set ns.l = [ns.l] %}{% set ns.m = [ns.m] %}{% endfor %}{{ ns.l < ns.m }}",
		"deep key":             "{% set ns = namespace(l=()) %}{% for i in range(100000) %}{% set ns.l = (ns.l,) %}{% endfor %}{{ {ns.l: 1} }}",
		"shared data printed":  shared + "{{ ns.l }}",
		"shared data as JSON":  shared + "{{ ns.l | tojson }}",
		"shared data compared": shared + "{{ ns.l == ns.m }}",
		"shared data as key":   shared + "{{ {ns.t: 1} }}",
		"shared data joined":   shared + "{{ [ns.l, ns.l] | join }}",
		"long search":          "{% set s = 'ab' * 10000000 %}{% for i in range(100000) %}{{ s.count('c') }}{{ 'c' in s }}{% endfor %}",
		"long comparison":      "{% set s = 'a' * 10000000 %}{% set r = 'a' * 10000000 %}{% for i in range(100000) %}{% if s == r %}{% endif %}{% endfor %}",
		"namespace in itself":  "{% set ns = namespace() %}{% set ns.ns = ns %}{{ ns }}",
	} {
		t.Run(name, func(t *testing.T) {
			tmpl, err := Parse(src)
			if err != nil {
				t.Fatal(err)
			}
			out, err := tmpl.Render(t.Context(), NewDict(0), Options{Limits: Limits{Steps: 1_000_000, Bytes: 128 << 20}})
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("rendered %d bytes, error %v", len(out), err)
			}
			if e.Kind != KindLimit {
				t.Errorf("got %v, want a limit", err)
			}
		})
	}
}

func TestDeepSourceIsRefused(t *testing.T) {
	for name, src := range map[string]string{
		"parentheses": "{{ " + strings.Repeat("(", 100000),
		"lists":       "{{ " + strings.Repeat("[", 100000),
		"dicts":       "{{ " + strings.Repeat("{1:", 100000),
		"not":         "{{ " + strings.Repeat("not ", 100000),
		"minus":       "{{ " + strings.Repeat("-", 100000) + "1 }}",
		"if":          strings.Repeat("{% if 1 %}", 100000),
		"else":        "{{ " + strings.Repeat("1 if 1 else ", 100000) + "1 }}",
		"targets":     "{% set " + strings.Repeat("(", 100000),
	} {
		var e *Error
		if _, err := Parse(src); !errors.As(err, &e) || e.Kind != KindSyntax {
			t.Errorf("%s: got %v, want a syntax error", name, err)
		}
	}
}

// TestLongChains: what does not nest in the source must not nest in the
// evaluator beyond what a stack bears.
func TestLongChains(t *testing.T) {
	for name, src := range map[string]string{
		"filters": "{{ 'a'" + strings.Repeat(" | upper", 20000) + " }}",
		"plus":    "{{ 1" + strings.Repeat(" + 1", 20000) + " }}",
		"or":      "{{ 0" + strings.Repeat(" or 0", 20000) + " }}",
		"concat":  "{{ 'a'" + strings.Repeat(" ~ 'a'", 20000) + " }}",
		"calls":   "{{ 'a'" + strings.Repeat(".upper()", 20000) + " }}",
	} {
		tmpl, err := Parse(src)
		if err == nil {
			_, err = tmpl.Render(t.Context(), NewDict(0), Options{})
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestContextEndsRender(t *testing.T) {
	tmpl, err := Parse("{% for a in range(100000) %}{% endfor %}")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := tmpl.Render(ctx, NewDict(0), Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
}

func TestUnsupportedIsNamed(t *testing.T) {
	for _, tag := range []string{"extends 'a'", "include 'a'", "import 'a' as b", "block x", "autoescape true"} {
		_, err := Parse("{% " + tag + " %}")
		if name := strings.Fields(tag)[0]; err == nil || !strings.Contains(err.Error(), "'"+name+"'") {
			t.Errorf("%s: got %v", tag, err)
		}
	}
}

func FuzzRender(f *testing.F) {
	for _, s := range []string{"{% for x in l %}{{ x }}{% endfor %}", "{{ s[1:] | upper ~ d.a }}", "{% macro m(a=1) %}{{ a }}{% endmacro %}{{ m() }}",
		"{% raw %}{{{% endraw %}", "{%- set ns = namespace(a=[1]) -%}{{ ns.a | tojson(indent=2) }}", "{{ '%5.2f' % 1 }}{{ '{0[a]}'.format(d) }}"} {
		f.Add(s)
	}
	vars, err := Decode([]byte(`{"l": [1, "a", null, 2.5, {"k": []}], "s": "Grüße\n", "d": {"a": 1, "b": [true]}}`))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, src string) {
		tmpl, err := Parse(src)
		if err != nil {
			return
		}
		opt := Options{Limits: Limits{Steps: 10000, Bytes: 1 << 20, Nested: 20}}
		a, errA := tmpl.Render(t.Context(), vars.(*Dict), opt)
		b, errB := tmpl.Render(t.Context(), vars.(*Dict), opt)
		if !strings.Contains(src, "now") && (a != b || (errA == nil) != (errB == nil)) {
			t.Errorf("two renderings differ: %q, %v and %q, %v", a, errA, b, errB)
		}
	})
}
