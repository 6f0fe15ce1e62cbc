// kvcache/ledger/footprint reads this struct by offset, through purego: the offsets are checked against the
// headers of macOS wherever `make check-darwin` runs.
#include <stddef.h>
#include <sys/resource.h>

_Static_assert(sizeof(struct rusage_info_v4) == 296, "size of rusage_info_v4");
_Static_assert(offsetof(struct rusage_info_v4, ri_phys_footprint) == 72, "ri_phys_footprint");
_Static_assert(offsetof(struct rusage_info_v4, ri_lifetime_max_phys_footprint) == 240, "ri_lifetime_max_phys_footprint");
_Static_assert(RUSAGE_INFO_V4 == 4, "flavour");
