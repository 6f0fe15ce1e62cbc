package footprint

import (
	"encoding/binary"
)

// rusageV4 is macOS' struct rusage_info_v4 (sys/resource.h), as far as it is read: 16 bytes of UUID, then 35 words.
type rusageV4 [296]byte

// Where the fields stand, and the flavor that asks for this struct.
const (
	rusageInfoV4      = 4
	physFootprintAt   = 72  // ri_phys_footprint
	lifetimeMaxPhysAt = 240 // ri_lifetime_max_phys_footprint
)

func (u *rusageV4) reading() reading {
	return reading{
		footprint: int64(binary.LittleEndian.Uint64(u[physFootprintAt:])),
		mark:      int64(binary.LittleEndian.Uint64(u[lifetimeMaxPhysAt:])),
	}
}
