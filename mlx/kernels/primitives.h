/* The products as MLX operations on mlx-c's handles, for streams of the CPU device only.
 *
 * They mirror mlx_quantized_matmul (transpose = true), mlx_gather_qmm and a matmul with a transposed
 * weight: shapes, dtypes and broadcasting are MLX's. x may be float32, bfloat16 or float16 in any
 * layout; it is computed in float32 and the result has x's dtype. Weights, scales and biases must be
 * row-contiguous. Like MLX's, each returns 0, or 1 after mlx_error with a message.
 *
 * The pool must outlive the evaluation of every array made with it.
 */
#ifndef REPRISE_PRIMITIVES_H
#define REPRISE_PRIMITIVES_H

#include "mlx/c/array.h"
#include "mlx/c/stream.h"
#include "products.h"

#ifdef __cplusplus
extern "C" {
#endif

/* x [..., M, K], w uint32 [N, K·bits/32], scales and biases [N, K/group] (mode "affine"; biases empty
 * for "mxfp4" and "nvfp4", whose scales are uint8) → [..., M, N]. */
int reprise_quantized_matmul(mlx_array *res, const mlx_array x, const mlx_array w, const mlx_array scales,
                             const mlx_array biases /* may be null */, int group, int bits, const char *mode,
                             reprise_activation activation, reprise_pool *pool, const mlx_stream s);

/* The same with w [E, N, …]: rhs_indices choose the matrix, lhs_indices the [M, K] part of x; both
 * broadcast, and the result is [..., M, N] over their shape. Without lhs_indices the parts of x are
 * taken in turn. Without scales w is dense, [E, N, K] of float32, bfloat16 or float16. */
int reprise_gather_qmm(mlx_array *res, const mlx_array x, const mlx_array w, const mlx_array scales /* may be null */,
                       const mlx_array biases /* may be null */, const mlx_array lhs_indices /* may be null */,
                       const mlx_array rhs_indices, int group, int bits, const char *mode,
                       reprise_activation activation, reprise_pool *pool, const mlx_stream s);

/* x [..., M, K], w [N, K] of float32, bfloat16 or float16 → [..., M, N]. */
int reprise_dense_matmul(mlx_array *res, const mlx_array x, const mlx_array w, reprise_pool *pool,
                         const mlx_stream s);

/* A matrix as above; dense when `scales` is null. */
typedef struct {
  mlx_array w, scales, biases;
  int group, bits;
  const char *mode;
} reprise_matrix;

enum { REPRISE_NO_GATE, REPRISE_GELU /* tanh form */, REPRISE_SILU };

/* What stands around the products of a block. */
typedef struct {
  mlx_array norm;  /* [K] or null */
  float norm_eps;  /* negative: x is not normed before */
  int gate;        /* two products a and b become act(a)·b */
  mlx_array post_norm; /* [N] or null */
  float post_eps;  /* negative: the result is not normed */
  mlx_array residual; /* added last, or null */
} reprise_block;

/* One to four products of one x, normed before, gated, normed and added to after, as `b` says. `res` gets one array
 * for each matrix, or one with a gate; a norm or residual behind takes one result. Inside, everything is float32. */
int reprise_products(mlx_array *res, const mlx_array x, const reprise_matrix *w, int count, const reprise_block *b,
                     reprise_activation activation, reprise_pool *pool, const mlx_stream s);

/* x [B, T, heads·dim] → [B, heads, T, dim]: each head normed (eps < 0: not) with weight `norm` [dim] or null, and its
 * first `dims` columns rotated for positions from `offset` on (base, or wavelengths [dims/2] when given). */
int reprise_place_heads(mlx_array *res, const mlx_array x, int heads, const mlx_array norm, float eps, int dims, float base,
                        float scale, const mlx_array wavelengths, int offset, reprise_pool *pool, const mlx_stream s);

/* Causal attention of q [B, H, T, dim], the last T of the R rows of k and v [B, KV, R, dim] → [B, T, H·dim]. A query
 * sees the rows up to its own, or the last `window` of them when that is positive. */
int reprise_attention(mlx_array *res, const mlx_array q, const mlx_array k, const mlx_array v, float scale, int window,
                      reprise_pool *pool, const mlx_stream s);

/* How a layer attends: heads, their norms (eps < 0: none), rotary positions as above, and where its rows go. */
typedef struct {
  int heads, kv_heads;
  mlx_array q_norm, k_norm, v_norm; /* [dim] or null */
  float q_eps, k_eps, v_eps;
  int dims;
  float base, position_scale;
  mlx_array wavelengths; /* [dims/2] or null */
  int offset;            /* position of the first new row */
  int at, from;          /* the buffers' row of the first new row, and the first row that a query may see */
  float scale;
  int window;
} reprise_layer;

/* A layer's attention from its products on: q, k and v [1, T, heads·dim] become heads, the rows of k and v go into the
 * buffers [1, kv_heads, capacity, dim] from row `at` on, and the queries attend. The buffers are written in place: rows
 * below `at` stay as they are, and an older handle must not be read from `at` on. Without k and v (both null) the rows
 * are there already, written by another layer: nothing is written.
 * res: [1, T, heads·dim] and, with k and v, the two buffers. */
int reprise_layer_attention(mlx_array *res /* 3 */, const mlx_array *qkv /* 3 */, const mlx_array *buffers /* 2 */,
                            const reprise_layer *l, reprise_pool *pool, const mlx_stream s);

/* Rows `ids` [...] of a matrix, dequantized, times scale → float32 [..., cols]. An id that names no row gives NaN. */
int reprise_take_rows(mlx_array *res, const mlx_array ids, const reprise_matrix *w, float scale, reprise_pool *pool, const mlx_stream s);

/* Asks the system for huge pages under an evaluated array's memory, where it has them: a product that streams a big
 * matrix waits less for address translation. What cannot be had is left as it is. */
void reprise_huge_pages(const mlx_array a);

/* The first index of the largest value of each row: x [..., N] → uint32 [...]. */
int reprise_largest(mlx_array *res, const mlx_array x, reprise_pool *pool, const mlx_stream s);

#ifdef __cplusplus
}
#endif
#endif
