// A gated delta net as an MLX primitive: one task for all that stands between its projections.
#include <algorithm>
#include <cstdint>

#include "delta_net.h"
#include "fused.h"
#include "layers.h"
#include "primitives.h"

namespace {

using namespace reprise;

struct DeltaSpec {
  reprise_delta shape;
  std::vector<int64_t> captures;
  reprise_pool *pool;
};

enum { input_x, input_a, input_b, input_z, input_taps, input_rate, input_bias, input_norm, input_start, input_count };

// Outputs: y, the last matrix, then the captured ones.
class DeltaNetOp : public Fused<DeltaSpec> {
 public:
  using Fused::Fused;
  const char *name() const override { return "RepriseDeltaNet"; }

  void eval_cpu(const std::vector<mx::array> &inputs, std::vector<mx::array> &outputs) override {
    struct Task {
      DeltaNet net;
      std::vector<int64_t> captures;
      std::vector<float *> captured;
      Pool *pool;
    } t;
    const auto row = [&](int i) {
      if (inputs[i].strides(-1) != 1 && inputs[i].shape(-1) != 1) throw std::invalid_argument("delta net: columns must be next to each other");
      return inputs[i].shape(1) > 1 ? inputs[i].strides(1) : inputs[i].shape(2);
    };
    const reprise_delta &s = spec_.shape;
    t.net = DeltaNet{};
    t.net.x = inputs[input_x].data<float>(), t.net.x_row = row(input_x);
    t.net.a = inputs[input_a].data<float>(), t.net.a_row = row(input_a);
    t.net.b = inputs[input_b].data<float>(), t.net.b_row = row(input_b);
    t.net.z = inputs[input_z].data<float>(), t.net.z_row = row(input_z);
    for (int i = input_taps; i < input_count; i++)
      if (!inputs[i].flags().row_contiguous) throw std::invalid_argument("delta net: weights and matrix must be row-contiguous");
    t.net.taps = inputs[input_taps].data<float>();
    t.net.rate = inputs[input_rate].data<float>();
    t.net.bias = inputs[input_bias].data<float>();
    t.net.norm = inputs[input_norm].data<float>();
    t.net.start = inputs[input_start].data<float>();
    t.net.eps = s.eps;
    t.net.T = inputs[input_z].shape(1);
    t.net.key_heads = s.key_heads, t.net.value_heads = s.value_heads, t.net.key_dim = s.key_dim, t.net.value_dim = s.value_dim;
    t.net.conv_width = s.conv_width;
    t.net.y = allocate(outputs[0]);
    t.net.last = allocate(outputs[1]);
    t.captures = spec_.captures;
    for (size_t i = 2; i < outputs.size(); i++) t.captured.push_back(allocate(outputs[i]));
    t.pool = &spec_.pool->pool;
    send(inputs, outputs, [t]() mutable {
      t.net.captures = t.captures.data(), t.net.captured = t.captured.data();
      t.net.capture_count = static_cast<int64_t>(t.captures.size());
      try {
        delta_net(*t.pool, t.net);
      } catch (const std::exception &) {  // no memory for its scratch
        std::fill_n(t.net.y, t.net.T * t.net.value_heads * t.net.value_dim, nan_value);
      }
    });
  }
};

}  // namespace

extern "C" int reprise_delta_net(mlx_array *res, const mlx_array *in, const reprise_delta *d, const int *captures, int capture_count,
                                 reprise_pool *pool, const mlx_stream s) {
  return guarded([&] {
    const mx::Stream stream = stream_of(s);
    if (!pool) throw std::invalid_argument("no thread pool");
    std::vector<mx::array> inputs;
    for (int i = 0; i < input_count; i++) {
      const mx::array &given = array_of(in[i], "an input of the delta net");
      inputs.push_back(i < input_taps ? as_float(given, stream) : plain_vector(given, stream));
    }
    const mx::Dtype dtype = array_of(in[input_z], "z").dtype();
    const auto expect = [&](int i, const mx::Shape &shape, const char *what) {
      if (inputs[i].shape() != shape) throw std::invalid_argument(std::string("delta net: ") + what + " is " + text(inputs[i].shape()) + ", not " + text(shape));
    };
    if (d->key_heads < 1 || d->value_heads < 1 || d->value_heads % d->key_heads || d->key_dim < 1 || d->value_dim < 1 || d->conv_width < 1 ||
        inputs[input_z].ndim() != 3 || inputs[input_z].shape(1) < 1)
      throw std::invalid_argument("delta net: heads, dims or tokens are not positive, or heads do not divide");
    const int T = inputs[input_z].shape(1), channels = 2 * d->key_heads * d->key_dim + d->value_heads * d->value_dim, values = d->value_heads * d->value_dim;
    const mx::Shape matrix{1, d->value_heads, d->value_dim, d->key_dim};
    expect(input_x, {1, d->conv_width - 1 + T, channels}, "x");
    expect(input_a, {1, T, d->value_heads}, "a");
    expect(input_b, {1, T, d->value_heads}, "b");
    expect(input_z, {1, T, values}, "z");
    expect(input_taps, {d->conv_width, channels}, "the convolution");
    expect(input_rate, {d->value_heads}, "the rate");
    expect(input_bias, {d->value_heads}, "the bias");
    expect(input_norm, {d->value_dim}, "the norm");
    expect(input_start, matrix, "the matrix");
    DeltaSpec spec{*d, {}, pool};
    for (int i = 0; i < capture_count; i++) {
      if (captures[i] < 1 || captures[i] > T || (i > 0 && captures[i] <= captures[i - 1])) throw std::invalid_argument("delta net: captures must ascend from 1 to T");
      spec.captures.push_back(captures[i]);
    }
    std::vector<mx::Shape> shapes(2 + capture_count, matrix);
    shapes[0] = {1, T, values};
    auto results = mx::array::make_arrays(shapes, std::vector<mx::Dtype>(shapes.size(), mx::float32), std::make_shared<DeltaNetOp>(stream, spec), std::move(inputs));
    set_result(&res[0], mx::astype(results[0], dtype, stream));
    for (size_t i = 1; i < results.size(); i++) set_result(&res[i], std::move(results[i]));
  });
}
