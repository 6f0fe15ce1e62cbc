// Compiles what stands between the two macros for an instruction set that the rest of the program
// may not assume. Standard headers must be included before: their inline functions would otherwise
// be compiled for that set and might be the copies that the linker keeps.
#pragma once
#if defined(REPRISE_EMULATE)  // intrinsics replaced by portable code (Makefile, test-emulated)
#define REPRISE_TARGET_BEGIN(set)
#define REPRISE_TARGET_END
#else
#define REPRISE_PRAGMA_TEXT(x) _Pragma(#x)
#define REPRISE_PRAGMA(x) REPRISE_PRAGMA_TEXT(x)
#if defined(__clang__)
#define REPRISE_TARGET_BEGIN(set) REPRISE_PRAGMA(clang attribute push(__attribute__((target(set))), apply_to = function))
#define REPRISE_TARGET_END REPRISE_PRAGMA(clang attribute pop)
#else
#define REPRISE_TARGET_BEGIN(set) REPRISE_PRAGMA(GCC push_options) REPRISE_PRAGMA(GCC target(set))
#define REPRISE_TARGET_END REPRISE_PRAGMA(GCC pop_options)
#endif
#endif
