package mlx

/*
#include <stdlib.h>
#include "mlx/c/mlx.h"
*/
import "C"

import (
	"context"
	"unsafe"
)

// DeviceInfo is what MLX says of the worker's device. Keys depend on the backend.
type DeviceInfo struct {
	Name string // MLX's "device_name"
	// RecommendedWorkingSet is Metal's limit, and MemorySize the device's memory, in bytes; 0 where unknown.
	RecommendedWorkingSet, MemorySize int64
	Properties                        map[string]any // everything, as string or int64
}

// Version is MLX's own.
func Version() string {
	s := C.mlx_string_new()
	C.mlx_version(&s)
	return goString(s)
}

// Info describes the worker's device.
func (w *Worker) Info(ctx context.Context) (DeviceInfo, error) {
	var out DeviceInfo
	err := w.Do(ctx, func(s *Scope) error {
		dev := C.mlx_device_new()
		defer C.mlx_device_free(dev)
		if C.mlx_stream_get_device(&dev, s.stream) != 0 {
			return lastError("device of stream")
		}
		info := C.mlx_device_info_new()
		defer C.mlx_device_info_free(info)
		if C.mlx_device_info_get(&info, dev) != 0 {
			return lastError("device info")
		}
		out.Properties = properties(info)
		return nil
	})
	out.Name, _ = out.Properties["device_name"].(string)
	out.RecommendedWorkingSet, _ = out.Properties["max_recommended_working_set_size"].(int64)
	for _, key := range []string{"memory_size", "total_memory"} {
		if n, ok := out.Properties[key].(int64); ok {
			out.MemorySize = n
		}
	}
	return out, err
}

func properties(info C.mlx_device_info) map[string]any {
	out := map[string]any{}
	keys := C.mlx_vector_string_new()
	defer func() { C.mlx_vector_string_free(keys) }()
	if C.mlx_device_info_get_keys(&keys, info) != 0 {
		return out
	}
	for i := range int(C.mlx_vector_string_size(keys)) {
		var key *C.char
		if C.mlx_vector_string_get(&key, keys, C.size_t(i)) != 0 {
			continue
		}
		var text *C.char
		var size C.size_t
		if C.mlx_device_info_get_string(&text, info, key) == 0 {
			out[C.GoString(key)] = C.GoString(text)
		} else if C.mlx_device_info_get_size(&size, info, key) == 0 {
			out[C.GoString(key)] = int64(size)
		}
	}
	return out
}

// onCPU gives fn the CPU stream whatever the worker's device is: files are read and some ops exist only there.
func (s *Scope) onCPU(fn func(stream C.mlx_stream)) {
	cpu := C.mlx_default_cpu_stream_new()
	defer C.mlx_stream_free(cpu)
	fn(cpu)
}

func cString(s string) (*C.char, func()) {
	c := C.CString(s)
	return c, func() { C.free(unsafe.Pointer(c)) }
}
