// 64-bit ARM. Every processor of the kind has NEON; the byte dot product is used where the compiler
// may assume it (all Apple silicon).
#include "kernels.h"

#if defined(__aarch64__)
#include <arm_neon.h>

#include <cmath>
#include <initializer_list>
#include <type_traits>

namespace reprise {
namespace neon {

struct Vec {
  static constexpr int width = 4;
  static constexpr bool sums_in_32 = true;
  using F = float32x4_t;
  using I = int32x4_t;
  struct Bytes {
    uint8x16_t low, high;
  };

  static inline F zero() { return vdupq_n_f32(0); }
  static inline F set1(float x) { return vdupq_n_f32(x); }
  static inline F load(const float *p) { return vld1q_f32(p); }
  static inline void store(float *p, F a) { vst1q_f32(p, a); }
  static inline F add(F a, F b) { return vaddq_f32(a, b); }
  static inline F mul(F a, F b) { return vmulq_f32(a, b); }
  static inline F fma(F a, F b, F c) { return vfmaq_f32(c, a, b); }
  static inline F max(F a, F b) { return vmaxq_f32(a, b); }
  static inline F min(F a, F b) { return vminq_f32(a, b); }
  static inline F div(F a, F b) { return vdivq_f32(a, b); }
  static inline F shift_exponent(F a, F n) {
    return vreinterpretq_f32_s32(vaddq_s32(vreinterpretq_s32_f32(a), vshlq_n_s32(vreinterpretq_s32_f32(n), 23)));
  }
  static inline float top(F a) { return vmaxvq_f32(a); }
  static inline float sum(F a) { return vaddvq_f32(a); }
  static inline F load_bf16(const uint16_t *p) { return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p), 16)); }
  static inline F load_f16(const uint16_t *p) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p))); }

  static inline float largest(const float *x) {
    F top = zero();
    for (int i = 0; i < block; i += width) top = vmaxnmq_f32(top, vabsq_f32(load(x + i)));
    return vmaxnmvq_f32(top);
  }
  // To nearest; NaN becomes 0.
  template <typename Int>
  static inline void round(const float *x, float inverse, Int *to) {
    for (int i = 0; i < block; i += 8) {
      const int32x4_t low = vcvtnq_s32_f32(vmulq_n_f32(load(x + i), inverse));
      const int32x4_t high = vcvtnq_s32_f32(vmulq_n_f32(load(x + i + 4), inverse));
      const int16x8_t both = vcombine_s16(vqmovn_s32(low), vqmovn_s32(high));
      if constexpr (sizeof(Int) == 2)
        vst1q_s16(to + i, both);
      else
        vst1_s8(to + i, vqmovn_s16(both));
    }
  }
  static inline float f16(uint16_t h) { return f16_to_float(h); }

  // From [rows][block] to [block][rows].
  template <int Rows>
  static inline void interleave(const float *from, float *to) {
    for (int r = 0; r < Rows; r += 4)
      for (int i = 0; i < block; i += 4) {
        const float *at = from + r * block + i;
        const float32x4x2_t low = vtrnq_f32(load(at), load(at + block));
        const float32x4x2_t high = vtrnq_f32(load(at + 2 * block), load(at + 3 * block));
        float *out = to + i * Rows + r;
        store(out, vcombine_f32(vget_low_f32(low.val[0]), vget_low_f32(high.val[0])));
        store(out + Rows, vcombine_f32(vget_low_f32(low.val[1]), vget_low_f32(high.val[1])));
        store(out + 2 * Rows, vcombine_f32(vget_high_f32(low.val[0]), vget_high_f32(high.val[0])));
        store(out + 3 * Rows, vcombine_f32(vget_high_f32(low.val[1]), vget_high_f32(high.val[1])));
      }
  }

  // 16 bytes, widened to floats in order.
  static inline void widen(uint8x16_t b, F *q) {
    const uint16x8_t low = vmovl_u8(vget_low_u8(b)), high = vmovl_u8(vget_high_u8(b));
    q[0] = vcvtq_f32_u32(vmovl_u16(vget_low_u16(low)));
    q[1] = vcvtq_f32_u32(vmovl_u16(vget_high_u16(low)));
    q[2] = vcvtq_f32_u32(vmovl_u16(vget_low_u16(high)));
    q[3] = vcvtq_f32_u32(vmovl_u16(vget_high_u16(high)));
  }

  template <int Fmt>
  static inline void unpack(const uint8_t *p, F *q) {
    if constexpr (is_dense(Fmt)) {
      for (int v = 0; v < block / width; v++) {
        const uint16_t *half = reinterpret_cast<const uint16_t *>(p) + v * width;
        if constexpr (Fmt == F32) q[v] = load(reinterpret_cast<const float *>(p) + v * width);
        if constexpr (Fmt == BF16) q[v] = load_bf16(half);
        if constexpr (Fmt == F16) q[v] = load_f16(half);
      }
    } else {
      Bytes b = bytes<Fmt>(p);
      if constexpr (bits_of(Fmt) == 4) {
        // From "all even, all odd" to float_order: eight even, eight odd, and again.
        const uint8x16_t even = b.low, odd = b.high;
        b.low = vcombine_u8(vget_low_u8(even), vget_low_u8(odd));
        b.high = vcombine_u8(vget_high_u8(even), vget_high_u8(odd));
      }
      widen(b.low, q);
      widen(b.high, q + 4);
      if constexpr (is_fp4(Fmt))
        for (int v = 0; v < block / width; v++) q[v] = vsubq_f32(q[v], vdupq_n_f32(fp4_offset));
    }
  }

  template <int Fmt>
  static inline Bytes bytes(const uint8_t *p) {
    if constexpr (Fmt == A8) {
      return {vld1q_u8(p), vld1q_u8(p + 16)};
    } else if constexpr (bits_of(Fmt) == 4) {
      const uint8x16_t packed = vld1q_u8(p);
      Bytes b{vandq_u8(packed, vdupq_n_u8(15)), vshrq_n_u8(packed, 4)};
      if constexpr (is_fp4(Fmt)) {
        const uint8x16_t table = vaddq_u8(vreinterpretq_u8_s8(vld1q_s8(fp4_doubled)), vdupq_n_u8(fp4_offset));
        b = {vqtbl1q_u8(table, b.low), vqtbl1q_u8(table, b.high)};
      }
      return b;
    } else if constexpr (Fmt == A2) {
      const uint8x8_t packed = vld1_u8(p), low_bits = vdup_n_u8(3);
      return {vcombine_u8(vand_u8(packed, low_bits), vand_u8(vshr_n_u8(packed, 2), low_bits)),
              vcombine_u8(vand_u8(vshr_n_u8(packed, 4), low_bits), vshr_n_u8(packed, 6))};
    } else {
      // Eight values are Fmt bytes; each is spread from one 64-bit word.
      uint8_t spread[block];
      for (int v = 0; v < 4; v++) {
        uint64_t word = 0;
        std::memcpy(&word, p + v * Fmt, Fmt);
        for (int i = 0; i < 8; i++) spread[v * 8 + i] = static_cast<uint8_t>(word >> (i * Fmt) & ((1 << Fmt) - 1));
      }
      return {vld1q_u8(spread), vld1q_u8(spread + 16)};
    }
  }
  template <int Fmt>
  static constexpr bool shifted = false;
  static inline void store_bytes(uint8_t *p, Bytes b) {
    vst1q_u8(p, b.low);
    vst1q_u8(p + 16, b.high);
  }

  // Sums of four neighbouring products; weights stay below 128, so they may count as signed.
  static inline I dot4(I acc, int8x16_t w, int8x16_t x) {
#if defined(__ARM_FEATURE_DOTPROD)
    return vdotq_s32(acc, w, x);
#else
    const int32x4_t low = vpaddlq_s16(vmull_s8(vget_low_s8(w), vget_low_s8(x)));
    const int32x4_t high = vpaddlq_s16(vmull_s8(vget_high_s8(w), vget_high_s8(x)));
    return vaddq_s32(acc, vpaddq_s32(low, high));
#endif
  }
  static inline I dot2(I acc, int16x8_t w, int16x8_t x) {
    const int32x4_t low = vmull_s16(vget_low_s16(w), vget_low_s16(x));
    const int32x4_t high = vmull_s16(vget_high_s16(w), vget_high_s16(x));
    return vaddq_s32(acc, vpaddq_s32(low, high));
  }
  static inline F dot8(Bytes q, const uint8_t *x) {
    const int8_t *v = reinterpret_cast<const int8_t *>(x);
    I acc = dot4(izero(), vreinterpretq_s8_u8(q.low), vld1q_s8(v));
    return vcvtq_f32_s32(dot4(acc, vreinterpretq_s8_u8(q.high), vld1q_s8(v + 16)));
  }
  static inline F dot16(Bytes q, const uint8_t *x) {
    const int16_t *v = reinterpret_cast<const int16_t *>(x);
    const uint8x8_t parts[4] = {vget_low_u8(q.low), vget_high_u8(q.low), vget_low_u8(q.high), vget_high_u8(q.high)};
    I acc = izero();
    for (int i = 0; i < 4; i++) acc = dot2(acc, vreinterpretq_s16_u16(vmovl_u8(parts[i])), vld1q_s16(v + 8 * i));
    return vcvtq_f32_s32(acc);
  }

  static inline I izero() { return vdupq_n_s32(0); }
  static inline I iload(const uint8_t *p) { return vreinterpretq_s32_u8(vld1q_u8(p)); }
  static inline I ibroadcast(const uint8_t *p) {
    int32_t v;
    std::memcpy(&v, p, 4);
    return vdupq_n_s32(v);
  }
  static inline I mac8(I acc, I w, I x) { return dot4(acc, vreinterpretq_s8_s32(w), vreinterpretq_s8_s32(x)); }
  static inline I mac16(I acc, I w, I x) { return dot2(acc, vreinterpretq_s16_s32(w), vreinterpretq_s16_s32(x)); }
  static inline F to_float8(I a) { return vcvtq_f32_s32(a); }
  static inline F to_float16(I a) { return vcvtq_f32_s32(a); }
};

// 32 registers of 4 lanes.
struct Tiling {
  using V = Vec;
  static constexpr int float_tile = 6, float_panel = 16, integer_tile = 4, integer_panel = 16;
};

#include "level_table.h"

}  // namespace neon

const Kernels *neon_kernels() {
  static constexpr Kernels table = neon::Level<neon::Vec, neon::Tiling>::table("neon");
  return &table;
}

}  // namespace reprise

#else
const reprise::Kernels *reprise::neon_kernels() { return nullptr; }
#endif
