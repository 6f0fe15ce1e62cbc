// What a level provides: one table of functions, each doing a part of a product on one thread.
// products.cpp cuts the work and calls them; level_*.cpp fill the tables from the shared templates.
#pragma once

#include <cstddef>
#include <cstdint>

#include "formats.h"
#include "products.h"

namespace reprise {

// One matrix [rows, cols] with its byte strides resolved.
struct Matrix {
  const uint8_t *packed, *scales, *biases;
  int64_t rows, cols;
  int64_t packed_stride, scale_stride;  // bytes from row to row
  reprise_float_type scale_type;        // affine only
  int group_shift;                      // block index >> group_shift is the scale's index (affine)
  int64_t groups;                       // scales per row

  int64_t blocks() const { return cols / block; }
  int64_t padded() const { return (cols + block - 1) / block * block; }
};

// Rows of x as the kernels want them, prepared once per product: up to `tile` rows interleaved.
// With `tile` rows a tile holds, for each column (float), four columns (int8) or two (int16), the
// rows' values next to each other. `scale` and `sum` are per block: the step of an integer block,
// and the block's sum of x (as rounded), which multiplies the biases.
struct Activations {
  float *values;       // float
  uint8_t *integers;   // int8 or int16
  float *scale, *sum;  // [tiles][blocks][tile]
  int32_t *start;      // the same; 5 bits: where 16-bit sums start, two of them (gemm.h)
  int tile;
  int64_t padded, blocks;

  size_t tile_floats() const { return size_t(padded) * tile; }
};

// The rows of y that belong to a tile of x; short tiles have count < tile.
struct Outputs {
  float *row[16];
  int count;
};

// One key/value head of an attention: rows of `dim` floats, strides in floats.
struct AttentionHead {
  const float *k, *v;
  int64_t k_row, v_row;
  int64_t rows, dim;
  float scale;
};

// A segment of tokens of one value head, as the recurrence takes them; strides in floats.
struct DeltaTokens {
  int64_t count, width;  // width: of keys and of rows of the matrix, whole vectors
  const float *q, *k, *v, *keep, *correct;
  int64_t key_row, v_row, rate_row, y_row;
  float *y;
};

constexpr int64_t max_head_dim = 1024;  // bounds the sums that a thread keeps on its stack

// What stands between the products (elementwise.h, attention.h, delta.h).
struct LayerKernels {
  void (*gate_row)(bool gelu, const float *gate, const float *up, int64_t n, float *y);
  void (*norm_row)(const float *x, const float *w, float eps, const float *add, int64_t n, float *y);
  void (*add_row)(const float *a, const float *b, int64_t n, float *y);
  void (*rotate_row)(float *x, const float *cosine, const float *sine, int64_t half);

  float (*top_of)(const float *x, int64_t n);  // n > 0; NaN if there is one and the level's maximum keeps it

  void (*attend_rows)(const AttentionHead &h, const float *const *q, int count, int64_t r0, int64_t n, float *parts);
  void (*merge_parts)(const float *parts, int64_t count, int64_t stride, int64_t dim, float *y);

  int64_t tile_rows, panel;  // queries of a tile; keys, and columns of values, of a panel
  size_t (*tile_floats)(int64_t dim);
  void (*key_panel)(const AttentionHead &h, int64_t r0, float *panel);
  void (*value_panel)(const AttentionHead &h, int64_t d0, int64_t r0, int64_t r1, float *panel);
  void (*attend_tile)(const AttentionHead &h, const float *k_panels, const float *v_panels, int64_t panel_rows,
                      const float *const *queries, const int64_t *from, const int64_t *to, int64_t count,
                      float *const *y, float *scratch);

  int64_t vector;  // floats; rows of delta_rows are whole ones
  void (*conv_row)(const float *x, int64_t x_row, const float *taps, int64_t taps_row, int64_t width, int64_t n, float *y);
  void (*unit_row)(float *x, int64_t n, float scale, float eps);
  void (*delta_rows)(const DeltaTokens &a, const float *from, float *to, int64_t r0, int64_t r1);
};

struct Kernels {
  const char *name;
  int float_tile, float_panel;      // rows of x and of W that a float micro-kernel takes
  int integer_tile, integer_panel;  // the same, integer

  // Packs `count` ≤ tile rows into tile number `t`.
  void (*pack)(int format, Activations &a, int64_t t, const float *const *rows, int count, int64_t cols,
               bool integer);
  // y[m][n0..n1) for y.count (1…REPRISE_MATVEC_ROWS) rows, each a tile of its own, from tile t on.
  void (*matvec)(int format, const Matrix &w, const Activations &a, int64_t t, const Outputs &y, int64_t n0,
                 int64_t n1, bool integer);
  // Bytes of a panel, and its unpacking from rows n0..n0+count of W, columns k0..k1 (block-aligned).
  size_t (*panel_bytes)(const Matrix &w, bool integer);
  void (*unpack)(int format, const Matrix &w, int64_t n0, int count, int64_t k0, int64_t k1, void *panel,
                 bool integer);
  // One tile of x times one panel, columns k0..k1; adds to y unless k0 is 0.
  void (*multiply)(int format, const Activations &a, int64_t t, const void *panel, int64_t k0, int64_t k1,
                   const Outputs &y, int64_t n0, int count, bool integer);

  // Row n of W as floats: cols of them, rounded up to a block.
  void (*row)(int format, const Matrix &w, int64_t n, float *to);

  LayerKernels layer;
};

// Null where the compiler's target or the processor lacks the level.
const Kernels *plain_kernels();
const Kernels *avx2_kernels();
const Kernels *avx512_kernels();
const Kernels *neon_kernels();

// The level in use: the best that the processor has, or REPRISE_CPU_LEVEL's.
const Kernels &kernels();

// Columns per slice of a float panel: slice and tile of x together fit a first-level cache of 32 KB.
constexpr int64_t float_k_slice = 256;

}  // namespace reprise
