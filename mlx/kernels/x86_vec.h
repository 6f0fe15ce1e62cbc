// 256-bit vectors: the arithmetic that level_avx2.cpp uses throughout and level_avx512.cpp where
// memory, not arithmetic, sets the pace. Included inside a level's namespace and target.

// For value i of 8 from bit 8·first + i·bits on: which byte of a 16-byte lane holds its start.
template <int Bits>
struct BitStream {
  // Byte and shift of value i (0…31) of a block.
  static constexpr int byte(int i) { return i * Bits / 8; }
  static constexpr int shift(int i) { return i * Bits % 8; }
  static constexpr bool spans(int i) { return shift(i) + Bits > 8; }
  // The block's second half is read from here on, so that 16 bytes (8 for 3 bits) hold it and no
  // read passes the block's end.
  static constexpr int second = Bits == 3 ? 4 : Bits == 5 ? 4 : 8;

  // Shuffle of a lane that brings value i's one or two bytes into `bytes`-wide places.
  struct alignas(32) Mask {
    uint8_t at[32];
  };
  static constexpr void place(Mask &m, int at, int i, int bytes) {
    const int start = byte(i) - (i >= 16 ? second : 0);
    for (int j = 0; j < bytes; j++) m.at[at + j] = 0x80;
    m.at[at] = static_cast<uint8_t>(start);
    if (spans(i)) m.at[at + 1] = static_cast<uint8_t>(start + 1);
  }
  // Values 8v…8v+7 as 32-bit lanes, both halves of the register reading the same 16 bytes.
  static constexpr Mask words(int v) {
    Mask m{};
    for (int i = 0; i < 8; i++) place(m, i * 4, v * 8 + i, 4);
    return m;
  }
  struct alignas(32) Shifts {
    uint32_t at[8];
  };
  static constexpr Shifts word_shifts(int v) {
    Shifts s{};
    for (int i = 0; i < 8; i++) s.at[i] = static_cast<uint32_t>(shift(v * 8 + i));
    return s;
  }
  static constexpr Shifts word_masks(int v) {
    Shifts m = word_shifts(v);
    for (int i = 0; i < 8; i++) m.at[i] = ((1u << Bits) - 1) << m.at[i];
    return m;
  }
  // Values 8h…8h+7 (low half) and 16+8h…16+8h+7 (high half) as 16-bit lanes.
  static constexpr Mask halves(int h) {
    Mask m{};
    for (int i = 0; i < 8; i++) {
      place(m, i * 2, 8 * h + i, 2);
      place(m, 16 + i * 2, 16 + 8 * h + i, 2);
    }
    return m;
  }
  static constexpr int half_value(int place) { return place / 16 * 8 + place % 16 + (place % 16 < 8 ? 0 : 8); }
  // AVX2 has no variable 16-bit shift: a multiplication moves each value to the top of its lane.
  struct alignas(32) Factors {
    uint16_t at[16];
  };
  static constexpr Factors factors(int h) {
    Factors f{};
    for (int i = 0; i < 8; i++) {
      f.at[i] = static_cast<uint16_t>(1u << (16 - Bits - shift(8 * h + i)));
      f.at[8 + i] = static_cast<uint16_t>(1u << (16 - Bits - shift(16 + 8 * h + i)));
    }
    return f;
  }
  static constexpr Factors lane_masks(int h) {
    Factors f{};
    for (int i = 0; i < 16; i++) f.at[i] = static_cast<uint16_t>(((1u << Bits) - 1) << shift(half_value(16 * h + i)));
    return f;
  }
};

struct Vec {
  static constexpr int width = 8;
  static constexpr bool sums_in_32 = false;
  using F = __m256;
  using I = __m256i;
  using Bytes = __m256i;

