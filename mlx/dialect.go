package mlx

// The dialect that kernels' bodies and helpers are written in is Metal's, restricted to what CUDA can be given under
// the same names:
//
//	thread_position_in_threadgroup, threadgroup_position_in_grid    .x .y .z; groups are (32, n, 1), so .x is the lane
//	shuffle_xor(x, mask), lane_sum(x)                               across the 32 lanes, all of which must call it
//	load4(p)                                                        four floats from a 16-byte boundary, as .x .y .z .w
//	load_values<N>(p, to)                                           N values into floats, from where 16 bytes begin if N is so many
//	store_values<N>(from, p), load_words(p, to)                     the other way; four words from where 16 bytes begin
//	float_of(bits)                                                  of a template argument, which is an integer (FloatArg)
//	exp_of, log_of, rsqrt_of, tanh_of, sin_of, cos_of               of float32, to its precision
//	SHARED float x[N]; barrier()                                    memory of a group, declared in the body; all its threads meet
//	HELPER, LOCAL                                                   before a helper function, and before a reference to a variable
//
// A pointer argument is taken with auto or by a template: Metal has it in one of two address spaces, by its size.
// mlx/mlxtest has a third meaning of these names, C++ on the host.

// MetalDialect stands before a kernel on Metal.
const MetalDialect = `
#define HELPER static inline
#define LOCAL thread
#define SHARED threadgroup
#define barrier() threadgroup_barrier(metal::mem_flags::mem_threadgroup)
HELPER float shuffle_xor(float x, ushort mask) { return simd_shuffle_xor(x, mask); }
HELPER float lane_sum(float x) { return simd_sum(x); }
template <typename P>
HELPER float4 load4(P p) { return float4(p[0], p[1], p[2], p[3]); }
template <int N, typename P>
HELPER void load_values(P p, LOCAL float (&to)[N]) {
  for (int i = 0; i < N; i++) to[i] = float(p[i]);
}
template <int N, typename X>
HELPER void store_values(LOCAL const float (&from)[N], device X *p) {
  for (int i = 0; i < N; i++) p[i] = X(from[i]);
}
template <typename P>
HELPER void load_words(P p, LOCAL unsigned int (&to)[4]) {
  for (int i = 0; i < 4; i++) to[i] = p[i];
}
HELPER float exp_of(float x) { return metal::precise::exp(x); }
HELPER float log_of(float x) { return metal::precise::log(x); }
HELPER float rsqrt_of(float x) { return metal::precise::rsqrt(x); }
HELPER float tanh_of(float x) { return metal::precise::tanh(x); }
HELPER float float_of(int bits) { return as_type<float>(bits); }
HELPER float sin_of(float x) { return metal::precise::sin(x); }
HELPER float cos_of(float x) { return metal::precise::cos(x); }
`

// CUDADialect stands before a kernel on CUDA.
const CUDADialect = `
#define HELPER static __device__ __forceinline__
#define LOCAL
#define SHARED __shared__
#define barrier() __syncthreads()
#define thread_position_in_threadgroup threadIdx
#define threadgroup_position_in_grid blockIdx
HELPER float shuffle_xor(float x, int mask) { return __shfl_xor_sync(0xffffffffu, x, mask); }
HELPER float lane_sum(float x) {
  for (int mask = 16; mask > 0; mask /= 2) x += shuffle_xor(x, mask);
  return x;
}
HELPER float4 load4(const float* p) { return *reinterpret_cast<const float4*>(p); }
template <int N, typename X>
HELPER void load_values(const X* p, float (&to)[N]) {
  constexpr int EACH = 16 / sizeof(X);
  if constexpr (N % EACH == 0) {
    struct alignas(16) Values { X at[EACH]; };
#pragma unroll
    for (int i = 0; i < N; i += EACH) {
      const Values values = *reinterpret_cast<const Values*>(p + i);
#pragma unroll
      for (int j = 0; j < EACH; j++) to[i + j] = float(values.at[j]);
    }
  } else {
    for (int i = 0; i < N; i++) to[i] = float(p[i]);
  }
}
template <int N, typename X>
HELPER void store_values(const float (&from)[N], X* p) {
  constexpr int EACH = 16 / sizeof(X);
  if constexpr (N % EACH == 0) {
    struct alignas(16) Values { X at[EACH]; };
#pragma unroll
    for (int i = 0; i < N; i += EACH) {
      Values values;
#pragma unroll
      for (int j = 0; j < EACH; j++) values.at[j] = X(from[i + j]);
      *reinterpret_cast<Values*>(p + i) = values;
    }
  } else {
    for (int i = 0; i < N; i++) p[i] = X(from[i]);
  }
}
HELPER void load_words(const unsigned int* p, unsigned int (&to)[4]) {
  struct alignas(16) Words { unsigned int at[4]; };
  const Words words = *reinterpret_cast<const Words*>(p);
#pragma unroll
  for (int i = 0; i < 4; i++) to[i] = words.at[i];
}
HELPER float exp_of(float x) { return expf(x); }
HELPER float log_of(float x) { return logf(x); }
HELPER float rsqrt_of(float x) { return 1.0f / sqrtf(x); }
HELPER float tanh_of(float x) { return tanhf(x); }
HELPER float float_of(int bits) { return __int_as_float(bits); }
HELPER float sin_of(float x) { return sinf(x); }
HELPER float cos_of(float x) { return cosf(x); }
`
