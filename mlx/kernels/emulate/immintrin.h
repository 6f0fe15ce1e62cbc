// Stands before the compiler's header when AVX-512 is tested on a machine without it: SIMDe's
// portable code under the intrinsics' names.
#pragma once
#define SIMDE_NO_NATIVE
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>
#include <simde/x86/f16c.h>
#include <simde/x86/fma.h>

// Not in SIMDe 0.7.4.
static inline simde__m512 reprise_mm512_cvtepi32_ps(simde__m512i a) {
  simde__m512_private r;
  simde__m512i_private p = simde__m512i_to_private(a);
  for (int i = 0; i < 16; i++) r.f32[i] = static_cast<float>(p.i32[i]);
  return simde__m512_from_private(r);
}
#define _mm512_cvtepi32_ps(a) reprise_mm512_cvtepi32_ps(a)
