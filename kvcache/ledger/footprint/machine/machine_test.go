package machine

import (
	"runtime"
	"testing"
	"testing/fstest"
)

func files(pairs ...string) fstest.MapFS {
	root := fstest.MapFS{}
	for i := 0; i < len(pairs); i += 2 {
		root[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1])}
	}
	return root
}

func TestFromFiles(t *testing.T) {
	const cpuinfo = "processor\t: 0\nmodel name\t: AMD EPYC\nphysical id\t: 0\ncore id\t\t: 0\n\n" +
		"processor\t: 1\nmodel name\t: AMD EPYC\nphysical id\t: 0\ncore id\t\t: 0\n\n" +
		"processor\t: 2\nmodel name\t: AMD EPYC\nphysical id\t: 1\ncore id\t\t: 0\n\n"
	const topology = "/topology/thread_siblings_list"
	for _, tt := range []struct {
		name string
		root fstest.MapFS
		want Machine
	}{
		{"nothing to read", files(), Machine{}},
		{"PC with two threads a core", files(
			"proc/cpuinfo", cpuinfo,
			"sys/devices/system/cpu/cpu0"+topology, "0,2\n", "sys/devices/system/cpu/cpu1"+topology, "1,3\n",
			"sys/devices/system/cpu/cpu2"+topology, "0,2\n", "sys/devices/system/cpu/cpu10"+topology, "1,3\n",
			"sys/devices/system/cpu/cpufreq/policy0"+topology, "9\n",
			"sys/class/dmi/id/product_name", "PowerEdge R7525\n", "sys/class/dmi/id/sys_vendor", "Dell Inc.\n",
			"etc/os-release", "NAME=\"Debian\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n",
			"proc/sys/kernel/osrelease", "6.1.0\n",
		), Machine{Model: "Dell Inc. PowerEdge R7525", Processor: "AMD EPYC", PhysicalCores: 2, LogicalCores: 4,
			OS: "Debian GNU/Linux 12 (bookworm), Linux 6.1.0"}},
		{"container without /sys: two sockets, three threads", files("proc/cpuinfo", cpuinfo),
			Machine{Processor: "AMD EPYC", PhysicalCores: 2, LogicalCores: 3}},
		{"arm board without core ids", files(
			"proc/cpuinfo", "processor\t: 0\nCPU part\t: 0xd0b\n\nprocessor\t: 1\n",
			"proc/device-tree/model", "Raspberry Pi 5 Model B\x00", "proc/sys/kernel/osrelease", "6.6\n",
		), Machine{Model: "Raspberry Pi 5 Model B", LogicalCores: 2, OS: "Linux 6.6"}},
		{"vendor within the product", files(
			"sys/class/dmi/id/product_name", "HP Z2\n", "sys/class/dmi/id/sys_vendor", "HP\n", "etc/os-release", "PRETTY_NAME='Arch'\n",
		), Machine{Model: "HP Z2", OS: "Arch"}},
	} {
		if got := fromFiles(tt.root); got != tt.want {
			t.Errorf("%s:\n%+v\nwant\n%+v", tt.name, got, tt.want)
		}
	}
}

func TestThisMachine(t *testing.T) {
	m, err := Read()
	if err != nil {
		t.Fatal(err)
	}
	t.Log(m)
	if m.MemoryBytes < 1<<28 || m.Arch != runtime.GOARCH || m.OS == "" || m.UsableCores < 1 {
		t.Errorf("%+v", m)
	}
	if m.LogicalCores < m.UsableCores || m.PhysicalCores > m.LogicalCores || m.PerformanceCores > m.PhysicalCores {
		t.Errorf("cores do not add up: %+v", m)
	}
}

func TestString(t *testing.T) {
	for _, tt := range []struct {
		m    Machine
		want string
	}{
		{Machine{Model: "Mac17,2", Processor: "Apple M5", OS: "macOS 26.1 (25B78)", Arch: "arm64", PhysicalCores: 10,
			PerformanceCores: 4, MemoryBytes: 17_179_869_184},
			"Apple M5 (Mac17,2), 10 cores (4 fast), 17.2 GB, macOS 26.1 (25B78), arm64"},
		{Machine{Arch: "amd64"}, "unknown processor, cores unknown, 0.0 GB, unknown system, amd64"},
	} {
		if got := tt.m.String(); got != tt.want {
			t.Errorf("%s\nwant %s", got, tt.want)
		}
	}
}
