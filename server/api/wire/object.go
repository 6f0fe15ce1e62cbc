package wire

import (
	"bytes"
	"encoding/json"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"reprise/model/chat"
)

// Object is a JSON object whose fields are taken one by one. A field that is absent or null is not there. The
// first thing that is wrong is kept (Err); what is taken afterwards no longer matters.
type Object struct {
	prefix string // of the fields' names in errors
	fields map[string]json.RawMessage
	taken  map[string]bool
	err    *error          // shared with the objects inside
	names  map[string]bool // of all fields that were asked for, with their prefix; shared with the objects inside
}

func newObject(prefix string, fields map[string]json.RawMessage, err *error) *Object {
	return &Object{prefix: prefix, fields: fields, taken: make(map[string]bool, len(fields)), err: err, names: map[string]bool{}}
}

// Names are the fields that were asked for, there or not, also in the objects inside that were there: what an adapter knows.
func (o *Object) Names() []string { return slices.Sorted(maps.Keys(o.names)) }

// Err is the first error, nil when there is none.
func (o *Object) Err() error { return *o.err }

// Fail notes that a field is wrong, unless something was wrong already.
func (o *Object) Fail(name, code, format string, args ...any) {
	o.Add(BadRequest(o.prefix+name, code, format, args...))
}

// Add notes an error, unless there is one already.
func (o *Object) Add(err error) {
	if *o.err == nil && err != nil {
		*o.err = err
	}
}

// Raw takes a field as it was sent; nil when it is not there.
func (o *Object) Raw(name string) json.RawMessage {
	o.taken[name] = true
	o.names[o.prefix+name] = true
	raw := o.fields[name]
	if bytes.Equal(raw, []byte("null")) {
		return nil
	}
	return raw
}

// Missing notes that a required field is not there.
func (o *Object) Missing(name, what string) {
	o.Fail(name, CodeMissing, "%s%s is required: %s", o.prefix, name, what)
}

func (o *Object) wrongType(name, want string, raw json.RawMessage) {
	o.Fail(name, CodeInvalidType, "%s%s must be %s, not %s", o.prefix, name, want, kind(raw))
}

// String takes a text.
func (o *Object) String(name string) (string, bool) {
	raw := o.Raw(name)
	if raw == nil {
		return "", false
	}
	var s string
	if raw[0] != '"' || json.Unmarshal(raw, &s) != nil {
		o.wrongType(name, "a string", raw)
		return "", false
	}
	return s, true
}

// Bool takes true or false.
func (o *Object) Bool(name string) (value, ok bool) {
	switch raw := o.Raw(name); string(raw) {
	case "":
		return false, false
	case "true":
		return true, true
	case "false":
		return false, true
	default:
		o.wrongType(name, "true or false", raw)
		return false, false
	}
}

// Number takes a number.
func (o *Object) Number(name string) (float64, bool) {
	raw := o.Raw(name)
	if raw == nil {
		return 0, false
	}
	var f float64
	if err := json.Unmarshal(raw, &f); err != nil {
		if kind(raw) == "a number" {
			o.Fail(name, CodeInvalidValue, "%s%s is out of range", o.prefix, name)
		} else {
			o.wrongType(name, "a number", raw)
		}
		return 0, false
	}
	return f, true
}

// Int takes a whole number, also one that is written 64.0.
func (o *Object) Int(name string) (int64, bool) {
	raw := o.Raw(name)
	if raw == nil {
		return 0, false
	}
	if n, err := strconv.ParseInt(string(raw), 10, 64); err == nil {
		return n, true
	}
	f, ok := o.Number(name)
	if !ok {
		return 0, false
	}
	if f != math.Trunc(f) || math.Abs(f) >= 1<<63 {
		o.Fail(name, CodeInvalidType, "%s%s must be a whole number of 64 bits, not %s", o.prefix, name, raw)
		return 0, false
	}
	return int64(f), true
}

// Count takes a whole number of at least 1; what is too large to be a length is cut to that.
func (o *Object) Count(name string) (int, bool) {
	n, ok := o.Int(name)
	if ok && n < 1 {
		o.Fail(name, CodeInvalidValue, "%s%s is %d; it must be at least 1", o.prefix, name, n)
		return 0, false
	}
	return int(min(n, math.MaxInt32)), ok
}

