package gguf

import (
	"fmt"
	"math"
)

// Has reports whether the file has a metadata key.
func (f *File) Has(key string) bool {
	_, ok := f.Metadata[key]
	return ok
}

// Int returns an integer of any width, or an error that names the file and key.
func (f *File) Int(key string) (int64, error) {
	switch v := f.Metadata[key].(type) {
	case uint8:
		return int64(v), nil
	case int8:
		return int64(v), nil
	case uint16:
		return int64(v), nil
	case int16:
		return int64(v), nil
	case uint32:
		return int64(v), nil
	case int32:
		return int64(v), nil
	case int64:
		return v, nil
	case uint64:
		if v <= math.MaxInt64 {
			return int64(v), nil
		}
	}
	return 0, f.wrongType(key, "an integer")
}

// Float returns a float32 or float64.
func (f *File) Float(key string) (float64, error) {
	switch v := f.Metadata[key].(type) {
	case float32:
		return float64(v), nil
	case float64:
		return v, nil
	}
	return 0, f.wrongType(key, "a float")
}

// Value returns the metadata value of a key as the type T in which
// [File.Metadata] holds it.
func Value[T any](f *File, key string) (T, error) {
	v, ok := f.Metadata[key].(T)
	if !ok {
		return v, f.wrongType(key, fmt.Sprintf("%T", v))
	}
	return v, nil
}

func (f *File) wrongType(key, want string) error {
	v, ok := f.Metadata[key]
	if !ok {
		return fmt.Errorf("gguf: %s: metadata key %q is missing", f.Path, key)
	}
	return fmt.Errorf("gguf: %s: metadata key %q is %T, not %s", f.Path, key, v, want)
}
