package footprint

import (
	"sync"
	"testing"
	"time"
)

func TestSamplingAllocatesNothing(t *testing.T) {
	w, err := Watch(time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	a, b := w.Open(), w.Open()
	if n := testing.AllocsPerRun(100, func() {
		w.mu.Lock()
		_, _ = w.sample()
		w.mu.Unlock()
	}); n != 0 {
		t.Errorf("%v allocations a sample", n)
	}
	peakOf(t, a)
	peakOf(t, b)
}

// TestManyWindows is for the race detector, and for peaks below what a window certainly saw.
func TestManyWindows(t *testing.T) {
	w, err := Watch(time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				win := w.Open()
				s, err := w.Read()
				if err != nil {
					t.Error(err)
				}
				p, err := win.Close()
				if err != nil || p.Bytes < s.Bytes {
					t.Errorf("peak %+v below the %d bytes read in the window, %v", p, s.Bytes, err)
				}
			}
		})
	}
	wg.Wait()
	if len(w.open) != 0 {
		t.Errorf("%d windows left open", len(w.open))
	}
}

func TestHost(t *testing.T) {
	h, err := ReadHost()
	if err != nil {
		t.Fatal(err)
	}
	if h.TotalBytes < 256<<20 || h.AvailableBytes <= 0 || h.AvailableBytes > h.TotalBytes || h.SwapUsedBytes > h.SwapTotalBytes {
		t.Errorf("%+v", h)
	}
	if h.UsableBytes() > h.TotalBytes || h.FreeBytes() > h.AvailableBytes {
		t.Errorf("usable %d, free %d of %+v", h.UsableBytes(), h.FreeBytes(), h)
	}
}
