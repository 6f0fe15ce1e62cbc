package openai

import (
	"fmt"
	"slices"

	"reprise/model/chat"
	"reprise/model/chat/jinja"
	"reprise/server/api/wire"
)

var roles = []string{"system", "developer", "user", "assistant", "tool"}

// checked returns message i as a template takes it: with a role that templates know and a content. Keys that only
// some templates look at (name, reasoning_content, …) stay as they were sent.
func checked(m chat.Message, i int) (chat.Message, error) {
	at := fmt.Sprintf("messages[%d]", i)
	role := m.Role()
	if !slices.Contains(roles, role) {
		v, _ := m.Get("role")
		return m, wire.BadRequest(at+".role", wire.CodeInvalidValue, "%s.role is %s; it must be one of %v", at, shown(v), roles)
	}
	if role == "developer" {
		m = m.With("role", "system")
	}
	calls, err := checkCalls(m, at)
	if err != nil {
		return m, err
	}
	content, _ := m.Get("content")
	switch content := content.(type) {
	case string:
	case nil:
		// Templates know null beside calls; elsewhere some of them would print it.
		if !calls {
			m = m.With("content", "")
		}
	case *jinja.List:
		for j, part := range content.Items {
			if err := checkPart(part, fmt.Sprintf("%s.content[%d]", at, j)); err != nil {
				return m, err
			}
		}
	default:
		return m, wire.BadRequest(at+".content", wire.CodeInvalidType, "%s.content must be a string, a list of parts, or null", at)
	}
	for _, key := range []string{"function_call", "audio"} {
		if v, _ := m.Get(key); v != nil { // the SDKs send null back
			return m, wire.BadRequest(at+"."+key, wire.CodeUnsupported, "%s.%s is not supported: send calls as tool_calls, and text as content", at, key)
		}
	}
	for _, key := range []string{"name", "tool_call_id", "reasoning_content"} {
		if v, ok := m.Get(key); ok && v != nil {
			if _, text := v.(string); !text {
				return m, wire.BadRequest(at+"."+key, wire.CodeInvalidType, "%s.%s must be a string", at, key)
			}
		}
	}
	return m, nil
}

// checkPart lets text through and names what is not text.
func checkPart(part chat.Value, at string) error {
	d, ok := part.(*chat.Dict)
	if !ok {
		return wire.BadRequest(at, wire.CodeInvalidType, "%s must be an object with a type", at)
	}
	switch kind, _ := d.Get("type"); kind {
	case "text":
		if text, _ := d.Get("text"); !isText(text) {
			return wire.BadRequest(at+".text", wire.CodeInvalidType, "%s.text must be a string", at)
		}
		return nil
	case "image_url", "image", "input_image":
		return wire.BadRequest(at+".type", wire.CodeUnsupported, "%s.type is %s: images are not supported yet; send text", at, shown(kind))
	default:
		return wire.BadRequest(at+".type", wire.CodeUnsupported, `%s.type is %s; the one kind of part supported is "text"`, at, shown(kind))
	}
}

// checkCalls checks the calls of an assistant's message and says whether there are any.
func checkCalls(m chat.Message, at string) (bool, error) {
	at += ".tool_calls"
	v, _ := m.Get("tool_calls")
	if v == nil {
		return false, nil
	}
	list, ok := v.(*jinja.List)
	if !ok {
		return false, wire.BadRequest(at, wire.CodeInvalidType, "%s must be a list of calls", at)
	}
	for i, item := range list.Items {
		at := fmt.Sprintf("%s[%d]", at, i)
		fn, err := function(item, at)
		if err != nil {
			return false, err
		}
		switch args, _ := fn.Get("arguments"); args.(type) {
		case string, *chat.Dict, nil:
		default:
			return false, wire.BadRequest(at+".function.arguments", wire.CodeInvalidType, "%s.function.arguments must be a string that holds JSON", at)
		}
	}
	return len(list.Items) > 0, nil
}

func checkTool(tool chat.Value, i int) error {
	at := fmt.Sprintf("tools[%d]", i)
	fn, err := function(tool, at)
	if err != nil {
		return err
	}
	if p, _ := fn.Get("parameters"); p != nil {
		if _, ok := p.(*chat.Dict); !ok {
			return wire.BadRequest(at+".function.parameters", wire.CodeInvalidType, "%s.function.parameters must be a JSON schema, an object", at)
		}
	}
	return nil
}

// function is the function of a tool or a call, which is named. A call may leave out its type.
func function(v chat.Value, at string) (*chat.Dict, error) {
	d, ok := v.(*chat.Dict)
	if !ok {
		return nil, wire.BadRequest(at, wire.CodeInvalidType, `%s must be an object with type "function"`, at)
	}
	if kind, ok := d.Get("type"); ok && kind != "function" {
		return nil, wire.BadRequest(at+".type", wire.CodeUnsupported, `%s.type is %s; the one type supported is "function"`, at, shown(kind))
	}
	inner, _ := d.Get("function")
	fn, ok := inner.(*chat.Dict)
	if !ok {
		return nil, wire.BadRequest(at+".function", wire.CodeInvalidType, "%s.function must be an object", at)
	}
	if name, _ := fn.Get("name"); !isText(name) || name == "" {
		return nil, wire.BadRequest(at+".function.name", wire.CodeInvalidType, "%s.function.name must be a string with the function's name", at)
	}
	return fn, nil
}

func isText(v chat.Value) bool {
	_, ok := v.(string)
	return ok
}

// shown is a value in an error: a text as it is, of anything else only that it is none.
func shown(v chat.Value) string {
	switch v := v.(type) {
	case string:
		return wire.Quoted(v)
	case nil:
		return "not there"
	default:
		return "not a string"
	}
}
