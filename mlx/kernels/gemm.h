// Products with many rows of x: a panel of W's rows is unpacked once to memory that the second-level
// cache holds, interleaved so that one vector has the same columns of neighbouring rows, and
// register-blocked loops multiply it with tiles of x. Included by level_*.cpp inside that level's
// namespace and target. T is the level's tiling: its vector type and the block's height and width.

// Values of one row and block, dequantized: each rounded once after scale·q + bias.
template <class V, int Fmt>
static inline void dequantize_block(const uint8_t *packed, float scale, float scale_hi, float bias, float *to) {
  constexpr int vectors = block / V::width;
  typename V::F q[vectors];
  V::template unpack<Fmt>(packed, q);
#pragma GCC unroll 8
  for (int i = 0; i < vectors; i++) {
    if constexpr (is_affine(Fmt))
      V::store(to + i * V::width, V::fma(q[i], V::set1(scale), V::set1(bias)));
    else if constexpr (is_fp4(Fmt))
      V::store(to + i * V::width, V::mul(q[i], V::set1(i < vectors / 2 ? scale : scale_hi)));
    else
      V::store(to + i * V::width, q[i]);
  }
}

// The bias of a row's group, by its scale where the weights are centred.
template <class V, int Fmt>
static inline float bias_at(const Matrix &w, int64_t n, int64_t g, float scale) {
  if (!w.biases) return -static_cast<float>(1 << (bits_of(Fmt) - 1)) * scale;
  return scale_at<V>(w.biases + n * w.scale_stride, w.scale_type, g);
}

// Block b of row n as floats.
template <class V, int Fmt>
static inline void row_block(const Matrix &w, int64_t n, int64_t b, float *to) {
  constexpr int bytes = block * bits_of(Fmt) / 8;
  const uint8_t *packed = w.packed + n * w.packed_stride, *scales = w.scales + n * w.scale_stride;
  if constexpr (is_dense(Fmt)) {
    if ((b + 1) * block > w.cols) {
      for (int i = 0; i < block; i++) to[i] = b * block + i < w.cols ? dense_at<Fmt>(packed, b * block + i) : 0;
      return;
    }
    dequantize_block<V, Fmt>(packed + b * bytes, 1, 1, 0, to);
  } else if constexpr (Fmt == NV4) {
    dequantize_block<V, Fmt>(packed + b * bytes, 0.5f * e4m3_to_float(scales[2 * b]), 0.5f * e4m3_to_float(scales[2 * b + 1]), 0, to);
  } else if constexpr (Fmt == MX4) {
    const float s = 0.5f * e8m0_to_float(scales[b]);
    dequantize_block<V, Fmt>(packed + b * bytes, s, s, 0, to);
  } else {
    const int64_t g = b >> w.group_shift;
    const float s = scale_at<V>(scales, w.scale_type, g), bias = bias_at<V, Fmt>(w, n, g, s);
    dequantize_block<V, Fmt>(packed + b * bytes, s, s, bias, to);
  }
}

// float panel: [column][panel], missing rows and padded columns zero. Block by block, so that the
// scattered stores stay in the first-level cache.
template <class V, class T, int Fmt>
static void unpack_float(const Matrix &w, int64_t n0, int count, int64_t k0, int64_t k1, float *panel) {
  constexpr int width = T::float_panel;
  alignas(64) float values[width][block] = {};
  for (int64_t b = k0 / block; b < k1 / block; b++) {
    for (int r = 0; r < count; r++) row_block<V, Fmt>(w, n0 + r, b, values[r]);
    V::template interleave<width>(&values[0][0], panel + (b * block - k0) * width);
  }
}

// Rows of y lie far apart and were last seen a panel ago: their lines are asked for while the sums
// are made.
static inline void prefetch_outputs(const Outputs &y, int64_t n0) {
  for (int m = 0; m < y.count; m++) __builtin_prefetch(y.row[m] + n0, 1);
}

