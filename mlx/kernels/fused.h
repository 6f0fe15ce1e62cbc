// What the fused primitives share: how one is made of a spec and a task.
#pragma once

#include <limits>
#include <stdexcept>
#include <utility>
#include <vector>

#include "arrays.h"
#include "mlx/allocator.h"
#include "mlx/backend/cpu/encoder.h"
#include "mlx/ops.h"
#include "mlx/primitives.h"

namespace reprise {

constexpr float nan_value = std::numeric_limits<float>::quiet_NaN();

// Common to all: CPU only, no two alike.
template <class SpecType>
class Fused : public mx::Primitive {
 public:
  Fused(mx::Stream stream, SpecType spec) : Primitive(stream), spec_(spec) {}
  void eval_gpu(const std::vector<mx::array> &, std::vector<mx::array> &) override {
    throw std::runtime_error("reprise's CPU kernels have no GPU form");
  }

 protected:
  // Runs `task` behind what the stream has to do. It must not throw: MLX's thread would not catch it.
  template <class Task>
  void send(const std::vector<mx::array> &inputs, std::vector<mx::array> &outputs, Task &&task) {
    auto &encoder = mx::cpu::get_command_encoder(stream());
    for (const auto &a : inputs) encoder.set_input_array(a);
    for (auto &a : outputs) encoder.set_output_array(a);
    encoder.dispatch(std::forward<Task>(task));
  }
  SpecType spec_;
};

inline float *allocate(mx::array &a) {
  a.set_data(mx::allocator::malloc(a.nbytes()));
  return a.data<float>();
}

inline mx::array as_float(const mx::array &a, mx::Stream s) { return mx::astype(a, mx::float32, s); }

// A weight of a few values as float32, next to each other. A loaded one is, and costs no node of the graph.
inline mx::array plain_vector(const mx::array &a, mx::Stream s) {
  if (a.dtype() == mx::float32 && a.is_available() && a.flags().row_contiguous) return a;
  return mx::contiguous(as_float(a, s), false, s);
}

}  // namespace reprise
