package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"
	"unicode/utf8"
)

// Limits of a request body.
const (
	MaxBody  = 64 << 20         // bytes
	MaxDepth = 128              // objects and lists inside each other
	MaxItems = 16384            // messages of a conversation, or items that make them
	MaxTools = 1024             // declarations
	BodyTime = 60 * time.Second // to send it in
)

// ReadObject reads a request's body, which must be one JSON object.
func ReadObject(w http.ResponseWriter, r *http.Request) (*Object, error) {
	data, err := readBody(w, r)
	if err != nil {
		return nil, err
	}
	return ParseObject(data)
}

func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if enc := r.Header.Get("Content-Encoding"); enc != "" && enc != "identity" {
		return nil, BadRequest("Content-Encoding", CodeUnsupported, "Content-Encoding %q is not supported; send the body as it is", enc)
	}
	// The deadline must not outlive the body: net/http watches the idle socket for a client that leaves, and a
	// deadline that passes then looks like one. Recorders in tests have none to set.
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Now().Add(BodyTime))
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	_ = rc.SetReadDeadline(time.Time{})
	var tooLarge *http.MaxBytesError
	var own *Error
	switch {
	case errors.As(err, &own):
		return nil, own
	case errors.As(err, &tooLarge):
		return nil, &Error{Status: http.StatusRequestEntityTooLarge, Code: "request_too_large", Message: "the request body is larger than 64 MiB"}
	case err != nil:
		return nil, BadRequest("", "incomplete_body", "the request body could not be read to its end: %v", err)
	}
	return data, nil
}

// ParseObject takes the JSON text of one object apart.
func ParseObject(data []byte) (*Object, error) {
	if !utf8.Valid(data) { // encoding/json would put U+FFFD in place of what is not, silently
		return nil, BadRequest("", CodeInvalidJSON, "the request body is not UTF-8, which JSON is written in")
	}
	// Looked at before parsing, whose stack grows with the depth.
	if depth(data) > MaxDepth {
		return nil, BadRequest("", CodeInvalidJSON, "the request body nests objects and lists more than %d deep", MaxDepth)
	}
	var fields map[string]json.RawMessage
	var syntax *json.SyntaxError
	err := json.Unmarshal(data, &fields)
	switch {
	case len(bytes.TrimSpace(data)) == 0:
		return nil, BadRequest("", CodeInvalidJSON, "the request body is empty; it must be a JSON object")
	case errors.As(err, &syntax):
		return nil, BadRequest("", CodeInvalidJSON, "the request body is not valid JSON: %v at byte %d", err, syntax.Offset)
	case err != nil || fields == nil:
		return nil, BadRequest("", CodeInvalidJSON, "the request body must be a JSON object, not %s", kind(data))
	}
	return newObject("", fields, new(error)), nil
}

// depth is how deep text nests brackets outside strings. It need not be valid JSON.
func depth(text []byte) int {
	deepest, now := 0, 0
	inString := false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			now++
			deepest = max(deepest, now)
		case c == '}' || c == ']':
			now--
		}
	}
	return deepest
}
