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
 * taken in turn. */
int reprise_gather_qmm(mlx_array *res, const mlx_array x, const mlx_array w, const mlx_array scales,
                       const mlx_array biases /* may be null */, const mlx_array lhs_indices /* may be null */,
                       const mlx_array rhs_indices, int group, int bits, const char *mode,
                       reprise_activation activation, reprise_pool *pool, const mlx_stream s);

/* x [..., M, K], w [N, K] of float32, bfloat16 or float16 → [..., M, N]. */
int reprise_dense_matmul(mlx_array *res, const mlx_array x, const mlx_array w, reprise_pool *pool,
                         const mlx_stream s);

#ifdef __cplusplus
}
#endif
#endif
