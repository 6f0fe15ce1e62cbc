// Layers' parts as MLX primitives: a group of products with what stands before and after it, heads put in place, and
// attention. Each is one task where MLX's ops would be a dozen.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "arrays.h"
#include "layers.h"
#include "mlx/allocator.h"
#include "mlx/backend/cpu/encoder.h"
#include "mlx/ops.h"
#include "mlx/primitives.h"
#include "primitives.h"

namespace {

using namespace reprise;

// Scratch behind that of products (four slots a member) and attention (layers.cpp).
enum { normed_slot = 20, gate_slot, up_slot };

constexpr float nan_value = std::numeric_limits<float>::quiet_NaN();

// Common to the three: CPU only, and equal when the spec is.
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

float *allocate(mx::array &a) {
  a.set_data(mx::allocator::malloc(a.nbytes()));
  return a.data<float>();
}

mx::array as_float(const mx::array &a, mx::Stream s) { return mx::astype(a, mx::float32, s); }

// A weight of a few values as float32, next to each other. A loaded one is, and costs no node of the graph.
mx::array plain_vector(const mx::array &a, mx::Stream s) {
  if (a.dtype() == mx::float32 && a.is_available() && a.flags().row_contiguous) return a;
  return mx::contiguous(as_float(a, s), false, s);
}

// ---- a group of products

struct BlockSpec {
  reprise_weights weights[REPRISE_MEMBERS];  // without buffers
  bool biased[REPRISE_MEMBERS];
  int count, gate;
  bool norm, norm_weight, post, post_weight, residual;
  float norm_eps, post_eps;
  reprise_activation activation;
  reprise_pool *pool;
  int results() const { return gate ? 1 : count; }
};

struct BlockTask {
  BlockSpec spec;
  const float *x;
  std::vector<int64_t> rows;  // offset of each row of x
  const float *norm, *post, *residual;
  float *y[REPRISE_MEMBERS];

  void operator()() const {
    bool made = false;
    try {
      made = compute();
    } catch (const std::exception &) {
    }
    if (made) return;
    for (int i = 0; i < spec.results(); i++) std::fill_n(y[i], rows.size() * spec.weights[i].rows, nan_value);
  }

  float *scratch(int slot, int64_t floats) const { return static_cast<float *>(spec.pool->pool.shared_scratch(slot).get(floats * sizeof(float))); }

  bool compute() const {
    Pool &pool = spec.pool->pool;
    const int64_t M = static_cast<int64_t>(rows.size()), K = spec.weights[0].cols, N = spec.weights[0].rows;
    reprise_rows source{x, 1, rows.data()};
    if (spec.norm) {
      float *normed = scratch(normed_slot, M * K);
      const int64_t stride = M > 1 ? rows[1] - rows[0] : K;
      bool even = true;
      for (int64_t m = 1; m < M; m++) even &= rows[m] - rows[m - 1] == stride;
      if (even)
        normalize(pool, {x + rows[0], M, K, stride}, norm, spec.norm_eps, nullptr, normed);
      else
        for (int64_t m = 0; m < M; m++) normalize(pool, {x + rows[m], 1, K, K}, norm, spec.norm_eps, nullptr, normed + m * K);
      source = {normed, K, nullptr};
    }
    reprise_member members[REPRISE_MEMBERS];
    for (int i = 0; i < spec.count; i++) members[i] = {&spec.weights[i], y[i], spec.weights[i].rows};
    if (spec.gate) {
      members[0].y = scratch(gate_slot, M * N);
      members[1].y = scratch(up_slot, M * N);
    }
    if (reprise_product_group(spec.pool, members, spec.count, source, M, spec.activation)) return false;
    if (spec.gate) gate(pool, spec.gate == REPRISE_GELU, members[0].y, members[1].y, M * N, y[0]);
    if (spec.post)
      normalize(pool, {y[0], M, N, N}, post, spec.post_eps, residual, y[0]);
    else if (residual)
      add(pool, y[0], residual, M * N, y[0]);
    return true;
  }
};

// Inputs: x, [norm], [post norm], [residual], then each matrix's arrays.
class Block : public Fused<BlockSpec> {
 public:
  using Fused::Fused;
  const char *name() const override { return "RepriseBlock"; }

