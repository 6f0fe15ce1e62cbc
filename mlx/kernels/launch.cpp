// Launches of custom kernels: see launches.h for what is kept of them.
#include "launch.h"

#include <vector>

#include "arrays.h"
#include "launches.h"

namespace mx = mlx::core;

namespace {

// Grids differ with the lengths of prompts and contexts; beyond so many ways of launching a kernel they are forgotten.
constexpr size_t kept_ways = 4096;

mx::Dtype dtype_of(mlx_dtype t) {
  switch (t) {
    case MLX_BOOL: return mx::bool_;
    case MLX_UINT8: return mx::uint8;
    case MLX_UINT16: return mx::uint16;
    case MLX_UINT32: return mx::uint32;
    case MLX_UINT64: return mx::uint64;
    case MLX_INT8: return mx::int8;
    case MLX_INT16: return mx::int16;
    case MLX_INT32: return mx::int32;
    case MLX_INT64: return mx::int64;
    case MLX_FLOAT16: return mx::float16;
    case MLX_FLOAT32: return mx::float32;
    case MLX_BFLOAT16: return mx::bfloat16;
    default: throw std::invalid_argument("a custom kernel has no values of that type");
  }
}

// All that a launch's primitive depends on: the stream, the grid, the template's constants, and what MLX writes into the
// function's head of each argument. There it asks for the type, whether it is a scalar, and on Metal whether it is small.
class Way {
 public:
  Way(const reprise_launch &l, const std::vector<mx::array> &inputs, mx::Stream stream) {
    put(stream.index);
    for (int axis = 0; axis < 3; axis++) put(l.grid[axis]), put(l.group[axis]);
    for (int i = 0; i < l.arg_count; i++) put(l.args[i].value);
    for (const auto &in : inputs) {
      constexpr size_t small = 8;
      put(static_cast<int>(in.dtype().val()) << 8 | (in.ndim() == 0) << 1 | (in.size() < small));
    }
    for (int i = 0; i < l.output_count; i++) put(l.outputs[i].dtype);
  }
  std::string_view text() const { return {reinterpret_cast<const char *>(values_), count_ * sizeof(int)}; }

 private:
  void put(int x) { values_[count_++] = x; }
  int values_[7 + REPRISE_KERNEL_ARGS + REPRISE_KERNEL_INPUTS + REPRISE_KERNEL_OUTPUTS];
  size_t count_ = 0;
};

std::vector<std::pair<std::string, mx::fast::TemplateArg>> arguments(const reprise_launch &l, const char **names) {
  std::vector<std::pair<std::string, mx::fast::TemplateArg>> args;
  for (int i = 0; i < l.arg_count; i++) {
    const auto &a = l.args[i];
    if (a.is_dtype)
      args.emplace_back(names[i], dtype_of(static_cast<mlx_dtype>(a.value)));
    else
      args.emplace_back(names[i], a.value);
  }
  return args;
}

mlx_array handle(uintptr_t a) { return {reinterpret_cast<void *>(a)}; }

}  // namespace

std::vector<mx::array> reprise_kernel::launch(const reprise_launch &l, const char **names, mx::Stream stream) {
  std::vector<mx::array> inputs;
  inputs.reserve(l.input_count);
  for (int i = 0; i < l.input_count; i++) inputs.push_back(reprise::array_of(handle(l.inputs[i]), "a custom kernel's input"));
  std::vector<mx::Shape> shapes;
  std::vector<mx::Dtype> dtypes;
  for (int i = 0; i < l.output_count; i++) {
    shapes.emplace_back(l.outputs[i].shape, l.outputs[i].shape + l.outputs[i].rank);
    dtypes.push_back(dtype_of(l.outputs[i].dtype));
  }
  const Way way(l, inputs, stream);
  if (const auto known = primitives_.find(way.text()); known != primitives_.end())
    return mx::array::make_arrays(std::move(shapes), dtypes, known->second, inputs);
  if (!names && l.arg_count) return {};
  auto results = run_(inputs, shapes, dtypes, {l.grid[0], l.grid[1], l.grid[2]}, {l.group[0], l.group[1], l.group[2]}, arguments(l, names),
                      std::nullopt, false, stream);
  if (primitives_.size() >= kept_ways) primitives_.clear();
  primitives_.emplace(way.text(), results.front().primitive_ptr());
  return results;
}

extern "C" reprise_kernel *reprise_kernel_new(int backend, const char *name, const char **inputs, int input_count, const char **outputs,
                                              int output_count, const char *header, const char *body) {
  const std::vector<std::string> in(inputs, inputs + input_count), out(outputs, outputs + output_count);
  reprise_kernel *kernel = nullptr;
  reprise::guarded([&] {
    kernel = new reprise_kernel(backend == REPRISE_METAL ? mx::fast::metal_kernel(name, in, out, body, header)
                                                         : mx::fast::cuda_kernel(name, in, out, body, header));
  });
  return kernel;
}

extern "C" void reprise_kernel_free(reprise_kernel *kernel) { delete kernel; }

extern "C" int reprise_kernel_launch(mlx_array *results, reprise_kernel *kernel, const reprise_launch *launch, const char **names, mlx_stream stream) {
  int code = 0;
  return reprise::guarded([&] {
    if (!stream.ctx) throw std::invalid_argument("empty stream");
    auto made = kernel->launch(*launch, names, *static_cast<mx::Stream *>(stream.ctx));
    if (made.empty()) code = 2;
    for (size_t i = 0; i < made.size(); i++) results[i].ctx = new mx::array(std::move(made[i]));
  }) ? 1 : code;
}
