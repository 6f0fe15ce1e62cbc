// Products as MLX primitives: shapes and checks when the graph is built, buffers and the call to
// products.cpp when it is evaluated.
#include "primitives.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "arrays.h"
#include "mlx/allocator.h"
#include "mlx/array.h"
#include "mlx/backend/cpu/encoder.h"
#include "mlx/c/error.h"
#include "mlx/ops.h"
#include "mlx/primitives.h"
#include "mlx/utils.h"

namespace reprise {

reprise_weights quantized_weights(const mx::array &x, const mx::array &w, const mx::array &scales, const mx::array *biases,
                                  int group, int bits, const std::string &mode, bool gathered) {
  reprise_weights f{};
  f.kind = mode == "affine"  ? REPRISE_AFFINE
           : mode == "mxfp4" ? REPRISE_MXFP4
           : mode == "nvfp4" ? REPRISE_NVFP4
                             : throw std::invalid_argument("mode '" + mode + "': affine, mxfp4 or nvfp4");
  f.bits = f.kind == REPRISE_AFFINE ? bits : 4;
  f.group = f.kind == REPRISE_AFFINE ? group : f.kind == REPRISE_MXFP4 ? 32 : 16;
  const auto fail = [&](const char *what) -> void {
    throw std::invalid_argument(std::string(what) + ": x " + text(x.shape()) + ", w " + text(w.shape()) + ", scales " +
                                text(scales.shape()) + ", " + mode + " bits " + std::to_string(f.bits) + " group " +
                                std::to_string(f.group));
  };
  const int axes = gathered ? 3 : 2;
  if (static_cast<int>(w.ndim()) != axes || static_cast<int>(scales.ndim()) != axes) fail("weights and scales have the wrong rank");
  if (x.ndim() < (gathered ? 2u : 1u)) fail("x has too few axes");
  if (w.dtype() != mx::uint32) fail("w must be uint32");
  f.count = gathered ? w.shape(0) : 1;
  f.rows = w.shape(-2);
  f.cols = x.shape(-1);
  if (int64_t(w.shape(-1)) * 32 != f.cols * f.bits) fail("w does not hold x's columns");
  if (f.group < 1 || scales.shape(-2) != f.rows || int64_t(scales.shape(-1)) * f.group != f.cols) fail("scales do not fit w");
  if (gathered && scales.shape(0) != f.count) fail("scales do not fit w");
  if (f.kind == REPRISE_AFFINE) {
    f.scale_type = float_type(scales.dtype(), "scales");
    if (biases && (biases->shape() != scales.shape() || biases->dtype() != scales.dtype())) fail("biases do not fit scales");
  } else if (scales.dtype() != mx::uint8) {
    fail("scales must be uint8");
  }
  // The kernels' own limits, without buffers to check.
  reprise_weights probe = f;
  probe.packed = probe.scales = probe.biases = &probe;
  if (const int code = reprise_weights_check(&probe)) fail(reprise_products_error(code));
  return f;
}

reprise_weights dense_weights(const mx::array &x, const mx::array &w, bool gathered) {
  if (x.ndim() < (gathered ? 2u : 1u) || w.ndim() != (gathered ? 3u : 2u) || w.shape(-1) != x.shape(-1))
    throw std::invalid_argument("dense product: x " + text(x.shape()) + " and w " + text(w.shape()) + " do not fit");
  reprise_weights f{};
  f.kind = REPRISE_DENSE;
  f.scale_type = float_type(w.dtype(), "w");
  f.count = gathered ? w.shape(0) : 1;
  f.rows = w.shape(-2);
  f.cols = w.shape(-1);
  return f;
}

size_t bind_buffers(reprise_weights &weights, bool biased, const std::vector<mx::array> &inputs, size_t first) {
  const void **buffers[] = {&weights.packed, &weights.scales, &weights.biases};
  const size_t count = weights.kind == REPRISE_DENSE ? 1 : biased ? 3 : 2;
  for (size_t i = 0; i < count; i++) {
    const mx::array &a = inputs[first + i];
    if (!a.flags().row_contiguous) throw std::invalid_argument("weights, scales and biases must be row-contiguous");
    *buffers[i] = a.data<char>();
  }
  return count;
}

}  // namespace reprise

namespace {

using namespace reprise;

// What the graph fixes about a product; its buffers are known when it is evaluated.
struct Spec {
  reprise_weights weights;  // without buffers
  reprise_activation activation;
  reprise_pool *pool;
  bool gathered, biased;

