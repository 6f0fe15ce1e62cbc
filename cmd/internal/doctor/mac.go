package doctor

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"reprise/cmd/internal/console"
)

// leastMacOS is what MLX's wheels need; unitsMacOS is the first whose wheel uses the M5's matrix units.
const (
	leastMacOS = 14
	unitsMacOS = 26
)

// leastForMacOS is memory that macOS needs beside what is wired for the GPU.
const leastForMacOS = 3 << 30

// mac looks at what only a Mac has.
func (r *Report) mac(d device) {
	if r.system.goos != "darwin" {
		return
	}
	if n, ok := r.system.sysctl("sysctl.proc_translated"); ok && n == 1 {
		r.add("rosetta", Problem, "install Go for arm64 (`brew install go` in a native shell) and run `make clean build`", "this binary is translated from x86-64: it sees no Metal")
	}
	r.macOS()
	if !r.system.gpu() {
		r.add("metal", Problem, "it needs Apple silicon, a session with a screen or ssh on a real Mac (not a virtual machine without Metal), and mlx.metallib beside libmlx: run `make build` again",
			"MLX finds no Metal device: everything would run on the CPU")
		return
	}
	r.ok("metal", "there")
	r.workingSet(d)
}

var macVersion = regexp.MustCompile(`macOS (\d+)`)

func (r *Report) macOS() {
	m, err := r.system.machine()
	if err != nil {
		return // told under "machine"
	}
	found := macVersion.FindStringSubmatch(m.OS)
	if found == nil {
		r.add("macos", Warning, "see that it is macOS 14 or later: `sw_vers`", "%q does not say its version", m.OS)
		return
	}
	switch version, _ := strconv.Atoi(found[1]); { // digits
	case version < leastMacOS:
		r.add("macos", Problem, "update to macOS 26 (System Settings, General, Software Update)", "%s: MLX needs macOS %d", m.OS, leastMacOS)
	case version < unitsMacOS && strings.Contains(m.Processor, "M5"):
		r.add("macos", Warning, "update to macOS 26 and run `make clean build`, so that MLX's build with the M5's matrix units is taken", "%s on %s: prefill does without the matrix units", m.OS, m.Processor)
	default:
		r.ok("macos", "%s", m.OS)
	}
}

// workingSet looks at how much Metal recommends to use, and whether somebody moved the limit.
func (r *Report) workingSet(d device) {
	m, err := r.system.machine()
	if err != nil || d.metal == 0 {
		r.add("working set", Warning, "run `reprise plan`, which knows the rule, and keep below its limit", "Metal does not say how much memory it recommends to use")
		return
	}
	limit, ok := r.system.sysctl("iogpu.wired_limit_mb")
	switch {
	case !ok:
		r.ok("working set", "%s of %s by Metal; iogpu.wired_limit_mb is not there", console.Bytes(d.metal), console.Bytes(m.MemoryBytes))
	case limit == 0:
		r.ok("working set", "%s of %s by Metal; iogpu.wired_limit_mb is 0, the system's own rule. A model that is a little larger fits after `sudo sysctl iogpu.wired_limit_mb=%d`, until a restart",
			console.Bytes(d.metal), console.Bytes(m.MemoryBytes), roomiest(m.MemoryBytes))
	case int64(limit)<<20 > m.MemoryBytes-leastForMacOS:
		r.add("working set", Warning, fmt.Sprintf("sudo sysctl iogpu.wired_limit_mb=%d (0 is the system's own rule)", roomiest(m.MemoryBytes)),
			"iogpu.wired_limit_mb is %s of %s: less than %s is left to macOS, which then stalls", console.Bytes(int64(limit)<<20), console.Bytes(m.MemoryBytes), console.Bytes(leastForMacOS))
	default:
		r.ok("working set", "%s of %s by Metal; iogpu.wired_limit_mb is %d", console.Bytes(d.metal), console.Bytes(m.MemoryBytes), limit)
	}
}

// roomiest is the largest limit, in MiB, that leaves macOS and a few programs what they need.
func roomiest(memory int64) int64 { return max(0, memory-memory/5-leastForMacOS/2) >> 20 }
