package machine

import (
	"fmt"
	"syscall"
)

// system asks sysctl; the names are documented in sysctl(3) and sys/sysctl.h.
func system() Machine {
	return Machine{
		Model:            text("hw.model"),
		Processor:        text("machdep.cpu.brand_string"),
		OS:               productVersion(text("kern.osproductversion"), text("kern.osversion")),
		PhysicalCores:    count("hw.physicalcpu"),
		PerformanceCores: performanceCores(),
		LogicalCores:     count("hw.logicalcpu"),
	}
}

// performanceCores is 0 on a Mac whose cores are alike: performance level 0 is the fastest of several.
func performanceCores() int {
	if count("hw.nperflevels") < 2 {
		return 0
	}
	return count("hw.perflevel0.physicalcpu")
}

func productVersion(version, build string) string {
	if version == "" {
		return "macOS"
	}
	return fmt.Sprintf("macOS %s (%s)", version, build)
}

func text(name string) string {
	s, err := syscall.Sysctl(name)
	if err != nil {
		return ""
	}
	return s
}

func count(name string) int {
	n, err := syscall.SysctlUint32(name)
	if err != nil {
		return 0
	}
	return int(n)
}
