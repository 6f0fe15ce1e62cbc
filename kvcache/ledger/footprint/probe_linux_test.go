package footprint

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// touch maps n bytes outside Go's heap and writes to each page. release gives them back to the system.
func touch(t *testing.T, n int) (release func()) {
	t.Helper()
	b, err := syscall.Mmap(-1, 0, n, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < n; i += os.Getpagesize() {
		b[i] = 1
	}
	return func() {
		if err := syscall.Munmap(b); err != nil {
			t.Error(err)
		}
	}
}

const (
	mb    = 1 << 20
	slack = 8 * mb // the runtime's own ups and downs, and the kernel's counts per CPU
)

func near(got, want int64) bool { return got > want-slack && got < want+slack }

// TestRealPeaks allocates in and between windows of this very process.
func TestRealPeaks(t *testing.T) {
	w, err := Watch(time.Hour) // no tick comes: the kernel's mark has to tell
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if p := w.probe.(*linuxProbe); !p.resetMark() {
		t.Skip("/proc/self/clear_refs cannot be written here: peaks are sampled")
	}
	start, err := w.Read()
	if err != nil {
		t.Fatal(err)
	}

	outer := w.Open()
	touch(t, 64*mb)()
	inner := w.Open()
	touch(t, 32*mb)()
	if got := peakOf(t, inner); !near(got.Bytes, start.Bytes+32*mb) || got.Evidence != Measured {
		t.Errorf("inner window: %d MB above the start (%q), want 32", (got.Bytes-start.Bytes)/mb, got.Evidence)
	}
	if got := peakOf(t, outer); !near(got.Bytes, start.Bytes+64*mb) || got.Evidence != Sampled {
		t.Errorf("outer window: %d MB above the start (%q), want 64", (got.Bytes-start.Bytes)/mb, got.Evidence)
	}
	quiet := w.Open()
	if got := peakOf(t, quiet); !near(got.Bytes, start.Bytes) {
		t.Errorf("quiet window: %d MB above the start, want 0", (got.Bytes-start.Bytes)/mb)
	}
	end, err := w.Read()
	if err != nil {
		t.Fatal(err)
	}
	if end.LifetimePeakBytes < start.Bytes+64*mb-slack {
		t.Errorf("lifetime peak %d MB above the start, want at least 64", (end.LifetimePeakBytes-start.Bytes)/mb)
	}
}

// TestRealSamples goes without the kernel's mark.
func TestRealSamples(t *testing.T) {
	p, err := newProbe()
	if err != nil {
		t.Fatal(err)
	}
	lp := p.(*linuxProbe)
	if lp.clear != nil {
		_ = lp.clear.Close()
		lp.clear = nil
	}
	touch(t, 128*mb)() // the mark of the process's life is above what the window reaches
	w, err := watch(p, time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	start, err := w.Read()
	if err != nil {
		t.Fatal(err)
	}
	win := w.Open()
	release := touch(t, 64*mb)
	if _, err := w.Read(); err != nil { // a sample that surely falls into it
		t.Fatal(err)
	}
	release()
	if got := peakOf(t, win); !near(got.Bytes, start.Bytes+64*mb) || got.Evidence != Sampled {
		t.Errorf("%d MB above the start (%q), want 64", (got.Bytes-start.Bytes)/mb, got.Evidence)
	}
}

func TestReadAgreesWithTheKernel(t *testing.T) {
	s, err := Read()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	var pages int64
	for _, d := range strings.Fields(string(text))[1] {
		pages = pages*10 + int64(d-'0')
	}
	if resident := pages * int64(os.Getpagesize()); !near(s.Bytes, resident) || s.LifetimePeakBytes < s.Bytes-slack {
		t.Errorf("%+v, statm says %d resident", s, resident)
	}
}

func TestHostAgreesWithTheKernel(t *testing.T) {
	h, err := ReadHost()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		t.Fatal(err)
	}
	var kb int64
	for _, d := range strings.Fields(string(text))[1] { // MemTotal: N kB
		kb = kb*10 + int64(d-'0')
	}
	if h.TotalBytes != kb*1024 {
		t.Errorf("total %d, /proc/meminfo says %d", h.TotalBytes, kb*1024)
	}
}