template <class T>
static void multiply_float(const Activations &a, int64_t t, const float *panel, int64_t k0, int64_t k1,
                           const Outputs &y, int64_t n0, int count) {
  using V = typename T::V;
  using F = typename V::F;
  constexpr int rows = T::float_tile, vectors = T::float_panel / V::width;
  prefetch_outputs(y, n0);
  F acc[rows][vectors];
  for (int m = 0; m < rows; m++)
    for (int v = 0; v < vectors; v++) acc[m][v] = V::zero();
  const float *x = a.values + t * a.tile_floats() + k0 * rows;
  for (int64_t k = k0; k < k1; k++, x += rows, panel += T::float_panel) {
    F w[vectors];
#pragma GCC unroll 8
    for (int v = 0; v < vectors; v++) w[v] = V::load(panel + v * V::width);
#pragma GCC unroll 16
    for (int m = 0; m < rows; m++) {
      const F xm = V::set1(x[m]);
#pragma GCC unroll 8
      for (int v = 0; v < vectors; v++) acc[m][v] = V::fma(w[v], xm, acc[m][v]);
    }
  }
  store_tile<V, rows, vectors>(acc, y, n0, count, k0 > 0);
}

// Writes (or adds) a tile's sums to y; a panel short of rows goes through a buffer.
template <class V, int Rows, int Vectors>
static inline void store_tile(typename V::F (*acc)[Vectors], const Outputs &y, int64_t n0, int count, bool add) {
#pragma GCC unroll 16
  for (int m = 0; m < Rows; m++) {
    if (m >= y.count) break;
    float *to = y.row[m] + n0;
    if (count == Vectors * V::width) {
      for (int v = 0; v < Vectors; v++) {
        float *at = to + v * V::width;
        V::store(at, add ? V::add(V::load(at), acc[m][v]) : acc[m][v]);
      }
    } else {
      alignas(64) float buffer[Vectors * V::width];
      for (int v = 0; v < Vectors; v++) V::store(buffer + v * V::width, acc[m][v]);
      for (int i = 0; i < count; i++) to[i] = add ? to[i] + buffer[i] : buffer[i];
    }
  }
}

// 5-bit weights in 16-bit sums: a block's Σ(q − 16)·x fits, though Σq·x does not. Sums wrap, so
// starting them at −16·Σx (Activations::start) gives it exactly; the bias takes 16 scales more.
template <class T, int Fmt>
constexpr bool is_centered = Fmt == A5 && !T::V::sums_in_32;

// integer panel: [columns / n][panel][n] with n = 4 bytes or 2 halfwords, then the scales and the
// biases per block and row.
template <class T, int Fmt>
struct IntegerPanel {
  static constexpr int width = T::integer_panel;
  static constexpr int block_bytes = block * width * (is_wide(Fmt) ? 2 : 1);
  uint8_t *weights;
  float *scale, *bias;  // [blocks][width]
  IntegerPanel(void *at, int64_t blocks)
      : weights(static_cast<uint8_t *>(at)),
        scale(reinterpret_cast<float *>(weights + blocks * block_bytes)),
        bias(scale + blocks * width) {}
  static size_t size(int64_t blocks) { return size_t(blocks) * (block_bytes + 2 * width * sizeof(float)); }
};

template <class V, class T, int Fmt>
static void unpack_integer(const Matrix &w, int64_t n0, int count, void *at) {
  using P = IntegerPanel<T, Fmt>;
  constexpr int bytes = block * bits_of(Fmt) / 8, width = P::width;
  const int64_t blocks = w.blocks();
  const P panel(at, blocks);
  alignas(64) uint8_t q[block];
  for (int64_t b = 0; b < blocks; b++) {
    const int64_t g = b >> w.group_shift;
    for (int r = 0; r < width; r++) {
      // Missing rows repeat the last one with a scale of zero.
      const int64_t n = n0 + (r < count ? r : count - 1);
      const uint8_t *scales = w.scales + n * w.scale_stride;
      float scale = 0, bias = 0;
      if (r < count) {
        if constexpr (is_affine(Fmt)) {
          scale = scale_at<V>(scales, w.scale_type, g);
          bias = bias_at<V, Fmt>(w, n, g, scale);
          if (is_centered<T, Fmt>) bias += center5 * scale;
        } else {
          scale = 0.5f * e8m0_to_float(scales[g]);
          bias = -fp4_offset * scale;
        }
      }
      panel.scale[b * width + r] = scale;
      panel.bias[b * width + r] = bias;
      V::store_bytes(q, V::template bytes<Fmt>(w.packed + n * w.packed_stride + b * bytes));
      uint8_t *to = panel.weights + b * P::block_bytes + r * 4;
      if constexpr (is_wide(Fmt)) {
        for (int i = 0; i < block; i += 2, to += width * 4) {
          const uint32_t pair = q[i] | uint32_t(q[i + 1]) << 16;  // all levels are little-endian
          std::memcpy(to, &pair, 4);
        }
      } else {
        for (int i = 0; i < block; i += 4, to += width * 4) std::memcpy(to, q + i, 4);
      }
    }
  }
}

