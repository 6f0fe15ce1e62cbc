package wire

import (
	"reprise/model/chat/held"
	"reprise/model/sample/grammar"
)

// Format takes the form of an answer where the schema stands beside its type, as Anthropic and the Responses API have it:
// {"type":"json_schema","schema":{…}}, json_object or text; nil: free text.
func Format(o *Object, field string) *grammar.Spec {
	f := o.Object(field)
	if f == nil {
		return nil
	}
	f.String("name")
	f.String("description")
	f.Bool("strict") // a schema always holds
	defer f.Unknown()
	kind, _ := f.String("type")
	raw := f.Raw("schema")
	switch {
	case kind == "text":
		return nil
	case kind == "json_object":
		return held.AnyObject()
	case kind != "json_schema":
		f.Fail("type", CodeUnsupported, `%s.type is %q; it can be "text", "json_object" or "json_schema"`, field, kind)
		return nil
	case raw == nil:
		f.Missing("schema", "the JSON schema of the answer")
		return nil
	}
	spec, err := held.Schema(raw)
	if err != nil {
		f.Fail("schema", CodeInvalidType, "%sschema: %v", f.prefix, err)
	}
	return spec
}