  bool operator==(const Spec &o) const {
    const reprise_weights &a = weights, &b = o.weights;
    return a.kind == b.kind && a.bits == b.bits && a.group == b.group && a.scale_type == b.scale_type &&
           a.count == b.count && a.rows == b.rows && a.cols == b.cols && activation == o.activation &&
           pool == o.pool && gathered == o.gathered && biased == o.biased;
  }
};

// Everything a task needs, owned by it: the arrays themselves are kept alive by the evaluation.
struct Task {
  Spec spec;
  const float *x;
  int64_t x_step;                 // elements between columns of x
  std::vector<int64_t> rows;      // element offset of each row of x
  const uint32_t *lhs, *rhs;      // gathered
  int64_t choices, part;          // gathered: how many, and rows of x that each takes
  float *y;
  size_t size;                    // of y

  // It runs on MLX's own thread, where nothing could catch what is thrown: a product that cannot be made, for want of
  // memory or by an index that points nowhere, is NaN, which no answer hides.
  void operator()() const {
    bool made = false;
    try {
      made = compute() == 0;
    } catch (const std::exception &) {
    }
    if (!made) std::fill_n(y, size, std::numeric_limits<float>::quiet_NaN());
  }

  int compute() const {
    const int64_t K = spec.weights.cols;
    std::vector<float> columns;
    reprise_rows source{x, 1, rows.data()};
    std::vector<int64_t> packed_rows;
    if (x_step != 1) {  // a transposed x: rare, and then copied
      columns.resize(rows.size() * K);
      packed_rows.resize(rows.size());
      for (size_t r = 0; r < rows.size(); r++) {
        packed_rows[r] = r * K;
        for (int64_t k = 0; k < K; k++) columns[r * K + k] = x[rows[r] + k * x_step];
      }
      source = {columns.data(), 1, packed_rows.data()};
    }
    if (spec.gathered) return gather(source);
    return reprise_product(spec.pool, &spec.weights, source, y, spec.weights.rows, static_cast<int64_t>(rows.size()), spec.activation);
  }

  int gather(reprise_rows source) const {
    std::vector<int64_t> row(choices * part);
    std::vector<uint32_t> which(choices * part);
    const int64_t parts = static_cast<int64_t>(rows.size()) / part;
    for (int64_t i = 0; i < choices; i++) {
      if (lhs[i] >= parts) return 1;
      for (int64_t m = 0; m < part; m++) {
        row[i * part + m] = source.index[lhs[i] * part + m];
        which[i * part + m] = rhs[i];
      }
    }
    source.index = row.data();
    return reprise_product_gathered(spec.pool, &spec.weights, source, which.data(), y, spec.weights.rows,
                                    choices * part, spec.activation);
  }
};

// Inputs: x, w, [scales, [biases]], then lhs and rhs indices when gathered.
class PackedProduct : public mx::Primitive {
 public:
  PackedProduct(mx::Stream stream, Spec spec) : Primitive(stream), spec_(spec) {}

  void eval_cpu(const std::vector<mx::array> &inputs, std::vector<mx::array> &outputs) override {
    const mx::array &x = inputs[0];
    mx::array &out = outputs[0];
    out.set_data(mx::allocator::malloc(out.nbytes()));
    if (out.size() == 0) return;
    Task task{};
    task.spec = spec_;
    reprise_weights &w = task.spec.weights;
    bind_buffers(w, spec_.biased, inputs, 1);
    task.x = x.data<float>();
    task.x_step = w.cols == 1 ? 1 : x.strides(-1);
    task.rows = row_offsets(x);
    task.y = out.data<float>();
    task.size = out.size();
    if (spec_.gathered) {
      const mx::array &lhs = inputs[inputs.size() - 2], &rhs = inputs[inputs.size() - 1];
      task.lhs = lhs.data<uint32_t>();
      task.rhs = rhs.data<uint32_t>();
      task.choices = rhs.size();
      task.part = x.shape(-2);
    }
    auto &encoder = mx::cpu::get_command_encoder(stream());
    for (const auto &a : inputs) encoder.set_input_array(a);
    encoder.set_output_array(out);
    encoder.dispatch(std::move(task));
  }

  void eval_gpu(const std::vector<mx::array> &, std::vector<mx::array> &) override {
    throw std::runtime_error("reprise's products have no GPU form");
  }

  const char *name() const override { return spec_.gathered ? "RepriseGatherQMM" : "RepriseQuantizedMatmul"; }

  bool is_equivalent(const mx::Primitive &other) const override {
    const auto *o = dynamic_cast<const PackedProduct *>(&other);
    return o && o->spec_ == spec_;
  }