  void eval_cpu(const std::vector<mx::array> &inputs, std::vector<mx::array> &outputs) override {
    BlockTask task{};
    task.spec = spec_;
    size_t at = 1;
    const auto next = [&](bool there) { return there ? inputs[at++].data<float>() : nullptr; };
    task.norm = next(spec_.norm_weight);
    task.post = next(spec_.post_weight);
    if (spec_.residual && !inputs[at].flags().row_contiguous) throw std::invalid_argument("the residual must be row-contiguous");
    task.residual = next(spec_.residual);
    for (int i = 0; i < spec_.count; i++) at += bind_buffers(task.spec.weights[i], spec_.biased[i], inputs, at);
    for (size_t i = 0; i < outputs.size(); i++) task.y[i] = allocate(outputs[i]);
    if (outputs[0].size() == 0) return;
    if (inputs[0].strides(-1) != 1 && inputs[0].shape(-1) != 1) throw std::invalid_argument("the columns of x must be next to each other");
    task.x = inputs[0].data<float>();
    task.rows = row_offsets(inputs[0]);
    send(inputs, outputs, std::move(task));
  }

  std::vector<mx::Shape> output_shapes(const std::vector<mx::array> &inputs) override {
    std::vector<mx::Shape> shapes(spec_.results(), inputs[0].shape());
    for (size_t i = 0; i < shapes.size(); i++) shapes[i].back() = static_cast<int>(spec_.weights[i].rows);
    return shapes;
  }
};

void add_matrix(BlockSpec &spec, int i, const reprise_matrix &m, std::vector<mx::array> &inputs) {
  const mx::array x = inputs[0], w = array_of(m.w, "w");  // copies: inputs grows
  inputs.push_back(w);
  if (!m.scales.ctx) {
    spec.weights[i] = dense_weights(x, w);
    return;
  }
  const mx::array &scales = array_of(m.scales, "scales");
  const mx::array *biases = m.biases.ctx ? &array_of(m.biases, "biases") : nullptr;
  spec.weights[i] = quantized_weights(x, w, scales, biases, m.group, m.bits, m.mode, false);
  inputs.push_back(scales);
  spec.biased[i] = biases != nullptr;
  if (biases) inputs.push_back(*biases);
}

std::vector<mx::array> build_block(mlx_array x, const reprise_matrix *w, int count, const reprise_block &b,
                                   reprise_activation activation, reprise_pool *pool, mx::Stream s) {
  if (!pool) throw std::invalid_argument("no thread pool");
  if (count < 1 || count > REPRISE_MEMBERS) throw std::invalid_argument("a block has one to four matrices");
  BlockSpec spec{};
  spec.count = count;
  spec.gate = b.gate;
  spec.activation = activation;
  spec.pool = pool;
  spec.norm = b.norm_eps >= 0;
  spec.norm_eps = b.norm_eps;
  spec.norm_weight = spec.norm && b.norm.ctx;
  spec.post = b.post_eps >= 0;
  spec.post_eps = b.post_eps;
  spec.post_weight = spec.post && b.post_norm.ctx;
  spec.residual = b.residual.ctx;
  const mx::Dtype dtype = array_of(x, "x").dtype();
  float_type(dtype, "x");
  std::vector<mx::array> inputs{as_float(array_of(x, "x"), s)};
  const int K = inputs[0].ndim() ? inputs[0].shape(-1) : 0;
  const auto vector_of = [&](mlx_array a, int width, const char *what) {
    const mx::array &v = array_of(a, what);
    if (v.ndim() != 1 || v.shape(0) != width) throw std::invalid_argument(std::string(what) + " " + text(v.shape()) + " does not fit a row of " + std::to_string(width));
    inputs.push_back(plain_vector(v, s));
  };
  std::vector<mx::array> weights{inputs[0]};
  for (int i = 0; i < count; i++) add_matrix(spec, i, w[i], weights);
  const int N = static_cast<int>(spec.weights[0].rows);
  if (b.gate && (count != 2 || spec.weights[1].rows != N)) throw std::invalid_argument("a gate takes two matrices of one height");
  if ((spec.post || spec.residual) && spec.results() != 1) throw std::invalid_argument("a norm or residual behind takes one result");
  if (spec.norm_weight) vector_of(b.norm, K, "norm");
  if (spec.post_weight) vector_of(b.post_norm, N, "post norm");
  mx::Shape shape = inputs[0].shape();
  shape.back() = N;
  if (spec.residual) {
    const mx::array &r = array_of(b.residual, "residual");
    if (r.shape() != shape) throw std::invalid_argument("the residual " + text(r.shape()) + " does not fit the result " + text(shape));
    inputs.push_back(as_float(r, s));
  }
  inputs.insert(inputs.end(), weights.begin() + 1, weights.end());
  auto primitive = std::make_shared<Block>(s, spec);
  const auto shapes = primitive->output_shapes(inputs);
  auto results = mx::array::make_arrays(shapes, std::vector<mx::Dtype>(shapes.size(), mx::float32), primitive, inputs);
  for (auto &r : results) r = mx::astype(r, dtype, s);
  return results;
}

// ---- heads in place

struct HeadsSpec {
  int heads;
  bool weight, wavelengths;
  float eps;
  Rotation rotation;  // without wavelengths
  reprise_pool *pool;
};

// Inputs: x [B, T, heads·dim], [norm weight], [wavelengths].
class PlaceHeads : public Fused<HeadsSpec> {
 public:
  using Fused::Fused;
  const char *name() const override { return "RepriseHeads"; }

