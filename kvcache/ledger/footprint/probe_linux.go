package footprint

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// linuxProbe keeps /proc/self/status open: reading it from the start makes the kernel write it anew.
type linuxProbe struct {
	status *os.File
	clear  *os.File // nil where the kernel or a sandbox does not let us write it
	buf    [8 << 10]byte
}

func newProbe() (probe, error) {
	status, err := os.Open("/proc/self/status")
	if err != nil {
		return nil, fmt.Errorf("footprint: %w", err)
	}
	p := &linuxProbe{status: status}
	// Without it peaks are sampled, and say so.
	if f, err := os.OpenFile("/proc/self/clear_refs", os.O_WRONLY, 0); err == nil {
		p.clear = f
	}
	return p, nil
}

func (p *linuxProbe) read() (reading, error) {
	n, err := p.status.ReadAt(p.buf[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return reading{}, fmt.Errorf("footprint: %w", err)
	}
	return parseStatus(p.buf[:n])
}

// clearMark is the value that resets VmHWM and touches nothing else.
var clearMark = []byte("5")

func (p *linuxProbe) resetMark() bool {
	if p.clear == nil {
		return false
	}
	_, err := p.clear.Write(clearMark)
	return err == nil
}

func (p *linuxProbe) close() {
	_ = p.status.Close()
	if p.clear != nil {
		_ = p.clear.Close()
	}
}
