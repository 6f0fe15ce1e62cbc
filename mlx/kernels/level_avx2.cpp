// x86 with AVX2, FMA and F16C.
#include "kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include <cmath>
#include <initializer_list>
#include <type_traits>

#include "target.h"

namespace reprise {

REPRISE_TARGET_BEGIN("avx2,fma,f16c")
namespace avx2 {

#include "x86_vec.h"

// 16 registers: 6×2 sums, two vectors of W and one of x; the integer loop has two sums' width of
// 16-bit lanes and needs one register for the ones that add them up.
struct Tiling {
  using V = Vec;
  static constexpr int float_tile = 6, float_panel = 16, integer_tile = 3, integer_panel = 16;
};

#include "level_table.h"

}  // namespace avx2
REPRISE_TARGET_END

const Kernels *avx2_kernels() {
  static constexpr Kernels table = avx2::Level<avx2::Vec, avx2::Tiling>::table("avx2");
  const bool has = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
  return has ? &table : nullptr;
}

}  // namespace reprise

#else
const reprise::Kernels *reprise::avx2_kernels() { return nullptr; }
#endif
