// Shares a gated delta net out over the pool: tokens for what stands before and behind the recurrence, rows of the heads'
// matrices for the recurrence itself. The arithmetic is the level's (delta.h).
#include "delta_net.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels.h"
#include "share.h"

namespace reprise {
namespace {

enum { keys_slot = 23, values_slot, rates_slot, reads_slot, matrix_slot };
constexpr int64_t segment = 128;    // tokens that are prepared at once
constexpr int64_t block_rows = 32;  // rows of a matrix that one thread takes through a segment, within a first-level cache

float *scratch(Pool &pool, int slot, int64_t floats) {
  return static_cast<float *>(pool.shared_scratch(slot).get(floats * sizeof(float)));
}

float sigmoid(float x) { return x < 0 ? std::exp(x) / (1 + std::exp(x)) : 1 / (1 + std::exp(-x)); }
float softplus(float x) { return std::max(x, 0.0f) + std::log1p(std::exp(-std::abs(x))); }

// The tokens of a segment between convolution and norm. Keys and queries are padded with zeros to whole vectors.
struct Prepared {
  float *keys;  // [tokens][2·key_heads][padded]: queries, then keys
  float *values, *keep, *correct, *reads;
};

void prepare(const LayerKernels &k, const DeltaNet &d, int64_t padded, const Prepared &p, int64_t t, int64_t i) {
  const float *x = d.x + t * d.x_row;
  const int64_t key_channels = 2 * d.key_heads * d.key_dim, values = d.value_heads * d.value_dim;
  float *keys = p.keys + i * 2 * d.key_heads * padded;
  const float queries_scale = 1 / std::sqrt(static_cast<float>(d.key_dim));
  for (int64_t h = 0; h < 2 * d.key_heads; h++) {
    float *head = keys + h * padded;
    k.conv_row(x + h * d.key_dim, d.x_row, d.taps + h * d.key_dim, d.channels(), d.conv_width, d.key_dim, head);
    k.unit_row(head, d.key_dim, h < d.key_heads ? queries_scale : 1.0f, 1e-6f);
    std::fill(head + d.key_dim, head + padded, 0.0f);
  }
  k.conv_row(x + key_channels, d.x_row, d.taps + key_channels, d.channels(), d.conv_width, values, p.values + i * values);
  for (int64_t h = 0; h < d.value_heads; h++) {
    p.keep[i * d.value_heads + h] = std::exp(d.rate[h] * softplus(d.a[t * d.a_row + h] + d.bias[h]));
    p.correct[i * d.value_heads + h] = sigmoid(d.b[t * d.b_row + h]);
  }
}

void finish(const LayerKernels &k, const DeltaNet &d, const Prepared &p, int64_t t, int64_t i) {
  const int64_t values = d.value_heads * d.value_dim;
  float *y = d.y + t * values;
  for (int64_t h = 0; h < d.value_heads; h++)
    k.norm_row(p.reads + i * values + h * d.value_dim, d.norm, d.eps, nullptr, d.value_dim, y + h * d.value_dim);
  k.gate_row(false, d.z + t * d.z_row, y, values, y);
}

}  // namespace

void delta_net(Pool &pool, const DeltaNet &d) {
  std::lock_guard<std::mutex> alone(pool.product_mutex());
  const LayerKernels &k = kernels().layer;
  const int64_t padded = (d.key_dim + k.vector - 1) / k.vector * k.vector, values = d.value_heads * d.value_dim;
  const int64_t rows = d.value_heads * d.value_dim, size = rows * d.key_dim, longest = std::min(segment, d.T);
  Prepared p;
  p.keys = scratch(pool, keys_slot, longest * 2 * d.key_heads * padded);
  p.values = scratch(pool, values_slot, longest * values);
  p.keep = scratch(pool, rates_slot, longest * 2 * d.value_heads);
  p.correct = p.keep + longest * d.value_heads;
  p.reads = scratch(pool, reads_slot, longest * values);
  // Rows of whole vectors go straight from the old state to the new one; others are padded between.
  const float *from = d.start;
  float *to = d.last;
  if (padded != d.key_dim) {
    to = scratch(pool, matrix_slot, rows * padded);
    std::fill_n(to, rows * padded, 0.0f);
    for (int64_t r = 0; r < rows; r++) std::memcpy(to + r * padded, d.start + r * d.key_dim, d.key_dim * sizeof(float));
    from = to;
  }
  const auto store = [&](float *out) {
    if (out == to) return;
    if (padded == d.key_dim) return void(std::memcpy(out, to, size * sizeof(float)));
    for (int64_t r = 0; r < rows; r++) std::memcpy(out + r * d.key_dim, to + r * padded, d.key_dim * sizeof(float));
  };
  const int64_t blocks = (d.value_dim + block_rows - 1) / block_rows;
  for (int64_t t0 = 0, next = 0; t0 < d.T;) {
    int64_t t1 = std::min(d.T, t0 + segment);
    if (next < d.capture_count) t1 = std::min(t1, d.captures[next]);
    each_row(pool, t1 - t0, d.channels(), [&](int64_t i) { prepare(k, d, padded, p, t0 + i, i); });
    const auto part = [&](int64_t c) {
      const int64_t head = c / blocks, r0 = c % blocks * block_rows, key = head / (d.value_heads / d.key_heads);
      DeltaTokens a{};
      a.count = t1 - t0;
      a.width = padded;
      a.q = p.keys + key * padded;
      a.k = p.keys + (d.key_heads + key) * padded;
      a.key_row = 2 * d.key_heads * padded;
      a.v = p.values + head * d.value_dim;
      a.y = p.reads + head * d.value_dim;
      a.v_row = a.y_row = values;
      a.keep = p.keep + head;
      a.correct = p.correct + head;
      a.rate_row = d.value_heads;
      k.delta_rows(a, from + head * d.value_dim * padded, to + head * d.value_dim * padded, r0, std::min(d.value_dim, r0 + block_rows));
    };
    each_row(pool, d.value_heads * blocks, (t1 - t0) * std::min(d.value_dim, block_rows) * padded, part);
    from = to;
    each_row(pool, t1 - t0, values, [&](int64_t i) { finish(k, d, p, t0 + i, i); });
    t0 = t1;
    if (next < d.capture_count && d.captures[next] == t0) store(d.captured[next++]);
  }
  store(d.last);
}

}  // namespace reprise
