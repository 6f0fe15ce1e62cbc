package logits

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
)

// ReadIDs reads a file with a plain JSON array of token ids. The error names the file and the element.
func ReadIDs(path string) ([]int32, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("--tokens: %w", err)
	}
	defer f.Close()
	ids, err := decodeIDs(f)
	if err != nil {
		return nil, fmt.Errorf("--tokens %s: %w; a plain array of ids is wanted, such as [2, 818, 5279]", path, err)
	}
	return ids, nil
}

func decodeIDs(r io.Reader) ([]int32, error) {
	dec := json.NewDecoder(r)
	var raw []json.RawMessage
	if err := dec.Decode(&raw); err != nil {
		var wrong *json.UnmarshalTypeError
		switch {
		case errors.As(err, &wrong):
			return nil, fmt.Errorf("holds a JSON %s, not an array", wrong.Value)
		case errors.Is(err, io.EOF):
			return nil, errors.New("is empty")
		}
		return nil, fmt.Errorf("is not valid JSON: %w", err)
	}
	if raw == nil {
		return nil, errors.New("holds null, not an array")
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, errors.New("goes on behind the array")
	}
	ids := make([]int32, len(raw))
	for i, item := range raw {
		var id int64
		if err := json.Unmarshal(item, &id); err != nil || string(item) == "null" || id < 0 || id > math.MaxInt32 {
			return nil, fmt.Errorf("element %d is %.40s, not an id", i, item)
		}
		ids[i] = int32(id)
	}
	return ids, nil
}
