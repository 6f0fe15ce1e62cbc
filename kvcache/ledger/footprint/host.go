package footprint

import (
	"fmt"

	"github.com/shirou/gopsutil/v3/mem"
)

// Host is the memory of the machine that the process runs on, in bytes.
type Host struct {
	TotalBytes     int64
	AvailableBytes int64 // what can be had without swapping, as the system estimates it
	SwapTotalBytes int64
	SwapUsedBytes  int64
	Limit          Limit // by control groups, Linux
}

// Limit is what the control groups around a Linux process allow, together. The zero Limit is none.
type Limit struct {
	Bytes     int64 // the smallest limit; 0: none
	RoomBytes int64 // what is left in the fullest; file pages that can be dropped count as room
}

// ReadHost reads the machine's memory.
func ReadHost() (Host, error) {
	v, err := mem.VirtualMemory()
	if err != nil {
		return Host{}, fmt.Errorf("footprint: host memory: %w", err)
	}
	s, err := mem.SwapMemory()
	if err != nil {
		return Host{}, fmt.Errorf("footprint: host swap: %w", err)
	}
	return Host{
		TotalBytes: int64(v.Total), AvailableBytes: int64(v.Available),
		SwapTotalBytes: int64(s.Total), SwapUsedBytes: int64(s.Used),
		Limit: groupLimit(),
	}, nil
}

// UsableBytes is how large the process could ever grow: the machine, or its group's limit when that is less.
func (h Host) UsableBytes() int64 {
	if h.Limit.Bytes > 0 {
		return min(h.TotalBytes, h.Limit.Bytes)
	}
	return h.TotalBytes
}

// FreeBytes is how much the process could grow now, by the machine and by its group.
func (h Host) FreeBytes() int64 {
	if h.Limit.Bytes > 0 {
		return min(h.AvailableBytes, h.Limit.RoomBytes)
	}
	return h.AvailableBytes
}
