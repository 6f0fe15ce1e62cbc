// Products with few rows of x: each row of W is unpacked in registers and used at once, so the time
// is that of streaming W. Included by level_*.cpp inside that level's namespace and target.

// Bytes of W ahead: the hardware's own prefetching stops at each page and is split between three streams.
constexpr int prefetch_ahead = 6144;

// How many rows of W ahead their scales (and biases) are asked for.
constexpr int64_t scale_rows_ahead = 24;

// Sums of x per group, times a factor, as they meet a row of biases a vector at a time. Where the groups do not fill the
// last vector, it overlaps the one before, and `last` has zeros for what was counted there.
template <class V>
struct GroupSums {
  alignas(64) float at[max_groups + V::width], last[V::width];
  void set(const Matrix &w, const float *block_sums, int64_t blocks, float factor) {
    for (int64_t g = 0; g < w.groups; g++) at[g] = 0;
    for (int64_t b = 0; b < blocks; b++) at[b >> w.group_shift] += block_sums[b] * factor;
    const int64_t tail = w.groups % V::width;
    for (int64_t i = 0; i < V::width; i++) last[i] = tail > 0 && w.groups >= V::width && i >= V::width - tail ? at[w.groups - V::width + i] : 0;
  }
};

// One vector of a row of scales or biases.
template <class V>
static inline typename V::F load_scales(const uint8_t *row, reprise_float_type type, int64_t i) {
  if (type == REPRISE_F32) return V::load(reinterpret_cast<const float *>(row) + i);
  const uint16_t *half = reinterpret_cast<const uint16_t *>(row) + i;
  return type == REPRISE_BF16 ? V::load_bf16(half) : V::load_f16(half);
}

// One scale (or bias) of an affine row.
template <class V>
static inline float scale_at(const uint8_t *row, reprise_float_type type, int64_t g) {
  if (type == REPRISE_F32) return reinterpret_cast<const float *>(row)[g];
  const uint16_t half = reinterpret_cast<const uint16_t *>(row)[g];
  return type == REPRISE_BF16 ? bf16_to_float(half) : V::f16(half);
}

// Goes through a row of n scales or biases: adds their products with `Rows` sums to acc (Sum), and leaves them as floats
// in `to` (Keep).
template <class V, int Rows, bool Sum, bool Keep>
static inline void row_of_scales(const uint8_t *row, reprise_float_type type, int64_t n, float *to, const GroupSums<V> *sums,
                                 typename V::F *acc, float *rest) {
  int64_t i = 0;
  for (; i + V::width <= n; i += V::width) {
    const typename V::F s = load_scales<V>(row, type, i);
    if constexpr (Keep) V::store(to + i, s);
    if constexpr (Sum)
      for (int m = 0; m < Rows; m++) acc[m] = V::fma(s, V::load(sums[m].at + i), acc[m]);
  }
  if (i == n) return;
  if (n >= V::width) {
    const typename V::F s = load_scales<V>(row, type, n - V::width);
    if constexpr (Keep) V::store(to + n - V::width, s);
    if constexpr (Sum)
      for (int m = 0; m < Rows; m++) acc[m] = V::fma(s, V::load(sums[m].last), acc[m]);
    return;
  }
  for (; i < n; i++) {
    const float s = scale_at<V>(row, type, i);
    if constexpr (Keep) to[i] = s;
    if constexpr (Sum)
      for (int m = 0; m < Rows; m++) rest[m] += s * sums[m].at[i];
  }
}

// Row n's scales as floats, and what its biases add: to acc, and to rest where a row has fewer groups than a vector.
template <class V, int Fmt, int Rows>
static inline const float *scales_and_biases(const Matrix &w, int64_t n, float *to, const GroupSums<V> *sums, typename V::F *acc, float *rest) {
  const uint8_t *row = w.scales + n * w.scale_stride;
  if constexpr (is_affine(Fmt)) {
    __builtin_prefetch(row + scale_rows_ahead * w.scale_stride);
    if (!w.biases) {
      row_of_scales<V, Rows, true, true>(row, w.scale_type, w.groups, to, sums, acc, rest);
      return to;
    }
    const uint8_t *biases = w.biases + n * w.scale_stride;
    __builtin_prefetch(biases + scale_rows_ahead * w.scale_stride);
    row_of_scales<V, Rows, true, false>(biases, w.scale_type, w.groups, nullptr, sums, acc, rest);
    if (w.scale_type == REPRISE_F32) return reinterpret_cast<const float *>(row);
    row_of_scales<V, Rows, false, true>(row, w.scale_type, w.groups, to, nullptr, nullptr, nullptr);
  } else {
    // Halved, since unpacked e2m1 values are doubled.
    for (int64_t g = 0; g < w.groups; g++) to[g] = 0.5f * (Fmt == MX4 ? e8m0_to_float(row[g]) : e4m3_to_float(row[g]));
  }
  return to;
}

