package footprint

import (
	"bytes"
	"errors"
)

// parseStatus takes the memory lines, in kB, out of /proc/self/status. It allocates nothing.
func parseStatus(text []byte) (reading, error) {
	rss, swap, mark := int64(-1), int64(0), int64(-1)
	for len(text) > 0 {
		var line []byte
		if i := bytes.IndexByte(text, '\n'); i >= 0 {
			line, text = text[:i], text[i+1:]
		} else {
			line, text = text, nil
		}
		switch {
		case bytes.HasPrefix(line, vmRSS):
			rss = kilobytes(line[len(vmRSS):])
		case bytes.HasPrefix(line, vmSwap):
			swap = kilobytes(line[len(vmSwap):])
		case bytes.HasPrefix(line, vmHWM):
			mark = kilobytes(line[len(vmHWM):])
		}
	}
	// VmSwap is missing from a kernel without swap.
	if rss < 0 || swap < 0 || mark < 0 {
		return reading{}, errStatus
	}
	return reading{footprint: rss + swap, swapped: swap, mark: mark}, nil
}

var (
	vmRSS  = []byte("VmRSS:")
	vmSwap = []byte("VmSwap:")
	vmHWM  = []byte("VmHWM:")

	errStatus = errors.New("footprint: /proc/self/status has no readable VmRSS and VmHWM")
)

// kilobytes reads "   1234 kB" as bytes; -1 when it is something else.
func kilobytes(field []byte) int64 {
	digits, ok := bytes.CutSuffix(bytes.TrimSpace(field), []byte(" kB"))
	if !ok || len(digits) == 0 || len(digits) > 15 {
		return -1
	}
	var n int64
	for _, d := range digits {
		if d < '0' || d > '9' {
			return -1
		}
		n = n*10 + int64(d-'0')
	}
	return n * 1024
}
