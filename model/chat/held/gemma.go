package held

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"reprise/model/chat"
	"reprise/model/chat/jinja"
)

// gemma writes calls as call:name{key:VALUE,…}: keys sorted, texts between quotes that are tokens.
type gemma struct {
	*writer
	quote string
	root  *chat.Dict
}

func (g *gemma) call(t chat.Tool, exact *chat.Dict) string {
	head := text("call:" + t.Name)
	switch {
	case exact != nil:
		return head + " " + g.literal(exact)
	case t.Params == nil:
		return head + " " + g.anyObject()
	}
	g.root = t.Params
	params := g.resolved(g.root, g.root)
	if params == nil { // a reference that leads nowhere, or round
		return head + " " + g.anyObject()
	}
	return head + " " + g.object(params)
}

// literal is exactly a value.
func (g *gemma) literal(v chat.Value) string {
	switch v := v.(type) {
	case string:
		if v == "" {
			return g.quote + " " + g.quote
		}
		return g.quote + " " + text(v) + " " + g.quote
	case *jinja.List:
		parts := make([]string, len(v.Items))
		for i, it := range v.Items {
			parts[i] = g.literal(it)
		}
		return `"[" ` + strings.Join(parts, ` "," `) + ` "]"`
	case *chat.Dict:
		parts := make([]string, 0, v.Len())
		for _, key := range sortedKeys(v) {
			it, _ := v.Get(key)
			parts = append(parts, g.key(key)+" "+g.literal(it))
		}
		return `"{" ` + strings.Join(parts, ` "," `) + ` "}"`
	}
	return text(toJSON(v))
}

// sortedKeys are a dictionary's keys as the template sorts them: without regard to case.
func sortedKeys(d *chat.Dict) []string {
	var keys []string
	for i := range d.Len() {
		if k, _ := d.At(i); k != nil {
			if s, ok := k.(string); ok {
				keys = append(keys, s)
			}
		}
	}
	slices.SortStableFunc(keys, func(a, b string) int { return cmp.Compare(strings.ToLower(a), strings.ToLower(b)) })
	return keys
}

// key is a parameter's name and its colon, in quotes where it has characters that are syntax.
func (g *gemma) key(name string) string {
	if name == "" || strings.ContainsAny(name, ",:{}[]\"' \n\t") {
		return g.quote + " " + text(name) + ` ":"`
	}
	return text(name + ":")
}

// value is the rule of what a part of the schema allows.
func (g *gemma) value(v chat.Value) string {
	d := g.resolved(g.root, v)
	if d == nil {
		return g.any()
	}
	return g.part(d, func() string { return g.expression(d) })
}

func (g *gemma) expression(d *chat.Dict) string {
	values, schemas := alternatives(d)
	var out []string
	for _, v := range values {
		out = append(out, g.literal(v))
	}
	for _, s := range schemas {
		out = append(out, g.value(s))
	}
	if len(out) > 0 {
		return strings.Join(out, " | ")
	}
	kinds := types(d)
	if len(kinds) == 0 {
		return g.any()
	}
	for _, kind := range kinds {
		out = append(out, g.typed(d, kind))
	}
	return strings.Join(out, " | ")
}

func (g *gemma) typed(d *chat.Dict, kind string) string {
	switch kind {
	case "string":
		rx, empty := letters(d, g.patterns)
		inner := ""
		if rx != "" {
			inner = " /" + slashed(rx) + "/"
			if empty {
				inner = " ( " + inner + " )?"
			}
		}
		return g.quote + inner + " " + g.quote
	case "integer", "number":
		return "%json " + toJSON(only(d, kind, bounds...))
	case "boolean":
		return `( "true" | "false" )`
	case "null":
		return `"null"`
	case "array":
		return g.list(d)
	case "object":
		return g.object(d)
	}
	return g.any()
}

// list is a list of items; the first ones may have schemas of their own.
func (g *gemma) list(d *chat.Dict) string {
	first, _ := chat.ListAt(d, "prefixItems")
	items, _ := d.Get("items")
	low, high := count(d, "minItems", 0), count(d, "maxItems", -1)
	if items == false {
		high = len(first)
	}
	var parts []string
	for i, it := range first {
		if high < 0 || i < high {
			parts = append(parts, g.value(it))
		}
	}
	inner := ""
	switch item := g.value(items); {
	case high == 0:
	case len(parts) > 0: // as many as are described, and more of the rest
		inner = strings.Join(parts, ` "," `)
		if high < 0 {
			inner += ` ( "," ` + item + ` )*`
		}
	case high == 1:
		inner = item
	case high < 0:
		inner = item + fmt.Sprintf(` ( "," %s ){%d,}`, item, max(low-1, 0))
	default:
		inner = item + fmt.Sprintf(` ( "," %s ){%d,%d}`, item, max(min(low, high)-1, 0), high-1)
	}
	if low == 0 && inner != "" {
		inner = "( " + inner + " )?"
	}
	return `"[" ` + inner + ` "]"`
}

// object is an object with the schema's properties, those that are not required in or out, in the order of their names.
func (g *gemma) object(d *chat.Dict) string {
	props, ok := chat.DictAt(d, "properties")
	if !ok || props.Len() == 0 {
		if extra, has := d.Get("additionalProperties"); has && extra == false || ok {
			return `"{" "}"`
		} else if has {
			if of, isSchema := extra.(*chat.Dict); isSchema {
				pair := g.freeKey() + ` ":" ` + g.value(of)
				return `"{" ( ` + pair + ` ( "," ` + pair + ` )* )? "}"`
			}
		}
		return g.anyObject()
	}
	must, keys := required(d), sortedKeys(props)
	// rest[i]: what may follow when something stands before key i; begin[i]: when nothing does.
	rest, begin := `"}"`, `"}"`
	for i := len(keys) - 1; i >= 0; i-- {
		v, _ := props.Get(keys[i])
		pair := g.key(keys[i]) + " " + g.value(v)
		after, first := `"," `+pair+" "+rest, pair+" "+rest
		if !must[keys[i]] {
			after, first = after+" | "+rest, first+" | "+begin
		}
		rest, begin = g.rule(g.fresh(), after), g.rule(g.fresh(), first)
	}
	return `"{" ` + begin
}

// any is any value.
func (g *gemma) any() string {
	if g.once["any"] {
		return "any"
	}
	if g.once == nil {
		g.once = map[string]bool{}
	}
	g.once["any"] = true
	number := g.shared("number", `%json {"type": "number"}`)
	g.rule("any", g.quote+" "+g.freeText()+" "+g.quote+" | "+number+` | "true" | "false" | "null" | "[" ( any ( "," any )* )? "]" | `+g.anyObject())
	return "any"
}

func (g *gemma) anyObject() string {
	pair := g.freeKey() + ` ":" ` + g.any()
	return g.shared("object", `"{" ( `+pair+` ( "," `+pair+` )* )? "}"`)
}

func (g *gemma) freeKey() string { return g.shared("key", `/[A-Za-z_][A-Za-z0-9_-]{0,63}/`) }
