// 512-bit vectors: what all loops share, and Broad for matrix-vector products: half the instructions of x86_vec.h, whose blocks they share. Included by
// level_avx512.cpp behind that one, inside the level's namespace and target.

// 16 floats, as matrix-vector loops and tiles use them.
struct Floats16 {
  static constexpr int width = 16;
  using F = __m512;

  static inline F zero() { return _mm512_setzero_ps(); }
  static inline F set1(float x) { return _mm512_set1_ps(x); }
  static inline F load(const float *p) { return _mm512_loadu_ps(p); }
  static inline void store(float *p, F a) { _mm512_storeu_ps(p, a); }
  static inline F add(F a, F b) { return _mm512_add_ps(a, b); }
  static inline F mul(F a, F b) { return _mm512_mul_ps(a, b); }
  static inline F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
};

struct Broad : Floats16 {
  static inline float sum(F a) {
    const __m512d d = _mm512_castps_pd(a);
    return Vec::sum(_mm256_add_ps(_mm512_castps512_ps256(a), _mm256_castpd_ps(_mm512_extractf64x4_pd(d, 1))));
  }
  static inline F load_bf16(const uint16_t *p) { return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(load256(p)), 16)); }
  static inline F load_f16(const uint16_t *p) { return _mm512_cvtph_ps(load256(p)); }
  static inline float f16(uint16_t h) { return Vec::f16(h); }

  static inline __m256i load256(const void *p) { return _mm256_loadu_si256(static_cast<const __m256i *>(p)); }
  static inline __m512i lanes(const void *p) { return _mm512_load_si512(p); }
  static inline F number(__m512i a) { return _mm512_cvtepi32_ps(a); }
  // 16 bytes, four times.
  static inline __m512i four(__m128i a) { return _mm512_broadcast_i32x4(a); }

  struct alignas(64) Mask {
    uint8_t at[64];
  };
  struct alignas(64) Words {
    uint32_t at[16];
  };
  // Byte `first` + i/per of a lane into the 32-bit place i, for the values that share `per` a byte: in float_order, so
  // eight bytes give eight first values, then eight second ones, …
  template <int Fmt>
  static constexpr Mask byte_places(int v) {
    constexpr int per_byte = 8 / Fmt;
    Mask m{};
    for (int i = 0; i < 16; i++) {
      for (int j = 1; j < 4; j++) m.at[4 * i + j] = 0x80;
      m.at[4 * i] = static_cast<uint8_t>((16 * v + i) / (8 * per_byte) * 8 + i % 8);
    }
    return m;
  }
  template <int Fmt>
  static constexpr Words byte_masks(int v, bool shifts) {
    constexpr int per_byte = 8 / Fmt;
    Words w{};
    for (int i = 0; i < 16; i++) {
      const int shift = (16 * v + i) % (8 * per_byte) / 8 * Fmt;
      w.at[i] = shifts ? shift : (1u << Fmt) - 1;
    }
    return w;
  }

  // Two vectors of 16 values, as numbers, in float_order.
  template <int Fmt>
  static inline void unpack(const uint8_t *p, F *q) {
    if constexpr (is_fp4(Fmt)) {
      static constexpr Words shifts = byte_masks<4>(0, true);
      const __m512 table = number(_mm512_cvtepi8_epi32(Vec::load128(fp4_doubled)));
      spread<4>(p, [&](int v, __m512i wide) { q[v] = _mm512_permutexvar_ps(_mm512_srlv_epi32(wide, lanes(&shifts)), table); });
    } else if constexpr (Fmt == F32) {
      q[0] = load(reinterpret_cast<const float *>(p)), q[1] = load(reinterpret_cast<const float *>(p) + width);
    } else if constexpr (is_dense(Fmt)) {
      const uint16_t *half = reinterpret_cast<const uint16_t *>(p);
      for (int v = 0; v < 2; v++) q[v] = Fmt == BF16 ? load_bf16(half + v * width) : load_f16(half + v * width);
    } else if constexpr (Fmt == A8) {
      for (int v = 0; v < 2; v++) q[v] = number(_mm512_cvtepu8_epi32(Vec::load128(p + v * width)));
    } else if constexpr (8 % Fmt == 0) {
      static constexpr Words shifts[2] = {byte_masks<Fmt>(0, true), byte_masks<Fmt>(1, true)};
      const __m512i low_bits = _mm512_set1_epi32((1 << Fmt) - 1);
      spread<Fmt>(p, [&](int v, __m512i wide) { q[v] = number(_mm512_and_si512(_mm512_srlv_epi32(wide, lanes(&shifts[v])), low_bits)); });
    } else {
      static constexpr Words shifts[2] = {word_places<Fmt>(0, true), word_places<Fmt>(1, true)};
      const __m512i low_bits = _mm512_set1_epi32((1 << Fmt) - 1);
      for (int v = 0; v < 2; v++) q[v] = number(_mm512_and_si512(_mm512_srlv_epi32(words_of<Fmt>(p, v), lanes(&shifts[v])), low_bits));
    }
  }
  template <int Fmt, typename Use>
  static inline void spread(const uint8_t *p, Use use) {
    static constexpr Mask places[2] = {byte_places<Fmt>(0), byte_places<Fmt>(1)};
    const __m512i bytes = four(Fmt == 2 ? Vec::load64(p) : Vec::load128(p));
    for (int v = 0; v < 2; v++) use(v, _mm512_shuffle_epi8(bytes, lanes(&places[v])));
  }

  // Widths that straddle bytes; see Vec.
  template <int Fmt>
  static constexpr bool shifted = Vec::template shifted<Fmt>;
  template <int Fmt>
  static inline void unpack_high(const uint8_t *p, F *q) {
    static constexpr Words masks[2] = {word_places<Fmt>(0, false), word_places<Fmt>(1, false)};
    for (int v = 0; v < 2; v++) q[v] = number(_mm512_and_si512(words_of<Fmt>(p, v), lanes(&masks[v])));
  }
  // Values 16v…16v+15 of a block in 32-bit lanes, with their neighbours' bits around them.
  template <int Fmt>
  static inline __m512i words_of(const uint8_t *p, int v) {
    static constexpr Mask words[2] = {word_bytes<Fmt>(0), word_bytes<Fmt>(1)};
    const uint8_t *at = p + v * BitStream<Fmt>::second;
    return _mm512_shuffle_epi8(four(Fmt == 3 ? Vec::load64(at) : Vec::load128(at)), lanes(&words[v]));
  }
  template <int Fmt>
  static constexpr Mask word_bytes(int v) {
    Mask m{};
    for (int i = 0; i < 16; i++) {
      const typename BitStream<Fmt>::Mask half = BitStream<Fmt>::words(2 * v + i / 8);
      for (int j = 0; j < 4; j++) m.at[4 * i + j] = half.at[i % 8 * 4 + j];
    }
    return m;
  }
  template <int Fmt>
  static constexpr Words word_places(int v, bool shifts) {
    Words w{};
    for (int i = 0; i < 16; i++) {
      const int shift = BitStream<Fmt>::shift(16 * v + i);
      w.at[i] = shifts ? shift : ((1u << Fmt) - 1) << shift;
    }
    return w;
  }
};
