// The weight formats as compile-time constants, their order inside a block, and scalar conversions.
//
// Everything is computed in blocks of 32 columns. A vector unit unpacks a block fastest in an order
// of its own, so x is brought into that order once per product instead of every weight, always:
// float_order and byte_order say which column stands at a place. All levels share the orders.
#pragma once

#include <cstdint>
#include <cstring>

namespace reprise {

constexpr int block = 32;

// Affine formats are named by their bits.
enum Format { A2 = 2, A3 = 3, A4 = 4, A5 = 5, A6 = 6, A8 = 8, MX4 = 104, NV4 = 204, BF16 = 116, F16 = 216, F32 = 132 };

constexpr int bits_of(int f) { return f % 100; }
constexpr bool is_affine(int f) { return f < 100; }
constexpr bool is_fp4(int f) { return f == MX4 || f == NV4; }
constexpr bool is_dense(int f) { return f == BF16 || f == F16 || f == F32; }
constexpr bool has_integer_path(int f) { return is_affine(f) || f == MX4; }
// 8-bit weights meet 16-bit activations: their products overflow the 8-bit instructions' 16-bit
// sums, and the 16-bit instructions do as many a cycle as the detour around that would.
constexpr bool is_wide(int f) { return f == A8; }

// e2m1 doubled, so that it is an integer; the scale carries the other half.
constexpr int8_t fp4_doubled[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};
// The integer path wants unsigned weights: doubled + 12, and a bias that takes it back.
constexpr int fp4_offset = 12;

// What 5-bit weights are centred at where their sums are 16 bits wide (gemm.h).
constexpr int center5 = 16;

// Column of the block that stands at place i of an unpacked block of floats: formats with whole
// values per byte are widened byte-wise, 8 bytes at a time, one value of each byte per vector.
constexpr int float_order(int f, int i) {
  const int b = bits_of(f);
  if (is_dense(f) || 8 % b != 0) return i;
  const int per_byte = 8 / b, step = 8 * per_byte;
  const int in_step = i % step;
  return i / step * step + (in_step % 8) * per_byte + in_step / 8;
}

// The same for a block of bytes: the first value of every byte, then the second, …
constexpr int byte_order(int f, int i) {
  const int b = bits_of(f);
  if (8 % b != 0) return i;
  const int bytes = block * b / 8;
  return (i % bytes) * (8 / b) + i / bytes;
}

inline float bf16_to_float(uint16_t h) {
  const uint32_t u = uint32_t(h) << 16;
  float f;
  std::memcpy(&f, &u, 4);
  return f;
}

inline float f16_to_float(uint16_t h) {
  const uint32_t sign = uint32_t(h & 0x8000) << 16, exponent = (h >> 10) & 31, fraction = h & 1023;
  float f;
  if (exponent == 0) {
    f = static_cast<float>(fraction) * 0x1p-24f;
    return sign ? -f : f;
  }
  const uint32_t u = sign | (exponent == 31 ? 0x7f800000u : (exponent + 112) << 23) | (fraction << 13);
  std::memcpy(&f, &u, 4);
  return f;
}

// 2^(e−127); 255 is NaN.
inline float e8m0_to_float(uint8_t e) {
  const uint32_t u = e == 255 ? 0x7fc00000u : e == 0 ? 0x00400000u : uint32_t(e) << 23;
  float f;
  std::memcpy(&f, &u, 4);
  return f;
}

// e4m3 without infinities; 0x7f is NaN.
inline float e4m3_to_float(uint8_t e) {
  const int exponent = (e >> 3) & 15, fraction = e & 7;
  float f;
  if (exponent == 0) {
    f = static_cast<float>(fraction) * 0x1p-9f;
  } else {
    const uint32_t u = exponent == 15 && fraction == 7 ? 0x7fc00000u
                                                       : uint32_t(exponent + 120) << 23 | uint32_t(fraction) << 20;
    std::memcpy(&f, &u, 4);
  }
  return e & 0x80 ? -f : f;
}

}  // namespace reprise