  void eval_cpu(const std::vector<mx::array> &inputs, std::vector<mx::array> &outputs) override {
    const mx::array &x = inputs[0];
    float *y = allocate(outputs[0]);
    if (outputs[0].size() == 0) return;
    if (x.strides(-1) != 1) throw std::invalid_argument("the columns of x must be next to each other");
    HeadsSpec spec = spec_;
    const float *w = spec.weight ? inputs[1].data<float>() : nullptr;
    if (spec.wavelengths) spec.rotation.wavelengths = inputs.back().data<float>();
    const Rows rows{x.data<float>(), x.shape(1), x.shape(2), x.strides(1)};
    const int64_t batch = x.shape(0), step = x.strides(0);
    send(inputs, outputs, [spec, rows, batch, step, w, y] {
      for (int64_t b = 0; b < batch; b++) {
        const Rows part{rows.data + b * step, rows.count, rows.width, rows.stride};
        place_heads(spec.pool->pool, spec.pool->angles, part, spec.heads, w, spec.eps, spec.rotation,
                    y + b * rows.count * rows.width, rows.count * rows.width / spec.heads, rows.width / spec.heads);
      }
    });
  }
};

// ---- attention

struct AttentionSpec {
  float scale;
  int window;
  reprise_pool *pool;
};

class Attend : public Fused<AttentionSpec> {
 public:
  using Fused::Fused;
  const char *name() const override { return "RepriseAttention"; }