// What the biases are multiplied by: the group's sum of x, and, where weights are centred, the centre.
template <class V, int Fmt, int Rows>
static void set_sums(const Matrix &w, const Activations &a, GroupSums<V> *sums) {
  const float factor = is_affine(Fmt) && !w.biases ? -static_cast<float>(1 << (bits_of(Fmt) - 1)) : 1.0f;
  for (int m = 0; m < Rows; m++) sums[m].set(w, a.sum + m * a.blocks, a.blocks, factor);
}

template <class V>
static float dot(const float *a, const float *b, int64_t n) {
  typename V::F acc = V::zero();
  int64_t i = 0;
  for (; i + V::width <= n; i += V::width) acc = V::fma(V::load(a + i), V::load(b + i), acc);
  float s = V::sum(acc);
  for (; i < n; i++) s += a[i] * b[i];
  return s;
}

// The block's dot product with x as a vector of partial sums.
template <class V, int First = 0, int Last = block / V::width>
static inline typename V::F dot_block(const typename V::F *q, const float *x) {
  typename V::F t = V::mul(q[First], V::load(x + First * V::width));
#pragma GCC unroll 8
  for (int i = First + 1; i < Last; i++) t = V::fma(q[i], V::load(x + i * V::width), t);
  return t;
}

// Adds block b of one row of W, times each row of x, to its sums.
template <class V, int Fmt, int Rows>
static inline void add_float_block(const Matrix &w, const Activations &a, const uint8_t *packed, const float *scale,
                                   int64_t b, typename V::F *acc) {
  constexpr int bytes = block * bits_of(Fmt) / 8, vectors = block / V::width;
  __builtin_prefetch(packed + b * bytes + prefetch_ahead);
  typename V::F q[vectors];
  if constexpr (V::template shifted<Fmt>)
    V::template unpack_high<Fmt>(packed + b * bytes, q);
  else
    V::template unpack<Fmt>(packed + b * bytes, q);
#pragma GCC unroll 4
  for (int m = 0; m < Rows; m++) {
    const float *x = a.values + m * a.padded + b * block;
    if constexpr (Fmt == NV4) {  // two groups a block; float_order keeps its halves apart
      acc[m] = V::fma(dot_block<V, 0, vectors / 2>(q, x), V::set1(scale[2 * b]), acc[m]);
      acc[m] = V::fma(dot_block<V, vectors / 2, vectors>(q, x), V::set1(scale[2 * b + 1]), acc[m]);
    } else {
      acc[m] = V::fma(dot_block<V>(q, x), V::set1(scale[b >> w.group_shift]), acc[m]);
    }
  }
}

// Even and odd blocks have sums of their own: one chain of additions would wait for itself.
template <class V, int Fmt, int Rows>
static void matvec_float(const Matrix &w, const Activations &a, const Outputs &y, int64_t n0, int64_t n1) {
  alignas(64) float scale_buffer[max_groups];
  GroupSums<V> sums[Rows];
  if constexpr (is_affine(Fmt)) set_sums<V, Fmt, Rows>(w, a, sums);
  for (int64_t n = n0; n < n1; n++) {
    const uint8_t *packed = w.packed + n * w.packed_stride;
    typename V::F even[Rows], odd[Rows];
    float rest[Rows] = {};
    for (int m = 0; m < Rows; m++) even[m] = odd[m] = V::zero();
    const float *scale = scales_and_biases<V, Fmt, Rows>(w, n, scale_buffer, sums, odd, rest);
    int64_t b = 0;
    for (; b + 2 <= a.blocks; b += 2) {
      add_float_block<V, Fmt, Rows>(w, a, packed, scale, b, even);
      add_float_block<V, Fmt, Rows>(w, a, packed, scale, b + 1, odd);
    }
    if (b < a.blocks) add_float_block<V, Fmt, Rows>(w, a, packed, scale, b, even);
    for (int m = 0; m < Rows; m++) y.row[m][n] = V::sum(V::add(even[m], odd[m])) + rest[m];
  }
}

template <class V, int Fmt, int Rows>
static void matvec_dense(const Matrix &w, const Activations &a, const Outputs &y, int64_t n0, int64_t n1) {
  using F = typename V::F;
  constexpr int bytes = block * bits_of(Fmt) / 8, vectors = block / V::width;
  const int64_t whole = w.cols / block;
  for (int64_t n = n0; n < n1; n++) {
    const uint8_t *row = w.packed + n * w.packed_stride;
    F acc[Rows][2];  // two chains a row: one would wait for its own additions
    for (int m = 0; m < Rows; m++) acc[m][0] = acc[m][1] = V::zero();
    for (int64_t b = 0; b < whole; b++) {
      F q[vectors];
      V::template unpack<Fmt>(row + b * bytes, q);
#pragma GCC unroll 4
      for (int m = 0; m < Rows; m++) {
        const float *x = a.values + m * a.padded + b * block;
#pragma GCC unroll 8
        for (int i = 0; i < vectors; i++) acc[m][i & 1] = V::fma(q[i], V::load(x + i * V::width), acc[m][i & 1]);
      }
    }
    for (int m = 0; m < Rows; m++) {
      float r = V::sum(V::add(acc[m][0], acc[m][1]));
      for (int64_t k = whole * block; k < w.cols; k++) r += dense_at<Fmt>(row, k) * a.values[m * a.padded + k];
      y.row[m][n] = r;
    }
  }
}

