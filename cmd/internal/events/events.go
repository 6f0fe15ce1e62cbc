package events

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
)

// Read hands over the data of each event as it comes, and says whether the end mark came. It ends at the mark, with the stream, or with
// the first error of each. A line of more than so many bytes is an error.
func Read(body io.Reader, most int, each func(data []byte) error) (ended bool, err error) {
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, most)
	for lines.Scan() {
		data, ok := bytes.CutPrefix(lines.Bytes(), []byte("data:"))
		if data = bytes.TrimSpace(data); !ok || len(data) == 0 {
			continue
		}
		if string(data) == "[DONE]" {
			return true, nil
		}
		if err := each(data); err != nil {
			return false, err
		}
	}
	return false, lines.Err()
}

// Decode is an event's JSON.
func Decode(data []byte, into any) error {
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("the stream holds %.200q: %w", data, err)
	}
	return nil
}

// Failed is the error that an event's "error" is, nil where it has none.
func Failed(sent json.RawMessage) error {
	if len(sent) > 0 && string(sent) != "null" {
		return fmt.Errorf("the stream ends with %s", sent)
	}
	return nil
}
