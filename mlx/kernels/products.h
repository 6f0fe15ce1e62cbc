/* Matrix products with packed weights on the CPU: y[M,N] = x[M,K] · W[N,K]ᵀ.
 *
 * Owns: unpacking MLX's weight layouts, the inner loops for each instruction set, and how a
 * product is split over threads. Must not know: MLX's arrays and streams (primitives.cpp does),
 * models, caches.
 *
 * Invariants
 *  - An element of y depends on its row of x, its row of W, K, the level, the activation mode and
 *    on whether its weights meet more than REPRISE_MATVEC_ROWS rows in the call (dense: M; gathered:
 *    the rows that chose this matrix). It does not depend on scheduling or on the number of threads.
 *  - Float activations: the error is float32 rounding of the terms scale·q·x and bias·x.
 *  - Nothing outside the described buffers is read or written, not even by a vector's width.
 */
#ifndef REPRISE_PRODUCTS_H
#define REPRISE_PRODUCTS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Up to this many rows of x a product streams W once and never unpacks it to memory. */
#define REPRISE_MATVEC_ROWS 4

typedef enum {
  REPRISE_AFFINE, /* w = scale·q + bias, q an unsigned integer of 2, 3, 4, 5, 6 or 8 bits; without biases,
                     bias = −2^(bits−1)·scale: the quants are centred, and their biases need not be read */
  REPRISE_MXFP4,  /* w = 2^(scale−127)·e2m1, groups of 32 */
  REPRISE_NVFP4,  /* w = e4m3(scale)·e2m1, groups of 16 */
  REPRISE_DENSE   /* w as it stands, of type `scale_type`; scales and biases are NULL */
} reprise_weight_kind;

typedef enum { REPRISE_F32, REPRISE_BF16, REPRISE_F16 } reprise_float_type;

/* One weight matrix [rows, cols], or `count` of them behind each other (experts). Row-major and
 * contiguous. The packed form is a bit stream per row, least significant bit first: MLX's layout
 * for every width. */
typedef struct {
  reprise_weight_kind kind;
  int bits;                      /* affine: 2, 3, 4, 5, 6, 8; ignored otherwise */
  int group;                     /* affine: 32, 64, 128; ignored otherwise */
  reprise_float_type scale_type; /* of scales and biases (affine) or of the weights (dense) */
  int64_t count, rows, cols;
  const void *packed, *scales, *biases;
} reprise_weights;

/* How x enters the products.
 *  FLOAT   as it is.
 *  INTEGER rounded per row and block of 32 columns to 8 bits with a float32 step (16 bits for
 *          8-bit weights, where that costs nothing), then exact integer sums. Affine and mxfp4;
 *          every other kind silently computes with FLOAT. The relative error of a block's part is
 *          at most 1/254 of the block's largest |x| (1/65534 for 8-bit weights). */
typedef enum { REPRISE_ACT_FLOAT, REPRISE_ACT_INTEGER } reprise_activation;

/* Rows of float32. Strides count elements. `index`, if given, says which row stands at place m. */
typedef struct {
  const float *data;
  int64_t stride;
  const int64_t *index;
} reprise_rows;

typedef struct reprise_pool reprise_pool;

/* A pool of `threads` threads, the caller included; 0 means the physical cores. Workers spin for
 * `spin_us` microseconds after a product before they sleep (negative: the default). */
reprise_pool *reprise_pool_new(int threads, int spin_us);
void reprise_pool_free(reprise_pool *pool);
int reprise_pool_threads(const reprise_pool *pool);

/* y[m, :] = x[m, :] · Wᵀ for m < M. Returns 0, or an error that reprise_products_error explains.
 * Calls on one pool are served one after the other. */
int reprise_product(reprise_pool *pool, const reprise_weights *w, reprise_rows x, float *y,
                    int64_t y_stride, int64_t M, reprise_activation act);

/* One product of a group: every member takes the same x. */
typedef struct {
  const reprise_weights *w;
  float *y;
  int64_t y_stride;
} reprise_member;

#define REPRISE_MEMBERS 4

/* Up to REPRISE_MEMBERS products of one x with matrices of one K, in one loop over the pool: x is prepared once for
 * each weight format, and no thread waits between them. The same bits as one call each. */
int reprise_product_group(reprise_pool *pool, const reprise_member *members, int count, reprise_rows x, int64_t M,
                          reprise_activation act);

/* y[m, :] = x[m, :] · W[which[m]]ᵀ: each row has its own matrix of the `count` ones. Rows need not
 * be sorted; rows of one matrix are computed together. */
int reprise_product_gathered(reprise_pool *pool, const reprise_weights *w, reprise_rows x,
                             const uint32_t *which, float *y, int64_t y_stride, int64_t M,
                             reprise_activation act);

/* 0 if these weights can be computed with, else an error as above. Needs no pool. */
int reprise_weights_check(const reprise_weights *w);

const char *reprise_products_error(int code);

/* The instruction-set level in use: "avx512", "avx2", "neon" or "plain". Chosen at first use: the
 * best that the processor has, or REPRISE_CPU_LEVEL. An unknown or unavailable name counts as
 * "plain", so that a wrong setting is slow and visible and never a crash. */
const char *reprise_cpu_level(void);

#ifdef __cplusplus
}
#endif
#endif
