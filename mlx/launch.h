// Custom kernels: the C side of kernel.go, so that a launch is one crossing.
#ifndef REPRISE_LAUNCH_H
#define REPRISE_LAUNCH_H

#include "mlx/c/array.h"
#include "mlx/c/stream.h"
#include "mlx/c/vector.h"

enum { REPRISE_METAL = 1, REPRISE_CUDA = 2 };

typedef struct {
  int shape[8], rank;
  mlx_dtype dtype;
} reprise_output;

typedef struct {
  const char *name;
  int is_dtype, value; // a dtype, or an integer
} reprise_template;

// A kernel of that backend, or null after mlx_error.
void *reprise_kernel_new(int backend, const char *name, const char **inputs, int input_count, const char **outputs, int output_count,
                         const char *header, const char *body);
void reprise_kernel_free(int backend, void *kernel);
// Adds a launch to the graph: 0, or 1 after mlx_error.
int reprise_launch(mlx_vector_array *result, int backend, void *kernel, const mlx_array *inputs, int input_count, const reprise_output *outputs,
                   int output_count, const int *grid, const int *group, const reprise_template *args, int arg_count, mlx_stream stream);

#endif
