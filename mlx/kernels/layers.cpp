// Shares the parts of a layer out over the pool. The arithmetic is the level's (elementwise.h, attention.h).
#include "layers.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "kernels.h"
#include "share.h"

namespace reprise {
namespace {

constexpr int64_t part_rows = 64;        // rows of one part of a decode step's attention: fixed, because cuts change bits

// Slots of the pool's shared scratch behind those of REPRISE_MEMBERS products.
enum { key_panels = 16, value_panels, parts_slot, angles_slot };

// Calls body(at, n) for stretches of count values that lie next to each other.
template <typename Body>
void each_stretch(Pool &pool, int64_t count, Body &&body) {
  constexpr int64_t width = 2048;
  each_row(pool, (count + width - 1) / width, width, [&](int64_t r) { body(r * width, std::min(width, count - r * width)); });
}

AttentionHead head_of(const Attention &a, int64_t kv) {
  return {a.k + kv * a.k_head, a.v + kv * a.v_head, a.k_row, a.v_row, a.rows, a.dim, a.scale};
}

// First row that a query at `position` sees.
int64_t first_row(const Attention &a, int64_t position) {
  return a.window > 0 ? std::max<int64_t>(0, position + 1 - a.window) : 0;
}

// One query: every key/value head's rows in parts.
void attend_one(Pool &pool, const LayerKernels &k, const Attention &a) {
  const int64_t group = a.heads / a.kv_heads, from = first_row(a, a.rows - 1), stride = a.dim + 2;
  const int64_t parts = (a.rows - from + part_rows - 1) / part_rows;
  float *all = static_cast<float *>(pool.shared_scratch(parts_slot).get(a.kv_heads * parts * group * stride * sizeof(float)));
  pool.run(static_cast<uint32_t>(a.kv_heads * parts), [&](uint32_t c, int) {
    const int64_t kv = c / parts, part = c % parts, r0 = from + part * part_rows;
    const float *q[64];
    for (int64_t j0 = 0; j0 < group; j0 += 64) {
      const int n = static_cast<int>(std::min<int64_t>(64, group - j0));
      for (int j = 0; j < n; j++) q[j] = a.q + (kv * group + j0 + j) * a.q_head;
      k.attend_rows(head_of(a, kv), q, n, r0, std::min(part_rows, a.rows - r0), all + (c * group + j0) * stride);
    }
  });
  for (int64_t h = 0; h < a.heads; h++)
    k.merge_parts(all + (h / group * parts * group + h % group) * stride, parts, group * stride, a.dim, a.y + h * a.dim);
}

// Many queries: one key/value head after the other, its panels first and then the tiles of queries. The queries of
// a position that share the head stand next to each other in a tile.
void attend_many(Pool &pool, const LayerKernels &k, const Attention &a) {
  const int64_t group = a.heads / a.kv_heads, panels = (a.rows + k.panel - 1) / k.panel, padded = panels * k.panel;
  const int64_t wide = (a.dim + k.panel - 1) / k.panel, all = a.queries * group, tiles = (all + k.tile_rows - 1) / k.tile_rows;
  float *keys = static_cast<float *>(pool.shared_scratch(key_panels).get(padded * a.dim * sizeof(float)));
  float *values = static_cast<float *>(pool.shared_scratch(value_panels).get(padded * wide * k.panel * sizeof(float)));
  const int64_t first = first_row(a, a.rows - a.queries) / k.panel;
  for (int t = 0; t < pool.threads(); t++) pool.thread_scratch(t).get(k.tile_floats(a.dim) * sizeof(float));
  for (int64_t kv = 0; kv < a.kv_heads; kv++) {
    const AttentionHead h = head_of(a, kv);
    pool.run(static_cast<uint32_t>(panels - first), [&](uint32_t c, int) {
      const int64_t r0 = (first + c) * k.panel, r1 = std::min(a.rows, r0 + k.panel);
      k.key_panel(h, r0, keys + r0 * a.dim);
      for (int64_t d = 0; d < wide; d++) k.value_panel(h, d * k.panel, r0, r1, values + d * padded * k.panel);
    });
    pool.run(static_cast<uint32_t>(tiles), [&](uint32_t c, int thread) {
      const float *q[64];
      int64_t from[64], to[64];
      float *y[64];
      const int64_t i0 = c * k.tile_rows, count = std::min(k.tile_rows, all - i0);
      for (int64_t i = 0; i < count; i++) {
        const int64_t t = (i0 + i) / group, head = kv * group + (i0 + i) % group, position = a.rows - a.queries + t;
        q[i] = a.q + head * a.q_head + t * a.q_row;
        from[i] = first_row(a, position);
        to[i] = position + 1;
        y[i] = a.y + (t * a.heads + head) * a.dim;
      }
      float *scratch = static_cast<float *>(pool.thread_scratch(thread).get(k.tile_floats(a.dim) * sizeof(float)));
      k.attend_tile(h, keys, values, padded, q, from, to, count, y, scratch);
    });
  }
}

}  // namespace

bool Angles::Entry::serves(const Rotation &r, int64_t t) const {
  const Rotation &o = rotation;
  if (o.dims != r.dims || o.base != r.base || o.scale != r.scale || o.offset != r.offset || T != t) return false;
  if (!r.wavelengths) return wavelengths.empty();
  return !wavelengths.empty() && std::memcmp(wavelengths.data(), r.wavelengths, wavelengths.size() * sizeof(float)) == 0;
}

// In float32, as MLX computes them.
void Angles::find(const Rotation &r, int64_t T, const float **cosine, const float **sine) {
  for (const Entry &e : entries_)
    if (e.serves(r, T)) {
      *cosine = e.cosine.data();
      *sine = e.sine.data();
      return;
    }
  const int64_t half = r.dims / 2;
  Entry &e = entries_[next_++ % 4];
  e.rotation = r;
  e.T = T;
  if (r.wavelengths)
    e.wavelengths.assign(r.wavelengths, r.wavelengths + half);
  else
    e.wavelengths.clear();
  e.cosine.resize(T * half);
  e.sine.resize(T * half);
  const float step = std::log(r.base) / static_cast<float>(half);
  for (int64_t i = 0; i < half; i++) {
    const float frequency = r.wavelengths ? 1.0f / r.wavelengths[i] : std::exp(-static_cast<float>(i) * step);
    for (int64_t t = 0; t < T; t++) {
      const float angle = static_cast<float>(r.offset + t) * r.scale * frequency;
      e.cosine[t * half + i] = std::cos(angle);
      e.sine[t * half + i] = std::sin(angle);
    }
  }
  *cosine = e.cosine.data();
  *sine = e.sine.data();
}

void attend(Pool &pool, const Attention &a) {
  std::lock_guard<std::mutex> alone(pool.product_mutex());
  if (a.queries == 1)
    attend_one(pool, kernels().layer, a);
  else
    attend_many(pool, kernels().layer, a);
}

void normalize(Pool &pool, const Rows &x, const float *w, float eps, const float *add, float *y) {
  std::lock_guard<std::mutex> alone(pool.product_mutex());
  const LayerKernels &k = kernels().layer;
  each_row(pool, x.count, x.width, [&](int64_t r) {
    k.norm_row(x.data + r * x.stride, w, eps, add ? add + r * x.width : nullptr, x.width, y + r * x.width);
  });
}

void gate(Pool &pool, bool gelu, const float *g, const float *u, int64_t count, float *y) {
  std::lock_guard<std::mutex> alone(pool.product_mutex());
  const LayerKernels &k = kernels().layer;
  each_stretch(pool, count, [&](int64_t at, int64_t n) { k.gate_row(gelu, g + at, u + at, n, y + at); });
}

void add(Pool &pool, const float *a, const float *b, int64_t count, float *y) {
  std::lock_guard<std::mutex> alone(pool.product_mutex());
  const LayerKernels &k = kernels().layer;
  each_stretch(pool, count, [&](int64_t at, int64_t n) { k.add_row(a + at, b + at, n, y + at); });
}

void place_heads(Pool &pool, Angles &angles, const Rows &x, int64_t heads, const float *w, float eps, const Rotation &r,
                 float *y, int64_t y_head, int64_t y_row) {
  std::lock_guard<std::mutex> alone(pool.product_mutex());
  const LayerKernels &k = kernels().layer;
  const int64_t dim = x.width / heads, T = x.count, half = r.dims / 2;
  const float *cosine = nullptr, *sine = nullptr;
  if (half > 0) angles.find(r, T, &cosine, &sine);
  each_row(pool, T, x.width, [&](int64_t t) {
    for (int64_t h = 0; h < heads; h++) {
      const float *from = x.data + t * x.stride + h * dim;
      float *to = y + h * y_head + t * y_row;
      if (eps < 0)
        std::memcpy(to, from, dim * sizeof(float));
      else
        k.norm_row(from, w, eps, nullptr, dim, to);
      if (half > 0) k.rotate_row(to, cosine + t * half, sine + t * half, half);
    }
  });
}

int64_t largest(Pool &pool, const float *x, int64_t n) {
  std::lock_guard<std::mutex> alone(pool.product_mutex());
  constexpr int64_t step = 16384;
  const int64_t chunks = (n + step - 1) / step;
  std::vector<float> tops(chunks);
  const LayerKernels &k = kernels().layer;
  const auto top = [&](uint32_t c, int) { tops[c] = k.top_of(x + c * step, std::min(step, n - c * step)); };
  pool.run(static_cast<uint32_t>(chunks), top);
  const auto best = std::max_element(tops.begin(), tops.end()) - tops.begin();
  const float *from = x + best * step, *end = x + std::min(n, (best + 1) * step), *at = std::find(from, end, tops[best]);
  return at == end ? 0 : at - x;  // NaN equals nothing
}

}  // namespace reprise
