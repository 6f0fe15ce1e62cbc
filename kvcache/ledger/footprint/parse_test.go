package footprint

import (
	"encoding/binary"
	"testing"
	"testing/fstest"
)

func TestParseStatus(t *testing.T) {
	const kb = 1024
	for _, tt := range []struct {
		name, text string
		want       reading
		bad        bool
	}{
		{"whole", "Name:\treprise\nVmPeak:\t 9 kB\nVmHWM:\t    1640 kB\nVmRSS:\t    1500 kB\nRssAnon:\t 7 kB\nVmSwap:\t      20 kB\n",
			reading{footprint: 1520 * kb, swapped: 20 * kb, mark: 1640 * kb}, false},
		{"no swap in the kernel", "VmHWM:\t5 kB\nVmRSS:\t4 kB", reading{footprint: 4 * kb, mark: 5 * kb}, false},
		{"a name that looks like a line", "Name:\tVmRSS: 1 kB\nVmHWM:\t5 kB\nVmRSS:\t4 kB\n", reading{footprint: 4 * kb, mark: 5 * kb}, false},
		{"kernel thread", "Name:\tkthreadd\n", reading{}, true},
		{"no mark", "VmRSS:\t4 kB\n", reading{}, true},
		{"other unit", "VmHWM:\t5 kB\nVmRSS:\t4 MB\n", reading{}, true},
		{"no number", "VmHWM:\t5 kB\nVmRSS:\t-4 kB\n", reading{}, true},
		{"too large", "VmHWM:\t5 kB\nVmRSS:\t9999999999999999999 kB\n", reading{}, true},
		{"cut", "VmHWM:\t5 kB\nVmRSS:", reading{}, true},
	} {
		got, err := parseStatus([]byte(tt.text))
		if got != tt.want || (err != nil) != tt.bad {
			t.Errorf("%s: %+v, %v; want %+v", tt.name, got, err, tt.want)
		}
	}
}

// TestRusageLayout lays the words of rusage_info_v4 out by their names, as sys/resource.h lists them.
func TestRusageLayout(t *testing.T) {
	words := []string{
		"user_time", "system_time", "pkg_idle_wkups", "interrupt_wkups", "pageins", "wired_size", "resident_size",
		"phys_footprint", "proc_start_abstime", "proc_exit_abstime",
		"child_user_time", "child_system_time", "child_pkg_idle_wkups", "child_interrupt_wkups", "child_pageins", "child_elapsed_abstime",
		"diskio_bytesread", "diskio_byteswritten",
		"cpu_time_qos_default", "cpu_time_qos_maintenance", "cpu_time_qos_background", "cpu_time_qos_utility",
		"cpu_time_qos_legacy", "cpu_time_qos_user_initiated", "cpu_time_qos_user_interactive",
		"billed_system_time", "serviced_system_time",
		"logical_writes", "lifetime_max_phys_footprint", "instructions", "cycles", "billed_energy", "serviced_energy",
		"interval_max_phys_footprint", "runnable_time",
	}
	var u rusageV4
	if want := 16 + 8*len(words); len(u) != want {
		t.Fatalf("%d bytes, want %d", len(u), want)
	}
	want := reading{}
	for i, name := range words {
		value := int64(i+1) << 33
		binary.LittleEndian.PutUint64(u[16+8*i:], uint64(value))
		switch name {
		case "phys_footprint":
			want.footprint = value
		case "lifetime_max_phys_footprint":
			want.mark = value
		}
	}
	if got := u.reading(); got != want {
		t.Errorf("reads %+v, want %+v", got, want)
	}
}

func files(pairs ...string) fstest.MapFS {
	root := fstest.MapFS{}
	for i := 0; i < len(pairs); i += 2 {
		root[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1])}
	}
	return root
}

func TestCgroupLimit(t *testing.T) {
	const none1 = "9223372036854771712\n"
	for _, tt := range []struct {
		name string
		root fstest.MapFS
		want Limit
	}{
		{"no /proc", files(), Limit{}},
		{"version 2, a service with its limit on the slice", files(
			"proc/self/cgroup", "0::/system.slice/reprise.service\n",
			"sys/fs/cgroup/system.slice/reprise.service/memory.max", "max\n",
			"sys/fs/cgroup/system.slice/memory.max", "4000\n",
			"sys/fs/cgroup/system.slice/memory.current", "1500\n",
			"sys/fs/cgroup/system.slice/memory.stat", "anon 1000\nfile 500\ninactive_file 300\nactive_file 200\n",
		), Limit{Bytes: 4000, RoomBytes: 2800}},
		{"version 2, the outer group is fuller", files(
			"proc/self/cgroup", "0::/a/b\n",
			"sys/fs/cgroup/a/b/memory.max", "1000\n", "sys/fs/cgroup/a/b/memory.current", "100\n",
			"sys/fs/cgroup/a/memory.max", "5000\n", "sys/fs/cgroup/a/memory.current", "4700\n",
		), Limit{Bytes: 1000, RoomBytes: 300}},
		{"version 2 in a container, whose path is the host's", files(
			"proc/self/cgroup", "0::/../../docker/0123\n",
			"sys/fs/cgroup/memory.max", "4000\n", "sys/fs/cgroup/memory.current", "5000\n",
		), Limit{Bytes: 4000}},
		{"version 1", files(
			"proc/self/cgroup", "5:cpu,cpuacct:/x\n4:hugetlb,memory:/docker/0123\n0::/\n",
			"sys/fs/cgroup/memory/docker/0123/memory.limit_in_bytes", "3000\n",
			"sys/fs/cgroup/memory/docker/0123/memory.usage_in_bytes", "1000\n",
			"sys/fs/cgroup/memory/docker/0123/memory.stat", "inactive_file 1\ntotal_inactive_file 400\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes", none1,
		), Limit{Bytes: 3000, RoomBytes: 2400}},
		{"version 1 without a limit", files(
			"proc/self/cgroup", "4:memory:/\n", "sys/fs/cgroup/memory/memory.limit_in_bytes", none1,
		), Limit{}},
		{"nonsense", files(
			"proc/self/cgroup", "memory\n0:\n0::\n\n",
			"sys/fs/cgroup/memory.max", "a lot\n",
		), Limit{}},
	} {
		if got := cgroupLimit(tt.root); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

func TestHostArithmetic(t *testing.T) {
	h := Host{TotalBytes: 100, AvailableBytes: 60}
	if h.UsableBytes() != 100 || h.FreeBytes() != 60 {
		t.Errorf("without a limit: %d, %d", h.UsableBytes(), h.FreeBytes())
	}
	h.Limit = Limit{Bytes: 40, RoomBytes: 15}
	if h.UsableBytes() != 40 || h.FreeBytes() != 15 {
		t.Errorf("with one: %d, %d", h.UsableBytes(), h.FreeBytes())
	}
	h.Limit = Limit{Bytes: 400, RoomBytes: 90}
	if h.UsableBytes() != 100 || h.FreeBytes() != 60 {
		t.Errorf("with one that is larger: %d, %d", h.UsableBytes(), h.FreeBytes())
	}
}
