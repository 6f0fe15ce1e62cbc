package mlx

/*
#include "capture.h"
#include "mlx/c/mlx.h"
*/
import "C"

// Memory is MLX's own account, in bytes. Peak excludes the buffer cache; it is not the process's footprint.
type Memory struct {
	Active int64 // buffers that arrays hold
	Peak   int64 // largest Active since the last ResetPeak
	Cache  int64 // freed buffers kept for reuse
}

// ReadMemory reads the counters; any goroutine may.
func ReadMemory() Memory {
	var active, peak, cache C.size_t
	C.mlx_get_active_memory(&active)
	C.mlx_get_peak_memory(&peak)
	C.mlx_get_cache_memory(&cache)
	return Memory{Active: int64(active), Peak: int64(peak), Cache: int64(cache)}
}

// ResetPeak starts a new peak. The counter is the process's: read it into every open turn first.
func ResetPeak() { C.mlx_reset_peak_memory() }

// ClearCache gives MLX's freed buffers back to the system.
func ClearCache() { C.mlx_clear_cache() }

// ReleaseHeap gives the C heap's freed memory back to the system: a load leaves much of it behind.
func ReleaseHeap() { C.reprise_release_heap() }

// SetCacheLimit caps the freed buffers that MLX keeps, and returns the cap before.
func SetCacheLimit(bytes int64) int64 { return setLimit(bytes, setCacheLimit) }

// SetMemoryLimit is MLX's guideline for all its memory; it returns the one before.
func SetMemoryLimit(bytes int64) int64 { return setLimit(bytes, setMemoryLimit) }

// SetWiredLimit caps what Metal keeps resident (macOS 15 on; elsewhere nothing happens). Wire at most the weights.
func SetWiredLimit(bytes int64) int64 { return setLimit(bytes, setWiredLimit) }

func setCacheLimit(was *C.size_t, n C.size_t) C.int  { return C.mlx_set_cache_limit(was, n) }
func setMemoryLimit(was *C.size_t, n C.size_t) C.int { return C.mlx_set_memory_limit(was, n) }
func setWiredLimit(was *C.size_t, n C.size_t) C.int  { return C.mlx_set_wired_limit(was, n) }

func setLimit(bytes int64, set func(*C.size_t, C.size_t) C.int) int64 {
	var was C.size_t
	set(&was, C.size_t(max(bytes, 0)))
	return int64(was)
}
