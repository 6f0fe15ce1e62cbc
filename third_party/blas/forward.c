// The three BLAS products that libmlx calls, handed to OpenBLAS (whose PyPI build prefixes its symbols).
// This library stands before libmlx's own reference BLAS in the link order, so libmlx's look-ups land here.
// Enumerations of CBLAS are ints in both; complex scalars pass by pointer.

#define PRODUCT(name, scalar, type)                                                                       \
  extern void scipy_cblas_##name(int, int, int, int, int, int, scalar, const type *, int, const type *, \
                                 int, scalar, type *, int);                                              \
  void cblas_##name(int order, int ta, int tb, int m, int n, int k, scalar alpha, const type *a,          \
                    int lda, const type *b, int ldb, scalar beta, type *c, int ldc)

void scipy_cblas_sgemv(int, int, int, int, float, const float *, int, const float *, int, float, float *, int);

enum { ROW_MAJOR = 101, NO_TRANS = 111, TRANS = 112 };

// One row times a matrix is what a decode step is made of. OpenBLAS's gemm packs its operands first, which costs
// three to five times the product itself there; its gemv does not.
// (-DPLAIN leaves that out: what `make bench` puts under mlx-lm.)
PRODUCT(sgemm, float, float) {
#ifndef PLAIN
  if (m == 1 && order == ROW_MAJOR) {
    const int inc = ta == NO_TRANS ? 1 : lda;
    if (tb == NO_TRANS) // b is [k, n]
      scipy_cblas_sgemv(ROW_MAJOR, TRANS, k, n, alpha, b, ldb, a, inc, beta, c, 1);
    else // b is [n, k]
      scipy_cblas_sgemv(ROW_MAJOR, NO_TRANS, n, k, alpha, b, ldb, a, inc, beta, c, 1);
    return;
  }
#endif
  scipy_cblas_sgemm(order, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

PRODUCT(dgemm, double, double) {
  scipy_cblas_dgemm(order, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

PRODUCT(cgemm, const void *, void) {
  scipy_cblas_cgemm(order, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

void scipy_openblas_set_num_threads(int);
int scipy_openblas_get_num_threads(void);
char *scipy_openblas_get_config(void);

void reprise_blas_set_threads(int n) { scipy_openblas_set_num_threads(n); }
int reprise_blas_threads(void) { return scipy_openblas_get_num_threads(); }
const char *reprise_blas_config(void) { return scipy_openblas_get_config(); }
