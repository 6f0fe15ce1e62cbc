package held

import (
	"slices"
	"strings"

	"reprise/model/chat"
)

// qwen writes calls as <function=name>, a tag for each parameter with its value between line feeds, and the closing tags.
type qwen struct {
	*writer
	root *chat.Dict
}

// shutValue ends a parameter.
const shutValue = "\n</parameter>\n"

func (q *qwen) call(t chat.Tool, exact *chat.Dict) string {
	head, tail := text("\n<function="+t.Name+">\n"), text("</function>\n")
	if exact != nil {
		var all strings.Builder
		for i := range exact.Len() {
			k, v := exact.At(i)
			key, _ := k.(string)
			all.WriteString("<parameter=" + key + ">\n" + plain(v) + shutValue)
		}
		return text("\n<function=" + t.Name + ">\n" + all.String() + "</function>\n")
	}
	q.root = t.Params
	params := q.resolved(q.root, q.root)
	if params == nil {
		return head + " " + q.free() + " " + tail
	}
	props, ok := chat.DictAt(params, "properties")
	if !ok || props.Len() == 0 {
		if extra, has := params.Get("additionalProperties"); ok || has && extra == false {
			return head + " " + tail
		}
		return head + " " + q.free() + " " + tail
	}
	must := required(params)
	parts := []string{head}
	for i := range props.Len() {
		k, v := props.At(i)
		key, _ := k.(string)
		one := text("<parameter="+key+">\n") + " " + q.value(v)
		if !must[key] {
			one = "( " + one + " )?"
		}
		parts = append(parts, one)
	}
	return strings.Join(append(parts, tail), " ")
}

// plain is a value as it stands between its tags.
func plain(v chat.Value) string {
	if s, ok := v.(string); ok {
		return s
	}
	return toJSON(v)
}

// free is any parameters.
func (q *qwen) free() string {
	name := q.shared("name", `/[A-Za-z_][A-Za-z0-9_-]{0,63}/`)
	return `( "<parameter=" ` + name + ` ">\n" ` + q.until(`(?s:.*)`) + " )*"
}

// until is a text of that form up to the closing tag.
func (q *qwen) until(rx string) string {
	name := q.fresh()
	q.rule(name+"[suffix="+text(shutValue)+"]", "/"+slashed(rx)+"/")
	return name
}

// value is a parameter's value with its closing tag. A type that includes texts is written as a text or as JSON.
func (q *qwen) value(v chat.Value) string {
	d := q.resolved(q.root, v)
	if d == nil {
		return q.until(`(?s:.*)`)
	}
	return q.part(d, func() string {
		values, schemas := alternatives(d)
		var out []string
		for _, v := range values {
			out = append(out, text(plain(v)+shutValue))
		}
		for _, s := range schemas {
			out = append(out, q.value(s))
		}
		if len(out) == 0 {
			out = q.typed(d, types(d))
		}
		return strings.Join(out, " | ")
	})
}

func (q *qwen) typed(d *chat.Dict, kinds []string) (out []string) {
	if len(kinds) == 0 {
		return []string{q.until(`(?s:.*)`)}
	}
	if slices.Contains(kinds, "string") {
		rx, empty := letters(d, q.patterns)
		if empty && rx != "" {
			rx = "(" + rx + ")?"
		}
		out = append(out, q.until(rx))
	}
	for _, kind := range kinds {
		if kind == "string" {
			continue
		}
		s := chat.NewDict()
		for i := range d.Len() {
			k, v := d.At(i)
			if key, ok := k.(string); ok && !strings.HasPrefix(key, "x-") && key != "description" && key != "title" && key != "default" && key != "examples" {
				s.Set(key, v)
			}
		}
		s.Set("type", kind)
		for _, defs := range []string{"$defs", "definitions"} { // what references are looked up in
			if v, ok := q.root.Get(defs); ok {
				s.Set(defs, v)
			}
		}
		out = append(out, "%json "+spaced(s, true)+" "+text(shutValue))
	}
	return out
}
