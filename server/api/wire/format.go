package wire

import (
	"reprise/model/chat/held"
	"reprise/model/sample/grammar"
)

// FormatShape is how an API writes the form of an answer.
type FormatShape struct {
	Nested   bool // {"type":"json_schema","json_schema":{"schema":…}}, as chat completions have it; else the schema stands beside the type
	Grammars bool // {"type":"regex","regex":…} and {"type":"grammar","grammar":…} too: extensions
}

// Format takes the form of an answer: text, json_object, json_schema, and what else the shape has; nil: free text.
func Format(o *Object, field string, shape FormatShape) *grammar.Spec {
	f := o.Object(field)
	if f == nil {
		return nil
	}
	defer f.Unknown()
	if !shape.Nested {
		defer named(f)
	}
	source := func(kind grammar.Kind, name, what string) *grammar.Spec {
		if text, ok := f.String(name); ok {
			return &grammar.Spec{Kind: kind, Source: text}
		}
		f.Missing(name, what)
		return nil
	}
	kind, _ := f.String("type")
	switch {
	case kind == "text":
		return nil
	case kind == "json_object":
		return held.AnyObject()
	case kind == "json_schema" && !shape.Nested:
		return schema(f)
	case kind == "json_schema":
		s := f.Object("json_schema")
		if s == nil {
			f.Missing("json_schema", "an object with the schema")
			return nil
		}
		named(s)
		defer s.Unknown()
		return schema(s)
	case kind == "regex" && shape.Grammars:
		return source(grammar.Regex, "regex", "the regular expression that the answer matches as a whole")
	case kind == "grammar" && shape.Grammars:
		return source(grammar.Lark, "grammar", "a grammar in llguidance's Lark syntax, whose rule start is the answer")
	}
	can := `"text", "json_object" or "json_schema"`
	if shape.Grammars {
		can = `"text", "json_object", "json_schema", "regex" or "grammar"`
	}
	f.Fail("type", CodeUnsupported, `%s.type is %.200q; it can be %s`, field, kind, can)
	return nil
}

// named takes what stands beside a schema and changes nothing: a schema always holds.
func named(s *Object) {
	s.String("name")
	s.String("description")
	s.Bool("strict")
}

func schema(s *Object) *grammar.Spec {
	raw := s.Raw("schema")
	if raw == nil {
		s.Missing("schema", "the JSON schema of the answer")
		return nil
	}
	spec, err := held.Schema(raw)
	if err != nil {
		s.Fail("schema", CodeInvalidType, "%sschema: %v", s.prefix, err)
	}
	return spec
}
