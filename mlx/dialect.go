package mlx

// The dialect that kernels' bodies and helpers are written in is Metal's, restricted to what CUDA can be given under
// the same names:
//
//	thread_position_in_threadgroup, threadgroup_position_in_grid    .x .y .z; groups are (32, n, 1), so .x is the lane
//	shuffle_xor(x, mask), lane_sum(x)                               across the 32 lanes, all of which must call it
//	load4(p)                                                        four floats from a 16-byte boundary, as .x .y .z .w
//	exp_of(x), log_of(x), rsqrt_of(x)                               of float32, to its precision
//	HELPER, LOCAL                                                   before a helper function, and before a reference to a variable
//
// A pointer argument is taken with auto or by a template: Metal has it in one of two address spaces, by its size.
// mlx/mlxtest has a third meaning of these names, C++ on the host.

// MetalDialect stands before a kernel on Metal.
const MetalDialect = `
#define HELPER static inline
#define LOCAL thread
HELPER float shuffle_xor(float x, ushort mask) { return simd_shuffle_xor(x, mask); }
HELPER float lane_sum(float x) { return simd_sum(x); }
template <typename P>
HELPER float4 load4(P p) { return float4(p[0], p[1], p[2], p[3]); }
HELPER float exp_of(float x) { return metal::precise::exp(x); }
HELPER float log_of(float x) { return metal::precise::log(x); }
HELPER float rsqrt_of(float x) { return metal::precise::rsqrt(x); }
`

// CUDADialect stands before a kernel on CUDA.
const CUDADialect = `
#define HELPER static __device__ __forceinline__
#define LOCAL
#define thread_position_in_threadgroup threadIdx
#define threadgroup_position_in_grid blockIdx
HELPER float shuffle_xor(float x, int mask) { return __shfl_xor_sync(0xffffffffu, x, mask); }
HELPER float lane_sum(float x) {
  for (int mask = 16; mask > 0; mask /= 2) x += shuffle_xor(x, mask);
  return x;
}
HELPER float4 load4(const float* p) { return *reinterpret_cast<const float4*>(p); }
HELPER float exp_of(float x) { return expf(x); }
HELPER float log_of(float x) { return logf(x); }
HELPER float rsqrt_of(float x) { return 1.0f / sqrtf(x); }
`