// Object takes an object; nil when it is not there.
func (o *Object) Object(name string) *Object {
	raw := o.Raw(name)
	if raw == nil {
		return nil
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(raw, &fields) != nil {
		o.wrongType(name, "an object", raw)
		return nil
	}
	inside := newObject(o.prefix+name+".", fields, o.err)
	inside.names = o.names
	return inside
}

// List takes a list of objects; nil when it is not there.
func (o *Object) List(name string) []*Object {
	raw := o.Raw(name)
	if raw == nil {
		return nil
	}
	var items []map[string]json.RawMessage
	if raw[0] != '[' || json.Unmarshal(raw, &items) != nil || slices.ContainsFunc(items, func(f map[string]json.RawMessage) bool { return f == nil }) {
		o.wrongType(name, "a list of objects", raw)
		return nil
	}
	out := make([]*Object, len(items))
	for i, fields := range items {
		out[i] = newObject(o.prefix+name+"["+strconv.Itoa(i)+"].", fields, o.err)
	}
	return out
}

// AtMost refuses a list that is longer.
func (o *Object) AtMost(name string, n, most int) {
	if n > most {
		o.Fail(name, CodeInvalidValue, "%s%s has %d entries; at most %d are possible", o.prefix, name, n, most)
	}
}

// Ordered takes a value with its keys in the client's order; nil when it is not there.
func (o *Object) Ordered(name string) chat.Value {
	raw := o.Raw(name)
	if raw == nil {
		return nil
	}
	v, err := chat.DecodeOrdered(raw)
	if err != nil {
		o.Fail(name, CodeInvalidType, "%s%s: %v", o.prefix, name, err)
	}
	return v
}

// Compact takes an object as the JSON text that it is, without white space between its parts; "" when it is not there.
func (o *Object) Compact(name string) string {
	raw := o.Raw(name)
	if raw == nil {
		return ""
	}
	if raw[0] != '{' {
		o.wrongType(name, "an object", raw)
		return ""
	}
	var b bytes.Buffer
	_ = json.Compact(&b, raw) // it was parsed before
	return b.String()
}

// Required takes a text that must be there and not be empty.
func (o *Object) Required(name, what string) string {
	s, ok := o.String(name)
	if !ok || s == "" {
		o.Missing(name, what)
	}
	return s
}

// IsList says whether a field is a list.
func (o *Object) IsList(name string) bool { raw := o.Raw(name); return raw != nil && raw[0] == '[' }

// Texts takes a text or a list of texts.
func (o *Object) Texts(name string) []string {
	raw := o.Raw(name)
	if raw == nil {
		return nil
	}
	if raw[0] == '"' {
		s, _ := o.String(name)
		return []string{s}
	}
	var list []string
	if raw[0] != '[' || json.Unmarshal(raw, &list) != nil {
		o.wrongType(name, "a string or a list of strings", raw)
	}
	return list
}

// Only refuses a field whose value is not the one under which it has no effect. neutral is what encoding/json
// gives for that value; nil: the field may not be there at all. why completes "NAME is not supported: ".
func (o *Object) Only(name string, neutral any, why string) {
	raw := o.Raw(name)
	if raw == nil {
		return
	}
	var v any
	if neutral != nil && json.Unmarshal(raw, &v) == nil && reflect.DeepEqual(v, neutral) {
		return
	}
	o.Fail(name, CodeUnsupported, "%s%s is not supported: %s", o.prefix, name, why)
}

// Unknown refuses what nobody has taken.
func (o *Object) Unknown() {
	var rest []string
	for name := range o.fields {
		if !o.taken[name] {
			rest = append(rest, name)
		}
	}
	if len(rest) == 0 {
		return
	}
	slices.Sort(rest)
	what := "an unknown parameter"
	if len(rest) > 1 {
		what = "the first of these unknown parameters: " + strings.Join(rest, ", ")
	}
	o.Fail(rest[0], CodeUnknown, "%s%s is %s; nothing is ignored silently here: leave it out", o.prefix, rest[0], what)
}

// kind names the type of a JSON value in words.
func kind(raw []byte) string {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 {
		return "nothing"
	}
	switch raw[0] {
	case '"':
		return "a string"
	case '{':
		return "an object"
	case '[':
		return "a list"
	case 't', 'f':
		return string(raw)
	case 'n':
		return "null"
	default:
		return "a number"
	}
}