  void eval_cpu(const std::vector<mx::array> &inputs, std::vector<mx::array> &outputs) override {
    const mx::array &q = inputs[0], &k = inputs[1], &v = inputs[2];
    Attention a{};
    a.y = allocate(outputs[0]);
    if (outputs[0].size() == 0) return;
    for (const auto &in : inputs)
      if (in.strides(-1) != 1) throw std::invalid_argument("the columns of q, k and v must be next to each other");
    a.q = q.data<float>();
    a.k = k.data<float>();
    a.v = v.data<float>();
    a.heads = q.shape(1);
    a.kv_heads = k.shape(1);
    a.queries = q.shape(2);
    a.rows = k.shape(2);
    a.dim = q.shape(3);
    a.q_head = q.strides(1);
    a.q_row = q.strides(2);
    a.k_head = k.strides(1);
    a.k_row = k.strides(2);
    a.v_head = v.strides(1);
    a.v_row = v.strides(2);
    a.scale = spec_.scale;
    a.window = spec_.window;
    const int64_t batch = q.shape(0), steps[] = {q.strides(0), k.strides(0), v.strides(0)};
    const int64_t qs = steps[0], ks = steps[1], vs = steps[2];
    send(inputs, outputs, [a, batch, qs, ks, vs, pool = spec_.pool] {
      for (int64_t b = 0; b < batch; b++) {
        Attention one = a;
        one.q += b * qs;
        one.k += b * ks;
        one.v += b * vs;
        one.y += b * a.queries * a.heads * a.dim;
        try {
          attend(pool->pool, one);
        } catch (const std::exception &) {  // no memory for its panels
          std::fill_n(one.y, a.queries * a.heads * a.dim, nan_value);
        }
      }
    });
  }
};

// ---- a layer's whole attention, in place in its buffers

struct LayerSpec {
  int heads, kv_heads, at, from;
  bool q_weight, k_weight, v_weight, wavelengths;
  bool writes;  // k and v are given
  float q_eps, k_eps, v_eps, scale;
  int window;
  Rotation rotation;  // without wavelengths
  reprise_pool *pool;
};

// Inputs: q, the buffers of keys and values [1, kv_heads, capacity, dim], k and v where it writes, all three
// [1, T, heads·dim], then the norms of q, k and v and wavelengths where given. Outputs: y [1, T, heads·dim] and, where it
// writes, the buffers with T more rows.
class LayerAttention : public Fused<LayerSpec> {
 public:
  using Fused::Fused;
  const char *name() const override { return "RepriseLayerAttention"; }