// Exact integer sums of a block: sum[m][v] over the block's columns for each row of the panel.
template <class T, int Fmt>
static inline void integer_block(const uint8_t *w, const uint8_t *x, const int32_t *start, typename T::V::F (*sum)[T::integer_panel / T::V::width]) {
  using V = typename T::V;
  constexpr int rows = T::integer_tile, vectors = T::integer_panel / V::width;
  constexpr int steps = is_wide(Fmt) ? block / 2 : block / 4;
  // Steps that 16-bit sums of pairs of products stand: all 8 up to 4 bits (16·15·127), 2 with 6 (4·63·127).
  constexpr bool fits = V::sums_in_32 || is_wide(Fmt) || bits_of(Fmt) <= 4 || is_centered<T, Fmt>;
  constexpr int stand = fits ? steps : 2;
  for (int s0 = 0; s0 < steps; s0 += stand) {
    typename V::I acc[rows][vectors];
#pragma GCC unroll 16
    for (int m = 0; m < rows; m++)
#pragma GCC unroll 8
      for (int v = 0; v < vectors; v++)
        acc[m][v] = is_centered<T, Fmt> ? V::ibroadcast(reinterpret_cast<const uint8_t *>(start + m)) : V::izero();
    // Not unrolled: gcc would regroup the additions and spill every product.
#pragma GCC unroll 1
    for (int s = 0; s < stand; s++, x += rows * 4) {
      typename V::I q[vectors];
#pragma GCC unroll 8
      for (int v = 0; v < vectors; v++, w += V::width * 4) q[v] = V::iload(w);
#pragma GCC unroll 16
      for (int m = 0; m < rows; m++) {
        const typename V::I xm = V::ibroadcast(x + m * 4);
#pragma GCC unroll 8
        for (int v = 0; v < vectors; v++) acc[m][v] = is_wide(Fmt) ? V::mac16(acc[m][v], q[v], xm) : V::mac8(acc[m][v], q[v], xm);
      }
    }
#pragma GCC unroll 16
    for (int m = 0; m < rows; m++)
#pragma GCC unroll 8
      for (int v = 0; v < vectors; v++) {
        const typename V::F f = is_wide(Fmt) ? V::to_float16(acc[m][v]) : V::to_float8(acc[m][v]);
        sum[m][v] = s0 == 0 ? f : V::add(sum[m][v], f);
      }
  }
}

template <class T, int Fmt>
static void multiply_integer(const Activations &a, int64_t t, const void *at, const Outputs &y, int64_t n0, int count) {
  using V = typename T::V;
  using F = typename V::F;
  using P = IntegerPanel<T, Fmt>;
  constexpr int rows = T::integer_tile, vectors = T::integer_panel / V::width;
  const P panel(const_cast<void *>(at), a.blocks);
  const uint8_t *x = a.integers + t * a.tile_floats() * (is_wide(Fmt) ? 2 : 1);
  const int32_t *start = a.start + t * a.blocks * rows;
  const float *x_scale = a.scale + t * a.blocks * rows, *x_sum = a.sum + t * a.blocks * rows;
  prefetch_outputs(y, n0);
  F acc[rows][vectors];
  for (int m = 0; m < rows; m++)
    for (int v = 0; v < vectors; v++) acc[m][v] = V::zero();
  for (int64_t b = 0; b < a.blocks; b++) {
    F sum[rows][vectors] = {};
    integer_block<T, Fmt>(panel.weights + b * P::block_bytes, x + b * block * rows * (is_wide(Fmt) ? 2 : 1), start + b * rows, sum);
#pragma GCC unroll 8
    for (int v = 0; v < vectors; v++) {
      const F ws = V::load(panel.scale + b * P::width + v * V::width);
      const F wb = V::load(panel.bias + b * P::width + v * V::width);
#pragma GCC unroll 16
      for (int m = 0; m < rows; m++) {
        const F part = V::fma(sum[m][v], V::mul(ws, V::set1(x_scale[b * rows + m])), acc[m][v]);
        acc[m][v] = V::fma(wb, V::set1(x_sum[b * rows + m]), part);
      }
    }
  }
  store_tile<V, rows, vectors>(acc, y, n0, count, false);
}
