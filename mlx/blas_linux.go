package mlx

/*
void reprise_blas_set_threads(int n);
int reprise_blas_threads(void);
const char *reprise_blas_config(void);
*/
import "C"

// setBLASThreads sets the threads of OpenBLAS, which computes the float products that are not the kernels'.
func setBLASThreads(n int) { C.reprise_blas_set_threads(C.int(n)) }

// BLAS describes the library behind the CPU device's float products, and its thread count.
func BLAS() (string, int) { return C.GoString(C.reprise_blas_config()), int(C.reprise_blas_threads()) }