  std::vector<mx::Shape> output_shapes(const std::vector<mx::array> &inputs) override {
    return {output_shape(spec_, inputs)};
  }

  static mx::Shape output_shape(const Spec &spec, const std::vector<mx::array> &inputs) {
    mx::Shape shape = inputs[0].shape();
    if (spec.gathered) {
      shape = inputs.back().shape();
      shape.push_back(inputs[0].shape(-2));
      shape.push_back(0);
    }
    shape.back() = static_cast<int>(spec.weights.rows);
    return shape;
  }

 private:
  Spec spec_;
};

mx::array build(Spec spec, std::vector<mx::array> inputs, mx::Stream stream) {
  const mx::Dtype dtype = inputs[0].dtype();
  float_type(dtype, "x");
  inputs[0] = mx::astype(inputs[0], mx::float32, stream);
  const mx::Shape shape = PackedProduct::output_shape(spec, inputs);
  mx::array y(shape, mx::float32, std::make_shared<PackedProduct>(stream, spec), std::move(inputs));
  return mx::astype(y, dtype, stream);
}

Spec spec_of(const std::vector<mx::array> &inputs, int group, int bits, const char *mode,
             reprise_activation activation, reprise_pool *pool, bool gathered) {
  if (!pool) throw std::invalid_argument("no thread pool");
  if (inputs.size() < 3) return {dense_weights(inputs[0], inputs[1], gathered), REPRISE_ACT_FLOAT, pool, gathered, false};
  const mx::array *biases = inputs.size() > 3 ? &inputs[3] : nullptr;
  return {quantized_weights(inputs[0], inputs[1], inputs[2], biases, group, bits, mode, gathered), activation, pool, gathered, biases != nullptr};
}

std::vector<mx::array> weight_inputs(mlx_array x, mlx_array w, mlx_array scales, mlx_array biases) {
  std::vector<mx::array> inputs{array_of(x, "x"), array_of(w, "w")};
  if (!scales.ctx) return inputs;  // dense
  inputs.push_back(array_of(scales, "scales"));
  if (biases.ctx) inputs.push_back(array_of(biases, "biases"));
  return inputs;
}

}  // namespace

extern "C" {

int reprise_quantized_matmul(mlx_array *res, const mlx_array x, const mlx_array w, const mlx_array scales,
                             const mlx_array biases, int group, int bits, const char *mode,
                             reprise_activation activation, reprise_pool *pool, const mlx_stream s) {
  return guarded([&] {
    auto inputs = weight_inputs(x, w, scales, biases);
    if (!scales.ctx) throw std::invalid_argument("no scales");
    const Spec spec = spec_of(inputs, group, bits, mode, activation, pool, false);
    set_result(res, build(spec, std::move(inputs), stream_of(s)));
  });
}

int reprise_gather_qmm(mlx_array *res, const mlx_array x, const mlx_array w, const mlx_array scales,
                       const mlx_array biases, const mlx_array lhs_indices, const mlx_array rhs_indices, int group,
                       int bits, const char *mode, reprise_activation activation, reprise_pool *pool,
                       const mlx_stream s) {
  return guarded([&] {
    const mx::Stream stream = stream_of(s);
    auto inputs = weight_inputs(x, w, scales, biases);
    const Spec spec = spec_of(inputs, group, bits, mode, activation, pool, true);
    mx::Shape parts = inputs[0].shape();
    parts.resize(parts.size() - 2);
    int64_t count = 1;
    for (auto d : parts) count *= d;
    const mx::array lhs = lhs_indices.ctx ? array_of(lhs_indices, "lhs_indices")
                                          : mx::reshape(mx::arange(static_cast<int>(count), mx::uint32, stream), parts, stream);
    const auto both = mx::broadcast_arrays({lhs, array_of(rhs_indices, "rhs_indices")}, stream);
    for (const auto &indices : both)
      inputs.push_back(mx::contiguous(mx::astype(indices, mx::uint32, stream), false, stream));
    set_result(res, build(spec, std::move(inputs), stream));
  });
}

int reprise_dense_matmul(mlx_array *res, const mlx_array x, const mlx_array w, reprise_pool *pool,
                         const mlx_stream s) {
  return guarded([&] {
    std::vector<mx::array> inputs{array_of(x, "x"), array_of(w, "w")};
    const Spec spec = spec_of(inputs, 0, 0, "", REPRISE_ACT_FLOAT, pool, false);
    set_result(res, build(spec, std::move(inputs), stream_of(s)));
  });
}
}