  static inline F zero() { return _mm256_setzero_ps(); }
  static inline F set1(float x) { return _mm256_set1_ps(x); }
  static inline F load(const float *p) { return _mm256_loadu_ps(p); }
  static inline void store(float *p, F a) { _mm256_storeu_ps(p, a); }
  static inline F add(F a, F b) { return _mm256_add_ps(a, b); }
  static inline F mul(F a, F b) { return _mm256_mul_ps(a, b); }
  static inline F fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }
  static inline F max(F a, F b) { return _mm256_max_ps(a, b); }
  static inline F min(F a, F b) { return _mm256_min_ps(a, b); }
  static inline F div(F a, F b) { return _mm256_div_ps(a, b); }
  static inline F shift_exponent(F a, F n) {
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(a), _mm256_slli_epi32(_mm256_castps_si256(n), 23)));
  }
  static inline float top(F a) {
    __m128 t = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    t = _mm_max_ps(t, _mm_movehl_ps(t, t));
    return _mm_cvtss_f32(_mm_max_ss(t, _mm_movehdup_ps(t)));
  }
  static inline float sum(F a) {
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
  }
  static inline F load_bf16(const uint16_t *p) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(load128(p)), 16));
  }
  static inline F load_f16(const uint16_t *p) { return _mm256_cvtph_ps(load128(p)); }

  static inline float largest(const float *x) {
    const F sign = _mm256_set1_ps(-0.0f);
    F top = _mm256_andnot_ps(sign, load(x));
    for (int i = width; i < block; i += width) top = _mm256_max_ps(top, _mm256_andnot_ps(sign, load(x + i)));
    return Vec::top(top);
  }
  // To nearest. What is not a number gets some integer: its block's step is NaN.
  static inline __m256i rounded16(const float *x, F inverse) {
    const __m256i low = _mm256_cvtps_epi32(mul(load(x), inverse)), high = _mm256_cvtps_epi32(mul(load(x + width), inverse));
    return _mm256_permute4x64_epi64(_mm256_packs_epi32(low, high), 0xd8);
  }
  static inline void round(const float *x, float inverse, int16_t *to) {
    for (int i = 0; i < block; i += 16)
      _mm256_storeu_si256(reinterpret_cast<__m256i *>(to + i), rounded16(x + i, set1(inverse)));
  }
  static inline void round(const float *x, float inverse, int8_t *to) {
    const __m256i low = rounded16(x, set1(inverse)), high = rounded16(x + 16, set1(inverse));
    const __m256i bytes = _mm256_permute4x64_epi64(_mm256_packs_epi16(low, high), 0xd8);
    _mm256_storeu_si256(reinterpret_cast<__m256i *>(to), bytes);
  }
  static inline float f16(uint16_t h) { return _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(h))); }

  // From [rows][block] to [block][rows], in squares of 8.
  template <int Rows>
  static inline void interleave(const float *from, float *to) {
    for (int r = 0; r < Rows; r += 8)
      for (int i = 0; i < block; i += 8) transpose<block, Rows>(from + r * block + i, to + i * Rows + r);
  }
  template <int From, int To>
  static inline void transpose(const float *from, float *to) {
    F a[8], b[8];
#pragma GCC unroll 8
    for (int j = 0; j < 8; j++) {  // row j % 4 and the one four below share a register
      const float *at = from + (j % 4) * From + (j / 4) * 4;
      a[j] = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(at)), _mm_loadu_ps(at + 4 * From), 1);
    }
