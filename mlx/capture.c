#include "capture.h"

#include <stdio.h>
#if defined(__GLIBC__)
#include <malloc.h>
#elif defined(__APPLE__)
#include <malloc/malloc.h>
#endif

#include "mlx/c/array.h"
#include "mlx/c/error.h"

static _Thread_local char last[4096];
static _Thread_local char taken[4096];

static void record(const char *message, void *data) {
  (void)data;
  snprintf(last, sizeof last, "%s", message);
}

void reprise_capture_errors(void) { mlx_set_error_handler(record, NULL, NULL); }

const char *reprise_take_error(void) {
  snprintf(taken, sizeof taken, "%s", last);
  last[0] = 0;
  return taken;
}

int reprise_array_form(void *array, int *lengths, int *dtype) {
  const mlx_array a = {array};
  const int n = (int)mlx_array_ndim(a), *shape = mlx_array_shape(a);
  for (int i = 0; i < n && n <= 8; i++) lengths[i] = shape[i];
  *dtype = (int)mlx_array_dtype(a);
  return n;
}

void reprise_free_arrays(void **arrays, size_t n) {
  for (size_t i = 0; i < n; i++) {
    mlx_array a = {arrays[i]};
    mlx_array_free(a);
  }
}

// glibc raises its threshold to the largest block that was ever freed, and blocks below it share a heap that shrinks only
// from its end: what outlives a prefill, snapshots for one, would keep its scratch resident.
void reprise_tune_heap(void) {
#if defined(__GLIBC__)
  mallopt(M_MMAP_THRESHOLD, 1280 << 10);
#endif
}

void reprise_release_heap(void) {
#if defined(__GLIBC__)
  malloc_trim(0);
#elif defined(__APPLE__)
  malloc_zone_pressure_relief(NULL, 0);
#endif
}
