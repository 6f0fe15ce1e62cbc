// The level without vector instructions: what every other level is compared with, and what runs
// where none fits.
#include <cmath>
#include <initializer_list>
#include <type_traits>

#include "kernels.h"

namespace reprise {
namespace plain {

struct Vec {
  static constexpr int width = 8;
  static constexpr bool sums_in_32 = true;
  struct F {
    float at[width];
  };
  struct I {  // `width` lanes of 4 bytes, or their sums
    int32_t at[width];
  };
  struct Bytes {
    uint8_t at[block];
  };

  template <typename Op>
  static inline F each(Op op) {
    F r;
    for (int i = 0; i < width; i++) r.at[i] = op(i);
    return r;
  }
  static inline F zero() { return set1(0); }
  static inline F set1(float x) { return each([&](int) { return x; }); }
  static inline F load(const float *p) { return each([&](int i) { return p[i]; }); }
  static inline void store(float *p, F a) { std::memcpy(p, a.at, sizeof a.at); }
  static inline F add(F a, F b) { return each([&](int i) { return a.at[i] + b.at[i]; }); }
  static inline F mul(F a, F b) { return each([&](int i) { return a.at[i] * b.at[i]; }); }
  static inline F fma(F a, F b, F c) { return each([&](int i) { return a.at[i] * b.at[i] + c.at[i]; }); }
  static inline F max(F a, F b) { return each([&](int i) { return a.at[i] > b.at[i] ? a.at[i] : b.at[i]; }); }
  static inline F min(F a, F b) { return each([&](int i) { return a.at[i] < b.at[i] ? a.at[i] : b.at[i]; }); }
  static inline F div(F a, F b) { return each([&](int i) { return a.at[i] / b.at[i]; }); }
  static inline F shift_exponent(F a, F n) {
    return each([&](int i) {
      uint32_t bits, shift;
      std::memcpy(&bits, &a.at[i], 4);
      std::memcpy(&shift, &n.at[i], 4);
      bits += shift << 23;
      float r;
      std::memcpy(&r, &bits, 4);
      return r;
    });
  }
  static inline float top(F a) {
    float t = a.at[0];
    for (float x : a.at) t = x > t ? x : t;
    return t;
  }
  static inline float sum(F a) {
    float s = 0;
    for (float x : a.at) s += x;
    return s;
  }
  static inline F load_bf16(const uint16_t *p) { return each([&](int i) { return bf16_to_float(p[i]); }); }
  static inline F load_f16(const uint16_t *p) { return each([&](int i) { return f16_to_float(p[i]); }); }

  static inline float largest(const float *x) {
    float top = 0;
    for (int i = 0; i < block; i++) {
      const float v = x[i] < 0 ? -x[i] : x[i];
      if (v > top) top = v;
    }
    return top;
  }
  template <typename Int>
  static inline void round(const float *x, float inverse, Int *to) {
    for (int i = 0; i < block; i++) {
      const float v = inverse == 0 ? 0 : x[i] * inverse;  // 0 × NaN has no integer
      to[i] = static_cast<Int>(v + (v < 0 ? -0.5f : 0.5f));
    }
  }
  static inline float f16(uint16_t h) { return f16_to_float(h); }

  // From [rows][block] to [block][rows].
  template <int Rows>
  static inline void interleave(const float *from, float *to) {
    for (int i = 0; i < block; i++)
      for (int r = 0; r < Rows; r++) to[i * Rows + r] = from[r * block + i];
  }

  // Column k of a packed block.
  template <int Fmt>
  static inline int value(const uint8_t *p, int k) {
    constexpr int bits = bits_of(Fmt);
    const int bit = k * bits;
    const int low = p[bit / 8] >> (bit % 8);
    const int high = bit % 8 + bits > 8 ? p[bit / 8 + 1] << (8 - bit % 8) : 0;
    return (low | high) & ((1 << bits) - 1);
  }

  template <int Fmt>
  static inline void unpack(const uint8_t *p, F *q) {
    for (int v = 0; v < block / width; v++) {
      if constexpr (Fmt == F32) {
        q[v] = load(reinterpret_cast<const float *>(p) + v * width);
      } else if constexpr (Fmt == BF16) {
        q[v] = load_bf16(reinterpret_cast<const uint16_t *>(p) + v * width);
      } else if constexpr (Fmt == F16) {
        q[v] = load_f16(reinterpret_cast<const uint16_t *>(p) + v * width);
      } else {
        for (int i = 0; i < width; i++) {
          const int n = value<Fmt>(p, float_order(Fmt, v * width + i));
          q[v].at[i] = static_cast<float>(is_fp4(Fmt) ? fp4_doubled[n] : n);
        }
      }
    }
  }

  template <int Fmt>
  static inline Bytes bytes(const uint8_t *p) {
    Bytes b;
    for (int i = 0; i < block; i++) {
      const int n = value<Fmt>(p, byte_order(Fmt, i));
      b.at[i] = static_cast<uint8_t>(is_fp4(Fmt) ? fp4_doubled[n] + fp4_offset : n);
    }
    return b;
  }
  template <int Fmt>
  static constexpr bool shifted = false;
  static inline void store_bytes(uint8_t *p, Bytes b) { std::memcpy(p, b.at, block); }

  template <typename Int>
  static inline F dot_bytes(Bytes q, const uint8_t *x) {
    Int v[block];
    std::memcpy(v, x, sizeof v);
    int32_t s = 0;
    for (int i = 0; i < block; i++) s += q.at[i] * v[i];
    F r = zero();
    r.at[0] = static_cast<float>(s);
    return r;
  }
  static inline F dot8(Bytes q, const uint8_t *x) { return dot_bytes<int8_t>(q, x); }
  static inline F dot16(Bytes q, const uint8_t *x) { return dot_bytes<int16_t>(q, x); }

  static inline I izero() { return {}; }
  static inline I iload(const uint8_t *p) {
    I r;
    std::memcpy(r.at, p, sizeof r.at);
    return r;
  }
  static inline I ibroadcast(const uint8_t *p) {
    I r;
    for (int i = 0; i < width; i++) std::memcpy(&r.at[i], p, 4);
    return r;
  }
  template <typename A, typename B>
  static inline I mac(I acc, I a, I b) {
    constexpr int n = width * 4 / sizeof(A);
    A x[n];
    B y[n];
    std::memcpy(x, a.at, sizeof x);
    std::memcpy(y, b.at, sizeof y);
    for (int i = 0; i < n; i++) acc.at[i * width / n] += x[i] * y[i];
    return acc;
  }
  static inline I mac8(I acc, I w, I x) { return mac<uint8_t, int8_t>(acc, w, x); }
  static inline I mac16(I acc, I w, I x) { return mac<int16_t, int16_t>(acc, w, x); }
  static inline F to_float8(I a) { return each([&](int i) { return static_cast<float>(a.at[i]); }); }
  static inline F to_float16(I a) { return to_float8(a); }
};

struct Tiling {
  using V = Vec;
  static constexpr int float_tile = 4, float_panel = 8, integer_tile = 4, integer_panel = 8;
};

#include "level_table.h"

}  // namespace plain

const Kernels *plain_kernels() {
  static constexpr Kernels table = plain::Level<plain::Vec, plain::Tiling>::table("plain");
  return &table;
}

}  // namespace reprise
