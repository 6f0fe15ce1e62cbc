package machine

import (
	"fmt"
	"runtime"
	"strings"

	"github.com/shirou/gopsutil/v3/mem"
)

// Machine describes a computer. Strings are empty and counts 0 where the system does not tell.
type Machine struct {
	Model            string `json:"model"`             // "Mac16,1", or the vendor's product name
	Processor        string `json:"processor"`         // "Apple M5", "AMD EPYC"
	OS               string `json:"os"`                // "macOS 26.1 (25B78)", "Debian GNU/Linux 12 (bookworm), Linux 6.1.0"
	Arch             string `json:"arch"`              // GOARCH
	PhysicalCores    int    `json:"physical_cores"`    // of the machine
	PerformanceCores int    `json:"performance_cores"` // of those; 0 where all cores are alike
	LogicalCores     int    `json:"logical_cores"`     // of the machine
	UsableCores      int    `json:"usable_cores"`      // logical ones that this process may run on
	MemoryBytes      int64  `json:"memory_bytes"`      // of the machine, not of a control group
}

// Read describes this computer. Only memory is an error when it cannot be read: nothing can be planned without.
func Read() (Machine, error) {
	m := system()
	m.Arch, m.UsableCores = runtime.GOARCH, runtime.NumCPU()
	v, err := mem.VirtualMemory()
	if err != nil {
		return m, fmt.Errorf("machine: memory: %w", err)
	}
	m.MemoryBytes = int64(v.Total)
	return m, nil
}

// String is one line: "Apple M5 (Mac17,2), 10 cores (4 fast), 17.2 GB, macOS 26.1 (25B78), arm64".
func (m Machine) String() string {
	name := or(m.Processor, "unknown processor")
	if m.Model != "" {
		name += " (" + m.Model + ")"
	}
	cores := "cores unknown"
	if m.PhysicalCores > 0 {
		cores = fmt.Sprintf("%d cores", m.PhysicalCores)
	}
	if m.PerformanceCores > 0 {
		cores += fmt.Sprintf(" (%d fast)", m.PerformanceCores)
	}
	memory := fmt.Sprintf("%.1f GB", float64(m.MemoryBytes)/1e9)
	return strings.Join([]string{name, cores, memory, or(m.OS, "unknown system"), m.Arch}, ", ")
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
