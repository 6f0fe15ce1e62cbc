// Attention of float32 queries over the rows of one key/value head, the queries last and each seeing
// what stands up to it, or the last `window` of that. Softmax runs along: no matrix of all scores
// exists. Included by level_*.cpp inside that level's namespace and target.
//
// One query (decode): its rows are cut into blocks, each block gives a part (largest score, sum,
// weighted values), and merge_parts adds the parts up. Many queries (prefill): keys and values are
// brought into panels once, and tiles of queries meet them in register-blocked products.

// The most rows that meet in a block of a tile, or in a part.
constexpr int64_t key_block = 128;

// Scores of `count` queries with row r of K, scaled.
template <class V, int Count>
static inline void scores_of(const float *const *q, const float *k, int64_t dim, float scale, float *to, int64_t stride) {
  typename V::F acc[Count][2];
  for (int j = 0; j < Count; j++) acc[j][0] = acc[j][1] = V::zero();
  int64_t d = 0;
  for (; d + 2 * V::width <= dim; d += 2 * V::width) {
    const typename V::F a = V::load(k + d), b = V::load(k + d + V::width);
#pragma GCC unroll 4
    for (int j = 0; j < Count; j++) {
      acc[j][0] = V::fma(a, V::load(q[j] + d), acc[j][0]);
      acc[j][1] = V::fma(b, V::load(q[j] + d + V::width), acc[j][1]);
    }
  }
  for (int j = 0; j < Count; j++) {
    float s = V::sum(V::add(acc[j][0], acc[j][1]));
    for (int64_t e = d; e < dim; e++) s += k[e] * q[j][e];
    to[j * stride] = s * scale;
  }
}

// Adds weights[j][r]·V[r] over the rows of a block to the sums of `Count` queries.
template <class V, int Count>
static inline void weigh_values(const float *weights, const AttentionHead &h, int64_t r0, int64_t n, float *sums) {
  constexpr int vectors = 2;
  int64_t d = 0;
  for (; d + vectors * V::width <= h.dim; d += vectors * V::width) {
    typename V::F acc[Count][vectors];
    for (int j = 0; j < Count; j++)
      for (int v = 0; v < vectors; v++) acc[j][v] = V::zero();
    const float *row = h.v + r0 * h.v_row + d;
    for (int64_t r = 0; r < n; r++, row += h.v_row) {
      const typename V::F a = V::load(row), b = V::load(row + V::width);
#pragma GCC unroll 4
      for (int j = 0; j < Count; j++) {
        const typename V::F p = V::set1(weights[j * key_block + r]);
        acc[j][0] = V::fma(p, a, acc[j][0]);
        acc[j][1] = V::fma(p, b, acc[j][1]);
      }
    }
    for (int j = 0; j < Count; j++)
      for (int v = 0; v < vectors; v++) V::store(sums + j * h.dim + d + v * V::width, acc[j][v]);
  }
  for (; d < h.dim; d++)
    for (int j = 0; j < Count; j++) {
      float s = 0;
      for (int64_t r = 0; r < n; r++) s += weights[j * key_block + r] * h.v[(r0 + r) * h.v_row + d];
      sums[j * h.dim + d] = s;
    }
}

// Turns a row of scores into e^(score − top), zero outside [a, b); returns the sum. n is a multiple of
// the width.
template <class V>
static inline float soften(float *s, int64_t n, int64_t a, int64_t b, float top) {
  const typename V::F t = V::set1(-top);
  for (int64_t i = 0; i < n; i += V::width) V::store(s + i, exp_of<V>(V::add(V::load(s + i), t)));
  for (int64_t i = 0; i < a; i++) s[i] = 0;
  for (int64_t i = b; i < n; i++) s[i] = 0;
  typename V::F total = V::zero();
  for (int64_t i = 0; i < n; i += V::width) total = V::add(total, V::load(s + i));
  return V::sum(total);
}

template <class V>
static inline float top_of(const float *s, int64_t a, int64_t b) {
  float top = s[a];
  int64_t i = a;
  if (b - a >= V::width) {
    typename V::F t = V::load(s + a);
    for (; i + V::width <= b; i += V::width) t = V::max(t, V::load(s + i));
    top = V::top(t);
  }
  for (; i < b; i++) top = s[i] > top ? s[i] : top;
  return top;
}

template <class V>
static float top_of_row(const float *x, int64_t n) { return top_of<V>(x, 0, n); }