#pragma GCC unroll 2
    for (int h = 0; h < 8; h += 4) {
      b[h] = _mm256_unpacklo_ps(a[h], a[h + 1]);
      b[h + 1] = _mm256_unpackhi_ps(a[h], a[h + 1]);
      b[h + 2] = _mm256_unpacklo_ps(a[h + 2], a[h + 3]);
      b[h + 3] = _mm256_unpackhi_ps(a[h + 2], a[h + 3]);
      store(to + h * To, _mm256_shuffle_ps(b[h], b[h + 2], 0x44));
      store(to + (h + 1) * To, _mm256_shuffle_ps(b[h], b[h + 2], 0xee));
      store(to + (h + 2) * To, _mm256_shuffle_ps(b[h + 1], b[h + 3], 0x44));
      store(to + (h + 3) * To, _mm256_shuffle_ps(b[h + 1], b[h + 3], 0xee));
    }
  }

  static inline __m128i load128(const void *p) { return _mm_loadu_si128(static_cast<const __m128i *>(p)); }
  static inline __m128i load64(const void *p) { return _mm_loadl_epi64(static_cast<const __m128i *>(p)); }
  template <int Bits>
  static inline __m256i halves_of(const uint8_t *p) {  // the two 16-byte lanes that BitStream reads
    const __m128i low = Bits == 3 ? load64(p) : load128(p);
    const uint8_t *q = p + BitStream<Bits>::second;
    return _mm256_inserti128_si256(_mm256_castsi128_si256(low), Bits == 3 ? load64(q) : load128(q), 1);
  }
  static inline __m256i mask(const void *m) { return _mm256_load_si256(static_cast<const __m256i *>(m)); }

  // Four vectors of 8 values, as numbers, in float_order.
  template <int Fmt>
  static inline void unpack(const uint8_t *p, F *q) {
    if constexpr (is_fp4(Fmt)) {
      const __m128i table = load128(fp4_doubled), packed = load128(p), nibble = _mm_set1_epi8(15);
      const __m128i even = _mm_shuffle_epi8(table, _mm_and_si128(packed, nibble));
      const __m128i odd = _mm_shuffle_epi8(table, _mm_and_si128(_mm_srli_epi16(packed, 4), nibble));
      q[0] = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(even));
      q[1] = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(odd));
      q[2] = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128(even, 8)));
      q[3] = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128(odd, 8)));
    } else if constexpr (is_dense(Fmt)) {
#pragma GCC unroll 4
      for (int v = 0; v < 4; v++) {
        const uint16_t *half = reinterpret_cast<const uint16_t *>(p) + v * width;
        q[v] = Fmt == F32    ? load(reinterpret_cast<const float *>(p) + v * width)
               : Fmt == BF16 ? load_bf16(half)
                             : load_f16(half);
      }
    } else if constexpr (8 % Fmt == 0) {
      constexpr int per_byte = 8 / Fmt;
      const __m256i low_bits = _mm256_set1_epi32((1 << Fmt) - 1);
#pragma GCC unroll 4
      for (int s = 0; s < 4 / per_byte; s++) {
        const __m256i wide = _mm256_cvtepu8_epi32(load64(p + 8 * s));
        q[s * per_byte] = _mm256_cvtepi32_ps(per_byte == 1 ? wide : _mm256_and_si256(wide, low_bits));
#pragma GCC unroll 4
        for (int j = 1; j < per_byte; j++) {
          const __m256i shifted = _mm256_srli_epi32(wide, Fmt * j);
          q[s * per_byte + j] = _mm256_cvtepi32_ps(j == per_byte - 1 ? shifted : _mm256_and_si256(shifted, low_bits));
        }
      }
    } else {
      using B = BitStream<Fmt>;
      static constexpr typename B::Shifts shifts[4] = {B::word_shifts(0), B::word_shifts(1), B::word_shifts(2), B::word_shifts(3)};
      const __m256i low_bits = _mm256_set1_epi32((1 << Fmt) - 1);
#pragma GCC unroll 4
      for (int v = 0; v < 4; v++)
        q[v] = _mm256_cvtepi32_ps(_mm256_and_si256(_mm256_srlv_epi32(words_of<Fmt>(p, v), mask(&shifts[v])), low_bits));
    }
  }
  // Values 8v…8v+7 of a block in 32-bit lanes, with their neighbours' bits around them.
  template <int Fmt>
  static inline __m256i words_of(const uint8_t *p, int v) {
    using B = BitStream<Fmt>;
    static constexpr typename B::Mask words[4] = {B::words(0), B::words(1), B::words(2), B::words(3)};
    const uint8_t *at = p + (v < 2 ? 0 : B::second);
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(Fmt == 3 ? load64(at) : load128(at)), mask(&words[v]));
  }

  // The block as unsigned bytes in byte_order.
  template <int Fmt>
  static inline Bytes bytes(const uint8_t *p) {
    if constexpr (Fmt == A8) {
      return _mm256_loadu_si256(reinterpret_cast<const __m256i *>(p));
    } else if constexpr (bits_of(Fmt) == 4) {
      const __m256i shifts = _mm256_setr_epi64x(0, 0, 4, 4);
      const __m256i both = _mm256_srlv_epi64(_mm256_broadcastsi128_si256(load128(p)), shifts);
      const __m256i nibbles = _mm256_and_si256(both, _mm256_set1_epi8(15));
      if constexpr (Fmt == A4) return nibbles;
      const __m256i table = _mm256_add_epi8(_mm256_broadcastsi128_si256(load128(fp4_doubled)), _mm256_set1_epi8(fp4_offset));
      return _mm256_shuffle_epi8(table, nibbles);
    } else if constexpr (Fmt == A2) {
      const __m256i shifts = _mm256_setr_epi64x(0, 2, 4, 6);
      const __m256i all = _mm256_srlv_epi64(_mm256_broadcastq_epi64(load64(p)), shifts);
      return _mm256_and_si256(all, _mm256_set1_epi8(3));
    } else {
      using B = BitStream<Fmt>;
      static constexpr typename B::Mask places[2] = {B::halves(0), B::halves(1)};
      static constexpr typename B::Factors factors[2] = {B::factors(0), B::factors(1)};
      const __m256i stream = halves_of<Fmt>(p);
      __m256i q[2];
#pragma GCC unroll 2
      for (int h = 0; h < 2; h++) {
        const __m256i top = _mm256_mullo_epi16(_mm256_shuffle_epi8(stream, mask(&places[h])), mask(&factors[h]));
        q[h] = _mm256_srli_epi16(top, 16 - Fmt);
      }
      return _mm256_packus_epi16(q[0], q[1]);
    }
  }
  // Widths that straddle bytes, for a product that streams W: values stay where they lie in their
  // lanes, up to 7 bits too high, and pack.h shifts x by what is missing or too much. Saves what
  // would move them down: there is one unit for multiplications, and shifts by lanes take four
  // cycles on some processors.
  template <int Fmt>
  static constexpr bool shifted = Fmt == A3 || Fmt == A5 || Fmt == A6;
  template <int Fmt>  // the float form: in float_order, value i too high by float_shift(i)
  static constexpr int float_shift(int i) { return BitStream<Fmt>::shift(i); }
  template <int Fmt>
  static inline void unpack_high(const uint8_t *p, F *q) {
    using B = BitStream<Fmt>;
    static constexpr typename B::Shifts masks[4] = {B::word_masks(0), B::word_masks(1), B::word_masks(2), B::word_masks(3)};
#pragma GCC unroll 4
    for (int v = 0; v < 4; v++) q[v] = _mm256_cvtepi32_ps(_mm256_and_si256(words_of<Fmt>(p, v), mask(&masks[v])));
  }
  template <int Fmt>  // the integer form: column at place i, and how much too high it lies
  static constexpr int lane_column(int i) { return BitStream<Fmt>::half_value(i); }
  template <int Fmt>
  static constexpr int lane_shift(int i) { return BitStream<Fmt>::shift(lane_column<Fmt>(i)); }
  struct Lanes {
    __m256i at[2];
  };
  template <int Fmt>
  static inline Lanes lanes(const uint8_t *p) {
    using B = BitStream<Fmt>;
    static constexpr typename B::Mask places[2] = {B::halves(0), B::halves(1)};
    static constexpr typename B::Factors masks[2] = {B::lane_masks(0), B::lane_masks(1)};
    const __m256i stream = halves_of<Fmt>(p);
    return {{_mm256_and_si256(_mm256_shuffle_epi8(stream, mask(&places[0])), mask(&masks[0])),
             _mm256_and_si256(_mm256_shuffle_epi8(stream, mask(&places[1])), mask(&masks[1]))}};
  }
  static inline F dot_lanes(Lanes q, const uint8_t *x) {
    const __m256i *v = reinterpret_cast<const __m256i *>(x);
    return to_float16(_mm256_add_epi32(_mm256_madd_epi16(q.at[0], _mm256_loadu_si256(v)), _mm256_madd_epi16(q.at[1], _mm256_loadu_si256(v + 1))));
  }
  static inline void store_bytes(uint8_t *p, Bytes b) { _mm256_storeu_si256(reinterpret_cast<__m256i *>(p), b); }

  static inline F dot8(Bytes q, const uint8_t *x) {
    return to_float8(_mm256_maddubs_epi16(q, _mm256_loadu_si256(reinterpret_cast<const __m256i *>(x))));
  }
  static inline F dot16(Bytes q, const uint8_t *x) {
    const __m256i low = _mm256_cvtepu8_epi16(_mm256_castsi256_si128(q)), high = _mm256_cvtepu8_epi16(_mm256_extracti128_si256(q, 1));
    const __m256i *v = reinterpret_cast<const __m256i *>(x);
    return to_float16(_mm256_add_epi32(_mm256_madd_epi16(low, _mm256_loadu_si256(v)), _mm256_madd_epi16(high, _mm256_loadu_si256(v + 1))));
  }

  static inline I izero() { return _mm256_setzero_si256(); }
  static inline I iload(const uint8_t *p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i *>(p)); }
  static inline I ibroadcast(const uint8_t *p) {
    int32_t v;
    std::memcpy(&v, p, 4);
    return _mm256_set1_epi32(v);
  }
  // 16-bit sums of pairs: gemm.h counts how many they stand.
  static inline I mac8(I acc, I w, I x) { return _mm256_add_epi16(acc, _mm256_maddubs_epi16(w, x)); }
  static inline F to_float8(I a) { return _mm256_cvtepi32_ps(_mm256_madd_epi16(a, _mm256_set1_epi16(1))); }
  static inline I mac16(I acc, I w, I x) { return _mm256_add_epi32(acc, _mm256_madd_epi16(w, x)); }
  static inline F to_float16(I a) { return _mm256_cvtepi32_ps(a); }
};