  void eval_cpu(const std::vector<mx::array> &inputs, std::vector<mx::array> &outputs) override {
    struct {
      LayerSpec spec;
      Rows q, k, v;
      const float *q_norm, *k_norm, *v_norm;
      float *y, *buffers[2];
      int64_t capacity, dim;
    } t;
    t.spec = spec_;
    const auto rows = [](const mx::array &a) {
      if (a.strides(-1) != 1) throw std::invalid_argument("the columns of q, k and v must be next to each other");
      return Rows{a.data<float>(), a.shape(1), a.shape(2), a.shape(1) > 1 ? a.strides(1) : a.shape(2)};
    };
    t.q = rows(inputs[0]);
    size_t at = 3;
    if (spec_.writes) t.k = rows(inputs[at]), t.v = rows(inputs[at + 1]), at += 2;
    const auto next = [&](bool there) { return there ? inputs[at++].data<float>() : nullptr; };
    t.q_norm = next(spec_.q_weight);
    t.k_norm = next(spec_.k_weight);
    t.v_norm = next(spec_.v_weight);
    t.spec.rotation.wavelengths = next(spec_.wavelengths);
    t.capacity = inputs[1].shape(2);
    t.dim = inputs[1].shape(3);
    t.y = allocate(outputs[0]);
    for (int i = 0; i < 2; i++) {
      const mx::array &buffer = inputs[1 + i];
      if (!buffer.flags().row_contiguous) throw std::invalid_argument("a layer's buffers must be row-contiguous");
      t.buffers[i] = const_cast<float *>(buffer.data<float>());
      // In place, whoever else holds the buffer: only rows from `at` on change, which an older handle does not count as
      // its own. (MLX would never see it as donatable: each of the three outputs holds the inputs.)
      if (spec_.writes) outputs[1 + i].copy_shared_buffer(buffer);
    }
    send(inputs, outputs, [t] {
      try {
        const LayerSpec &s = t.spec;
        Pool &pool = s.pool->pool;
        const int64_t T = t.q.count, head = t.capacity * t.dim;
        Rotation still = s.rotation;
        still.dims = 0;
        float *queries = static_cast<float *>(pool.shared_scratch(gate_slot).get(T * t.q.width * sizeof(float)));
        place_heads(pool, s.pool->angles, t.q, s.heads, t.q_norm, s.q_eps, s.rotation, queries, T * t.dim, t.dim);
        if (s.writes) {
          place_heads(pool, s.pool->angles, t.k, s.kv_heads, t.k_norm, s.k_eps, s.rotation, t.buffers[0] + s.at * t.dim, head, t.dim);
          place_heads(pool, s.pool->angles, t.v, s.kv_heads, t.v_norm, s.v_eps, still, t.buffers[1] + s.at * t.dim, head, t.dim);
        }
        Attention a{};
        a.q = queries;
        a.k = t.buffers[0] + s.from * t.dim;
        a.v = t.buffers[1] + s.from * t.dim;
        a.heads = s.heads, a.kv_heads = s.kv_heads, a.queries = T, a.rows = s.at + T - s.from, a.dim = t.dim;
        a.q_head = T * t.dim, a.q_row = t.dim, a.k_head = a.v_head = head, a.k_row = a.v_row = t.dim;
        a.scale = s.scale, a.window = s.window, a.y = t.y;
        attend(pool, a);
      } catch (const std::exception &) {
        std::fill_n(t.y, t.q.count * t.q.width, nan_value);
      }
    });
  }
};

// ---- an embedding's rows, and the largest of a row

struct RowsSpec {
  reprise_weights weights;  // without buffers
  bool biased;
  float scale;
  reprise_pool *pool;
};

// Inputs: ids, then the matrix's arrays.
class EmbedRows : public Fused<RowsSpec> {
 public:
  using Fused::Fused;
  const char *name() const override { return "RepriseRows"; }
  void eval_cpu(const std::vector<mx::array> &inputs, std::vector<mx::array> &outputs) override {
    RowsSpec spec = spec_;
    bind_buffers(spec.weights, spec.biased, inputs, 1);
    float *y = allocate(outputs[0]);
    if (outputs[0].size() == 0) return;
    if (!inputs[0].flags().row_contiguous) throw std::invalid_argument("ids must be row-contiguous");
    const int32_t *ids = inputs[0].data<int32_t>();
    const int64_t count = inputs[0].size();
    send(inputs, outputs, [spec, ids, count, y] {
      try {
        take_rows(spec.pool->pool, spec.weights, ids, count, spec.scale, y);
      } catch (const std::exception &) {
        std::fill_n(y, count * spec.weights.cols, nan_value);
      }
    });
  }
};

class Largest : public Fused<reprise_pool *> {
 public:
  using Fused::Fused;
  const char *name() const override { return "RepriseLargest"; }
  void eval_cpu(const std::vector<mx::array> &inputs, std::vector<mx::array> &outputs) override {
    const mx::array &x = inputs[0];
    outputs[0].set_data(mx::allocator::malloc(outputs[0].nbytes()));
    if (outputs[0].size() == 0) return;
    if (x.strides(-1) != 1) throw std::invalid_argument("the columns of x must be next to each other");
    send(inputs, outputs, [pool = spec_, x = x.data<float>(), n = int64_t(x.shape(-1)), rows = row_offsets(x), y = outputs[0].data<uint32_t>()] {
      for (size_t r = 0; r < rows.size(); r++) y[r] = static_cast<uint32_t>(largest(pool->pool, x + rows[r], n));
    });
  }
};

}  // namespace