// Parts of `Count` queries at the same position over rows [r0, r0 + n), n ≤ key_block. A part is
// {largest score, sum of weights, weighted values [dim]}.
template <class V, int Count>
static void attend_rows_of(const AttentionHead &h, const float *const *q, int64_t r0, int64_t n, float *parts) {
  alignas(64) float s[Count * key_block];
  const int64_t padded = (n + V::width - 1) / V::width * V::width;
  for (int64_t r = 0; r < n; r++) {
    // The values are read by columns, in steps that no prefetcher guesses: they are asked for by rows, now.
    for (int64_t d = 0; d < h.dim; d += 16) __builtin_prefetch(h.v + (r0 + r) * h.v_row + d);
    scores_of<V, Count>(q, h.k + (r0 + r) * h.k_row, h.dim, h.scale, s + r, key_block);
  }
  alignas(64) float sums[Count * max_head_dim];
  float top[Count], total[Count];
  for (int j = 0; j < Count; j++) {
    float *row = s + j * key_block;
    for (int64_t i = n; i < padded; i++) row[i] = 0;
    top[j] = top_of<V>(row, 0, n);
    total[j] = soften<V>(row, padded, 0, n, top[j]);
  }
  weigh_values<V, Count>(s, h, r0, n, sums);
  for (int j = 0; j < Count; j++) {
    float *part = parts + j * (h.dim + 2);
    part[0] = top[j];
    part[1] = total[j];
    std::memcpy(part + 2, sums + j * h.dim, h.dim * sizeof(float));
  }
}

template <class V>
static void attend_rows(const AttentionHead &h, const float *const *q, int count, int64_t r0, int64_t n, float *parts) {
  while (count > 0) {
    const int some = count >= 4 ? 4 : count;
    switch (some) {
      case 4: attend_rows_of<V, 4>(h, q, r0, n, parts); break;
      case 3: attend_rows_of<V, 3>(h, q, r0, n, parts); break;
      case 2: attend_rows_of<V, 2>(h, q, r0, n, parts); break;
      default: attend_rows_of<V, 1>(h, q, r0, n, parts);
    }
    q += some;
    count -= some;
    parts += some * (h.dim + 2);
  }
}

// Adds the parts of one query up: `count` of them, `stride` floats apart.
template <class V>
static void merge_parts(const float *parts, int64_t count, int64_t stride, int64_t dim, float *y) {
  float top = parts[0], total = 0;
  for (int64_t i = 1; i < count; i++) top = parts[i * stride] > top ? parts[i * stride] : top;
  for (int64_t d = 0; d < dim; d++) y[d] = 0;
  for (int64_t i = 0; i < count; i++) {
    const float *part = parts + i * stride;
    const float w = std::exp(part[0] - top);
    total += w * part[1];
    int64_t d = 0;
    for (; d + V::width <= dim; d += V::width) V::store(y + d, V::fma(V::set1(w), V::load(part + 2 + d), V::load(y + d)));
    for (; d < dim; d++) y[d] += w * part[2 + d];
  }
  for (int64_t d = 0; d < dim; d++) y[d] /= total;
}

// Keys [r0, r0 + float_panel) as a panel [dim][float_panel]; rows that are not there are zero.
template <class V, class T>
static void key_panel(const AttentionHead &h, int64_t r0, float *panel) {
  constexpr int width = T::float_panel;
  alignas(64) float values[width][block] = {};
  const int64_t count = h.rows - r0 < width ? h.rows - r0 : width, whole = h.dim / block * block;
  for (int64_t d = 0; d < whole; d += block) {
    for (int64_t r = 0; r < count; r++) std::memcpy(values[r], h.k + (r0 + r) * h.k_row + d, sizeof values[r]);
    V::template interleave<width>(&values[0][0], panel + d * width);
  }
  for (int64_t d = whole; d < h.dim; d++)
    for (int64_t r = 0; r < width; r++) panel[d * width + r] = r < count ? h.k[(r0 + r) * h.k_row + d] : 0;
}

// Columns [d0, d0 + float_panel) of values [r0, r1) as rows of a panel [rows][float_panel].
template <class T>
static void value_panel(const AttentionHead &h, int64_t d0, int64_t r0, int64_t r1, float *panel) {
  constexpr int width = T::float_panel;
  const int64_t count = h.dim - d0 < width ? h.dim - d0 : width;
  for (int64_t r = r0; r < r1; r++) {
    float *to = panel + r * width;
    const float *from = h.v + r * h.v_row + d0;
    if (count == width) {
      std::memcpy(to, from, width * sizeof(float));
    } else {
      for (int64_t i = 0; i < width; i++) to[i] = i < count ? from[i] : 0;
    }
  }
}

