// What primitives.cpp and fused.cpp share: mlx-c's handles, errors as mlx-c reports them, and rows of an array.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "mlx/array.h"
#include "mlx/c/array.h"
#include "mlx/c/error.h"
#include "mlx/c/stream.h"
#include "mlx/utils.h"
#include "products.h"

namespace reprise {

namespace mx = mlx::core;

// mlx-c's handles hold a pointer to the C++ object.
inline const mx::array &array_of(mlx_array a, const char *what) {
  if (!a.ctx) throw std::invalid_argument(std::string(what) + " is an empty array");
  return *static_cast<mx::array *>(a.ctx);
}

inline mx::Stream stream_of(mlx_stream s) {
  if (!s.ctx) throw std::invalid_argument("empty stream");
  const mx::Stream stream = *static_cast<mx::Stream *>(s.ctx);
  if (stream.device != mx::Device::cpu) throw std::invalid_argument("these products run on the CPU device only");
  return stream;
}

inline void set_result(mlx_array *res, mx::array value) {
  if (res->ctx)
    *static_cast<mx::array *>(res->ctx) = std::move(value);
  else
    res->ctx = new mx::array(std::move(value));
}

inline std::string text(const mx::Shape &shape) {
  std::string s = "[";
  for (auto d : shape) s += (s.size() > 1 ? "," : "") + std::to_string(d);
  return s + "]";
}

inline reprise_float_type float_type(mx::Dtype t, const char *what) {
  if (t == mx::float32) return REPRISE_F32;
  if (t == mx::bfloat16) return REPRISE_BF16;
  if (t == mx::float16) return REPRISE_F16;
  throw std::invalid_argument(std::string(what) + " must be float32, bfloat16 or float16");
}

// Elements from x's start to each of its rows (all axes but the last), in row order.
inline std::vector<int64_t> row_offsets(const mx::array &x) {
  const int axes = x.ndim() - 1;
  int64_t rows = 1;
  for (int a = 0; a < axes; a++) rows *= x.shape(a);
  std::vector<int64_t> offsets(rows), at(axes, 0);
  for (int64_t r = 0, offset = 0; r < rows; r++) {
    offsets[r] = offset;
    for (int a = axes - 1; a >= 0; a--) {
      offset += x.strides(a);
      if (++at[a] < x.shape(a)) break;
      offset -= at[a] * x.strides(a);
      at[a] = 0;
    }
  }
  return offsets;
}

// Runs what may throw, and reports as mlx-c does.
template <typename Body>
int guarded(Body &&body) {
  try {
    body();
    return 0;
  } catch (const std::exception &e) {
    mlx_error("%s", e.what());
    return 1;
  }
}

// Checks packed weights of MLX's layout against x's last axis; `biases` may be null. The result has no buffers.
reprise_weights quantized_weights(const mx::array &x, const mx::array &w, const mx::array &scales, const mx::array *biases,
                                  int group, int bits, const std::string &mode, bool gathered);
reprise_weights dense_weights(const mx::array &x, const mx::array &w, bool gathered = false);

// Gives weights the buffers of the arrays that they were checked from: w, scales, and biases
// where there are any. Returns how many.
size_t bind_buffers(reprise_weights &weights, bool biased, const std::vector<mx::array> &inputs, size_t first);

}  // namespace reprise
