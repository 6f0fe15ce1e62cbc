// A GPU's threads on the host, for kernels in the dialect of mlx/dialect.go: each lane is a fiber, and the 32 of a
// simdgroup go on together wherever they exchange values. A lane that ends, or asks for another exchange, while the others
// wait is an error that ends the process. shim.go writes the function and main around it.
#pragma once
#include <ucontext.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

constexpr int lane_count = 32;
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

enum { running, exchanging, summing, ended };
struct Lane {
  ucontext_t context;
  char *stack;
  uint3 position;
  int state, mask;
  float value;
};
static Lane lanes[lane_count], *lane_now;
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

static void exchange() {
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

// One simdgroup: its lanes in turn up to the next exchange, until all have ended.
static void run_simdgroup(uint y, uint z) {
  for (int i = 0; i < lane_count; i++) {
    Lane &l = lanes[i];
    if (!l.stack) l.stack = static_cast<char *>(malloc(256 << 10));
    l.position = {uint(i), y, z};
    l.state = running;
    getcontext(&l.context);
    l.context.uc_stack.ss_sp = l.stack;
    l.context.uc_stack.ss_size = 256 << 10;
    l.context.uc_link = nullptr;
    makecontext(&l.context, lane_main, 0);
  }
  for (;;) {
    for (Lane &l : lanes) {
      lane_now = &l;
      swapcontext(&scheduler, &l.context);
    }
    if (lanes[0].state == ended) {
      for (Lane &l : lanes)
        if (l.state != ended) fail("a lane of a simdgroup ended before the others");
      return;
    }
    exchange();
  }
}

static void run_grid(const int *grid, const int *group) {
  if (group[0] != lane_count) fail("groups are 32 lanes wide");
  for (int z = 0; z < grid[2] / group[2]; z++)
    for (int y = 0; y < grid[1] / group[1]; y++)
      for (int x = 0; x < grid[0] / group[0]; x++) {
        group_now = {uint(x), uint(y), uint(z)};
        for (int j = 0; j < group[1] * group[2]; j++) run_simdgroup(j % group[1], j / group[1]);
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

// What the dialects call.
#define thread_position_in_threadgroup_here (lane_now->position)
#ifdef FLAVOUR_METAL
#define thread
#define thread_position_in_threadgroup thread_position_in_threadgroup_here
#define threadgroup_position_in_grid group_now
static float simd_shuffle_xor(float x, ushort mask) { return wait_for_others(exchanging, mask, x); }
static float simd_sum(float x) { return wait_for_others(summing, 0, x); }
namespace metal {
namespace precise {
using std::exp;
using std::log;
static float rsqrt(float x) { return 1.0f / std::sqrt(x); }
}  // namespace precise
}  // namespace metal
#else
#define __device__
#define __forceinline__ inline
#define threadIdx thread_position_in_threadgroup_here
#define blockIdx group_now
static float __shfl_xor_sync(unsigned, float x, int mask) { return wait_for_others(exchanging, mask, x); }
#endif
