package mlx

// setBLASThreads does nothing here: Accelerate chooses its own threads.
func setBLASThreads(int) {}

// BLAS describes the library behind the CPU device's float products; 0 threads means "its own choice".
func BLAS() (string, int) { return "Accelerate", 0 }
