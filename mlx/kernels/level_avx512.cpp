// x86 with AVX-512 (F, BW, VL) and VNNI: its dot product adds four byte products to 32 bits in one
// instruction. Unpacking for tiles and the integer matrix-vector loops stay 256 bits wide.
#include "kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include <cmath>
#include <initializer_list>
#include <type_traits>

#include "target.h"

// For a while clang wanted to be told that AVX-512 means 512 bits.
#if defined(__clang__) && __clang_major__ >= 18 && __clang_major__ <= 21
#define REPRISE_AVX512 "avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512vnni,evex512"
#else
#define REPRISE_AVX512 "avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512vnni"
#endif

namespace reprise {

REPRISE_TARGET_BEGIN(REPRISE_AVX512)
namespace avx512 {

#include "x86_vec.h"
#include "avx512_vec.h"

struct Wide : Floats16 {
  static constexpr bool sums_in_32 = true;
  using I = __m512i;

  static inline I izero() { return _mm512_setzero_si512(); }
  static inline I iload(const uint8_t *p) { return _mm512_loadu_si512(p); }
  static inline I ibroadcast(const uint8_t *p) {
    int32_t v;
    std::memcpy(&v, p, 4);
    return _mm512_set1_epi32(v);
  }
  static inline I mac8(I acc, I w, I x) { return _mm512_dpbusd_epi32(acc, w, x); }
  static inline F to_float8(I a) { return _mm512_cvtepi32_ps(a); }
  static inline I mac16(I acc, I w, I x) { return _mm512_dpwssd_epi32(acc, w, x); }
  static inline F to_float16(I a) { return _mm512_cvtepi32_ps(a); }
};

// 32 registers.
struct Tiling {
  using V = Wide;
  static constexpr int float_tile = 12, float_panel = 32, integer_tile = 6, integer_panel = 32;
};

#include "level_table.h"

}  // namespace avx512
REPRISE_TARGET_END

const Kernels *avx512_kernels() {
  static constexpr Kernels table = avx512::Level<avx512::Vec, avx512::Tiling, avx512::Broad>::table("avx512");
#if defined(REPRISE_EMULATE)
  const bool has = true;
#else
  const bool has = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                   __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni") && avx2_kernels();
#endif
  return has ? &table : nullptr;
}

}  // namespace reprise

#else
const reprise::Kernels *reprise::avx512_kernels() { return nullptr; }
#endif