// y[rows][panel's width] (+)= x[rows][n] · panel[n][width], for float_tile rows.
template <class T, bool Add>
static inline void tile_product(const float *x, int64_t x_stride, const float *panel, int64_t n, float *y, int64_t y_stride) {
  using V = typename T::V;
  using F = typename V::F;
  constexpr int rows = T::float_tile, vectors = T::float_panel / V::width;
  F acc[rows][vectors];
#pragma GCC unroll 16
  for (int m = 0; m < rows; m++)
#pragma GCC unroll 8
    for (int v = 0; v < vectors; v++) acc[m][v] = Add ? V::load(y + m * y_stride + v * V::width) : V::zero();
  for (int64_t k = 0; k < n; k++, panel += T::float_panel) {
    F w[vectors];
#pragma GCC unroll 8
    for (int v = 0; v < vectors; v++) w[v] = V::load(panel + v * V::width);
#pragma GCC unroll 16
    for (int m = 0; m < rows; m++) {
      const F xm = V::set1(x[m * x_stride + k]);
#pragma GCC unroll 8
      for (int v = 0; v < vectors; v++) acc[m][v] = V::fma(w[v], xm, acc[m][v]);
    }
  }
#pragma GCC unroll 16
  for (int m = 0; m < rows; m++)
#pragma GCC unroll 8
    for (int v = 0; v < vectors; v++) V::store(y + m * y_stride + v * V::width, acc[m][v]);
}

// Rows of queries that a tile takes.
template <class T>
constexpr int64_t tile_rows = (48 + T::float_tile - 1) / T::float_tile * T::float_tile;

template <class T>
static int64_t tile_width(int64_t dim) { return (dim + T::float_panel - 1) / T::float_panel * T::float_panel; }

template <class T>
static size_t tile_floats(int64_t dim) {
  return tile_rows<T> * (key_block + dim + tile_width<T>(dim) + 2);
}

// One tile: queries[i] sees rows [from[i], to[i]). Panels hold all rows of the head: keys by
// float_panel rows, values by float_panel columns with `panel_rows` rows each.
template <class V, class T>
static void attend_tile(const AttentionHead &h, const float *k_panels, const float *v_panels, int64_t panel_rows,
                        const float *const *queries, const int64_t *from, const int64_t *to, int64_t count,
                        float *const *y, float *scratch) {
  constexpr int64_t rows = tile_rows<T>, width = T::float_panel, step = T::float_tile;
  const int64_t wide = tile_width<T>(h.dim), used = (count + step - 1) / step * step;
  float *s = scratch, *q = s + rows * key_block, *o = q + rows * h.dim, *top = o + rows * wide, *total = top + rows;
  int64_t first = from[0], last = to[0];
  for (int64_t i = 0; i < used; i++) {
    const float *source = queries[i < count ? i : count - 1];
    for (int64_t d = 0; d < h.dim; d++) q[i * h.dim + d] = source[d] * h.scale;
    top[i] = -INFINITY;
    total[i] = 0;
    if (i < count) {
      first = from[i] < first ? from[i] : first;
      last = to[i] > last ? to[i] : last;
    }
  }
  std::memset(o, 0, used * wide * sizeof(float));
  for (int64_t block_at = first / key_block * key_block; block_at < last; block_at += key_block) {
    const int64_t b0 = block_at > first / width * width ? block_at : first / width * width;
    const int64_t most = block_at + key_block, end = (last + width - 1) / width * width, b1 = most < end ? most : end, n = b1 - b0;
    for (int64_t k = b0; k < b1; k += width)
      for (int64_t m = 0; m < used; m += step)
        tile_product<T, false>(q + m * h.dim, h.dim, k_panels + k * h.dim, h.dim, s + m * key_block + (k - b0), key_block);
    for (int64_t i = 0; i < used; i++) {
      float *row = s + i * key_block;
      const int64_t c = i < count ? i : count - 1;
      const int64_t a = from[c] > b0 ? from[c] - b0 : 0, b = (to[c] < b1 ? to[c] : b1) - b0;
      if (a >= b) {
        std::memset(row, 0, n * sizeof(float));
        continue;
      }
      const float t = top_of<V>(row, a, b);
      if (t > top[i]) {
        const float shrink = std::exp(top[i] - t);  // 0 at first
        if (total[i] != 0)
          for (int64_t d = 0; d < wide; d += V::width) V::store(o + i * wide + d, V::mul(V::load(o + i * wide + d), V::set1(shrink)));
        total[i] *= shrink;
        top[i] = t;
      }
      total[i] += soften<V>(row, n, a, b, top[i]);
    }
    const int64_t rows_here = h.rows - b0 < n ? h.rows - b0 : n;
    for (int64_t d = 0; d < wide; d += width)
      for (int64_t m = 0; m < used; m += step)
        tile_product<T, true>(s + m * key_block, key_block, v_panels + (d / width * panel_rows + b0) * width, rows_here, o + m * wide + d, wide);
  }
  for (int64_t i = 0; i < count; i++) {
    const typename V::F inverse = V::set1(1.0f / total[i]);
    int64_t d = 0;
    for (; d + V::width <= h.dim; d += V::width) V::store(y[i] + d, V::mul(V::load(o + i * wide + d), inverse));
    for (; d < h.dim; d++) y[i][d] = o[i * wide + d] / total[i];
  }
}
