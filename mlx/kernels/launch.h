// Custom kernels of a GPU: the C side of mlx/kernel.go, so that a launch is one crossing.
#ifndef REPRISE_LAUNCH_H
#define REPRISE_LAUNCH_H

#include <stdint.h>

#include "mlx/c/array.h"
#include "mlx/c/stream.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { REPRISE_METAL = 1, REPRISE_CUDA = 2 };
enum { REPRISE_KERNEL_INPUTS = 16, REPRISE_KERNEL_OUTPUTS = 8, REPRISE_KERNEL_ARGS = 16 };

typedef struct reprise_kernel reprise_kernel;

typedef struct {
  int shape[8], rank;
  mlx_dtype dtype;
} reprise_output;

typedef struct {
  int is_dtype, value; // a dtype, or an integer
} reprise_template;

// Handles are integers here: Go need not look through what it passes for pointers of its own.
typedef struct {
  int input_count, output_count, arg_count;
  int grid[3], group[3]; // threads in all and in a group
  uintptr_t inputs[REPRISE_KERNEL_INPUTS];
  reprise_output outputs[REPRISE_KERNEL_OUTPUTS];
  reprise_template args[REPRISE_KERNEL_ARGS];
} reprise_launch;

// A kernel of that backend, or null after mlx_error.
reprise_kernel *reprise_kernel_new(int backend, const char *name, const char **inputs, int input_count, const char **outputs,
                                   int output_count, const char *header, const char *body);
void reprise_kernel_free(reprise_kernel *kernel);
// Adds a launch to the graph, whose outputs are new handles: 0, or 1 after mlx_error. names are those of the template's
// arguments; without them 2 says that they are needed: this way of launching the kernel is new.
int reprise_kernel_launch(mlx_array *results, reprise_kernel *kernel, const reprise_launch *launch, const char **names, mlx_stream stream);

#ifdef __cplusplus
}
#endif

#endif
