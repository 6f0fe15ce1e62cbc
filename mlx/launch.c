#include "launch.h"

#include "mlx/c/fast.h"

static mlx_vector_string strings(const char **names, int count) {
  mlx_vector_string v = mlx_vector_string_new();
  for (int i = 0; i < count; i++) mlx_vector_string_append_value(v, names[i]);
  return v;
}

void *reprise_kernel_new(int backend, const char *name, const char **inputs, int input_count, const char **outputs, int output_count,
                         const char *header, const char *body) {
  mlx_vector_string in = strings(inputs, input_count), out = strings(outputs, output_count);
  void *kernel = backend == REPRISE_METAL ? mlx_fast_metal_kernel_new(name, in, out, body, header, true, false).ctx
                                          : mlx_fast_cuda_kernel_new(name, in, out, body, header, true, 0).ctx;
  mlx_vector_string_free(in);
  mlx_vector_string_free(out);
  return kernel;
}

void reprise_kernel_free(int backend, void *kernel) {
  if (backend == REPRISE_METAL)
    mlx_fast_metal_kernel_free((mlx_fast_metal_kernel){kernel});
  else
    mlx_fast_cuda_kernel_free((mlx_fast_cuda_kernel){kernel});
}

// The two families differ in their names only.
#define LAUNCH(family)                                                                                                                \
  static int launch_##family(mlx_vector_array *result, void *kernel, const mlx_vector_array inputs, const reprise_output *outputs,    \
                             int output_count, const int *grid, const int *group, const reprise_template *args, int arg_count,        \
                             mlx_stream stream) {                                                                                     \
    mlx_fast_##family##_kernel_config c = mlx_fast_##family##_kernel_config_new();                                                    \
    int rc = mlx_fast_##family##_kernel_config_set_grid(c, grid[0], grid[1], grid[2]) |                                               \
             mlx_fast_##family##_kernel_config_set_thread_group(c, group[0], group[1], group[2]);                                     \
    for (int i = 0; i < output_count; i++)                                                                                            \
      rc |= mlx_fast_##family##_kernel_config_add_output_arg(c, outputs[i].shape, outputs[i].rank, outputs[i].dtype);                 \
    for (int i = 0; i < arg_count; i++)                                                                                               \
      rc |= args[i].is_dtype ? mlx_fast_##family##_kernel_config_add_template_arg_dtype(c, args[i].name, (mlx_dtype)args[i].value)    \
                             : mlx_fast_##family##_kernel_config_add_template_arg_int(c, args[i].name, args[i].value);                \
    if (!rc) rc = mlx_fast_##family##_kernel_apply(result, (mlx_fast_##family##_kernel){kernel}, inputs, c, stream);                  \
    mlx_fast_##family##_kernel_config_free(c);                                                                                        \
    return rc;                                                                                                                        \
  }
LAUNCH(metal)
LAUNCH(cuda)

int reprise_launch(mlx_vector_array *result, int backend, void *kernel, const mlx_array *inputs, int input_count, const reprise_output *outputs,
                   int output_count, const int *grid, const int *group, const reprise_template *args, int arg_count, mlx_stream stream) {
  mlx_vector_array in = mlx_vector_array_new_data(inputs, input_count);
  int rc = (backend == REPRISE_METAL ? launch_metal : launch_cuda)(result, kernel, in, outputs, output_count, grid, group, args, arg_count, stream);
  mlx_vector_array_free(in);
  return rc;
}
