// The three BLAS products that libmlx calls, handed to OpenBLAS (whose PyPI build prefixes its symbols).
// This library stands before libmlx's own reference BLAS in the link order, so libmlx's look-ups land here.
// Enumerations of CBLAS are ints in both; complex scalars pass by pointer.

#define PRODUCT(name, scalar, type)                                                                   \
  void scipy_cblas_##name(int, int, int, int, int, int, scalar, const type *, int, const type *, int, \
                          scalar, type *, int);                                                       \
  void cblas_##name(int order, int ta, int tb, int m, int n, int k, scalar alpha, const type *a,      \
                    int lda, const type *b, int ldb, scalar beta, type *c, int ldc) {                 \
    scipy_cblas_##name(order, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);                  \
  }

PRODUCT(sgemm, float, float)
PRODUCT(dgemm, double, double)
PRODUCT(cgemm, const void *, void)

void scipy_openblas_set_num_threads(int);
int scipy_openblas_get_num_threads(void);
char *scipy_openblas_get_config(void);

void reprise_blas_set_threads(int n) { scipy_openblas_set_num_threads(n); }
int reprise_blas_threads(void) { return scipy_openblas_get_num_threads(); }
const char *reprise_blas_config(void) { return scipy_openblas_get_config(); }
