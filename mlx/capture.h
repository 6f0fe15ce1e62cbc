// Error capture and batched frees: the C side of errors.go and scope.go.
#ifndef REPRISE_CAPTURE_H
#define REPRISE_CAPTURE_H

#include <stddef.h>

// Makes mlx-c record its errors on this thread instead of printing them and exiting.
void reprise_capture_errors(void);
// The message of the last error on this thread; empties it.
const char *reprise_take_error(void);
// Keeps large blocks apart from the C heap, so that each goes back to the system when it is freed.
void reprise_tune_heap(void);
// Gives the heap's freed memory back to the system.
void reprise_release_heap(void);
// The number of axes, their lengths if they are at most 8, and the dtype: one crossing for all.
int reprise_array_form(void *array, int *lengths, int *dtype);
// Frees n arrays, one crossing for all.
void reprise_free_arrays(void **arrays, size_t n);

#endif
