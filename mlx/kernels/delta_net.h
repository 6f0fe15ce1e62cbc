/* A gated delta net between its projections, on plain buffers of float32, over the threads of a pool.
 *
 * Invariants
 *  - A token's bits depend on its own inputs and the matrix before it: not on threads, on the call's width, or on
 *    captures.
 */
#pragma once

#include <cstdint>

#include "pool.h"

namespace reprise {

// Rows of x, a, b and z lie *_row floats apart; everything else is dense.
struct DeltaNet {
  const float *x;  // [conv_width − 1 + T][channels]: queries, keys, values before the convolution
  const float *a, *b, *z;
  int64_t x_row, a_row, b_row, z_row;
  const float *taps;         // [conv_width][channels]
  const float *rate, *bias;  // [value_heads]: what is kept is exp(rate·softplus(a + bias))
  const float *norm;         // [value_dim], with eps
  float eps;
  int64_t T, key_heads, value_heads, key_dim, value_dim, conv_width;
  const float *start;  // [value_heads][value_dim][key_dim]
  const int64_t *captures;  // ascending numbers of tokens, 1…T
  int64_t capture_count;
  float *y;                // [T][value_heads·value_dim]
  float *last, **captured;  // as start: behind the last token, and behind so many
  int64_t channels() const { return 2 * key_heads * key_dim + value_heads * value_dim; }
};
void delta_net(Pool &pool, const DeltaNet &d);

}  // namespace reprise
