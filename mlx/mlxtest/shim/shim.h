// A GPU's threads on the host, for kernels in the dialect of mlx/dialect.go: each lane is a fiber, the 32 of a simdgroup go
// on together wherever they exchange values, and the simdgroups of a group wherever they meet at a barrier. A lane that
// ends, or asks for another exchange, while the others wait is an error that ends the process. shim.go writes the function
// and main around it.
#pragma once
#include <ucontext.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

constexpr int lane_count = 32, most_simdgroups = 32, stack_size = 128 << 10;
typedef unsigned int uint;
typedef unsigned short ushort;
struct uint3 {
  uint x, y, z;
};
struct float4 {
  float x, y, z, w;
  float4(float x, float y, float z, float w) : x(x), y(y), z(z), w(w) {}
};

struct bfloat16_t {
  uint16_t bits;
  bfloat16_t() = default;
  explicit bfloat16_t(float v) {
    uint32_t u;
    memcpy(&u, &v, 4);
    bits = static_cast<uint16_t>((u + 0x7fff + (u >> 16 & 1)) >> 16);
  }
  operator float() const {
    const uint32_t u = uint32_t(bits) << 16;
    float v;
    memcpy(&v, &u, 4);
    return v;
  }
};

enum { running, exchanging, summing, meeting, ended };
struct Lane {
  ucontext_t context;
  char *stack;
  uint3 position;
  int state, mask;
  float value;
};
static Lane simdgroups[most_simdgroups][lane_count], *lane_now;
static ucontext_t scheduler;
static uint3 group_now;
static void (*run_lane)();

[[noreturn]] static void fail(const char *what) {
  fprintf(stderr, "%s\n", what);
  exit(3);
}

static float wait_for_others(int state, int mask, float x) {
  Lane *me = lane_now;
  me->state = state;
  me->mask = mask;
  me->value = x;
  swapcontext(&me->context, &scheduler);
  return me->value;
}
static void lane_main() {
  run_lane();
  lane_now->state = ended;
  swapcontext(&lane_now->context, &scheduler);
}

static void exchange(Lane *lanes) {
  float from[lane_count], sum[lane_count];
  for (int i = 0; i < lane_count; i++) {
    if (lanes[i].state != lanes[0].state || lanes[i].mask != lanes[0].mask) fail("lanes of a simdgroup parted");
    from[i] = sum[i] = lanes[i].value;
  }
  for (int mask = 16; mask > 0; mask /= 2) {
    float next[lane_count];
    for (int i = 0; i < lane_count; i++) next[i] = sum[i] + sum[i ^ mask];
    memcpy(sum, next, sizeof sum);
  }
  for (int i = 0; i < lane_count; i++) lanes[i].value = lanes[0].state == summing ? sum[i] : from[i ^ lanes[i].mask];
}

static void start_simdgroup(Lane *lanes, uint y, uint z) {
  for (int i = 0; i < lane_count; i++) {
    Lane &l = lanes[i];
    if (!l.stack) l.stack = static_cast<char *>(malloc(stack_size));
    l.position = {uint(i), y, z};
    l.state = running;
    getcontext(&l.context);
    l.context.uc_stack.ss_sp = l.stack;
    l.context.uc_stack.ss_size = stack_size;
    l.context.uc_link = nullptr;
    makecontext(&l.context, lane_main, 0);
  }
}

// The lanes of a simdgroup in turn up to the next exchange, until all have ended or wait at a barrier: which of the two.
static int run_simdgroup(Lane *lanes) {
  for (;;) {
    for (int i = 0; i < lane_count; i++) {
      lane_now = &lanes[i];
      swapcontext(&scheduler, &lanes[i].context);
    }
    const int state = lanes[0].state;
    if (state == exchanging || state == summing) {
      exchange(lanes);
      continue;
    }
    for (int i = 0; i < lane_count; i++)
      if (lanes[i].state != state) fail(state == ended ? "a lane of a simdgroup ended before the others" : "lanes of a simdgroup parted at a barrier");
    return state;
  }
}

static void run_group(const int *group) {
  const int count = group[1] * group[2];
  if (count > most_simdgroups) fail("a group of more than 1,024 threads");
  for (int j = 0; j < count; j++) start_simdgroup(simdgroups[j], j % group[1], j / group[1]);
  for (;;) {
    int met = 0;
    for (int j = 0; j < count; j++) met += run_simdgroup(simdgroups[j]) == meeting;
    if (met == 0) return;
    if (met != count) fail("a simdgroup ended while the others wait at a barrier");
  }
}

static void run_grid(const int *grid, const int *group) {
  if (group[0] != lane_count) fail("groups are 32 lanes wide");
  for (int z = 0; z < grid[2] / group[2]; z++)
    for (int y = 0; y < grid[1] / group[1]; y++)
      for (int x = 0; x < grid[0] / group[0]; x++) {
        group_now = {uint(x), uint(y), uint(z)};
        run_group(group);
      }
}

static void read_all(void *to, size_t n) {
  if (fread(to, 1, n, stdin) != n) exit(0);
}
// An array between guards, so that a kernel that writes beside it is found out.
struct Buffer {
  static constexpr size_t guard = 4096;
  char *memory = nullptr;
  int shape[8] = {};
  int64_t bytes = 0;
  void read_size() { read_all(&bytes, 8); }
  char *make() {
    memory = static_cast<char *>(aligned_alloc(64, (bytes + 2 * guard + 63) / 64 * 64));
    memset(memory, 0xff, bytes + 2 * guard);  // NaN, also where an output is not written
    return memory + guard;
  }
  void check() {
    for (size_t i = 0; i < guard; i++)
      if (memory[i] != char(0xff) || memory[guard + bytes + i] != char(0xff)) fail("a kernel wrote outside an array");
  }
  template <typename T>
  T *data() { return reinterpret_cast<T *>(memory + guard); }
};

static float float_from(int bits) {
  float x;
  memcpy(&x, &bits, 4);
  return x;
}

// What the dialects call. Groups run one after the other, so that what one shares can be static.
#define thread_position_in_threadgroup_here (lane_now->position)
#ifdef FLAVOUR_METAL
#define thread
#define device
#define threadgroup static
static void threadgroup_barrier(int) { wait_for_others(meeting, 0, 0); }
#define thread_position_in_threadgroup thread_position_in_threadgroup_here
#define threadgroup_position_in_grid group_now
static float simd_shuffle_xor(float x, ushort mask) { return wait_for_others(exchanging, mask, x); }
static float simd_sum(float x) { return wait_for_others(summing, 0, x); }
template <typename T>
static T as_type(int bits) { return float_from(bits); }
namespace metal {
enum mem_flags { mem_threadgroup };
namespace precise {
using std::exp;
using std::log;
using std::tanh;
using std::sin;
using std::cos;
static float rsqrt(float x) { return 1.0f / std::sqrt(x); }
}  // namespace precise
}  // namespace metal
#else
#define __device__
#define __int_as_float float_from
#define __forceinline__ inline
#define __shared__ static
static void __syncthreads() { wait_for_others(meeting, 0, 0); }
#define threadIdx thread_position_in_threadgroup_here
#define blockIdx group_now
static float __shfl_xor_sync(unsigned, float x, int mask) { return wait_for_others(exchanging, mask, x); }
#endif
