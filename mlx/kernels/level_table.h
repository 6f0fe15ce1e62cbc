// Fills a level's table from the templates. Included last by level_*.cpp, after the vector types.
// V is the vector type of unpacking and of the integer matrix-vector loops, M that of the others, T the tiling of matrix products.

constexpr int max_groups = 4096;  // 65536 columns in groups of 16; products.cpp refuses more

template <int Fmt>
static inline float dense_at(const uint8_t *row, int64_t k) {
  if constexpr (Fmt == F32) return reinterpret_cast<const float *>(row)[k];
  if constexpr (Fmt == BF16) return bf16_to_float(reinterpret_cast<const uint16_t *>(row)[k]);
  return f16_to_float(reinterpret_cast<const uint16_t *>(row)[k]);
}

template <class V, int Rows, int Vectors>
static inline void store_tile(typename V::F (*acc)[Vectors], const Outputs &y, int64_t n0, int count, bool add);

#include "matvec.h"
#include "gemm.h"
#include "pack.h"
#include "elementwise.h"
#include "attention.h"
#include "delta.h"

template <typename Body>
static inline void with_format(int format, Body &&body) {
  switch (format) {
    case A2: return body(std::integral_constant<int, A2>());
    case A3: return body(std::integral_constant<int, A3>());
    case A4: return body(std::integral_constant<int, A4>());
    case A5: return body(std::integral_constant<int, A5>());
    case A6: return body(std::integral_constant<int, A6>());
    case A8: return body(std::integral_constant<int, A8>());
    case MX4: return body(std::integral_constant<int, MX4>());
    case NV4: return body(std::integral_constant<int, NV4>());
    case BF16: return body(std::integral_constant<int, BF16>());
    case F16: return body(std::integral_constant<int, F16>());
    case F32: return body(std::integral_constant<int, F32>());
  }
}

template <class V, class T, class M = V>
struct Level {
  static void matvec_any(int format, const Matrix &w, const Activations &a, int64_t t, const Outputs &y, int64_t n0,
                         int64_t n1, bool integer) {
    with_format(format, [&](auto f) { matvec<V, M, f()>(w, a, t, y, n0, n1, integer); });
  }

  static void pack_any(int format, Activations &a, int64_t t, const float *const *rows, int count, int64_t cols,
                       bool integer) {
    with_format(format, [&](auto f) { pack<V, f()>(a, t, rows, count, cols, integer); });
  }

  static size_t panel_bytes(const Matrix &w, bool integer) {
    if (integer) return IntegerPanel<T, A8>::size(w.blocks());  // the widest
    return size_t(w.padded() < float_k_slice ? w.padded() : float_k_slice) * T::float_panel * sizeof(float);
  }

  static void unpack_any(int format, const Matrix &w, int64_t n0, int count, int64_t k0, int64_t k1, void *panel,
                         bool integer) {
    with_format(format, [&](auto f) {
      if constexpr (has_integer_path(f()))
        if (integer) return unpack_integer<V, T, f()>(w, n0, count, panel);
      unpack_float<V, T, f()>(w, n0, count, k0, k1, static_cast<float *>(panel));
    });
  }

  static void row_any(int format, const Matrix &w, int64_t n, float *to) {
    with_format(format, [&](auto f) {
      for (int64_t b = 0; b < w.padded() / block; b++) {
        float values[block];
        row_block<V, f()>(w, n, b, values);
        for (int i = 0; i < block; i++) to[b * block + float_order(f(), i)] = values[i];
      }
    });
  }

  static void multiply_any(int format, const Activations &a, int64_t t, const void *panel, int64_t k0, int64_t k1,
                           const Outputs &y, int64_t n0, int count, bool integer) {
    if (!integer) return multiply_float<T>(a, t, static_cast<const float *>(panel), k0, k1, y, n0, count);
    with_format(format, [&](auto f) {
      if constexpr (has_integer_path(f())) multiply_integer<T, f()>(a, t, panel, y, n0, count);
    });
  }

  static constexpr Kernels table(const char *name) {
    static_assert(T::float_tile <= 16 && T::integer_tile <= 16, "Outputs holds 16 rows");
    return {name,     T::float_tile, T::float_panel, T::integer_tile, T::integer_panel,
            pack_any, matvec_any,    panel_bytes,    unpack_any,      multiply_any, row_any,
            {gate_row<V>, norm_row<V>, add_row<V>, rotate_row<V>, top_of_row<V>, attend_rows<V>, merge_parts<V>, tile_rows<T>, T::float_panel,
             tile_floats<T>, key_panel<V, T>, value_panel<T>, attend_tile<V, T>,
             V::width, conv_row<V>, unit_row<V>, delta_rows<V>}};
  }
};