extern "C" {

int reprise_layer_attention(mlx_array *res, const mlx_array *qkv, const mlx_array *buffers, const reprise_layer *l,
                            reprise_pool *pool, const mlx_stream s) {
  return guarded([&] {
    const mx::Stream stream = stream_of(s);
    const bool writes = qkv[1].ctx || qkv[2].ctx;
    const mx::Dtype dtype = array_of(qkv[0], "q").dtype();
    std::vector<mx::array> inputs{as_float(array_of(qkv[0], "q"), stream), array_of(buffers[0], "buffer"), array_of(buffers[1], "buffer")};
    for (int i = 1; writes && i < 3; i++) inputs.push_back(as_float(array_of(qkv[i], "k or v"), stream));
    const mx::Shape q = inputs[0].shape(), buffer = inputs[1].shape();
    if (q.size() != 3 || q[0] != 1 || buffer.size() != 4 || inputs[2].shape() != buffer || buffer[0] != 1 || buffer[1] != l->kv_heads ||
        l->kv_heads < 1 || l->heads % l->kv_heads || q[2] != l->heads * buffer[3] || l->at < 0 || l->at + q[1] > buffer[2] || l->from < 0 ||
        l->from > l->at || buffer[3] > 1024 || l->dims < 0 || l->dims > buffer[3] || l->dims % 2)
      throw std::invalid_argument("layer attention: q " + text(q) + " and buffers " + text(buffer) + " do not fit at row " + std::to_string(l->at));
    for (int i = 1; writes && i < 3; i++)
      if (inputs[2 + i].shape() != mx::Shape{1, q[1], l->kv_heads * buffer[3]})
        throw std::invalid_argument("layer attention: k or v " + text(inputs[2 + i].shape()) + " and buffers " + text(buffer) + " do not fit q " + text(q));
    if (inputs[1].dtype() != mx::float32 || inputs[2].dtype() != mx::float32) throw std::invalid_argument("layer attention: buffers must be float32");
    LayerSpec spec{l->heads, l->kv_heads, l->at, l->from, l->q_norm.ctx != nullptr, l->k_norm.ctx != nullptr, l->v_norm.ctx != nullptr,
                   l->wavelengths.ctx != nullptr, writes, l->q_eps, l->k_eps, l->v_eps, l->scale, l->window,
                   {l->dims, l->base, l->position_scale, nullptr, l->offset}, pool};
    const auto vector_of = [&](mlx_array a, int size, const char *what) {
      if (!a.ctx) return;
      if (array_of(a, what).size() != static_cast<size_t>(size)) throw std::invalid_argument(std::string("layer attention: ") + what + " does not fit a head");
      inputs.push_back(plain_vector(array_of(a, what), stream));
    };
    const int dim = buffer[3];
    vector_of(l->q_norm, dim, "q norm");
    vector_of(l->k_norm, dim, "k norm");
    vector_of(l->v_norm, dim, "v norm");
    vector_of(l->wavelengths, l->dims / 2, "wavelengths");
    std::vector<mx::Shape> shapes{q};
    if (writes) shapes.insert(shapes.end(), 2, buffer);
    const std::vector<mx::Dtype> dtypes(shapes.size(), mx::float32);
    auto results = mx::array::make_arrays(shapes, dtypes, std::make_shared<LayerAttention>(stream, spec), std::move(inputs));
    set_result(&res[0], mx::astype(results[0], dtype, stream));
    for (size_t i = 1; i < results.size(); i++) set_result(&res[i], std::move(results[i]));
  });
}

int reprise_take_rows(mlx_array *res, const mlx_array ids, const reprise_matrix *w, float scale, reprise_pool *pool, const mlx_stream s) {
  return guarded([&] {
    const mx::Stream stream = stream_of(s);
    const mx::array &given = array_of(ids, "ids"), weights = array_of(w->w, "w");
    // Only for the checks: a row of the width that the matrix has.
    const int cols = w->scales.ctx ? static_cast<int>(int64_t(weights.shape(-1)) * 32 / std::max(1, w->bits)) : weights.shape(-1);
    const mx::array row(mx::Shape{1, cols}, mx::float32, nullptr, {});
    BlockSpec block{};
    std::vector<mx::array> checked{row};
    add_matrix(block, 0, *w, checked);
    std::vector<mx::array> inputs{mx::contiguous(mx::astype(given, mx::int32, stream), false, stream)};
    inputs.insert(inputs.end(), checked.begin() + 1, checked.end());
    mx::Shape shape = given.shape();
    shape.push_back(cols);
    set_result(res, mx::array(shape, mx::float32, std::make_shared<EmbedRows>(stream, RowsSpec{block.weights[0], block.biased[0], scale, pool}), std::move(inputs)));
  });
}

void reprise_huge_pages(const mlx_array a) {
#if defined(__linux__)
  constexpr uintptr_t huge = uintptr_t(2) << 20;
  constexpr int collapse = 25;  // MADV_COLLAPSE, Linux 6.1; older kernels refuse it
  mx::array &array = *static_cast<mx::array *>(a.ctx);
  const uintptr_t start = reinterpret_cast<uintptr_t>(array.data<char>()), end = start + array.nbytes();
  const uintptr_t first = (start + huge - 1) / huge * huge, last = end / huge * huge;
  if (first < last) madvise(reinterpret_cast<void *>(first), last - first, collapse);
#else
  (void)a;
#endif
}

int reprise_largest(mlx_array *res, const mlx_array x, reprise_pool *pool, const mlx_stream s) {
  return guarded([&] {
    const mx::Stream stream = stream_of(s);
    const mx::array &given = array_of(x, "x");
    if (given.ndim() < 1 || given.shape(-1) < 1) throw std::invalid_argument("largest: x " + text(given.shape()) + " has no columns");
    mx::Shape shape = given.shape();
    shape.pop_back();
    set_result(res, mx::array(shape, mx::uint32, std::make_shared<Largest>(stream, pool), {as_float(given, stream)}));
  });
}

int reprise_products(mlx_array *res, const mlx_array x, const reprise_matrix *w, int count, const reprise_block *b,
                     reprise_activation activation, reprise_pool *pool, const mlx_stream s) {
  return guarded([&] {
    auto results = build_block(x, w, count, *b, activation, pool, stream_of(s));
    for (size_t i = 0; i < results.size(); i++) set_result(&res[i], std::move(results[i]));
  });
}

int reprise_place_heads(mlx_array *res, const mlx_array x, int heads, const mlx_array norm, float eps, int dims, float base,
                        float scale, const mlx_array wavelengths, int offset, reprise_pool *pool, const mlx_stream s) {
  return guarded([&] {
    const mx::Stream stream = stream_of(s);
    const mx::array &given = array_of(x, "x");
    if (given.ndim() != 3 || heads < 1 || given.shape(2) % heads) throw std::invalid_argument("heads: x " + text(given.shape()) + " is not [batch, tokens, heads·dim]");
    const int dim = given.shape(2) / heads;
    if (dims < 0 || dims > dim || dims % 2) throw std::invalid_argument("heads: cannot rotate " + std::to_string(dims) + " of " + std::to_string(dim) + " columns");
    std::vector<mx::array> inputs{as_float(given, stream)};
    HeadsSpec spec{heads, norm.ctx != nullptr, wavelengths.ctx != nullptr, eps, {dims, base, scale, nullptr, offset}, pool};
    if (norm.ctx) {
      if (array_of(norm, "norm").size() != static_cast<size_t>(dim)) throw std::invalid_argument("heads: the norm does not fit a head");
      inputs.push_back(plain_vector(array_of(norm, "norm"), stream));
    }
    if (wavelengths.ctx) {
      if (array_of(wavelengths, "wavelengths").size() != static_cast<size_t>(dims / 2)) throw std::invalid_argument("heads: one wavelength for two columns");
      inputs.push_back(plain_vector(array_of(wavelengths, "wavelengths"), stream));
    }
    const mx::Shape shape{given.shape(0), heads, given.shape(1), dim};
    mx::array y(shape, mx::float32, std::make_shared<PlaceHeads>(stream, spec), std::move(inputs));
    set_result(res, mx::astype(y, given.dtype(), stream));
  });
}

int reprise_attention(mlx_array *res, const mlx_array q, const mlx_array k, const mlx_array v, float scale, int window,
                      reprise_pool *pool, const mlx_stream s) {
  return guarded([&] {
    const mx::Stream stream = stream_of(s);
    const mx::array &qa = array_of(q, "q"), &ka = array_of(k, "k"), &va = array_of(v, "v");
    if (qa.ndim() != 4 || ka.ndim() != 4 || va.shape() != ka.shape() || qa.shape(0) != ka.shape(0) || qa.shape(3) != ka.shape(3) ||
        qa.shape(1) % ka.shape(1) || qa.shape(2) > ka.shape(2) || qa.shape(3) > 1024)
      throw std::invalid_argument("attention: q " + text(qa.shape()) + ", k " + text(ka.shape()) + " and v " + text(va.shape()) + " do not fit");
    std::vector<mx::array> inputs{as_float(qa, stream), as_float(ka, stream), as_float(va, stream)};
    const mx::Shape shape{qa.shape(0), qa.shape(2), qa.shape(1) * qa.shape(3)};
    mx::array y(shape, mx::float32, std::make_shared<Attend>(stream, AttentionSpec{scale, window, pool}), std::move(inputs));
    set_result(res, mx::astype(y, qa.dtype(), stream));
  });
}
}
