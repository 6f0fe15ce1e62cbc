// Preparing x: its columns in the order in which weights are unpacked, its blocks' sums, and, for
// the integer path, its rounding. Included by level_*.cpp inside that level's namespace and target.

// The step of a block and its inverse; a block of zeros (or one that is not finite) has step zero,
// or a step that carries the NaN on.
struct Step {
  float step, inverse;
};

template <class V>
static inline Step step_of(const float *x, float limit) {
  const float top = V::largest(x);
  typename V::F all = V::zero();  // NaN if any value is NaN or infinite
  for (int i = 0; i < block; i += V::width) all = V::fma(V::load(x + i), V::zero(), all);
  const float finite = V::sum(all), step = top / limit;
  // Below the smallest normal number 1/step may overflow: such a block is zero to any float32 sum.
  if (!(finite == 0) || step < 0x1p-126f) return {finite, 0};
  return {step, limit / top};
}

// Rounds one block to integers of type Int, in byte_order, written n = 4 / sizeof(Int) at a time
// with `stride` bytes between; returns their sum.
template <class V, int Fmt, typename Int>
static inline int32_t round_block(const float *x, float inverse, uint8_t *to, int64_t stride) {
  constexpr int n = 4 / sizeof(Int);
  alignas(64) Int rounded[block];
  V::round(x, inverse, rounded);
  int32_t sum = 0;
  for (int i = 0; i < block; i++) sum += rounded[i];
  for (int i = 0; i < block; i += n, to += stride) {
    Int group[n];
    for (int j = 0; j < n; j++) group[j] = rounded[byte_order(Fmt, i + j)];
    std::memcpy(to, group, 4);
  }
  return sum;
}

// −16 times the sums of the even and of the odd pairs of a rounded block.
static inline void centered_start(const uint8_t *rounded, int64_t stride, int32_t *start) {
  int pair[2] = {0, 0};
  for (int i = 0; i < block; i += 4, rounded += stride) {
    int8_t x[4];
    std::memcpy(x, rounded, 4);
    pair[0] += x[0] + x[1];
    pair[1] += x[2] + x[3];
  }
  const int16_t both[2] = {static_cast<int16_t>(-center5 * pair[0]), static_cast<int16_t>(-center5 * pair[1])};
  std::memcpy(start, both, 4);
}

// The form that V::dot_lanes meets: a rounded block, in its order, as 16 bits, each value multiplied
// so that every product is 128 times too large. Returns the sum as rounded.
template <class V, int Fmt>
static inline int32_t shift_block(const float *x, float inverse, uint8_t *to) {
  int8_t rounded[block];
  const int32_t sum = round_block<V, Fmt, int8_t>(x, inverse, reinterpret_cast<uint8_t *>(rounded), 4);
  for (int i = 0; i < block; i++) {
    const int16_t shifted = static_cast<int16_t>(rounded[V::template lane_column<Fmt>(i)] * (1 << (7 - V::template lane_shift<Fmt>(i))));
    std::memcpy(to + 2 * i, &shifted, 2);
  }
  return sum;
}

// The form that meets V::unpack_high: each value divided by what its weight is too large by, which is exact.
template <class V, int Fmt>
static inline void lower_block(const float *x, float *to) {
  if constexpr (V::template shifted<Fmt>)
    for (int i = 0; i < block; i++) to[i] = x[float_order(Fmt, i)] * (1.0f / (1 << V::template float_shift<Fmt>(i)));
}

template <class V, int Fmt>
static void pack(Activations &a, int64_t t, const float *const *rows, int count, int64_t cols, bool integer) {
  constexpr int x_bytes = is_wide(Fmt) ? 2 : 1;
  const int tile = a.tile;
  float *scale = a.scale + t * a.blocks * tile, *sum = a.sum + t * a.blocks * tile;
  alignas(64) float x[block];
  for (int m = 0; m < tile; m++) {
    for (int64_t b = 0; b < a.padded / block; b++) {
      const int64_t have = m < count ? (cols - b * block < block ? cols - b * block : block) : 0;
      const float *from = x;
      if (have == block) {
        from = rows[m] + b * block;
      } else {
        for (int64_t i = 0; i < block; i++) x[i] = i < have ? rows[m][b * block + i] : 0;
      }
      if (!integer) {
        float *to = a.values + t * a.tile_floats() + b * block * tile + m;
        float total = 0;
        for (int i = 0; i < block; i++) total += from[i];
        if (tile == 1 && V::template shifted<Fmt>)
          lower_block<V, Fmt>(from, to);
        else
          for (int i = 0; i < block; i++) to[i * tile] = from[float_order(Fmt, i)];
        if (b < a.blocks) sum[b * tile + m] = total;
        continue;
      }
      if constexpr (V::template shifted<Fmt>) {
        if (tile == 1) {  // streamed
          const Step s = step_of<V>(from, 127.0f);
          const int32_t total = shift_block<V, Fmt>(from, s.inverse, a.integers + (t * a.padded + b * block) * 2);
          scale[b] = s.step * 0x1p-7f;
          sum[b] = s.step * static_cast<float>(total);
          continue;
        }
      }
      uint8_t *to = a.integers + (t * a.tile_floats() + b * block * tile) * x_bytes + m * 4;
      const Step s = step_of<V>(from, is_wide(Fmt) ? 32767.0f : 127.0f);
      const int32_t total = is_wide(Fmt) ? round_block<V, Fmt, int16_t>(from, s.inverse, to, 4 * tile)
                                         : round_block<V, Fmt, int8_t>(from, s.inverse, to, 4 * tile);
      if constexpr (Fmt == A5) centered_start(to, 4 * tile, &a.start[(t * a.blocks + b) * tile + m]);
      scale[b * tile + m] = s.step;
      sum[b * tile + m] = s.step * static_cast<float>(total);
    }
  }
}
