/* What stands between a layer's products, on plain buffers of float32: attention, norms, gates, rotary positions,
 * over the threads of a pool.
 *
 * Owns: how rows and heads are shared out, and the angles of rotary positions. Must not know MLX's arrays
 * (fused.cpp does) or what a model is.
 *
 * Invariants
 *  - A row of a result depends on its own inputs and, in attention, on how many queries the call has; never on
 *    threads. Rows are cut at fixed places.
 *  - Attention keeps no matrix of all scores: scratch is two copies of one head's rows and a tile.
 */
#pragma once

#include <cstdint>
#include <vector>

#include "pool.h"
#include "products.h"

namespace reprise {

// Queries at the last `queries` of `rows` positions. Head h of q uses key/value head h·kv_heads/heads. Strides count
// floats; the columns of a row are next to each other.
struct Attention {
  const float *q, *k, *v;
  int64_t heads, kv_heads, queries, rows, dim;
  int64_t q_head, q_row, k_head, k_row, v_head, v_row;
  float scale;
  int64_t window;  // a query sees so many rows up to its own; 0: all of them
  float *y;        // [queries][heads·dim]
};
void attend(Pool &pool, const Attention &a);

// Rows of `width` that lie `stride` apart.
struct Rows {
  const float *data;
  int64_t count, width, stride;
};

// y[r] = x[r]/√(mean x² + eps)·w (+ add[r]); w and add may be null; y and add are dense.
void normalize(Pool &pool, const Rows &x, const float *w, float eps, const float *add, float *y);
// y = act(gate)·up, dense.
void gate(Pool &pool, bool gelu, const float *g, const float *u, int64_t count, float *y);
void add(Pool &pool, const float *a, const float *b, int64_t count, float *y);

// Rotary positions: of `dims` columns, i turns with i + dims/2, by (offset + t)·scale·frequency(i).
struct Rotation {
  int64_t dims;       // 0: none
  float base, scale;  // frequency(i) = base^(−2i/dims), or
  const float *wavelengths;  // 1/wavelengths[i], when given
  int64_t offset;
};

// The angles of the last few rotations asked for: all layers of a step ask for the same ones.
class Angles {
 public:
  // Cosines and sines [T][dims/2], valid until four other rotations were asked for.
  void find(const Rotation &r, int64_t T, const float **cosine, const float **sine);

 private:
  struct Entry {
    Rotation rotation{};
    int64_t T = 0;
    std::vector<float> wavelengths, cosine, sine;
    bool serves(const Rotation &r, int64_t T) const;
  };
  Entry entries_[4];
  int next_ = 0;
};

// x [T][heads·dim] → y, head h of row t at h·y_head + t·y_row: normed (eps < 0: not), times w (may be null), and rotated.
void place_heads(Pool &pool, Angles &angles, const Rows &x, int64_t heads, const float *w, float eps, const Rotation &r,
                 float *y, int64_t y_head, int64_t y_row);

// The first index of the largest of n values.
int64_t largest(Pool &pool, const float *x, int64_t n);

// y[i] = row ids[i] of w, times scale: an embedding. An id that names no row gives NaN.
void take_rows(Pool &pool, const reprise_weights &w, const int32_t *ids, int64_t count, float scale, float *y);

}  // namespace reprise

struct reprise_pool {
  reprise::Pool pool;
  reprise::Angles angles;
};
