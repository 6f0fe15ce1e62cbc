package footprint

import (
	"fmt"
	"os"
	"syscall"
	"unsafe"

	"github.com/ebitengine/purego"
)

// darwinProbe calls proc_pid_rusage of libSystem.
type darwinProbe struct {
	call uintptr
	pid  uintptr
	info rusageV4
}

func newProbe() (probe, error) {
	lib, err := purego.Dlopen("/usr/lib/libSystem.B.dylib", purego.RTLD_LAZY|purego.RTLD_GLOBAL)
	if err != nil {
		return nil, fmt.Errorf("footprint: libSystem: %w", err)
	}
	call, err := purego.Dlsym(lib, "proc_pid_rusage")
	if err != nil {
		return nil, fmt.Errorf("footprint: libSystem: %w", err)
	}
	return &darwinProbe{call: call, pid: uintptr(os.Getpid())}, nil
}

func (p *darwinProbe) read() (reading, error) {
	r, _, errno := purego.SyscallN(p.call, p.pid, rusageInfoV4, uintptr(unsafe.Pointer(&p.info)))
	if int32(r) != 0 {
		return reading{}, fmt.Errorf("footprint: proc_pid_rusage: %w", syscall.Errno(errno))
	}
	return p.info.reading(), nil
}

// resetMark cannot: macOS keeps the peak of the process's life.
func (p *darwinProbe) resetMark() bool { return false }

// close leaves libSystem open; it is in every process anyway.
func (p *darwinProbe) close() {}
