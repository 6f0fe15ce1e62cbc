// NEON on another processor, by SIMDe's portable code under the intrinsics' names.
#pragma once
#undef __aarch64__
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/arm/neon.h>

#include <cmath>

// Not in SIMDe 0.7.4.
static inline int32x4_t reprise_vcvtnq_s32_f32(float32x4_t a) {
  int32_t r[4];
  float v[4];
  vst1q_f32(v, a);
  for (int i = 0; i < 4; i++) r[i] = std::isnan(v[i]) ? 0 : static_cast<int32_t>(std::nearbyint(v[i]));
  return vld1q_s32(r);
}
static inline float reprise_vmaxnmvq_f32(float32x4_t a) {
  float v[4], top;
  vst1q_f32(v, a);
  top = v[0];
  for (int i = 1; i < 4; i++) top = std::fmax(top, v[i]);
  return top;
}
#define vcvtnq_s32_f32 reprise_vcvtnq_s32_f32
#define vmaxnmvq_f32 reprise_vmaxnmvq_f32