// Bytes of a rounded x, and a block of W in the form that meets it.
template <class V, int Fmt>
constexpr int streamed_bytes = is_wide(Fmt) || V::template shifted<Fmt> ? 2 : 1;

template <class V, int Fmt>
static inline auto streamed_block(const uint8_t *p) {
  if constexpr (V::template shifted<Fmt>)
    return V::template lanes<Fmt>(p);
  else
    return V::template bytes<Fmt>(p);
}

// Adds block b of one row of W, times each row of x, to its sums.
template <class V, int Fmt, int Rows>
static inline void add_integer_block(const Matrix &w, const Activations &a, const uint8_t *packed, const float *scale,
                                     int64_t b, typename V::F *acc) {
  using F = typename V::F;
  constexpr int bytes = block * bits_of(Fmt) / 8;
  __builtin_prefetch(packed + b * bytes + prefetch_ahead);
  const auto q = streamed_block<V, Fmt>(packed + b * bytes);
  const F s = V::set1(scale[b >> w.group_shift]);
#pragma GCC unroll 4
  for (int m = 0; m < Rows; m++) {
    const uint8_t *x = a.integers + (m * a.padded + b * block) * streamed_bytes<V, Fmt>;
    F d;
    if constexpr (V::template shifted<Fmt>)
      d = V::dot_lanes(q, x);
    else
      d = is_wide(Fmt) ? V::dot16(q, x) : V::dot8(q, x);
    acc[m] = V::fma(d, V::mul(s, V::set1(a.scale[m * a.blocks + b])), acc[m]);
  }
}

template <class V, int Fmt, int Rows>
static void matvec_integer(const Matrix &w, const Activations &a, const Outputs &y, int64_t n0, int64_t n1) {
  alignas(64) float scale_buffer[max_groups];
  GroupSums<V> sums[Rows];
  set_sums<V, Fmt, Rows>(w, a, sums);
  for (int64_t n = n0; n < n1; n++) {
    const uint8_t *packed = w.packed + n * w.packed_stride;
    typename V::F even[Rows], odd[Rows];
    float rest[Rows] = {};
    for (int m = 0; m < Rows; m++) even[m] = odd[m] = V::zero();
    const float *scale = scales_and_biases<V, Fmt, Rows>(w, n, scale_buffer, sums, odd, rest);
    int64_t b = 0;
    for (; b + 2 <= a.blocks; b += 2) {
      add_integer_block<V, Fmt, Rows>(w, a, packed, scale, b, even);
      add_integer_block<V, Fmt, Rows>(w, a, packed, scale, b + 1, odd);
    }
    if (b < a.blocks) add_integer_block<V, Fmt, Rows>(w, a, packed, scale, b, even);
    for (int m = 0; m < Rows; m++) {
      float r = V::sum(V::add(even[m], odd[m])) + rest[m];
      if constexpr (!is_affine(Fmt)) r -= fp4_offset * dot<V>(scale, sums[m].at, w.groups);
      y.row[m][n] = r;
    }
  }
}

template <class V, class M, int Fmt, int Rows>
static void matvec_rows(const Matrix &w, const Activations &a, const Outputs &y, int64_t n0, int64_t n1, bool integer) {
  if constexpr (is_dense(Fmt)) {
    matvec_dense<M, Fmt, Rows>(w, a, y, n0, n1);
  } else if constexpr (has_integer_path(Fmt)) {
    integer ? matvec_integer<V, Fmt, Rows>(w, a, y, n0, n1) : matvec_float<M, Fmt, Rows>(w, a, y, n0, n1);
  } else {
    matvec_float<M, Fmt, Rows>(w, a, y, n0, n1);
  }
}

template <class V, class M, int Fmt>
static void matvec(const Matrix &w, Activations a, int64_t t, const Outputs &y, int64_t n0, int64_t n1, bool integer) {
  a.values += t * a.padded;
  if (integer) a.integers += t * a.padded * streamed_bytes<V, Fmt>;
  a.scale += t * a.blocks;
  a.sum += t * a.blocks;
  static_assert(REPRISE_MATVEC_ROWS == 4, "one case for each row count");
  switch (y.count) {
    case 1: return matvec_rows<V, M, Fmt, 1>(w, a, y, n0, n1, integer);
    case 2: return matvec_rows<V, M, Fmt, 2>(w, a, y, n0, n1, integer);
    case 3: return matvec_rows<V, M, Fmt, 3>(w, a, y, n0, n1, integer);
    case 4: return matvec_rows<V, M, Fmt, 4>(w, a, y, n0, n1, integer);
  }
}
