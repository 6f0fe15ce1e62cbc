package warm

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"reprise/kvcache/ledger"
	"reprise/server/api/openai"
	"reprise/server/engine"
)

// maxFile bounds what is read.
const maxFile = 256 << 20

// Request is one warm-up, and where it stands in the file.
type Request struct {
	engine.Request
	Line int
}

// Read reads a file of request bodies as POST /v1/chat/completions takes them, or POST /v1/completions: one, a list of
// them, or one behind the other (JSON lines). An error names the file and the line.
func Read(path string, t openai.Target) ([]Request, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err // names the file
	}
	defer f.Close() // only read from
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", path, err)
	case len(data) > maxFile:
		return nil, fmt.Errorf("%s is larger than %d bytes: a warm-up needs one request for each system prompt", path, maxFile)
	}
	list, err := parse(data, t)
	if err != nil {
		return nil, fmt.Errorf("%s, %w", path, err)
	}
	return list, nil
}

func parse(data []byte, t openai.Target) ([]Request, error) {
	bodies, err := split(data)
	if err != nil {
		return nil, err
	}
	if len(bodies) == 0 {
		return nil, errors.New("line 1: there is no request; write a JSON object with messages, or with a prompt")
	}
	list := make([]Request, len(bodies))
	for i, b := range bodies {
		req, err := openai.Parse(b.text, t)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", b.line, err)
		}
		req.Purpose, req.MaxTokens = ledger.PurposeWarmup, 1
		list[i] = Request{req, b.line}
	}
	return list, nil
}

// body is the text of one value, and the line that it begins in.
type body struct {
	text []byte
	line int
}

// split takes a file apart: the elements of a list, or one value behind the other.
func split(data []byte) (bodies []body, err error) {
	c := cursor{data: data, line: 1}
	if c.space(); c.at < len(data) && data[c.at] == '[' {
		var list []json.RawMessage
		if err := json.Unmarshal(data, &list); err != nil {
			return nil, c.wrong(data, err)
		}
		for _, raw := range list {
			c.to(c.at + bytes.Index(data[c.at:], raw)) // verbatim, and behind what came before: it is there
			bodies = append(bodies, body{raw, c.line})
			c.to(c.at + len(raw))
		}
		return bodies, nil
	}
	for c.space(); c.at < len(data); c.space() {
		rest := data[c.at:]
		var raw json.RawMessage
		if json.NewDecoder(bytes.NewReader(rest)).Decode(&raw) != nil {
			return nil, c.wrong(rest, json.Unmarshal(rest, &raw)) // whose error knows its place
		}
		bodies = append(bodies, body{raw, c.line})
		c.to(c.at + len(raw))
	}
	return bodies, nil
}

// cursor is a place in a text, and its line.
type cursor struct {
	data     []byte
	at, line int
}

func (c *cursor) to(at int) {
	c.line += bytes.Count(c.data[c.at:at], []byte("\n"))
	c.at = at
}

func (c *cursor) space() {
	rest := bytes.TrimLeft(c.data[c.at:], " \t\r\n")
	c.to(len(c.data) - len(rest))
}

// wrong is an error of the JSON that ends the data, with its line.
func (c *cursor) wrong(rest []byte, err error) error {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		c.to(len(c.data) - len(rest) + max(0, int(syntax.Offset)-1))
	}
	return fmt.Errorf("line %d: not valid JSON: %w", c.line, err)
}
