package mlx

/*
#include "mlx/c/mlx.h"
*/
import "C"

import (
	"fmt"
	"os"
	"path/filepath"

	"reprise/mlx/safetensors"
)

// Load opens a safetensors file. Its header is verified in Go first; the tensors are then MLX's own lazy
// arrays, each read from the file when it is first evaluated.
func (s *Scope) Load(path string) (map[string]Array, map[string]string, error) {
	header, err := safetensors.ReadHeader(path)
	if err != nil {
		return nil, nil, err
	}
	if s.err != nil {
		return nil, nil, s.err
	}
	name, free := cString(path)
	defer free()
	tensors, metadata := C.mlx_map_string_to_array_new(), C.mlx_map_string_to_string_new()
	defer func() {
		C.mlx_map_string_to_array_free(tensors)
		C.mlx_map_string_to_string_free(metadata)
	}()
	var rc C.int
	s.onCPU(func(cpu C.mlx_stream) { rc = C.mlx_load_safetensors(&tensors, &metadata, name, cpu) })
	if rc != 0 {
		s.fail("Load " + path)
		return nil, nil, s.err
	}
	out := make(map[string]Array, len(header.Tensors))
	it := C.mlx_map_string_to_array_iterator_new(tensors)
	defer C.mlx_map_string_to_array_iterator_free(it)
	for {
		var key *C.char
		var value C.mlx_array
		if C.mlx_map_string_to_array_iterator_next(&key, &value, it) != 0 {
			break
		}
		out[C.GoString(key)] = s.own(value)
	}
	if len(out) != len(header.Tensors) {
		return nil, nil, fmt.Errorf("%s: MLX read %d tensors where the header names %d", path, len(out), len(header.Tensors))
	}
	return out, header.Metadata, nil
}

// Save writes a safetensors file: under a temporary name first, so that a reader never sees half of it.
func (s *Scope) Save(path string, tensors map[string]Array, metadata map[string]string) error {
	if s.err != nil {
		return s.err
	}
	m := C.mlx_map_string_to_array_new()
	defer C.mlx_map_string_to_array_free(m)
	for k, a := range tensors {
		key, free := cString(k)
		C.mlx_map_string_to_array_insert(m, key, s.Contiguous(a, false).c())
		free()
	}
	meta := C.mlx_map_string_to_string_new()
	defer C.mlx_map_string_to_string_free(meta)
	for k, v := range metadata {
		key, freeKey := cString(k)
		value, freeValue := cString(v)
		C.mlx_map_string_to_string_insert(meta, key, value)
		freeKey()
		freeValue()
	}
	if s.err != nil {
		return s.err
	}
	// MLX appends .safetensors to a name without it.
	tmp := filepath.Join(filepath.Dir(path), fmt.Sprintf(".%s.%d.safetensors", filepath.Base(path), os.Getpid()))
	name, free := cString(tmp)
	defer free()
	if C.mlx_save_safetensors(name, m, meta) != 0 {
		os.Remove(tmp)
		return fmt.Errorf("save %s: %w", path, lastError("Save"))
	}
	if err := os.Rename(tmp, path); err != nil {
		os.Remove(tmp)
		return err
	}
	return nil
}
